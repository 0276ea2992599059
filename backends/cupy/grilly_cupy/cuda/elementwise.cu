// y = op(x) or op(x, z) over large arrays of one shape in row-major order: 16 bytes of each for a thread, as one element for
// each would not keep enough of them on their way.
#include "common.cuh"
#ifndef OP
#define OP 0
#endif
#define EACH (16 / (int)sizeof(REAL))

struct alignas(16) Some {
    REAL at[EACH];
};

__device__ inline REAL result(REAL a, REAL b) {
    if (OP == 0) return a + b;
    if (OP == 1) return a - b;
    if (OP == 2) return a * b;
    if (OP == 3) return a / b;
    if (OP == 4) return a > b || a != a ? a : b;  // NaN of either
    if (OP == 5) return a < b || a != a ? a : b;
    if (OP == 6) return -a;
    if (OP == 7) return fabs(a);
    return sqrt(a);
}

extern "C" __global__ void apply(
    const REAL* __restrict__ x, const REAL* __restrict__ z, REAL* __restrict__ y, Long size
) {
    Long first = GLOBAL_INDEX * EACH;
    if (first + EACH <= size) {
        Some a = *(const Some*)(x + first), b = z ? *(const Some*)(z + first) : a;
#pragma unroll
        for (int e = 0; e < EACH; ++e) a.at[e] = result(a.at[e], b.at[e]);
        *(Some*)(y + first) = a;
        return;
    }
    for (Long i = first; i < size; ++i) y[i] = result(x[i], z ? z[i] : x[i]);
}
