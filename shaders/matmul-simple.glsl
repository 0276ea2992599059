#version 460
// Batched product for devices that are CPUs: a 4 x 4 patch of results for each invocation, no shared memory.
#include "common.glsl"
layout(local_size_x = 64) in;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn y; FloatIn bias; UintIn a_info; UintIn b_info; FloatOut z;
    uint rows; uint columns; uint inner; uint xr; uint xc; uint yr; uint yc;
    uint batches; uint splits; uint chunk; uint extents[3]; uint xb[3]; uint yb[3];
} pc;
layout(constant_id = 0) const bool A_ALONG_K = true;
layout(constant_id = 1) const bool B_ALONG_K = false;
layout(constant_id = 2) const bool BIAS = false;

void main() {
    uint patches_m = (pc.rows + 3) / 4, patches_n = (pc.columns + 3) / 4;
    uint i = GLOBAL_INDEX;
    if (i >= patches_m * patches_n * pc.batches) return;
    uint column0 = i % patches_n * 4, row0 = i / patches_n % patches_m * 4, batch = i / patches_n / patches_m, rest = batch;
    uint xs = 0, ys = 0;
    for (uint a = 3; a-- > 0;) {
        uint at = rest % pc.extents[a];
        xs += at * pc.xb[a];
        ys += at * pc.yb[a];
        rest /= pc.extents[a];
    }
    uint xa[4], ya[4];  // rows and columns beyond the edge read the last one again
    float total[4][4];
    [[unroll]] for (uint r = 0; r < 4; ++r) {
        xa[r] = xs + min(row0 + r, pc.rows - 1) * pc.xr;
        ya[r] = ys + min(column0 + r, pc.columns - 1) * pc.yc;
        [[unroll]] for (uint c = 0; c < 4; ++c) total[r][c] = 0.0;
    }
    for (uint k = 0; k < pc.inner; ++k) {
        float a[4], b[4];
        [[unroll]] for (uint r = 0; r < 4; ++r) {
            a[r] = pc.x.d[xa[r] + k * pc.xc];
            b[r] = pc.y.d[ya[r] + k * pc.yr];
        }
        [[unroll]] for (uint r = 0; r < 4; ++r)
            [[unroll]] for (uint c = 0; c < 4; ++c) total[r][c] += a[r] * b[c];
    }
    [[unroll]] for (uint r = 0; r < 4; ++r)
        [[unroll]] for (uint c = 0; c < 4; ++c)
            if (row0 + r < pc.rows && column0 + c < pc.columns)
                pc.z.d[(batch * pc.rows + row0 + r) * pc.columns + column0 + c] =
                    total[r][c] + (BIAS ? pc.bias.d[column0 + c] : 0.0);
}
