// Softmax and its like, a block for each row of n elements that lie `inner` apart.
// WHICH: 0 softmax, 1 log_softmax, 2 and 3 their gradients (a is then the gradient, b the result of forward).
#include "common.cuh"

__device__ inline REAL block_max(REAL value) {
    __shared__ REAL cells[256];
    int lane = threadIdx.x;
    cells[lane] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (lane < half && cells[lane + half] > cells[lane]) cells[lane] = cells[lane + half];
        __syncthreads();
    }
    REAL most = cells[0];
    __syncthreads();
    return most;
}

extern "C" __global__ void rows(
    const REAL* __restrict__ a, const REAL* __restrict__ b, REAL* __restrict__ out, Long n, Long inner
) {
    Long at = blockIdx.x / inner * n * inner + blockIdx.x % inner;
    double sum = 0;
    REAL most = (REAL)0;
    if (WHICH < 2) {
        most = a[at];
        for (Long i = threadIdx.x; i < n; i += blockDim.x) {
            REAL value = a[at + i * inner];
            if (value > most) most = value;
        }
        most = block_max(most);
    }
    for (Long i = threadIdx.x; i < n; i += blockDim.x) {
        REAL value = a[at + i * inner];
        if (WHICH < 2) sum += (double)exp(value - most);
        else sum += (double)(WHICH == 2 ? value * b[at + i * inner] : value);
    }
    REAL total = (REAL)block_sum(sum), logarithm = WHICH == 1 ? log(total) : (REAL)0;
    for (Long i = threadIdx.x; i < n; i += blockDim.x) {
        REAL value = a[at + i * inner];
        if (WHICH == 0) value = exp(value - most) / total;
        if (WHICH == 1) value = (value - most) - logarithm;
        if (WHICH == 2) value = b[at + i * inner] * (value - total);
        if (WHICH == 3) value = value - exp(b[at + i * inner]) * total;
        out[at + i * inner] = value;
    }
}
