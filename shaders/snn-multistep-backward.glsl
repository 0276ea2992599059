#version 460
// Gradient through time of spiking neurons from the potentials H that forward saved, one invocation each.
#include "common.glsl"
#include "neuron-backward.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 7) const bool HAS_GV = false;
layout(constant_id = 8) const bool HAS_GH = false;
layout(push_constant) uniform PC {
    FloatIn g_s; FloatIn g_v; FloatIn g_h; FloatIn h; FloatIn x; FloatIn v; FloatIn k_at;
    FloatOut g_x; FloatOut g_v0; FloatOut g_k;
    uint n; uint steps; float k; float leak; float threshold; float r; float scale; float top;
} pc;

float back(uint i) {
    uint n = pc.n, steps = EXACT ? UNROLL : pc.steps;
    float k = LEARNED ? pc.k_at.d[0] : pc.k, leak = LEARNED ? 1.0 - k : pc.leak;
    float g_k = 0.0, carried = HAS_GV ? pc.g_v.d[i] : 0.0;
    for (uint round = (steps + UNROLL - 1) / UNROLL; round > 0; --round) {
        uint t0 = (round - 1) * UNROLL;
        float g[UNROLL], h[UNROLL], g_h[UNROLL], x[UNROLL];
        float first = 0.0;  // the potential before the first step of the round
        if (LEARNED) {
            if (t0 > 0) {
                float earlier = pc.h.d[(t0 - 1) * n + i];
                first = reset(earlier, fire(earlier, pc.threshold), pc.threshold, pc.r);
            } else first = pc.v.d[i];
        }
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            uint at = min(t0 + j, steps - 1) * n + i;
            h[j] = pc.h.d[at];
            g[j] = pc.g_s.d[at];
            if (HAS_GH) g_h[j] = pc.g_h.d[at];
            if (LEARNED && KIND == 1) x[j] = pc.x.d[at];
        }
        [[unroll]] for (uint l = 0; l < UNROLL; ++l) {
            uint j = UNROLL - 1 - l;
            if (EXACT || t0 + j < steps) {
                float g_here = potential_gradient(g[j], carried, h[j], pc.threshold, pc.r, vec2(pc.scale, pc.top));
                if (HAS_GH) g_here += g_h[j];
                if (LEARNED) {
                    float earlier = h[max(j, 1) - 1];
                    float before = j > 0 ? reset(earlier, fire(earlier, pc.threshold), pc.threshold, pc.r) : first;
                    g_k += g_here * rate_gradient(KIND == 1 ? x[j] : 0.0, before, pc.r);
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
