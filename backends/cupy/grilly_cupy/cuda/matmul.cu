// z = x y on tensor cores, with any strides; k may be split over blocks, whose results are added up afterwards.
#include "product.cuh"
#ifndef X_ALONG_K  // which neighbours in memory follow k, and whether fours of k can be read at once
#define X_ALONG_K 1
#define Y_ALONG_K 0
#define X_VECTOR 0
#define Y_VECTOR 0
#endif
template <bool ALONG, int LINES> struct Order {
    typedef AlongK<LINES> type;
};
template <int LINES> struct Order<false, LINES> {
    typedef Across<LINES> type;
};

// One factor: where the lines lie that this thread fetches, null for lines that there are not.
template <class Order, bool VECTOR, int EACH> struct Lines {
    const float* from[EACH];
    Long stride;
    int quad[EACH], end;

    __device__ inline Lines(const float* tile, int lines, Long line_stride, Long k_stride, int end) : stride(k_stride), end(end) {
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            int line = Order::line(i);
            quad[i] = Order::quad(i) * 4;
            from[i] = line < lines ? tile + line * line_stride : 0;
        }
    }
    __device__ inline void fetch(int k0, Four (&out)[EACH]) const {
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            int k = k0 + quad[i];
            const float* at = from[i] + k * stride;
#pragma unroll
            for (int e = 0; e < 4; ++e) out[i].at[e] = !VECTOR && from[i] && k + e < end ? at[e * stride] : 0.0f;
            if (VECTOR && from[i] && k < end) out[i] = *(const Four*)(from[i] + k);
        }
    }
};

struct Matrices {
    typedef Order<X_ALONG_K, BM>::type A;
    typedef Order<Y_ALONG_K, BN>::type B;
    Lines<A, X_VECTOR, A_EACH> x;
    Lines<B, Y_VECTOR, B_EACH> y;

    __device__ inline void operator()(int k0, Four (&a)[A_EACH], Four (&b)[B_EACH]) const {
        x.fetch(k0, a);
        y.fetch(k0, b);
    }
};

extern "C" __global__ void __launch_bounds__(256) matmul(
    const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ z, int rows, int columns, int inner,
    int chunk, Long x_line, Long x_k, Long y_line, Long y_k
) {
    int tiles = (rows + BM - 1) / BM, row0 = blockIdx.x % tiles * BM, column0 = blockIdx.x / tiles * BN;
    int begin = blockIdx.y * chunk, end = inner - begin < chunk ? inner : begin + chunk;
    Matrices fetch = {
        {x + row0 * x_line, rows - row0, x_line, x_k, end}, {y + column0 * y_line, columns - column0, y_line, y_k, end},
    };
    Sums sum;
    Product<Matrices::A, Matrices::B, Matrices>(fetch).run(begin, end, sum);
    z += (Long)blockIdx.y * rows * columns;
    results(sum, [&](int row, int c, float one, float next) {
        row += row0, c += column0;
        if (row < rows && c < columns) store(z + (Long)row * columns + c, one, next, c + 1 < columns);
    });
}

// Results of splits, one after the other, added up.
extern "C" __global__ void add_up(const float* __restrict__ parts, float* __restrict__ z, Long size, Long splits) {
    Long i = GLOBAL_INDEX;
    if (i >= size) return;
    double sum = 0;
    for (Long s = 0; s < splits; ++s) sum += parts[s * size + i];
    z[i] = (float)sum;
}
