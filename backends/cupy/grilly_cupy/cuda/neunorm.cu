// NeuNorm, a thread for each place of a sample, which takes its state through all steps; s is [T, N, C, L], states [T, N, L].
#include "common.cuh"

// `shared` weights have one row for all channels.
__device__ inline REAL weight_of(const REAL* w, Long c, Long l, Long extent, int shared) {
    return w[(shared ? 0 : c * extent) + l];
}

extern "C" __global__ void forward(
    const REAL* __restrict__ s, const REAL* __restrict__ start, const REAL* __restrict__ w,
    REAL* __restrict__ y, REAL* __restrict__ states,
    Long steps, Long samples, Long channels, Long extent, int shared, REAL decay, REAL share
) {
    Long i = GLOBAL_INDEX, places = samples * extent;
    if (i >= places) return;
    Long l = i % extent, at = i / extent * channels * extent + l;
    REAL state = start[i];
    for (Long t = 0; t < steps; ++t) {
        Long from = t * places * channels + at;
        REAL total = (REAL)0;
#pragma unroll 8
        for (Long c = 0; c < channels; ++c) total += s[from + c * extent];
        state = state * decay + total * share;
        states[t * places + i] = state;
#pragma unroll 8
        for (Long c = 0; c < channels; ++c) {
            y[from + c * extent] = s[from + c * extent] - weight_of(w, c, l, extent, shared) * state;
        }
    }
}

extern "C" __global__ void backward(
    const REAL* __restrict__ g, const REAL* __restrict__ g_states, const REAL* __restrict__ w,
    REAL* __restrict__ g_s, REAL* __restrict__ g_start,
    Long steps, Long samples, Long channels, Long extent, int shared, REAL decay, REAL share
) {
    Long i = GLOBAL_INDEX, places = samples * extent;
    if (i >= places) return;
    Long l = i % extent, at = i / extent * channels * extent + l;
    REAL carried = (REAL)0;
    for (Long t = steps - 1; t >= 0; --t) {
        Long from = t * places * channels + at;
        REAL lost = (REAL)0;
#pragma unroll 8
        for (Long c = 0; c < channels; ++c) lost += g[from + c * extent] * weight_of(w, c, l, extent, shared);
        carried = carried * decay + (g_states ? g_states[t * places + i] - lost : -lost);
#pragma unroll 8
        for (Long c = 0; c < channels; ++c) g_s[from + c * extent] = g[from + c * extent] + carried * share;
    }
    g_start[i] = carried * decay;
}

// -sum of g times the state over steps and samples, for every channel and place.
extern "C" __global__ void weight(
    const REAL* __restrict__ g, const REAL* __restrict__ states, double* __restrict__ g_w,
    Long rows, Long channels, Long extent
) {
    Long i = GLOBAL_INDEX, each = channels * extent;
    if (i >= each) return;
    double total = 0;
#pragma unroll 8
    for (Long row = 0; row < rows; ++row) total += (double)g[row * each + i] * (double)states[row * extent + i % extent];
    g_w[i] = -total;
}
