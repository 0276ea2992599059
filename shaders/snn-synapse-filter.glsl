#version 460
// All steps of a trace, y = y decay + x, one invocation each, which keeps it in a register. With a delay, the first inputs
// come from the delay line.
#include "common.glsl"
#include "trace.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 2) const bool DELAYED = false;
layout(constant_id = 3) const bool LAST = true;  // the trace after the last step goes to an array of its own
layout(push_constant) uniform PC {
    FloatIn x; FloatIn y; FloatIn decay; FloatIn line; FloatOut traces; FloatOut last;
    uint n; uint steps; uint delay; uint x_time; uint x_stride; uint y_stride; uint line_time; uint line_stride;
} pc;

float input_at(uint t, uint i) {
    if (DELAYED && t < pc.delay) return pc.line.d[t * pc.line_time + i * pc.line_stride];
    return pc.x.d[(DELAYED ? t - pc.delay : t) * pc.x_time + i * pc.x_stride];
}

void main() {
    uint i = GLOBAL_INDEX, n = pc.n;
    if (i >= n) return;
    uint steps = EXACT ? UNROLL : pc.steps;
    float y = pc.y.d[i * pc.y_stride], decay = pc.decay.d[0];
    for (uint t0 = 0; t0 < steps; t0 += UNROLL) {
        float x[UNROLL];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) x[j] = input_at(min(t0 + j, steps - 1), i);
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            if (EXACT || t0 + j < steps) {
                y = trace(y, decay, x[j]);
                pc.traces.d[(t0 + j) * n + i] = y;
            }
        }
    }
    if (LAST) pc.last.d[i] = y;
}
