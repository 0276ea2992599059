// Gradient through time of spiking neurons from their input: potentials are computed again and kept in registers, which
// moves fewer bytes than saving them in forward. More than UNROLL steps go in rounds, whose first potentials are noted.
#include "common.glsl"
#include "neuron-backward.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 7) const bool HAS_GV = false;
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Notes { float d[]; };
layout(push_constant) uniform PC {
    FloatIn g_s; FloatIn g_v; FloatIn x; FloatIn v; FloatIn k_at;
    FloatOut g_x; FloatOut g_v0; Notes notes; FloatOut g_k;
    uint n; uint steps; uint g_time; uint g_stride; uint x_time; uint x_stride; uint v_stride;
    float k; float leak; float threshold; float r; float scale; float top;
} pc;

float input_at(uint t, uint i) { return pc.x.d[t * pc.x_time + i * pc.x_stride]; }

// The potential before the last round; those before the others are noted.
float run_ahead(uint i, uint rounds, float k) {
    float v = pc.v.d[i * pc.v_stride];
    for (uint round = 0; round + 1 < rounds; ++round) {
        pc.notes.d[round * pc.n + i] = v;
        float x[UNROLL];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) x[j] = input_at(round * UNROLL + j, i);
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            float h = charge(x[j], v, k, pc.r);
            v = reset(h, fire(h, pc.threshold), pc.threshold, pc.r);
        }
    }
    return v;
}

float back(uint i) {
    uint n = pc.n, steps = EXACT ? UNROLL : pc.steps, rounds = EXACT ? 1 : (steps + UNROLL - 1) / UNROLL;
    float k = LEARNED ? pc.k_at.d[0] : pc.k, leak = LEARNED ? 1.0 - k : pc.leak;
    float g_k = 0.0, carried = HAS_GV ? pc.g_v.d[i] : 0.0, v = run_ahead(i, rounds, k);
    for (uint round = rounds; round > 0; --round) {
        uint t0 = (round - 1) * UNROLL;
        float x[UNROLL], g[UNROLL], h[UNROLL];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) x[j] = input_at(min(t0 + j, steps - 1), i);
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            g[j] = pc.g_s.d[min(t0 + j, steps - 1) * pc.g_time + i * pc.g_stride];
        }
        if (round < rounds) v = pc.notes.d[(round - 1) * n + i];
        float first = v;
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            h[j] = charge(x[j], v, k, pc.r);
            v = reset(h[j], fire(h[j], pc.threshold), pc.threshold, pc.r);
        }
        [[unroll]] for (uint l = 0; l < UNROLL; ++l) {
            uint j = UNROLL - 1 - l;
            if (EXACT || t0 + j < steps) {
                float g_here = potential_gradient(g[j], carried, h[j], pc.threshold, pc.r, vec2(pc.scale, pc.top));
                if (LEARNED) {
                    float earlier = h[max(j, 1) - 1];
                    float before = j > 0 ? reset(earlier, fire(earlier, pc.threshold), pc.threshold, pc.r) : first;
                    g_k += g_here * rate_gradient(x[j], before, pc.r);
                }
                pc.g_x.d[(t0 + j) * n + i] = KIND == 1 ? g_here * k : g_here;
                carried = KIND == 0 ? g_here : g_here * leak;
            }
        }
    }
    pc.g_v0.d[i] = carried;
    return g_k;
}

void main() {
    uint i = GLOBAL_INDEX;
    float g_k = 0.0;
    if (i < pc.n) g_k = back(i);
    if (LEARNED) {
        float total = group_sum(g_k);
        if (gl_LocalInvocationIndex == 0 && i < pc.n) pc.g_k.d[i / 256] = total;
    }
}
