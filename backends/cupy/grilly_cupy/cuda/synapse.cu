// Traces over time, one thread a neuron; forward in the order of operations of core, so that neurons behind a synapse emit
// the same spikes everywhere.
#include "common.cuh"

// What arrives at step t: first what the delay line holds.
__device__ inline REAL arriving(const REAL* x, const REAL* line, Long delay, Long t, Long n, Long i) {
    return t < delay ? line[t * n + i] : x[(t - delay) * n + i];
}

extern "C" __global__ void filter(
    const REAL* __restrict__ x, const REAL* __restrict__ start, const REAL* __restrict__ decay_at,
    const REAL* __restrict__ line, REAL* __restrict__ out, REAL* __restrict__ last, Long n, Long steps, Long delay
) {
    Long i = GLOBAL_INDEX;
    if (i >= n) return;
    REAL y = start[i], decay = decay_at[0];
#pragma unroll 8
    for (Long t = 0; t < steps; ++t) {
        y = y * decay + arriving(x, line, delay, t, n, i);
        out[t * n + i] = y;
    }
    last[i] = y;
}

// Without x no gradient at the decay; `partial` has a sum for each block.
extern "C" __global__ void filter_back(
    const REAL* __restrict__ g, const REAL* __restrict__ g_last, const REAL* __restrict__ decay_at,
    const REAL* __restrict__ x, const REAL* __restrict__ start, const REAL* __restrict__ line,
    REAL* __restrict__ g_x, REAL* __restrict__ g_start, REAL* __restrict__ g_line, double* __restrict__ partial,
    Long n, Long steps, Long delay
) {
    Long i = GLOBAL_INDEX;
    double of_decay = 0;
    if (i < n) {
        REAL decay = decay_at[0], carried = g_last ? g_last[i] : (REAL)0;
        for (Long t = steps; t < steps + delay; ++t) {
            if (t < delay) g_line[t * n + i] = (REAL)0;
            else g_x[(t - delay) * n + i] = (REAL)0;
        }
#pragma unroll 8
        for (Long t = steps - 1; t >= 0; --t) {
            REAL here = carried + g[t * n + i];
            if (t < delay) g_line[t * n + i] = here;
            else g_x[(t - delay) * n + i] = here;
            carried = here * decay;
        }
        g_start[i] = carried;
        if (x) {
            REAL y = start[i], z = (REAL)0;
            for (Long t = 0; t < steps; ++t) {
                z = z * decay + y;
                y = y * decay + arriving(x, line, delay, t, n, i);
                of_decay += (double)(g[t * n + i] * z);
            }
            if (g_last) of_decay += (double)(g_last[i] * z);
        }
    }
    if (x) {
        of_decay = block_sum(of_decay);
        if (threadIdx.x == 0) partial[blockIdx.x] = of_decay;
    }
}

extern "C" __global__ void dual(
    const REAL* __restrict__ x, const REAL* __restrict__ fast_start, const REAL* __restrict__ slow_start,
    const REAL* __restrict__ decay_fast, const REAL* __restrict__ decay_slow,
    const REAL* __restrict__ w_fast, const REAL* __restrict__ w_slow,
    REAL* __restrict__ out, REAL* __restrict__ fast_end, REAL* __restrict__ slow_end, Long n, Long steps
) {
    Long i = GLOBAL_INDEX;
    if (i >= n) return;
    REAL a = fast_start[i], b = slow_start[i], da = decay_fast[0], db = decay_slow[0], wa = w_fast[0], wb = w_slow[0];
#pragma unroll 8
    for (Long t = 0; t < steps; ++t) {
        REAL now = x[t * n + i];
        a = a * da + now;
        b = b * db + now;
        out[t * n + i] = a * wa + b * wb;
    }
    fast_end[i] = a;
    slow_end[i] = b;
}

// Without x no gradients at the coefficients; `partial` has four sums for each block.
extern "C" __global__ void dual_back(
    const REAL* __restrict__ g, const REAL* __restrict__ g_fast, const REAL* __restrict__ g_slow,
    const REAL* __restrict__ decay_fast, const REAL* __restrict__ decay_slow,
    const REAL* __restrict__ w_fast, const REAL* __restrict__ w_slow,
    const REAL* __restrict__ x, const REAL* __restrict__ fast_start, const REAL* __restrict__ slow_start,
    REAL* __restrict__ g_x, REAL* __restrict__ g_fast_start, REAL* __restrict__ g_slow_start,
    double* __restrict__ partial, Long n, Long steps
) {
    Long i = GLOBAL_INDEX;
    double sums[4] = {0, 0, 0, 0};
    if (i < n) {
        REAL da = decay_fast[0], db = decay_slow[0], wa = w_fast[0], wb = w_slow[0];
        REAL a = g_fast ? g_fast[i] : (REAL)0, b = g_slow ? g_slow[i] : (REAL)0;
#pragma unroll 8
        for (Long t = steps - 1; t >= 0; --t) {
            REAL now = g[t * n + i], at_fast = a + now * wa, at_slow = b + now * wb;
            g_x[t * n + i] = at_fast + at_slow;
            a = at_fast * da;
            b = at_slow * db;
        }
        g_fast_start[i] = a;
        g_slow_start[i] = b;
        if (x) {
            REAL y = fast_start[i], w = slow_start[i], z = (REAL)0, u = (REAL)0;
            for (Long t = 0; t < steps; ++t) {
                REAL now = x[t * n + i], arrived = g[t * n + i];
                z = z * da + y, y = y * da + now;
                u = u * db + w, w = w * db + now;
                sums[0] += (double)(arrived * wa * z), sums[1] += (double)(arrived * wb * u);
                sums[2] += (double)(arrived * y), sums[3] += (double)(arrived * w);
            }
            if (g_fast) sums[0] += (double)(g_fast[i] * z);
            if (g_slow) sums[1] += (double)(g_slow[i] * u);
        }
    }
    if (x) {
        for (int part = 0; part < 4; ++part) {
            double total = block_sum(sums[part]);
            if (threadIdx.x == 0) partial[4 * blockIdx.x + part] = total;
        }
    }
}

// Short-term plasticity: `value` is x forward and the gradient backward; the states are not written backward.
extern "C" __global__ void release(
    const REAL* __restrict__ value, const REAL* __restrict__ x, const REAL* __restrict__ u_start,
    const REAL* __restrict__ r_start, REAL* __restrict__ out, REAL* __restrict__ u_end, REAL* __restrict__ r_end,
    Long n, Long steps, REAL decay_u, REAL decay_r, REAL use
) {
    Long i = GLOBAL_INDEX;
    if (i >= n) return;
    REAL u = u_start[i], r = r_start[i];
#pragma unroll 4
    for (Long t = 0; t < steps; ++t) {
        bool spike = x[t * n + i] > (REAL)0;
        u = u * decay_u;
        r = (r - (REAL)1) * decay_r + (REAL)1;
        REAL raised = u + ((REAL)1 - u) * use, released = raised * r;
        out[t * n + i] = spike ? value[t * n + i] * released : (REAL)0;
        if (spike) u = raised, r = r - released;
    }
    if (u_end) u_end[i] = u, r_end[i] = r;
}

// Traces of spikes, updated before use.
extern "C" __global__ void trace(
    const REAL* __restrict__ s, const REAL* __restrict__ start, REAL* __restrict__ traces, REAL* __restrict__ last,
    Long n, Long steps, REAL k
) {
    Long i = GLOBAL_INDEX;
    if (i >= n) return;
    REAL tr = start ? start[i] : (REAL)0;
#pragma unroll 8
    for (Long t = 0; t < steps; ++t) {
        tr = (tr - tr * k) + s[t * n + i];
        traces[t * n + i] = tr;
    }
    last[i] = tr;
}
