#version 460
// y = g scale + shift, and share more where x is `top`, of g and x [R, K], all others [R].
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    FloatIn g; FloatIn x; FloatIn top; FloatIn scale; FloatIn shift; FloatIn share; UintOut y; uint n;
    uint extent_multiplier; uint extent_shift;
} pc;

uint element(uint i) {
    uint row = divide(i, pc.extent_multiplier, pc.extent_shift);
    float y = pc.g.d[i] * pc.scale.d[row] + pc.shift.d[row];
    return floatBitsToUint(pc.x.d[i] == pc.top.d[row] ? y + pc.share.d[row] : y);
}

#include "four.glsl"
