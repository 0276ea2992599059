#version 460
// Up to eight arrays of one shape side by side in rows of y: y[o, start + p * run + r] = x[p][o, r].
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    UintIn x[8]; UintOut y; uint n; uint start; uint run; uint multiplier; uint shift; uint row;
} pc;
void main() {
    uint i = gl_GlobalInvocationID.x + gl_WorkGroupID.z * (gl_NumWorkGroups.x * gl_WorkGroupSize.x);
    if (i >= pc.n) return;
    uint piece = gl_WorkGroupID.y;
    uint outer = divide(i, pc.multiplier, pc.shift);
    pc.y.d[outer * pc.row + pc.start + piece * pc.run + i - outer * pc.run] = pc.x[piece].d[i];
}
