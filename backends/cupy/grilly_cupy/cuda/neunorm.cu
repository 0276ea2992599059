// NeuNorm; s is [T, N, C, L], states [T, N, L]. A block takes 32 places of samples through all steps, 8 threads for each place
// share its channels; what they read for the sum they find in the cache when they write the result.
#include "common.cuh"
#define PLACES 32
#define LANES 8

// `shared` weights have one row for all channels.
__device__ inline REAL weight_of(const REAL* w, Long c, Long l, Long extent, int shared) {
    return w[(shared ? 0 : c * extent) + l];
}

// The sum over the lanes of a place, for all of them; in turns, so that one barrier is enough for a step.
__device__ inline REAL sum_of_lanes(REAL part, Long turn) {
    __shared__ REAL parts[2][LANES][PLACES];
    parts[turn & 1][threadIdx.y][threadIdx.x] = part;
    __syncthreads();
    REAL total = (REAL)0;
    for (int lane = 0; lane < LANES; ++lane) total += parts[turn & 1][lane][threadIdx.x];
    return total;
}

extern "C" __global__ void forward(
    const REAL* __restrict__ s, const REAL* __restrict__ start, const REAL* __restrict__ w,
    REAL* __restrict__ y, REAL* __restrict__ states,
    Long steps, Long samples, Long channels, Long extent, int shared, REAL decay, REAL share
) {
    Long i = blockIdx.x * (Long)PLACES + threadIdx.x, places = samples * extent;
    Long l = i % extent, at = i / extent * channels * extent + l, mine = i < places ? channels : 0;
    REAL state = mine ? start[i] : (REAL)0;
    for (Long t = 0; t < steps; ++t) {
        Long from = t * places * channels + at;
        REAL part = (REAL)0;
#pragma unroll 8
        for (Long c = threadIdx.y; c < mine; c += LANES) part += s[from + c * extent];
        state = state * decay + sum_of_lanes(part, t) * share;
        if (mine && threadIdx.y == 0) states[t * places + i] = state;
#pragma unroll 8
        for (Long c = threadIdx.y; c < mine; c += LANES) {
            y[from + c * extent] = s[from + c * extent] - weight_of(w, c, l, extent, shared) * state;
        }
    }
}

extern "C" __global__ void backward(
    const REAL* __restrict__ g, const REAL* __restrict__ g_states, const REAL* __restrict__ w,
    REAL* __restrict__ g_s, REAL* __restrict__ g_start,
    Long steps, Long samples, Long channels, Long extent, int shared, REAL decay, REAL share
) {
    Long i = blockIdx.x * (Long)PLACES + threadIdx.x, places = samples * extent;
    Long l = i % extent, at = i / extent * channels * extent + l, mine = i < places ? channels : 0;
    REAL carried = (REAL)0;
    for (Long t = steps - 1; t >= 0; --t) {
        Long from = t * places * channels + at;
        REAL part = (REAL)0;
#pragma unroll 8
        for (Long c = threadIdx.y; c < mine; c += LANES) part += g[from + c * extent] * weight_of(w, c, l, extent, shared);
        REAL lost = sum_of_lanes(part, t);
        carried = carried * decay + (g_states && mine ? g_states[t * places + i] - lost : -lost);
#pragma unroll 8
        for (Long c = threadIdx.y; c < mine; c += LANES) g_s[from + c * extent] = g[from + c * extent] + carried * share;
    }
    if (mine && threadIdx.y == 0) g_start[i] = carried * decay;
}

// -sum of g times the state over steps and samples, for every channel and place; a piece of the rows for each blockIdx.y.
extern "C" __global__ void weight(
    const REAL* __restrict__ g, const REAL* __restrict__ states, double* __restrict__ g_w,
    Long rows, Long channels, Long extent
) {
    Long i = GLOBAL_INDEX, each = channels * extent, piece = (rows + gridDim.y - 1) / gridDim.y;
    if (i >= each) return;
    Long first = blockIdx.y * piece, last = first + piece < rows ? first + piece : rows, l = i % extent;
    double total = 0;
#pragma unroll 8
    for (Long row = first; row < last; ++row) total += (double)g[row * each + i] * (double)states[row * extent + l];
    g_w[blockIdx.y * each + i] = -total;
}
