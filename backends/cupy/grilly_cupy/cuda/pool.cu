// Pooling over [planes, H, W], a thread for each element that is written: gradients are gathered, so sums have one order.
// Where windows lie side by side, a thread for each of them writes the gradient of all it holds.
#include "common.cuh"

#ifndef KH
#define KH 2
#define KW 2
#endif
#ifndef ALIGN
#define ALIGN sizeof(REAL)
#endif

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

// A row of a window, stored in as few pieces as ALIGN, on which such rows start, allows.
struct alignas(ALIGN) Strip {
    REAL of[KW];
};

#define SPREAD_ARGS Long count, Long h, Long w, Long oh, Long ow, Long high, Long wide
#define SPREAD_SIZES count, h, w, oh, ow, high, wide

// The KH by KW elements of window i, or of a part of one at the edges, which is zero. A plane is `high` windows high and
// `wide` wide with those; where all rows lie in windows, the host passes the planes as one.
template <bool LARGEST>
__device__ inline void spread(const REAL* g, const int* index, REAL* g_x, REAL share, SPREAD_ARGS) {
    INDEX i = GLOBAL_INDEX;
    if (i >= (INDEX)count) return;
    INDEX line = i / (INDEX)wide, px = i - line * (INDEX)wide;
    INDEX plane = line < (INDEX)high ? 0 : line / (INDEX)high, py = line - plane * (INDEX)high;
    REAL value = (REAL)0;
    int place = 0;
    if (py < (INDEX)oh && px < (INDEX)ow) {
        INDEX from = (plane * (INDEX)oh + py) * (INDEX)ow + px;
        if (LARGEST) place = index[from];
        value += g[from];  // as where windows overlap: -0 becomes 0
    }
    INDEX row = py * KH, column = px * KW, left = (INDEX)w - column;
    REAL* to = g_x + ((plane * (INDEX)h + row) * (INDEX)w + column);
    Strip strip;
#pragma unroll
    for (int a = 0; a < KH; ++a, to += (INDEX)w) {
        for (int b = 0; b < KW; ++b) strip.of[b] = !LARGEST ? value * share : place == a * KW + b ? value : (REAL)0;
        if (row + a >= (INDEX)h) break;
        if (left >= KW) *(Strip*)to = strip;
#pragma unroll
        for (int b = 0; b < KW - 1; ++b)
            if (left < KW && b < left) to[b] = strip.of[b];
    }
}

extern "C" __global__ void largest_spread(
    const REAL* __restrict__ g, const int* __restrict__ index, REAL* __restrict__ g_x, SPREAD_ARGS
) {
    spread<true>(g, index, g_x, (REAL)1, SPREAD_SIZES);
}

extern "C" __global__ void mean_spread(const REAL* __restrict__ g, REAL* __restrict__ g_x, REAL share, SPREAD_ARGS) {
    spread<false>(g, 0, g_x, share, SPREAD_SIZES);
}
