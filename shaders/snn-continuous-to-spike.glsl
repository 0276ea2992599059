#version 460
// Numbers in [0, 1] as evenly spaced spikes, one invocation for each number.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC { FloatIn x; FloatOut y; uint n; uint steps; } pc;

void main() {
    uint i = GLOBAL_INDEX, n = pc.n;
    if (i >= n) return;
    float x = pc.x.d[i], rate = x > 0.0 ? (x < 1.0 ? x : 1.0) : 0.0, count = 0.0;
    for (uint t = 0; t < pc.steps; ++t) {
        precise float reached = floor(rate * float(t + 1));
        pc.y.d[t * n + i] = reached > count ? 1.0 : 0.0;
        count = reached;
    }
}
