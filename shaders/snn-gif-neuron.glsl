#version 460
//! each 4
// One step of generalised integrate-and-fire neurons; the order of operations is that of every backend.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn v; FloatIn eta; FloatIn gamma;
    FloatOut s; FloatOut v_next; FloatOut eta_next; FloatOut gamma_next;
    uint n; float threshold; float decay; float keep_eta; float keep_gamma; float a; float b;
} pc;

void finish(uint i, float x, float v, float eta, float gamma) {
    precise float h = (v * pc.decay + x) - eta, threshold = gamma + pc.threshold;
    float s = h >= threshold ? 1.0 : 0.0;
    precise float eta_next = eta * pc.keep_eta + s * pc.a, gamma_next = gamma * pc.keep_gamma + s * pc.b;
    pc.s.d[i] = s;
    pc.v_next.d[i] = s > 0.0 ? 0.0 : h;
    pc.eta_next.d[i] = eta_next;
    pc.gamma_next.d[i] = gamma_next;
}

void main() {
    uint first = FIRST_OF(4);
    float x[4], v[4], eta[4], gamma[4];
    [[unroll]] for (uint j = 0; j < 4; ++j) {
        uint i = min(first + j * 256, pc.n - 1);
        x[j] = pc.x.d[i];
        v[j] = pc.v.d[i];
        eta[j] = pc.eta.d[i];
        gamma[j] = pc.gamma.d[i];
    }
    [[unroll]] for (uint j = 0; j < 4; ++j)
        if (first + j * 256 < pc.n) finish(first + j * 256, x[j], v[j], eta[j], gamma[j]);
}
