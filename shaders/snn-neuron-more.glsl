#version 460
//! variant snn-klif MODEL=0
//! variant snn-cuba-lif MODEL=1
//! variant snn-alif MODEL=2
// All steps of neurons with more than a leak, one invocation each, which keeps its states in registers. Inputs of UNROLL
// steps are asked for at once, so that memory is never waited for step by step.
#include "common.glsl"
#include "neuron.glsl"
#include "neuron-more.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 3) const bool SAVE_V = false;
layout(constant_id = 4) const bool EXACT = false;  // T is UNROLL: one round
layout(constant_id = 5) const uint UNROLL = 16;
layout(constant_id = 6) const bool SCALED = false;  // the slope is undone for the reset
// p: the second state, or k; q: the inverse of k
layout(push_constant) uniform PC {
    FloatIn x; FloatIn v; FloatIn p; FloatIn q; FloatOut s; FloatOut last; FloatOut last_second; FloatOut seq;
    uint n; uint steps; uint x_time; uint x_stride; uint v_stride; uint p_stride;
    float rate; float carry; float beta; float threshold; float r;
} pc;

void main() {
    uint i = GLOBAL_INDEX, n = pc.n;
    if (i >= n) return;
    uint steps = EXACT ? UNROLL : pc.steps;
    Model m = Model(pc.rate, pc.carry, pc.beta, pc.threshold, pc.r, 1.0, 1.0);
    float v = pc.v.d[i * pc.v_stride], second = 0.0;
    if (MODEL == 0) m.k = pc.p.d[0];
    else second = pc.p.d[i * pc.p_stride];
    if (SCALED) m.inverse = pc.q.d[0];
    for (uint t0 = 0; t0 < steps; t0 += UNROLL) {
        float x[UNROLL];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) x[j] = pc.x.d[min(t0 + j, steps - 1) * pc.x_time + i * pc.x_stride];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            if (EXACT || t0 + j < steps) {
                float h = charged(m, x[j], v, second);
                pc.s.d[(t0 + j) * n + i] = fire_and_reset(m, h, SCALED, v, second);
                if (SAVE_V) pc.seq.d[(t0 + j) * n + i] = v;
            }
        }
    }
    pc.last.d[i] = v;
    if (MODEL != 0) pc.last_second.d[i] = second;
}
