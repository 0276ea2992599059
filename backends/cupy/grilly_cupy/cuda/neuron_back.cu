// Gradients through time of spiking neurons, one thread each: from the potentials that forward saved (saved), or from the
// input, whose potentials are computed again and kept in registers (recompute), which moves fewer bytes.
#include "neuron.cuh"

// LEARNED: k lies in memory, and its gradient is summed up, a partial sum for each block.
__device__ inline void add_up(double g_k, double* partial) {
#if LEARNED
    double total = block_sum(g_k);
    if (threadIdx.x == 0) partial[blockIdx.x] = total;
#endif
}

extern "C" __global__ void saved(
    const REAL* __restrict__ g_s, const REAL* __restrict__ g_v, const REAL* __restrict__ g_h,
    const REAL* __restrict__ h_all, const REAL* __restrict__ x, const REAL* __restrict__ start,
    const REAL* __restrict__ k_at, REAL* __restrict__ g_x, REAL* __restrict__ g_start, double* __restrict__ partial,
    Long n, Long steps, REAL k, REAL leak, REAL threshold, REAL r, int soft, int detach, REAL scale, REAL top
) {
    Long i = GLOBAL_INDEX;
    double g_k = 0;
    if (i < n) {
        if (LEARNED) k = k_at[0], leak = (REAL)1 - k;
        REAL carried = g_v ? g_v[i] : (REAL)0;
        for (Long round = (steps + UNROLL - 1) / UNROLL; round > 0; --round) {
            Long t0 = (round - 1) * UNROLL;
            REAL g[UNROLL], h[UNROLL];
#pragma unroll
            for (int j = 0; j < UNROLL; ++j) {
                Long at = (t0 + j < steps ? t0 + j : steps - 1) * n + i;
                h[j] = h_all[at];
                g[j] = g_s[at];
            }
#pragma unroll
            for (int j = UNROLL - 1; j >= 0; --j) {
                Long t = t0 + j;
                if (t < steps) {
                    REAL here = potential_gradient(g[j], carried, h[j], threshold, r, soft, detach, scale, top);
                    if (g_h) here += g_h[t * n + i];
                    if (LEARNED) {
                        REAL before = start[i];
                        if (t > 0) {
                            REAL earlier = j > 0 ? h[j > 0 ? j - 1 : 0] : h_all[(t - 1) * n + i];
                            before = reset(earlier, fire(earlier, threshold), threshold, r, soft);
                        }
                        g_k += (double)(here * rate_gradient(KIND == 1 ? x[t * n + i] : (REAL)0, before, r));
                    }
                    g_x[t * n + i] = KIND == 1 ? here * k : here;
                    carried = KIND == 0 ? here : here * leak;
                }
            }
        }
        g_start[i] = carried;
    }
    add_up(g_k, partial);
}

// More than UNROLL steps go in rounds: `notes` holds the potentials before all of them but the last.
extern "C" __global__ void recompute(
    const REAL* __restrict__ g_s, const REAL* __restrict__ g_v, const REAL* __restrict__ x_all,
    const REAL* __restrict__ start, const REAL* __restrict__ k_at,
    REAL* __restrict__ g_x, REAL* __restrict__ g_start, REAL* notes, double* __restrict__ partial,
    Long n, Long steps, REAL k, REAL leak, REAL threshold, REAL r, int soft, int detach, REAL scale, REAL top
) {
    Long i = GLOBAL_INDEX;
    double g_k = 0;
    if (i < n) {
        if (LEARNED) k = k_at[0], leak = (REAL)1 - k;
        if (EXACT) steps = UNROLL;
        Long rounds = (steps + UNROLL - 1) / UNROLL;
        REAL v = start[i * START], carried = g_v ? g_v[i] : (REAL)0;
        for (Long round = 0; round + 1 < rounds; ++round) {
            notes[round * n + i] = v;
            REAL x[UNROLL];
#pragma unroll
            for (int j = 0; j < UNROLL; ++j) x[j] = x_all[(round * UNROLL + j) * n + i];
#pragma unroll
            for (int j = 0; j < UNROLL; ++j) {
                REAL h = charge(x[j], v, k, r);
                v = reset(h, fire(h, threshold), threshold, r, soft);
            }
        }
        for (Long round = rounds; round > 0; --round) {
            Long t0 = (round - 1) * UNROLL;
            REAL x[UNROLL], g[UNROLL], h[UNROLL];
#pragma unroll
            for (int j = 0; j < UNROLL; ++j) {
                Long at = (t0 + j < steps ? t0 + j : steps - 1) * n + i;
                x[j] = x_all[at];
                g[j] = g_s[at];
            }
            if (round < rounds) v = notes[(round - 1) * n + i];
            REAL first = v;
#pragma unroll
            for (int j = 0; j < UNROLL; ++j) {
                h[j] = charge(x[j], v, k, r);
                v = reset(h[j], fire(h[j], threshold), threshold, r, soft);
            }
#pragma unroll
            for (int j = UNROLL - 1; j >= 0; --j) {
                if (t0 + j < steps) {
                    REAL here = potential_gradient(g[j], carried, h[j], threshold, r, soft, detach, scale, top);
                    if (LEARNED) {
                        REAL earlier = h[j > 0 ? j - 1 : 0];
                        REAL before = j > 0 ? reset(earlier, fire(earlier, threshold), threshold, r, soft) : first;
                        g_k += (double)(here * rate_gradient(x[j], before, r));
                    }
                    g_x[(t0 + j) * n + i] = KIND == 1 ? here * k : here;
                    carried = KIND == 0 ? here : here * leak;
                }
            }
        }
        g_start[i] = carried;
    }
    add_up(g_k, partial);
}
