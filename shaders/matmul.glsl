#version 460
//! variant matmul-128x128 BM=128 BN=128 BK=16 TM=8 TN=8
//! variant matmul-64x64 BM=64 BN=64 BK=16 TM=4 TN=4
//! variant matmul-128x32 BM=128 BN=32 BK=16 TM=8 TN=2
//! variant matmul-32x128 BM=32 BN=128 BK=16 TM=2 TN=8
//! variant matmul-matrix MATRIX=1
// z[b] = x[b] y[b] (+ bias), any strides; k may be split over workgroups, whose partial products are summed afterwards.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const bool A_ALONG_K = true;
layout(constant_id = 1) const bool B_ALONG_K = false;
layout(constant_id = 2) const bool BIAS = false;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn y; FloatIn bias; UintIn a_info; UintIn b_info; FloatOut z;
    uint rows; uint columns; uint inner; uint xr; uint xc; uint yr; uint yc;
    uint batches; uint splits; uint chunk; uint extents[3]; uint xb[3]; uint yb[3];
} pc;

uint x_base, y_base, z_base, row0, column0, k_stop;
#ifdef MATRIX
#include "gemm-matrix.glsl"
#else
#include "gemm.glsl"
#endif

void fetch(uint k0) {
    [[unroll]] for (uint i = 0; i < A_EACH; ++i) {
        uvec2 p = a_place(i);
        uint row = row0 + p.x, k = k0 + p.y;
        a_next[i] = row < pc.rows && k < k_stop ? pc.x.d[x_base + row * pc.xr + k * pc.xc] : 0.0;
    }
    [[unroll]] for (uint i = 0; i < B_EACH; ++i) {
        uvec2 p = b_place(i);
        uint column = column0 + p.x, k = k0 + p.y;
        b_next[i] = column < pc.columns && k < k_stop ? pc.y.d[y_base + k * pc.yr + column * pc.yc] : 0.0;
    }
}

void emit(uint row, uint column, float value) {
    row += row0;
    column += column0;
    if (row >= pc.rows || column >= pc.columns) return;
    if (BIAS) value += pc.bias.d[column];
    pc.z.d[z_base + row * pc.columns + column] = value;
}

void main() {
    uint tiles_m = (pc.rows + BM - 1) / BM, tiles_n = (pc.columns + BN - 1) / BN;
    uint group = group_index();
    if (group >= tiles_m * tiles_n * pc.batches * pc.splits) return;
    row0 = group % tiles_m * BM;
    group /= tiles_m;
    column0 = group % tiles_n * BN;
    group /= tiles_n;
    uint split = group % pc.splits, batch = group / pc.splits, rest = batch;
    x_base = y_base = 0;
    [[unroll]] for (uint a = 3; a-- > 0;) {
        uint at = rest % pc.extents[a];
        x_base += at * pc.xb[a];
        y_base += at * pc.yb[a];
        rest /= pc.extents[a];
    }
    z_base = (split * pc.batches + batch) * pc.rows * pc.columns;
    uint k_begin = split * pc.chunk;
    k_stop = min(pc.inner, k_begin + pc.chunk);
    multiply(k_begin, k_stop);
    emit_all();
}
