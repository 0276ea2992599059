#version 460
// Gradient through time of a trace, one invocation each. If the decay has one, the trace and its derivative by the decay run
// forward first, from the input.
#include "common.glsl"
#include "trace.glsl"
#include "group-sum.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 2) const bool DELAYED = false;
layout(constant_id = 3) const bool HAS_LAST = false;
layout(constant_id = 4) const bool LEARNED = false;
layout(push_constant) uniform PC {
    FloatIn g; FloatIn g_last; FloatIn decay; FloatIn x; FloatIn y; FloatIn line;
    FloatOut g_x; FloatOut g_y; FloatOut g_line; FloatOut g_decay;
    uint n; uint steps; uint delay; uint g_time; uint g_stride; uint x_time; uint x_stride; uint y_stride;
    uint line_time; uint line_stride;
} pc;

float input_at(uint t, uint i) {
    if (DELAYED && t < pc.delay) return pc.line.d[t * pc.line_time + i * pc.line_stride];
    return pc.x.d[(DELAYED ? t - pc.delay : t) * pc.x_time + i * pc.x_stride];
}

float arriving(uint t, uint i) { return pc.g.d[t * pc.g_time + i * pc.g_stride]; }

void put(uint t, uint i, float g) {
    if (DELAYED && t < pc.delay) pc.g_line.d[t * pc.n + i] = g;
    else pc.g_x.d[(DELAYED ? t - pc.delay : t) * pc.n + i] = g;
}

float back(uint i) {
    uint steps = EXACT ? UNROLL : pc.steps;
    float decay = pc.decay.d[0], sum = 0.0, g[UNROLL];
    precise float carried = HAS_LAST ? pc.g_last.d[i] : 0.0;
    if (LEARNED) {
        float y = pc.y.d[i * pc.y_stride], slope = 0.0;
        for (uint t0 = 0; t0 < steps; t0 += UNROLL) {
            float x[UNROLL];
            [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
                x[j] = input_at(min(t0 + j, steps - 1), i);
                g[j] = arriving(min(t0 + j, steps - 1), i);
            }
            [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
                if (EXACT || t0 + j < steps) {
                    slope = slope * decay + y;
                    y = trace(y, decay, x[j]);
                    sum += g[j] * slope;
                }
            }
        }
        sum += carried * slope;
    }
    for (uint round = (steps + UNROLL - 1) / UNROLL; round > 0; --round) {
        uint t0 = (round - 1) * UNROLL;
        if (!(LEARNED && EXACT)) {
            [[unroll]] for (uint j = 0; j < UNROLL; ++j) g[j] = arriving(min(t0 + j, steps - 1), i);
        }
        [[unroll]] for (uint l = 0; l < UNROLL; ++l) {
            uint j = UNROLL - 1 - l;
            if (EXACT || t0 + j < steps) {
                precise float total = carried + g[j];
                put(t0 + j, i, total);
                carried = total * decay;
            }
        }
    }
    if (DELAYED) {
        for (uint t = steps; t < steps + pc.delay; ++t) put(t, i, 0.0);  // had no effect yet
    }
    pc.g_y.d[i] = carried;
    return sum;
}

void main() {
    uint i = GLOBAL_INDEX;
    float sum = 0.0;
    if (i < pc.n) sum = back(i);
    if (LEARNED) {
        float total = group_sum(sum);
        if (gl_LocalInvocationIndex == 0 && i < pc.n) pc.g_decay.d[i / 256] = total;
    }
}
