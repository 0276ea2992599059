// What a convolution does besides matrix products: pixels to columns [C KH KW, N OH OW], and back by gathering.
#include "common.cuh"

#define CONV_ARGS                                                                                                        \
    int n, int c, int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw

extern "C" __global__ void columns(const REAL* __restrict__ x, REAL* __restrict__ matrix, CONV_ARGS) {
    int total = n * oh * ow, column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= total) return;
    int px = column % ow, rest = column / ow, py = rest % oh, image = rest / oh;
    for (int channel = blockIdx.y; channel < c; channel += gridDim.y) {
        const REAL* from = x + ((Long)image * c + channel) * h * w;
        REAL* to = matrix + (Long)channel * kh * kw * total + column;
        for (int a = 0; a < kh; ++a) {
            int row = py * sh - ph + a * dh;
            for (int b = 0; b < kw; ++b) {
                int place = px * sw - pw + b * dw;
                *to = row >= 0 && row < h && place >= 0 && place < w ? from[(Long)row * w + place] : (REAL)0;
                to += total;
            }
        }
    }
}

extern "C" __global__ void images(const REAL* __restrict__ matrix, REAL* __restrict__ x, CONV_ARGS) {
    int total = n * oh * ow, pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n * h * w) return;
    int column = pixel % w, rest = pixel / w, row = rest % h, image = rest / h;
    for (int channel = blockIdx.y; channel < c; channel += gridDim.y) {
        REAL sum = (REAL)0;
        for (int a = 0; a < kh; ++a) {
            int y = row + ph - a * dh;
            if (y < 0 || y % sh || y / sh >= oh) continue;
            for (int b = 0; b < kw; ++b) {
                int z = column + pw - b * dw;
                if (z < 0 || z % sw || z / sw >= ow) continue;
                Long line = ((Long)channel * kh + a) * kw + b;
                sum += matrix[line * total + ((Long)image * oh + y / sh) * ow + z / sw];
            }
        }
        x[((Long)image * c + channel) * h * w + (Long)row * w + column] = sum;
    }
}

// [A, B, P] as [B, A, P], plus a number for each A where there is a bias.
extern "C" __global__ void swapped(
    const REAL* __restrict__ x, const REAL* __restrict__ bias, REAL* __restrict__ y, Long size, Long a, Long b, Long p
) {
    INDEX i = GLOBAL_INDEX;
    if (i >= size) return;
    INDEX place = i % (INDEX)p, row = i / (INDEX)p, first = row % (INDEX)a, second = row / (INDEX)a;
    REAL value = x[((Long)first * b + second) * p + place];
    y[i] = bias ? value + bias[first] : value;
}
