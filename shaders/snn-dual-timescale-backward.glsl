#version 460
// Gradient through time of two weighed traces, one invocation each. If the coefficients have one, the traces and their
// derivatives by the decays run forward first, from the input.
#include "common.glsl"
#include "trace.glsl"
#include "group-sum.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 2) const bool HAS_FAST = false;
layout(constant_id = 3) const bool HAS_SLOW = false;
layout(constant_id = 4) const bool LEARNED = false;
layout(push_constant) uniform PC {
    FloatIn g; FloatIn g_fast; FloatIn g_slow; FloatIn decay_fast; FloatIn decay_slow; FloatIn w_fast; FloatIn w_slow;
    FloatIn x; FloatIn fast; FloatIn slow; FloatOut g_x; FloatOut g_fast0; FloatOut g_slow0; FloatOut sums;
    uint n; uint steps; uint g_time; uint g_stride;
} pc;  // sums: four rows, one sum a workgroup in each

float arriving(uint t, uint i) { return pc.g.d[t * pc.g_time + i * pc.g_stride]; }

vec4 back(uint i) {
    uint n = pc.n, steps = EXACT ? UNROLL : pc.steps;
    vec2 decay = vec2(pc.decay_fast.d[0], pc.decay_slow.d[0]), w = vec2(pc.w_fast.d[0], pc.w_slow.d[0]);
    precise vec2 carried = vec2(HAS_FAST ? pc.g_fast.d[i] : 0.0, HAS_SLOW ? pc.g_slow.d[i] : 0.0);
    vec2 of_decay = vec2(0.0), of_weight = vec2(0.0);
    float g[UNROLL];
    if (LEARNED) {
        vec2 y = vec2(pc.fast.d[i], pc.slow.d[i]), slope = vec2(0.0);
        for (uint t0 = 0; t0 < steps; t0 += UNROLL) {
            float x[UNROLL];
            [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
                x[j] = pc.x.d[min(t0 + j, steps - 1) * n + i];
                g[j] = arriving(min(t0 + j, steps - 1), i);
            }
            [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
                if (EXACT || t0 + j < steps) {
                    slope = slope * decay + y;
                    y = vec2(trace(y.x, decay.x, x[j]), trace(y.y, decay.y, x[j]));
                    of_decay += w * g[j] * slope;
                    of_weight += g[j] * y;
                }
            }
        }
        of_decay += carried * slope;
    }
    for (uint round = (steps + UNROLL - 1) / UNROLL; round > 0; --round) {
        uint t0 = (round - 1) * UNROLL;
        if (!(LEARNED && EXACT)) {
            [[unroll]] for (uint j = 0; j < UNROLL; ++j) g[j] = arriving(min(t0 + j, steps - 1), i);
        }
        [[unroll]] for (uint l = 0; l < UNROLL; ++l) {
            uint j = UNROLL - 1 - l;
            if (EXACT || t0 + j < steps) {
                // Each component by itself: a driver contracted the product of a vector and a number.
                precise float fast = carried.x + w.x * g[j], slow = carried.y + w.y * g[j], both = fast + slow;
                pc.g_x.d[(t0 + j) * n + i] = both;
                carried.x = fast * decay.x;
                carried.y = slow * decay.y;
            }
        }
    }
    pc.g_fast0.d[i] = carried.x;
    pc.g_slow0.d[i] = carried.y;
    return vec4(of_decay, of_weight);
}

void main() {
    uint i = GLOBAL_INDEX;
    vec4 part = vec4(0.0);
    if (i < pc.n) part = back(i);
    if (LEARNED) {
        uint groups = (pc.n + 255) / 256;
        [[unroll]] for (uint which = 0; which < 4; ++which) {
            float total = group_sum(part[which]);
            if (gl_LocalInvocationIndex == 0 && i < pc.n) pc.sums.d[which * groups + i / 256] = total;
            barrier();
        }
    }
}
