#version 460
// Mean, largest value or sum over time, one invocation for each neuron.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const bool LARGEST = false;
layout(push_constant) uniform PC { FloatIn x; FloatOut y; uint n; uint steps; float scale; } pc;

const uint AHEAD = 8;

void main() {
    uint i = GLOBAL_INDEX, n = pc.n;
    if (i >= n) return;
    float total = LARGEST ? pc.x.d[i] : 0.0;
    for (uint t0 = 0; t0 < pc.steps; t0 += AHEAD) {
        float x[AHEAD];
        [[unroll]] for (uint j = 0; j < AHEAD; ++j) x[j] = pc.x.d[min(t0 + j, pc.steps - 1) * n + i];
        [[unroll]] for (uint j = 0; j < AHEAD; ++j) {
            if (t0 + j >= pc.steps) continue;
            if (LARGEST) total = x[j] > total || x[j] != x[j] ? x[j] : total;  // NaN wins and stays
            else total += x[j];
        }
    }
    pc.y.d[i] = LARGEST ? total : total * pc.scale;
}
