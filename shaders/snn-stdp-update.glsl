#version 460
// Spike-timing-dependent plasticity in one dispatch: an invocation owns a weight and keeps the traces of the two neurons it
// joins in registers; further invocations write the last traces. Long sums go through products instead (see the kernel).
#include "common.glsl"
#include "plasticity.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 8) const bool GIVEN_PRE = false;
layout(constant_id = 9) const bool GIVEN_POST = false;
layout(constant_id = 10) const bool LOW = false;
layout(constant_id = 11) const bool HIGH = false;
layout(push_constant) uniform PC {
    FloatIn weight; FloatIn pre; FloatIn post; FloatIn trace_pre; FloatIn trace_post;
    FloatOut next; FloatOut last_pre; FloatOut last_post;
    uint steps; uint batch; uint channels; uint outs; uint groups;
    uint height; uint width; uint out_height; uint out_width;
    float k_pre; float k_post; float a_pre; float a_post; float w_min; float w_max;
} pc;

float follow(float trace, float k, float s) {
    precise float next = (trace - trace * k) + s;
    return next;
}

// Sums of tr_pre s_post and of tr_post s_pre over time, where a pixel of pre meets one of post.
vec2 over_time(uint pre, uint post, uint pre_step, uint post_step) {
    float before = GIVEN_PRE ? pc.trace_pre.d[pre] : 0.0, after = GIVEN_POST ? pc.trace_post.d[post] : 0.0;
    vec2 sums = vec2(0.0);
    for (uint t0 = 0; t0 < pc.steps; t0 += AHEAD) {
        float s[AHEAD], q[AHEAD];
        [[unroll]] for (uint j = 0; j < AHEAD; ++j) {
            uint t = min(t0 + j, pc.steps - 1);
            s[j] = pc.pre.d[t * pre_step + pre];
            q[j] = pc.post.d[t * post_step + post];
        }
        [[unroll]] for (uint j = 0; j < AHEAD; ++j) {
            if (t0 + j < pc.steps) {
                before = follow(before, pc.k_pre, s[j]);
                after = follow(after, pc.k_post, q[j]);
                sums += vec2(before * q[j], after * s[j]);
            }
        }
    }
    return sums;
}

void learn(Sides sides, uint i) {
    uvec4 place = weight_place(sides, i);
    uint pre_step = pre_size(sides), post_step = post_size(sides), pre, post;
    vec2 sums = vec2(0.0);
    for (uint n = 0; n < pc.batch; ++n)
        for (uint y = 0; y < pc.out_height; ++y)
            for (uint x = 0; x < pc.out_width; ++x)
                if (meet(sides, place, n, y, x, pre, post)) sums += over_time(pre, post, pre_step, post_step);
    float w = pc.weight.d[i] + (sums.x * pc.a_post - sums.y * pc.a_pre);
    if (LOW) w = w >= pc.w_min || w != w ? w : pc.w_min;
    if (HIGH) w = w <= pc.w_max || w != w ? w : pc.w_max;
    pc.next.d[i] = w;
}

void main() {
    Sides sides = Sides(pc.steps, pc.batch, pc.channels, pc.outs, pc.groups, pc.height, pc.width, pc.out_height, pc.out_width);
    uint i = GLOBAL_INDEX, weights = weight_count(sides), pres = pre_size(sides), posts = post_size(sides);
    if (i < weights) {
        learn(sides, i);
        return;
    }
    i -= weights;
    if (i < pres) {
        float trace = GIVEN_PRE ? pc.trace_pre.d[i] : 0.0;
        for (uint t = 0; t < pc.steps; ++t) trace = follow(trace, pc.k_pre, pc.pre.d[t * pres + i]);
        pc.last_pre.d[i] = trace;
    } else if (i - pres < posts) {
        i -= pres;
        float trace = GIVEN_POST ? pc.trace_post.d[i] : 0.0;
        for (uint t = 0; t < pc.steps; ++t) trace = follow(trace, pc.k_post, pc.post.d[t * posts + i]);
        pc.last_post.d[i] = trace;
    }
}
