#version 460
// Up to eight arrays of one shape side by side in rows of y: y[o, start + p * run + r] = x[p][o, r].
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    UintIn x[8]; UintOut y; uint n; uint start; uint run; uint multiplier; uint shift; uint row;
} pc;

uint target(uint i, uint piece) {
    uint outer = divide(i, pc.multiplier, pc.shift);
    return outer * pc.row + pc.start + piece * pc.run + i - outer * pc.run;
}

void main() {
    uint piece = gl_WorkGroupID.y;
    uint first = (gl_WorkGroupID.x + gl_WorkGroupID.z * gl_NumWorkGroups.x) * 1024 + gl_LocalInvocationID.x;
    uint values[4];
    [[unroll]] for (uint j = 0; j < 4; ++j) {
        uint i = first + j * 256;
        if (i < pc.n) values[j] = pc.x[piece].d[i];
    }
    [[unroll]] for (uint j = 0; j < 4; ++j) {
        uint i = first + j * 256;
        if (i < pc.n) pc.y.d[target(i, piece)] = values[j];
    }
}
