#version 460
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC { UintOut y; uint n; uint word; } pc;
void main() {
    uint i = GLOBAL_INDEX;
    if (i < pc.n) pc.y.d[i] = pc.word;
}
