// Neurons with more than a leak, one thread each through all steps. MODEL: 0 KLIF, 1 CubaLIF, 2 ALIF; `aux` is the second
// state of the last two: the current, or what raises the threshold.
#include "neuron.cuh"

struct Constants {
    REAL rate, decay, other, threshold, r, k, inverse;
    int soft;
    bool inverted;
};

// KLIF has no use for `decay` and `other`; they are c_decay and v_decay of CubaLIF, a_decay and beta of ALIF.
__device__ inline Constants constants(
    REAL rate, REAL decay, REAL other, REAL threshold, REAL r, int soft, const REAL* k_at, const REAL* inverse_at
) {
    Constants c = {rate, decay, other, threshold, r, (REAL)1, (REAL)1, soft, inverse_at != 0};
    if (k_at) c.k = k_at[0];
    if (inverse_at) c.inverse = inverse_at[0];
    return c;
}

__device__ inline REAL charged(const Constants& c, REAL x, REAL v, REAL& aux) {
    if (MODEL != 1) return charge(x, v, c.rate, c.r);
    aux = aux * c.decay + x;
    return v * c.other + aux;
}

// What is compared with the threshold.
__device__ inline REAL seen(const Constants& c, REAL h) {
    if (MODEL != 0) return h;
    REAL f = h * c.k;
    return f > (REAL)0 || f != f ? f : (REAL)0;
}

__device__ inline REAL level(const Constants& c, REAL aux) {
    return MODEL == 2 ? aux * c.other + c.threshold : c.threshold;
}

// What is reset, and what a soft reset takes from it.
__device__ inline REAL base(const Constants& c, REAL f) { return c.inverted ? f * c.inverse : f; }

__device__ inline REAL subtracted(const Constants& c) {
    return c.inverted ? c.inverse * c.threshold : c.threshold;
}

__device__ inline REAL after(const Constants& c, REAL f, REAL s, REAL& aux) {
    if (MODEL == 2) aux = aux * c.decay + s;
    return reset(base(c, f), s, subtracted(c), c.r, c.soft);
}

#ifndef SURROGATE
extern "C" __global__ void forward(
    const REAL* __restrict__ x, const REAL* __restrict__ start, const REAL* __restrict__ aux_start,
    const REAL* __restrict__ k_at, const REAL* __restrict__ inverse_at,
    REAL* __restrict__ spikes, REAL* __restrict__ last, REAL* __restrict__ last_aux, REAL* __restrict__ seq,
    Long n, Long steps, REAL rate, REAL decay, REAL other, REAL threshold, REAL r, int soft
) {
    Long i = GLOBAL_INDEX;
    if (i >= n) return;
    Constants c = constants(rate, decay, other, threshold, r, soft, k_at, inverse_at);
    REAL v = start[i], aux = aux_start ? aux_start[i] : (REAL)0;
#pragma unroll 4
    for (Long t = 0; t < steps; ++t) {
        REAL f = seen(c, charged(c, x[t * n + i], v, aux)), s = fire(f, level(c, aux));
        v = after(c, f, s, aux);
        spikes[t * n + i] = s;
        if (seq) seq[t * n + i] = v;
    }
    last[i] = v;
    if (last_aux) last_aux[i] = aux;
}
#else
// Runs forward again and keeps the charged potentials, and the second state of ALIF before it changes, in h_all and kept.
extern "C" __global__ void backward(
    const REAL* __restrict__ g_s, const REAL* __restrict__ g_v, const REAL* __restrict__ g_aux,
    const REAL* __restrict__ g_seq, const REAL* __restrict__ x, const REAL* __restrict__ start,
    const REAL* __restrict__ aux_start, const REAL* __restrict__ k_at, const REAL* __restrict__ inverse_at,
    REAL* h_all, REAL* kept, REAL* __restrict__ g_x, REAL* __restrict__ g_start, REAL* __restrict__ g_aux_start,
    double* __restrict__ partial, Long n, Long steps, REAL rate, REAL decay, REAL other, REAL threshold, REAL r,
    int soft, int detach, REAL scale, REAL top
) {
    Long i = GLOBAL_INDEX;
    double sum_k = 0, sum_inverse = 0;
    if (i < n) {
        Constants c = constants(rate, decay, other, threshold, r, soft, k_at, inverse_at);
        REAL v = start[i], aux = aux_start ? aux_start[i] : (REAL)0, carry = (REAL)1 - rate;
        for (Long t = 0; t < steps; ++t) {
            REAL h = charged(c, x[t * n + i], v, aux), f = seen(c, h);
            h_all[t * n + i] = h;
            if (kept) kept[t * n + i] = aux;
            v = after(c, f, fire(f, level(c, aux)), aux);
        }
        REAL at_v = g_v ? g_v[i] : (REAL)0, at_aux = g_aux ? g_aux[i] : (REAL)0;
        for (Long t = steps - 1; t >= 0; --t) {
            if (g_seq) at_v += g_seq[t * n + i];
            REAL h = h_all[t * n + i], f = seen(c, h), edge = level(c, kept ? kept[t * n + i] : (REAL)0);
            REAL s = fire(f, edge), arriving = g_s[t * n + i];
            if (MODEL == 2) arriving += at_aux;
            if (!detach) {
                if (soft) arriving -= at_v * subtracted(c);
                else arriving += at_v * (r - base(c, f));
            }
            REAL g_u = derivative(f - edge, scale, top) * arriving;
            REAL g_base = soft ? at_v : at_v * ((REAL)1 - s);
            REAL g = g_u + base(c, g_base);
            if (MODEL == 0) {
                sum_inverse += (double)(g_base * f);
                if (soft) sum_inverse -= (double)(at_v * s * threshold);
                g = f > (REAL)0 ? g : g * (REAL)0;
                sum_k += (double)(g * h);
                g = g * c.k;
            }
            if (MODEL == 1) {
                REAL arrived = at_aux + g;
                g_x[t * n + i] = arrived;
                at_v = g * other;
                at_aux = arrived * decay;
            } else {
                g_x[t * n + i] = KIND == 1 ? g * rate : g;
                at_v = g * carry;
                if (MODEL == 2) at_aux = at_aux * decay - g_u * other;
            }
        }
        g_start[i] = at_v;
        if (g_aux_start) g_aux_start[i] = at_aux;
    }
#if MODEL == 0
    sum_k = block_sum(sum_k);
    sum_inverse = block_sum(sum_inverse);
    if (threadIdx.x == 0) partial[2 * blockIdx.x] = sum_k, partial[2 * blockIdx.x + 1] = sum_inverse;
#endif
}
#endif
