#version 460
// All steps of a fast and a slow trace of the same input, weighed; one invocation each, which keeps both in registers.
#include "common.glsl"
#include "trace.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn fast; FloatIn slow; FloatIn decay_fast; FloatIn decay_slow; FloatIn w_fast; FloatIn w_slow;
    FloatOut y; FloatOut last_fast; FloatOut last_slow;
    uint n; uint steps; uint x_time; uint x_stride; uint fast_stride; uint slow_stride;
} pc;

float weighed(float fast, float slow, float w_fast, float w_slow) {
    precise float sum = fast * w_fast + slow * w_slow;
    return sum;
}

void main() {
    uint i = GLOBAL_INDEX, n = pc.n;
    if (i >= n) return;
    uint steps = EXACT ? UNROLL : pc.steps;
    float fast = pc.fast.d[i * pc.fast_stride], slow = pc.slow.d[i * pc.slow_stride];
    float decay_fast = pc.decay_fast.d[0], decay_slow = pc.decay_slow.d[0];
    float w_fast = pc.w_fast.d[0], w_slow = pc.w_slow.d[0];
    for (uint t0 = 0; t0 < steps; t0 += UNROLL) {
        float x[UNROLL];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) x[j] = pc.x.d[min(t0 + j, steps - 1) * pc.x_time + i * pc.x_stride];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            if (EXACT || t0 + j < steps) {
                fast = trace(fast, decay_fast, x[j]);
                slow = trace(slow, decay_slow, x[j]);
                pc.y.d[(t0 + j) * n + i] = weighed(fast, slow, w_fast, w_slow);
            }
        }
    }
    pc.last_fast.d[i] = fast;
    pc.last_slow.d[i] = slow;
}
