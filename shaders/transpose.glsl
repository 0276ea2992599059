#version 460
// A view whose last axis has gaps while the axis `near` has none, made row-major: a tile of 32 x 32 for each workgroup.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    UintIn x; UintOut y; uint groups; uint near; uint last; uint last_step; uint near_target; uint rows; uint columns;
    uint extents[3]; uint steps[3]; uint targets[3];
} pc;
const uint TILE = 32, LINES = 8;
shared uint tile[TILE][TILE + 1];  // one more: a column of words lies in 32 different banks
void main() {
    uint group = gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x;
    if (group >= pc.groups) return;
    uint column = group % pc.columns * TILE, rest = group / pc.columns;
    uint row = rest % pc.rows * TILE;
    rest /= pc.rows;
    uint from = 0, to = 0;
    for (uint a = 3; a-- > 0;) {
        uint at = rest % pc.extents[a];
        rest /= pc.extents[a];
        from += at * pc.steps[a];
        to += at * pc.targets[a];
    }
    uint along = gl_LocalInvocationID.x % TILE, line = gl_LocalInvocationID.x / TILE;
    [[unroll]] for (uint k = line; k < TILE; k += LINES)
        if (row + along < pc.near && column + k < pc.last)
            tile[k][along] = pc.x.d[from + row + along + (column + k) * pc.last_step];
    barrier();
    [[unroll]] for (uint k = line; k < TILE; k += LINES)
        if (row + k < pc.near && column + along < pc.last)
            pc.y.d[to + (row + k) * pc.near_target + column + along] = tile[along][k];
}
