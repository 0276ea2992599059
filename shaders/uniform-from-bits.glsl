#version 460
// Integers below 2^24 as floats in [0, 1).
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC { UintIn bits; FloatOut y; uint n; float scale; } pc;
void main() {
    uint i = GLOBAL_INDEX;
    if (i < pc.n) pc.y.d[i] = float(pc.bits.d[i]) * pc.scale;
}
