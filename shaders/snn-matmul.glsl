#version 460
// z[b] = x[b] y[b] of row-major matrices, a 16 x 16 tile of results for each workgroup: the direct door to a product. Ops use
// matmul.glsl, which is faster.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC { FloatIn x; FloatIn y; FloatOut z; uint rows; uint inner; uint columns; uint batches; } pc;

const uint TILE = 16;
shared float left[TILE][TILE], right[TILE][TILE + 1];

void main() {
    uint group = gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x;
    uint across = (pc.columns + TILE - 1) / TILE, down = (pc.rows + TILE - 1) / TILE, batch = group / across / down;
    if (batch >= pc.batches) return;
    uint r = gl_LocalInvocationIndex / TILE, c = gl_LocalInvocationIndex % TILE;
    uint row = group / across % down * TILE + r, column = group % across * TILE + c;
    uint x_base = batch * pc.rows * pc.inner, y_base = batch * pc.inner * pc.columns;
    float total = 0.0;
    for (uint k0 = 0; k0 < pc.inner; k0 += TILE) {
        left[r][c] = row < pc.rows && k0 + c < pc.inner ? pc.x.d[x_base + row * pc.inner + k0 + c] : 0.0;
        right[r][c] = column < pc.columns && k0 + r < pc.inner ? pc.y.d[y_base + (k0 + r) * pc.columns + column] : 0.0;
        barrier();
        [[unroll]] for (uint k = 0; k < TILE; ++k) total = fma(left[r][k], right[k][c], total);
        barrier();
    }
    if (row < pc.rows && column < pc.columns) pc.z.d[(batch * pc.rows + row) * pc.columns + column] = total;
}
