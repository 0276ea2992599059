#version 460
// Batched product, one invocation for each result, any strides.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn y; FloatOut z; uint n; uint rows; uint columns; uint inner;
    uint xr; uint xc; uint yr; uint yc; uint extents[4]; uint xb[4]; uint yb[4];
} pc;
void main() {
    uint i = GLOBAL_INDEX;
    if (i >= pc.n) return;
    uint column = i % pc.columns, row = i / pc.columns % pc.rows, batch = i / pc.columns / pc.rows;
    uint ax = row * pc.xr, ay = column * pc.yc;
    for (uint a = 4; a-- > 0;) {
        uint at = batch % pc.extents[a];
        ax += at * pc.xb[a];
        ay += at * pc.yb[a];
        batch /= pc.extents[a];
    }
    float total = 0.0;
    for (uint k = 0; k < pc.inner; ++k) total += pc.x.d[ax + k * pc.xc] * pc.y.d[ay + k * pc.yr];
    pc.z.d[i] = total;
}
