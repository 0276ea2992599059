#version 460
// One step of spiking neurons, one invocation each.
#include "common.glsl"
#include "neuron.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn v; FloatIn k_at; FloatOut s; FloatOut next;
    uint n; uint v_stride; float k; float threshold; float r;
} pc;

void main() {
    uint i = GLOBAL_INDEX;
    if (i >= pc.n) return;
    float h = charge(pc.x.d[i], pc.v.d[i * pc.v_stride], LEARNED ? pc.k_at.d[0] : pc.k, pc.r);
    float s = fire(h, pc.threshold);
    pc.s.d[i] = s;
    pc.next.d[i] = reset(h, s, pc.threshold, pc.r);
}
