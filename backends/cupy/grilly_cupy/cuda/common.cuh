// What all kernels share. REAL is the dtype of the arrays; INDEX counts elements, 32 bits wide where that is enough.
// Compiled with --fmad=false: every operation is rounded once, in the order written, so spikes equal those of NumPy.
#pragma once
typedef long long Long;
#ifndef INDEX
#define INDEX Long
#endif
#define GLOBAL_INDEX (blockIdx.x * (INDEX)blockDim.x + threadIdx.x)

// The sum over a block of up to 256 threads (a power of two), in a fixed order, for every thread of it.
__device__ inline double block_sum(double value) {
    __shared__ double cells[256];
    int lane = threadIdx.x;
    cells[lane] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (lane < half) cells[lane] += cells[lane + half];
        __syncthreads();
    }
    double total = cells[0];
    __syncthreads();
    return total;
}
