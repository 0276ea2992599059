#version 460
// Integers below 2^24 as floats in [0, 1).
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC { UintIn bits; UintOut y; uint n; float scale; } pc;

uint element(uint i) {
    return floatBitsToUint(float(pc.bits.d[i]) * pc.scale);
}

#include "four.glsl"
