#version 460
// All steps of spiking neurons, one invocation each, which keeps its potential in a register. Inputs of UNROLL steps are
// asked for at once, so that memory is never waited for step by step.
#include "common.glsl"
#include "neuron.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 3) const bool SAVE_H = false;
layout(constant_id = 4) const bool EXACT = false;  // T is UNROLL: one round
layout(constant_id = 5) const uint UNROLL = 16;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn v; FloatIn k_at; FloatOut s; FloatOut last; FloatOut h;
    uint n; uint steps; uint x_time; uint x_stride; uint v_stride; float k; float threshold; float r;
} pc;

void main() {
    uint i = GLOBAL_INDEX, n = pc.n;
    if (i >= n) return;
    uint steps = EXACT ? UNROLL : pc.steps;
    float v = pc.v.d[i * pc.v_stride], k = LEARNED ? pc.k_at.d[0] : pc.k;
    for (uint t0 = 0; t0 < steps; t0 += UNROLL) {
        float x[UNROLL];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) x[j] = pc.x.d[min(t0 + j, steps - 1) * pc.x_time + i * pc.x_stride];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            if (EXACT || t0 + j < steps) {
                float h = charge(x[j], v, k, pc.r), s = fire(h, pc.threshold);
                v = reset(h, s, pc.threshold, pc.r);
                pc.s.d[(t0 + j) * n + i] = s;
                if (SAVE_H) pc.h.d[(t0 + j) * n + i] = h;
            }
        }
    }
    pc.last.d[i] = v;
}
