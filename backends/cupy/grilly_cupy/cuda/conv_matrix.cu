// Convolution as a product on tensor cores whose factors are read from where they lie: no matrix of columns is made.
#include "product.cuh"
#ifndef DEEP  // pixels: whether channels are a multiple of 32, so that a chunk sees one tap
#define DEEP 1
#endif
#ifndef VECTOR  // pixels: whether fours of the weights can be read at once; weights: fours of the gradient
#define VECTOR 1
#endif
#ifndef BACKWARD
#define BACKWARD 0
#endif
#define WINDOW_ARGS int height, int width, int out_height, int out_width, int sh, int sw, int ph, int pw, int dh, int dw

// Division of what is below 2^31 by a number known to the host, through a product (Granlund and Montgomery 1994).
struct Divisor {
    unsigned by, factor, shift;
    __device__ inline unsigned quotient(unsigned n) const { return (__umulhi(n, factor) + n) >> shift; }
};

// Rows are channels that are written, columns pixels of all images that are written, k runs over (tap, channel), in which
// order the host has brought the weights. BACKWARD is the gradient at the input: pixels of the input.
struct Pixels {
    typedef AlongK<BM> A;
    typedef Across<BN> B;
    const float *weight, *image;  // from the tile's first row on; of the group's channels of this thread's column
    int rows, inner, channels, kernel_width, height, width, top, left, sh, sw, dh, dw;
    bool inside;
    int tap_row, tap_column, channel;  // of the next chunk

    // One axis of the place that a tap sees from `origin`; outside the image: negative or too large.
    static __device__ inline int seen(int origin, int tap, int stride, int dilation) {
        if (!BACKWARD) return origin + tap * dilation;
        int offset = origin - tap * dilation;
        return stride == 1 || offset < 0 ? offset : offset % stride ? -1 : offset / stride;
    }
    __device__ inline const float* seen_by(int row, int column) const {
        int y = seen(top, row, sh, dh), x = seen(left, column, sw, dw);
        bool there = inside && (unsigned)y < (unsigned)height && (unsigned)x < (unsigned)width;
        return there ? image + y * width + x : 0;
    }
    __device__ inline void deep(Four (&b)[B_EACH]) {
        const float* from = seen_by(tap_row, tap_column);
        int plane = height * width;
#pragma unroll
        for (int i = 0; i < B_EACH; ++i)
#pragma unroll
            for (int e = 0; e < 4; ++e) b[i].at[e] = from ? from[(channel + B::quad(i) * 4 + e) * plane] : 0.0f;
        channel += BK;
        if (channel < channels) return;
        channel = 0;
        if (++tap_column == kernel_width) tap_column = 0, ++tap_row;
    }
    __device__ inline float shallow(int k) const {
        int tap = k / channels;
        const float* from = k < inner ? seen_by(tap / kernel_width, tap % kernel_width) : 0;
        return from ? from[k % channels * height * width] : 0.0f;
    }
    __device__ inline void operator()(int k0, Four (&a)[A_EACH], Four (&b)[B_EACH]) {
#pragma unroll
        for (int i = 0; i < A_EACH; ++i) {
            int row = A::line(i), k = k0 + A::quad(i) * 4;
            const float* from = weight + row * inner + k;
            if (VECTOR && row < rows && k < inner) a[i] = *(const Four*)from;
            else
                for (int e = 0; e < 4; ++e) a[i].at[e] = !VECTOR && row < rows && k + e < inner ? from[e] : 0.0f;
        }
        if (DEEP) return deep(b);
#pragma unroll
        for (int i = 0; i < B_EACH; ++i)
            for (int e = 0; e < 4; ++e) b[i].at[e] = shallow(k0 + B::quad(i) * 4 + e);
    }
};

extern "C" __global__ void __launch_bounds__(256) pixels(
    const float* __restrict__ weight, const float* __restrict__ x, const float* __restrict__ bias, float* __restrict__ y,
    int rows, int channels, int inner, int count, int kernel_width, WINDOW_ARGS, unsigned factor, unsigned shift
) {
    int tiles = (rows + BM - 1) / BM, row0 = blockIdx.x % tiles * BM, column0 = blockIdx.x / tiles * BN;
    int part = blockIdx.y, groups = gridDim.y;
    Divisor size = {(unsigned)(out_height * out_width), factor, shift};
    int column = column0 + Pixels::B::line(0), image = size.quotient(column), at = column - image * size.by;
    int top = at / out_width, left = at % out_width;
    Pixels fetch = {
        weight + ((Long)part * rows + row0) * inner, x + ((Long)image * groups + part) * channels * height * width,
        rows - row0, inner, channels, kernel_width, height, width,
        BACKWARD ? top + ph : top * sh - ph, BACKWARD ? left + pw : left * sw - pw, sh, sw, dh, dw,
        column < count, 0, 0, 0,
    };
    Sums sum;
    Product<Pixels::A, Pixels::B, Pixels>(fetch).run(0, inner, sum);
    results(sum, [&](int row, int c, float one, float next) {
        row += row0, c += column0;
        if (row >= rows || c >= count) return;
        float added = bias ? bias[part * rows + row] : 0.0f;
        int n = size.quotient(c), at = c - n * size.by;
        Long all = (Long)groups * rows;
        float* to = y + (n * all + part * rows + row) * size.by + at;
        bool last = at + 1 == size.by;  // of its image
        store(to, one + added, next + added, c + 1 < count && !last);
        if (c + 1 < count && last) to[1 + (all - 1) * size.by] = next + added;
    });
}

// Rows are output channels, columns (input channel, kernel row, kernel column), k runs over pixels of all images.
struct Weights {
    typedef AlongK<BM> A;
    typedef AlongK<BN> B;
    const float *g, *x;  // of the group, g from the tile's first row on
    int rows, end, height, width, out_width, sh, sw;
    Long g_image, x_image;
    Divisor size, line;
    int plane[B_EACH], top[B_EACH], left[B_EACH];  // of the columns that this thread fetches: -1 if there are none

    __device__ inline float pixel(const float* from, int i, int row, int column) const {
        int y = row * sh + top[i], z = column * sw + left[i];
        bool there = plane[i] >= 0 && (unsigned)y < (unsigned)height && (unsigned)z < (unsigned)width;
        return there ? from[plane[i] + y * width + z] : 0.0f;
    }
    __device__ inline void operator()(int k0, Four (&a)[A_EACH], Four (&b)[B_EACH]) const {
        int k = k0 + A::quad(0) * 4, image = size.quotient(k), at = k - image * size.by;
        int row = line.quotient(at), column = at - row * line.by;
        const float *outgoing = g + image * g_image + at, *pixels = x + image * x_image;
        bool inside = k < end;
#pragma unroll
        for (int i = 0; i < A_EACH; ++i)
            if (VECTOR && inside && A::line(i) < rows) a[i] = *(const Four*)(outgoing + A::line(i) * (Long)size.by);
            else a[i] = {};
        bool straight = VECTOR && column + 3 < out_width;  // four pixels of one row
#pragma unroll
        for (int e = 0; e < 4; ++e) {
#pragma unroll
            for (int i = 0; i < A_EACH; ++i)
                if (!VECTOR && inside && A::line(i) < rows) a[i].at[e] = outgoing[A::line(i) * (Long)size.by];
#pragma unroll
            for (int i = 0; i < B_EACH; ++i) b[i].at[e] = inside ? pixel(pixels, i, row, column) : 0.0f;
            ++column, ++outgoing;
            if (straight || column < out_width) continue;
            column = 0, ++row;
            if (VECTOR || row * line.by < size.by) continue;
            row = 0, pixels += x_image, outgoing += g_image - size.by;
            inside = ++image * size.by < end;
        }
    }
};

extern "C" __global__ void __launch_bounds__(256) weights(
    const float* __restrict__ g, const float* __restrict__ x, float* __restrict__ out, int rows, int channels, int count,
    int chunk, int kernel_height, int kernel_width, WINDOW_ARGS, unsigned size_factor, unsigned size_shift,
    unsigned line_factor, unsigned line_shift
) {
    int tiles = (rows + BM - 1) / BM, row0 = blockIdx.x % tiles * BM, column0 = blockIdx.x / tiles * BN;
    int split = blockIdx.y, part = blockIdx.z, groups = gridDim.z, taps = kernel_height * kernel_width;
    int begin = split * chunk, end = count - begin < chunk ? count : begin + chunk, columns = channels * taps;
    int space = height * width, size = out_height * out_width;
    Weights fetch = {
        g + ((Long)part * rows + row0) * size, x + (Long)part * channels * space,
        rows - row0, end, height, width, out_width, sh, sw,
        (Long)groups * rows * size, (Long)groups * channels * space,
        {(unsigned)size, size_factor, size_shift}, {(unsigned)out_width, line_factor, line_shift},
    };
#pragma unroll
    for (int i = 0; i < B_EACH; ++i) {
        int c = column0 + Weights::B::line(i), tap = c % taps;
        fetch.plane[i] = c < columns ? c / taps * space : -1;
        fetch.top[i] = tap / kernel_width * dh - ph, fetch.left[i] = tap % kernel_width * dw - pw;
    }
    Sums sum;
    Product<Weights::A, Weights::B, Weights>(fetch).run(begin, end, sum);
    out += ((Long)split * groups + part) * rows * columns;
    results(sum, [&](int row, int c, float one, float next) {
        row += row0, c += column0;
        if (row < rows && c < columns) store(out + row * columns + c, one, next, c + 1 < columns);
    });
}
