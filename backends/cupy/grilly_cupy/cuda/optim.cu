// Optimisers over many arrays in one launch. `table` has, for each block, the number of its array, its first element and the
// one after its last; `pointers` the addresses of what belongs to each parameter, in a row.
#include "common.cuh"

__device__ inline REAL* array_at(const Long* pointers, Long which, int arrays, int i) {
    return (REAL*)pointers[which * arrays + i];
}

extern "C" __global__ void sgd(
    const Long* __restrict__ table, const Long* __restrict__ pointers, REAL rate, REAL inertia, REAL decay, int decays,
    int heavy, int nesterov
) {
    const Long* mine = table + 3 * (Long)blockIdx.x;
    REAL* at[5];
    for (int i = 0; i < 5; ++i) at[i] = array_at(pointers, mine[0], 5, i);
    for (Long i = mine[1] + threadIdx.x; i < mine[2]; i += blockDim.x) {
        REAL p = at[0][i], g = at[1][i];
        if (decays) g = g + p * decay;
        if (heavy) {
            REAL m = at[2][i] * inertia + g;
            at[4][i] = m;
            g = nesterov ? g + m * inertia : m;
        }
        at[3][i] = p - g * rate;
    }
}

extern "C" __global__ void adam(
    const Long* __restrict__ table, const Long* __restrict__ pointers, REAL beta1, REAL rest1, REAL beta2, REAL rest2,
    REAL root, REAL eps, REAL rate, REAL decay, int decays, int decoupled
) {
    const Long* mine = table + 3 * (Long)blockIdx.x;
    REAL* at[7];
    for (int i = 0; i < 7; ++i) at[i] = array_at(pointers, mine[0], 7, i);
    for (Long i = mine[1] + threadIdx.x; i < mine[2]; i += blockDim.x) {
        REAL p = at[0][i], g = at[1][i];
        if (decays && decoupled) p = p * decay;
        else if (decays) g = g + p * decay;
        REAL m = at[2][i] * beta1 + g * rest1, v = at[3][i] * beta2 + (g * g) * rest2;
        at[4][i] = p - m / (sqrt(v) / root + eps) * rate;
        at[5][i] = m;
        at[6][i] = v;
    }
}
