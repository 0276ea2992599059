#version 460
//! each 4
// One step of spiking neurons, four neurons an invocation.
#include "common.glsl"
#include "neuron.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn v; FloatIn k_at; FloatOut s; FloatOut next;
    uint n; uint v_stride; float k; float threshold; float r;
} pc;

void finish(uint i, float x, float v, float k) {
    float h = charge(x, v, k, pc.r), s = fire(h, pc.threshold);
    pc.s.d[i] = s;
    pc.next.d[i] = reset(h, s, pc.threshold, pc.r);
}

void main() {
    uint first = FIRST_OF(4);
    float k = LEARNED ? pc.k_at.d[0] : pc.k;
    if (first + 768 < pc.n) {
        float x[4], v[4];
        [[unroll]] for (uint j = 0; j < 4; ++j) {
            x[j] = pc.x.d[first + j * 256];
            v[j] = pc.v.d[(first + j * 256) * pc.v_stride];
        }
        [[unroll]] for (uint j = 0; j < 4; ++j) finish(first + j * 256, x[j], v[j], k);
    } else {
        for (uint i = first; i < pc.n; i += 256) finish(i, pc.x.d[i], pc.v.d[i * pc.v_stride], k);
    }
}
