#version 460
// A strided view made row-major; transposed ones go through transpose.glsl.
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint AXES = 1;
layout(push_constant) uniform PC {
    UintIn x; UintOut y; uint n; uint shifts[2]; uint extents[8]; uint multipliers[8]; uint strides[8];
} pc;

uint element(uint i) {
    uint rest = i, at = 0;
    [[unroll]] for (uint a = AXES - 1; a > 0; --a) {
        uint quotient = divide(rest, pc.multipliers[a], pc.shifts[a >> 2] >> (8 * (a & 3)) & 31);
        at += (rest - quotient * pc.extents[a]) * pc.strides[a];
        rest = quotient;
    }
    return pc.x.d[at + rest * pc.strides[0]];
}

#include "four.glsl"
