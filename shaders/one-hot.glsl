#version 460
// y[i, c] = 1 where labels[i] == c, else 0.
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    UintIn labels; UintOut y; uint n; uint one; uint classes; uint multiplier; uint shift;
} pc;

uint element(uint i) {
    uint line = divide(i, pc.multiplier, pc.shift);
    return pc.labels.d[line] == i - line * pc.classes ? pc.one : 0;
}

#include "four.glsl"
