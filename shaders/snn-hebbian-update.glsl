#version 460
// Hebbian learning in one dispatch: an invocation owns a weight and sums what fired together on its two sides.
#include "common.glsl"
#include "plasticity.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    FloatIn weight; FloatIn pre; FloatIn post; FloatOut next;
    uint steps; uint batch; uint channels; uint outs; uint groups;
    uint height; uint width; uint out_height; uint out_width;
    float rate; float decay;
} pc;

float over_time(uint pre, uint post, uint pre_step, uint post_step) {
    float sum = 0.0;
    for (uint t0 = 0; t0 < pc.steps; t0 += AHEAD) {
        float s[AHEAD], q[AHEAD];
        [[unroll]] for (uint j = 0; j < AHEAD; ++j) {
            uint t = min(t0 + j, pc.steps - 1);
            s[j] = pc.pre.d[t * pre_step + pre];
            q[j] = pc.post.d[t * post_step + post];
        }
        [[unroll]] for (uint j = 0; j < AHEAD; ++j) if (t0 + j < pc.steps) sum += s[j] * q[j];
    }
    return sum;
}

void main() {
    Sides sides = Sides(pc.steps, pc.batch, pc.channels, pc.outs, pc.groups, pc.height, pc.width, pc.out_height, pc.out_width);
    uint i = GLOBAL_INDEX, pre_step = pre_size(sides), post_step = post_size(sides), pre, post;
    if (i >= weight_count(sides)) return;
    uvec4 place = weight_place(sides, i);
    float sum = 0.0;
    for (uint n = 0; n < pc.batch; ++n)
        for (uint y = 0; y < pc.out_height; ++y)
            for (uint x = 0; x < pc.out_width; ++x)
                if (meet(sides, place, n, y, x, pre, post)) sum += over_time(pre, post, pre_step, post_step);
    float w = pc.weight.d[i];
    pc.next.d[i] = (w + sum * pc.rate) - w * pc.decay;
}
