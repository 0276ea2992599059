#version 460
//! variant snn-klif-backward MODEL=0
//! variant snn-cuba-lif-backward MODEL=1
//! variant snn-alif-backward MODEL=2
// Gradient through time of neurons with more than a leak, from their input: potentials are computed again and kept in
// registers. More than UNROLL steps go in rounds, before each of which the states are noted.
#include "common.glsl"
#include "neuron-backward.glsl"
#include "neuron-more.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 7) const bool HAS_GV = false;
layout(constant_id = 8) const bool HAS_GQ = false;
layout(constant_id = 9) const bool HAS_SEQ = false;
layout(constant_id = 10) const bool SCALED = false;  // the slope is undone for the reset
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Notes { float d[]; };
// p: the second state, or k; q: the gradient that arrives at it, or the inverse of k; g_p: the gradient at it before the first
// step, or sums of what arrives at k and its inverse, one of a workgroup each
layout(push_constant) uniform PC {
    FloatIn g_s; FloatIn g_v; FloatIn g_seq; FloatIn x; FloatIn v; FloatIn p; FloatIn q;
    FloatOut g_x; FloatOut g_v0; FloatOut g_p; Notes notes;
    uint n; uint steps; float rate; float carry; float beta; float threshold; float r; float scale; float top;
} pc;

Model model() {
    Model m = Model(pc.rate, pc.carry, pc.beta, pc.threshold, pc.r, 1.0, 1.0);
    if (MODEL == 0) m.k = pc.p.d[0];
    if (SCALED) m.inverse = pc.q.d[0];
    return m;
}

// The states before the last round; those before the others are noted.
void run_ahead(Model m, uint i, uint rounds, inout float v, inout float second) {
    for (uint round = 0; round + 1 < rounds; ++round) {
        pc.notes.d[2 * round * pc.n + i] = v;
        if (MODEL != 0) pc.notes.d[(2 * round + 1) * pc.n + i] = second;
        float x[UNROLL];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) x[j] = pc.x.d[(round * UNROLL + j) * pc.n + i];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) fire_and_reset(m, charged(m, x[j], v, second), SCALED, v, second);
    }
}

// What arrives at k and its inverse.
vec2 back(uint i) {
    Model m = model();
    uint n = pc.n, steps = EXACT ? UNROLL : pc.steps, rounds = EXACT ? 1 : (steps + UNROLL - 1) / UNROLL;
    float v = pc.v.d[i], second = MODEL == 0 ? 0.0 : pc.p.d[i], less = subtracted(m, SCALED);
    float g_v = HAS_GV ? pc.g_v.d[i] : 0.0, g_second = HAS_GQ ? pc.q.d[i] : 0.0;
    vec2 sums = vec2(0.0);
    run_ahead(m, i, rounds, v, second);
    for (uint round = rounds; round > 0; --round) {
        uint t0 = (round - 1) * UNROLL;
        float h[UNROLL], g[UNROLL], raised[UNROLL];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            uint at = min(t0 + j, steps - 1) * n + i;
            h[j] = pc.x.d[at];
            g[j] = pc.g_s.d[at];
        }
        if (round < rounds) {
            v = pc.notes.d[2 * (round - 1) * n + i];
            if (MODEL != 0) second = pc.notes.d[(2 * round - 1) * n + i];
        }
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            h[j] = charged(m, h[j], v, second);
            if (MODEL == 2) raised[j] = second;
            fire_and_reset(m, h[j], SCALED, v, second);
        }
        [[unroll]] for (uint l = 0; l < UNROLL; ++l) {
            uint j = UNROLL - 1 - l, at = (t0 + j) * n + i;
            if (EXACT || t0 + j < steps) {
                if (HAS_SEQ) g_v += pc.g_seq.d[at];
                float f = seen(m, h[j]), limit = level(m, MODEL == 2 ? raised[j] : 0.0), s = fire(f, limit);
                float base = base_of(m, f, SCALED), g_base = SOFT ? g_v : g_v * (1.0 - s);
                float g_spike = MODEL == 2 ? g[j] + g_second : g[j];
                if (!DETACH) g_spike += g_v * (SOFT ? -less : m.r - base);
                float g_u = g_spike * derivative(SURROGATE, f - limit, pc.scale, pc.top);
                float g_h = g_u + base_of(m, g_base, SCALED);
                if (MODEL == 0) {
                    if (SCALED) sums.y += g_base * f - (SOFT ? g_v * s * m.threshold : 0.0);
                    if (!(f > 0.0)) g_h = 0.0;
                    sums.x += g_h * h[j];
                    g_h *= m.k;
                }
                if (MODEL == 1) {
                    float g_x = g_second + g_h;
                    pc.g_x.d[at] = g_x;
                    g_second = g_x * m.carry;
                    g_v = g_h * m.rate;
                } else {
                    if (MODEL == 2) g_second = g_second * m.carry - g_u * m.beta;
                    pc.g_x.d[at] = KIND == 1 ? g_h * m.rate : g_h;
                    g_v = g_h * (1.0 - m.rate);
                }
            }
        }
    }
    pc.g_v0.d[i] = g_v;
    if (MODEL != 0) pc.g_p.d[i] = g_second;
    return sums;
}

void main() {
    uint i = GLOBAL_INDEX;
    vec2 sums = vec2(0.0);
    if (i < pc.n) sums = back(i);
    if (MODEL != 0) return;
    float total = group_sum(sums.x);
    bool first = gl_LocalInvocationIndex == 0 && i < pc.n;
    if (first) pc.g_p.d[i / 256] = total;
    if (SCALED) {
        barrier();
        total = group_sum(sums.y);
        if (first) pc.g_p.d[(pc.n + 255) / 256 + i / 256] = total;
    }
}
