#version 460
// All steps of short-term plasticity, one invocation each, which keeps u and R in registers. Backward is the same, with what
// arrives in place of what is released: whether there was a spike counts as constant.
#include "common.glsl"
#include "trace.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 2) const bool BACKWARD = false;
layout(push_constant) uniform PC {
    FloatIn g; FloatIn x; FloatIn u; FloatIn r; FloatOut y; FloatOut last_u; FloatOut last_r;
    uint n; uint steps; uint g_time; uint g_stride; uint x_time; uint x_stride; uint u_stride; uint r_stride;
    float decay_u; float decay_r; float use;
} pc;

void main() {
    uint i = GLOBAL_INDEX, n = pc.n;
    if (i >= n) return;
    uint steps = EXACT ? UNROLL : pc.steps;
    precise float u = pc.u.d[i * pc.u_stride], r = pc.r.d[i * pc.r_stride];
    for (uint t0 = 0; t0 < steps; t0 += UNROLL) {
        float x[UNROLL], g[UNROLL];
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            uint t = min(t0 + j, steps - 1);
            x[j] = pc.x.d[t * pc.x_time + i * pc.x_stride];
            g[j] = BACKWARD ? pc.g.d[t * pc.g_time + i * pc.g_stride] : x[j];
        }
        [[unroll]] for (uint j = 0; j < UNROLL; ++j) {
            if (EXACT || t0 + j < steps) {
                bool spike = x[j] > 0.0;
                u = u * pc.decay_u;
                r = (r - 1.0) * pc.decay_r + 1.0;
                precise float raised = u + (1.0 - u) * pc.use, released = raised * r, y = g[j] * released;
                if (spike) {
                    u = raised;
                    r = r - released;
                }
                pc.y.d[(t0 + j) * n + i] = spike ? y : 0.0;
            }
        }
    }
    if (!BACKWARD) {
        pc.last_u.d[i] = u;
        pc.last_r.d[i] = r;
    }
}
