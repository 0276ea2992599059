// All steps of spiking neurons, one thread each, which keeps its potential in a register. Inputs of UNROLL steps are asked
// for at once, so that memory is never waited for step by step.
#include "neuron.cuh"

extern "C" __global__ void forward(
    const REAL* __restrict__ x, const REAL* __restrict__ start, const REAL* __restrict__ k_at,
    REAL* __restrict__ s, REAL* __restrict__ last, REAL* __restrict__ saved,
    Long n, Long steps, REAL k, REAL threshold, REAL r, int soft
) {
    Long i = GLOBAL_INDEX;
    if (i >= n) return;
    if (k_at) k = k_at[0];
    if (EXACT) steps = UNROLL;
    REAL v = start[i * START];
    for (Long t0 = 0; t0 < steps; t0 += UNROLL) {
        REAL now[UNROLL];
#pragma unroll
        for (int j = 0; j < UNROLL; ++j) now[j] = x[(t0 + j < steps ? t0 + j : steps - 1) * n + i];
#pragma unroll
        for (int j = 0; j < UNROLL; ++j) {
            if (t0 + j < steps) {
                REAL h = charge(now[j], v, k, r), fired = fire(h, threshold);
                v = reset(h, fired, threshold, r, soft);
                s[(t0 + j) * n + i] = fired;
                if (SAVE) saved[(t0 + j) * n + i] = h;
            }
        }
    }
    last[i] = v;
}
