#version 460
// Words moved as they are: uploads, readbacks, contiguous copies.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC { UintIn x; UintOut y; uint n; } pc;
void main() {
    uint i = GLOBAL_INDEX;
    if (i < pc.n) pc.y.d[i] = pc.x.d[i];
}
