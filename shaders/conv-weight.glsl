#version 460
//! variant conv-weight-128x128 BM=128 BN=128 BK=16 TM=8 TN=8
//! variant conv-weight-64x64 BM=64 BN=64 BK=16 TM=4 TN=4
//! variant conv-weight-128x32 BM=128 BN=32 BK=16 TM=8 TN=2
//! variant conv-weight-matrix MATRIX=1
// Gradient of a convolution at its weight: rows are output channels, columns (channel, kernel row, kernel column), k runs over
// the pixels of all images and is split over workgroups, whose partial sums are added afterwards in a fixed order.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint KH = 3;
layout(constant_id = 1) const uint KW = 3;
layout(push_constant) uniform PC {
    FloatIn g; FloatIn x; UintIn a_info; UintIn b_info; FloatOut y;
    uint rows; uint columns; uint pixels; uint groups;  // of a group
    uint height; uint width; uint out_size; uint out_width;
    uint stride_h; uint stride_w; int padding_h; int padding_w; uint dilation_h; uint dilation_w;
    uint splits; uint chunk;
} pc;

const bool A_ALONG_K = true, B_ALONG_K = true;
uint part, y_base, row0, column0, k_stop;
#ifdef MATRIX
#include "gemm-matrix.glsl"
#else
#include "gemm.glsl"
#endif

void fetch(uint k0) {
    uint k = k0 + a_place(0).y, image = k / pc.out_size, at = k % pc.out_size;
    bool real = k < k_stop;
    uint channels = pc.columns / (KH * KW);
    [[unroll]] for (uint i = 0; i < A_EACH; ++i) {
        uint row = row0 + a_place(i).x;
        a_next[i] = real && row < pc.rows ? pc.g.d[((image * pc.groups + part) * pc.rows + row) * pc.out_size + at] : 0.0;
    }
    int top = int(at / pc.out_width * pc.stride_h) - pc.padding_h, left = int(at % pc.out_width * pc.stride_w) - pc.padding_w;
    uint base = (image * pc.groups + part) * channels;
    [[unroll]] for (uint i = 0; i < B_EACH; ++i) {
        uint column = column0 + b_place(i).x, tap = column % (KH * KW);
        uint h = uint(top + int(tap / KW * pc.dilation_h)), w = uint(left + int(tap % KW * pc.dilation_w));
        bool inside = real && column < pc.columns && h < pc.height && w < pc.width;
        b_next[i] = inside ? pc.x.d[((base + column / (KH * KW)) * pc.height + h) * pc.width + w] : 0.0;
    }
}

void emit(uint row, uint column, float value) {
    row += row0;
    column += column0;
    if (row < pc.rows && column < pc.columns) pc.y.d[y_base + row * pc.columns + column] = value;
}

void main() {
    uint tiles_m = (pc.rows + BM - 1) / BM, tiles_n = (pc.columns + BN - 1) / BN;
    uint group = group_index();
    if (group >= tiles_m * tiles_n * pc.groups * pc.splits) return;
    row0 = group % tiles_m * BM;
    group /= tiles_m;
    column0 = group % tiles_n * BN;
    group /= tiles_n;
    part = group % pc.groups;
    y_base = group * pc.rows * pc.columns;
    uint split = group / pc.groups, k_begin = split * pc.chunk;
    k_stop = min(pc.pixels, k_begin + pc.chunk);
    multiply(k_begin, k_stop);
    emit_all();
}
