#version 460
// y[i, c] = 1 where labels[i] == c, else 0.
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    UintIn labels; UintOut y; uint n; uint one; uint classes; uint multiplier; uint shift;
} pc;
void main() {
    uint i = GLOBAL_INDEX;
    if (i >= pc.n) return;
    uint line = divide(i, pc.multiplier, pc.shift);
    pc.y.d[i] = pc.labels.d[line] == i - line * pc.classes ? pc.one : 0;
}
