// Rows [R, K], a block for each: their sum and largest element, products with a gradient, and what arrives at them.
#include "common.cuh"

// NaN is the largest.
__device__ inline REAL larger(REAL a, REAL b) { return a != a || a > b ? a : b; }

extern "C" __global__ void sum_max(const REAL* __restrict__ x, REAL* __restrict__ total, REAL* __restrict__ top, Long k) {
    __shared__ REAL cells[256];
    const REAL* row = x + (Long)blockIdx.x * k;
    int lane = threadIdx.x;
    double sum = 0;
    REAL most = row[0];
    for (Long i = lane; i < k; i += blockDim.x) {
        sum += (double)row[i];
        most = larger(row[i], most);
    }
    sum = block_sum(sum);
    cells[lane] = most;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (lane < half) cells[lane] = larger(cells[lane + half], cells[lane]);
        __syncthreads();
    }
    if (lane == 0) total[blockIdx.x] = (REAL)sum, top[blockIdx.x] = cells[0];
}

extern "C" __global__ void dots(
    const REAL* __restrict__ g, const REAL* __restrict__ x, const REAL* __restrict__ top,
    REAL* __restrict__ products, REAL* __restrict__ hits, Long k
) {
    Long at = (Long)blockIdx.x * k;
    REAL most = top[blockIdx.x];
    double sum = 0, hit = 0;
    for (Long i = at + threadIdx.x; i < at + k; i += blockDim.x) {
        sum += (double)(g[i] * x[i]);
        hit += x[i] == most ? 1 : 0;
    }
    sum = block_sum(sum);
    hit = block_sum(hit);
    if (threadIdx.x == 0) products[blockIdx.x] = (REAL)sum, hits[blockIdx.x] = (REAL)hit;
}

extern "C" __global__ void scale_back(
    const REAL* __restrict__ g, const REAL* __restrict__ x, const REAL* __restrict__ top,
    const REAL* __restrict__ scale, const REAL* __restrict__ shift, const REAL* __restrict__ share,
    REAL* __restrict__ out, Long size, Long k
) {
    INDEX i = GLOBAL_INDEX;
    if (i >= size) return;
    INDEX row = i / (INDEX)k;
    REAL y = g[i] * scale[row] + shift[row];
    out[i] = x[i] == top[row] ? y + share[row] : y;
}
