// The place of the largest element, and sums at repeated indices in the order of the indices.
#include "common.cuh"

// A block for each row of n elements that lie `inner` apart. NaN is the largest, and of equal ones the first counts.
__device__ inline bool beats(REAL a, Long i, REAL b, Long j) {
    bool a_nan = a != a, b_nan = b != b;
    if (a_nan != b_nan) return a_nan;
    if (a_nan || a == b) return i < j;
    return a > b;
}

extern "C" __global__ void argmax(const REAL* __restrict__ x, int* __restrict__ out, Long n, Long inner) {
    __shared__ REAL values[256];
    __shared__ Long places[256];
    Long at = blockIdx.x / inner * n * inner + blockIdx.x % inner;
    int lane = threadIdx.x;
    REAL best = x[at];
    Long place = 0;
    for (Long i = lane; i < n; i += blockDim.x) {
        REAL value = x[at + i * inner];
        if (beats(value, i, best, place)) best = value, place = i;
    }
    values[lane] = best;
    places[lane] = place;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (lane < half && beats(values[lane + half], places[lane + half], values[lane], places[lane])) {
            values[lane] = values[lane + half];
            places[lane] = places[lane + half];
        }
        __syncthreads();
    }
    if (lane == 0) out[blockIdx.x] = (int)places[0];
}

// x [outer, extent, inner]; `order` lists the slices of src [outer, count, inner] by the index they go to, and those that
// go to index r are order[starts[r]] to order[starts[r + 1] - 1].
extern "C" __global__ void scatter_add(
    const REAL* __restrict__ x, const Long* __restrict__ order, const Long* __restrict__ starts,
    const REAL* __restrict__ src, REAL* __restrict__ out, Long size, Long extent, Long count, Long inner
) {
    Long i = GLOBAL_INDEX;
    if (i >= size) return;
    Long place = i % inner, r = i / inner % extent, outer = i / inner / extent;
    REAL total = x[i];
    for (Long at = starts[r]; at < starts[r + 1]; ++at) {
#if BOOL
        total = total || src[(outer * count + order[at]) * inner + place];
#else
        total += src[(outer * count + order[at]) * inner + place];
#endif
    }
    out[i] = total;
}
