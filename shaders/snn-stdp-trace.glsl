#version 460
// Traces of spikes over all steps, one invocation for each neuron: tr <- tr - tr k + s. The order of operations is that of
// every backend.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const bool GIVEN = false;  // the trace starts from a tensor, else from 0
layout(push_constant) uniform PC { FloatIn s; FloatIn start; FloatOut traces; FloatOut last; uint n; uint steps; float k; } pc;

const uint AHEAD = 8;

void main() {
    uint i = GLOBAL_INDEX, n = pc.n;
    if (i >= n) return;
    precise float trace = GIVEN ? pc.start.d[i] : 0.0;
    for (uint t0 = 0; t0 < pc.steps; t0 += AHEAD) {
        float s[AHEAD];
        [[unroll]] for (uint j = 0; j < AHEAD; ++j) s[j] = pc.s.d[min(t0 + j, pc.steps - 1) * n + i];
        [[unroll]] for (uint j = 0; j < AHEAD; ++j) {
            if (t0 + j < pc.steps) {
                trace = (trace - trace * pc.k) + s[j];
                pc.traces.d[(t0 + j) * n + i] = trace;
            }
        }
    }
    pc.last.d[i] = trace;
}
