// Pooling over [planes, H, W], a thread for each element that is written: gradients are gathered, so sums have one order.
#include "common.cuh"

struct Window {
    int h, w, oh, ow, kh, kw, sh, sw, ph, pw;
};

#define WINDOW_ARGS int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw
#define WINDOW_HERE Window at = {h, w, oh, ow, kh, kw, sh, sw, ph, pw}

extern "C" __global__ void largest(
    const REAL* __restrict__ x, REAL* __restrict__ y, int* __restrict__ index, Long size, WINDOW_ARGS
) {
    INDEX i = GLOBAL_INDEX;
    if (i >= size) return;
    int px = i % (INDEX)ow, py = i / (INDEX)ow % (INDEX)oh;
    const REAL* plane = x + (Long)(i / ((INDEX)ow * oh)) * h * w;
    REAL best = (REAL)0;
    int place = -1;
    for (int a = 0; a < kh; ++a) {
        int row = py * sh - ph + a;
        if (row < 0 || row >= h) continue;
        for (int b = 0; b < kw; ++b) {
            int column = px * sw - pw + b;
            if (column < 0 || column >= w) continue;
            REAL value = plane[row * w + column];
            // NaN is larger than any number, and the first of equal ones stays.
            if (place < 0 || (best == best && (value > best || value != value))) best = value, place = a * kw + b;
        }
    }
    y[i] = best;
    index[i] = place;
}

extern "C" __global__ void mean(const REAL* __restrict__ x, REAL* __restrict__ y, Long size, REAL share, WINDOW_ARGS) {
    INDEX i = GLOBAL_INDEX;
    if (i >= size) return;
    int px = i % (INDEX)ow, py = i / (INDEX)ow % (INDEX)oh;
    const REAL* plane = x + (Long)(i / ((INDEX)ow * oh)) * h * w;
    REAL total = (REAL)0;
    for (int a = 0; a < kh; ++a) {
        int row = py * sh - ph + a;
        if (row < 0 || row >= h) continue;
        for (int b = 0; b < kw; ++b) {
            int column = px * sw - pw + b;
            if (column >= 0 && column < w) total += plane[row * w + column];
        }
    }
    y[i] = total * share;
}

// The first and last window position along an axis that covers `place`; none if last < first.
__device__ inline void covering(int place, int kernel, int stride, int padding, int count, int& first, int& last) {
    int from = place + padding - kernel + 1;
    first = from > 0 ? (from + stride - 1) / stride : 0;
    last = (place + padding) / stride;
    if (last >= count) last = count - 1;
}

__device__ inline REAL gathered(const REAL* g, const int* index, INDEX i, const Window& at) {
    int column = i % (INDEX)at.w, row = i / (INDEX)at.w % (INDEX)at.h;
    Long plane = (Long)(i / ((INDEX)at.w * at.h)) * at.oh * at.ow;
    int top, bottom, left, right;
    covering(row, at.kh, at.sh, at.ph, at.oh, top, bottom);
    covering(column, at.kw, at.sw, at.pw, at.ow, left, right);
    REAL total = (REAL)0;
    for (int py = top; py <= bottom; ++py) {
        for (int px = left; px <= right; ++px) {
            Long from = plane + (Long)py * at.ow + px;
            int place = (row + at.ph - py * at.sh) * at.kw + column + at.pw - px * at.sw;
            if (!index || index[from] == place) total += g[from];
        }
    }
    return total;
}

extern "C" __global__ void largest_back(
    const REAL* __restrict__ g, const int* __restrict__ index, REAL* __restrict__ g_x, Long size, WINDOW_ARGS
) {
    WINDOW_HERE;
    INDEX i = GLOBAL_INDEX;
    if (i < size) g_x[i] = gathered(g, index, i, at);
}

extern "C" __global__ void mean_back(
    const REAL* __restrict__ g, REAL* __restrict__ g_x, Long size, REAL share, WINDOW_ARGS
) {
    WINDOW_HERE;
    INDEX i = GLOBAL_INDEX;
    if (i < size) g_x[i] = gathered(g, 0, i, at) * share;
}
