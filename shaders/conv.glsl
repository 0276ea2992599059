#version 460
//! variant conv-128x128 BM=128 BN=128 BK=16 TM=8 TN=8
//! variant conv-64x64 BM=64 BN=64 BK=16 TM=4 TN=4
//! variant conv-32x128 BM=32 BN=128 BK=16 TM=2 TN=8
//! variant conv-shallow BM=64 BN=128 BK=16 TM=4 TN=8 SPREAD=1
//! variant conv-matrix MATRIX=1
// Convolution as an implicit product: rows are output channels, columns pixels of all images, k runs over (channel, kernel
// row, kernel column). BACKWARD is the gradient at the input: pixels of the input, weights with their first axes swapped.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint KH = 3;
layout(constant_id = 1) const uint KW = 3;
layout(constant_id = 2) const bool BACKWARD = false;
layout(constant_id = 3) const bool BIAS = false;
layout(constant_id = 4) const uint STRIDE_H = 1;
layout(constant_id = 5) const uint STRIDE_W = 1;
layout(push_constant) uniform PC {
    FloatIn weight; FloatIn x; FloatIn bias; UintIn a_info; UintIn b_info; FloatOut y;
    uint rows; uint inner; uint pixels; uint groups;  // rows of a group, its k, pixels of all images
    uint height; uint width; uint out_size; uint out_width;
    int padding_h; int padding_w; uint dilation_h; uint dilation_w;
} pc;

const bool A_ALONG_K = true, B_ALONG_K = false;
uint part, row0, column0;
int top, left;
uint image;
#ifdef MATRIX
#include "gemm-matrix.glsl"
#else
#include "gemm.glsl"
#endif

// One axis of the place that kernel element `at` sees from `origin`; outside the image: a large number.
uint seen(int origin, uint at, uint stride, uint dilation) {
    if (!BACKWARD) return uint(origin + int(at * dilation));
    int offset = origin - int(at * dilation);
    return offset >= 0 && offset % int(stride) == 0 ? uint(offset / int(stride)) : 0xFFFFFFFFu;
}

void fetch(uint k0) {
    [[unroll]] for (uint i = 0; i < A_EACH; ++i) {
        uvec2 p = a_place(i);
        uint row = row0 + p.x, k = k0 + p.y;
        a_next[i] = row < pc.rows && k < pc.inner ? pc.weight.d[(part * pc.rows + row) * pc.inner + k] : 0.0;
    }
    [[unroll]] for (uint i = 0; i < B_EACH; ++i) {
        uvec2 p = b_place(i);
        uint k = k0 + p.y, channel = k / (KH * KW), at = k % (KH * KW);
        uint h = seen(top, at / KW, STRIDE_H, pc.dilation_h), w = seen(left, at % KW, STRIDE_W, pc.dilation_w);
        bool inside = column0 + p.x < pc.pixels && k < pc.inner && h < pc.height && w < pc.width;
        b_next[i] = inside ? pc.x.d[image + (channel * pc.height + h) * pc.width + w] : 0.0;
    }
}

void emit(uint row, uint column, float value) {
    row += row0;
    column += column0;
    if (row >= pc.rows || column >= pc.pixels) return;
    uint channel = part * pc.rows + row, image = column / pc.out_size;
    if (BIAS) value += pc.bias.d[channel];
    pc.y.d[(image * pc.groups * pc.rows + channel) * pc.out_size + column % pc.out_size] = value;
}

void main() {
    uint tiles_m = (pc.rows + BM - 1) / BM, tiles_n = (pc.pixels + BN - 1) / BN;
    uint group = group_index();
    if (group >= tiles_m * tiles_n * pc.groups) return;
    row0 = group % tiles_m * BM;
    group /= tiles_m;
    column0 = group % tiles_n * BN;
    part = group / tiles_n;
    // The column that this invocation fetches stays the same for all k.
    uint channels = pc.inner / (KH * KW), pixel = column0 + b_place(0).x;
    uint at = pixel % pc.out_size;
    image = (pixel / pc.out_size * pc.groups + part) * channels * pc.height * pc.width;
    top = BACKWARD ? int(at / pc.out_width) + pc.padding_h : int(at / pc.out_width * STRIDE_H) - pc.padding_h;
    left = BACKWARD ? int(at % pc.out_width) + pc.padding_w : int(at % pc.out_width * STRIDE_W) - pc.padding_w;
    multiply(0, pc.inner);
    emit_all();
}
