#version 460
// From the chunks of norm-sums.glsl to one result for each channel (of each step), and a table for norm-apply.glsl and
// snn-bn-through-time.glsl: centre, slope, shift and (backward) outer of y = outer g + slope (x - centre) + shift.
#include "common.glsl"
#include "divide.glsl"
#include "lanes.glsl"
#include "moments.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 1) const bool BACKWARD = false;
layout(constant_id = 2) const bool WEIGHTED = false;
layout(constant_id = 3) const bool BIASED = false;
layout(constant_id = 4) const bool STEPPED = false;
layout(push_constant) uniform PC {
    FloatIn partial; FloatIn centres; FloatIn var; FloatIn weight; FloatIn bias;  // forward the centres lie in x
    Vec4Out table; FloatOut first; FloatOut second; uint n; uint extent; uint places; uint splits; uint count; uint chunk;
    uint lanes; uint multiplier; uint shift; uint skip; float eps; float total;
} pc;

void forward(uint c, Moments all) {
    uint skipped = STEPPED ? divide(c, pc.multiplier, pc.shift) * pc.skip : 0;
    float centre = pc.centres.d[c * pc.extent + skipped], variance = all.squares / pc.total;
    float slope = (WEIGHTED ? pc.weight.d[c] : 1.0) / sqrt(variance + pc.eps);
    pc.first.d[c] = centre + all.mean;
    pc.second.d[c] = variance;
    pc.table.d[c] = vec4(centre, slope, (BIASED ? pc.bias.d[c] : 0.0) - all.mean * slope, 0.0);
}

void backward(uint c, vec3 sums) {
    float inverse = 1.0 / sqrt(pc.var.d[c] + pc.eps), outer = (WEIGHTED ? pc.weight.d[c] : 1.0) * inverse;
    float rest = sums.z / pc.total, along = (sums.y - rest * sums.x) * inverse;
    float slope = -outer * inverse * along / pc.total;
    pc.first.d[c] = along;
    pc.second.d[c] = sums.x;
    pc.table.d[c] = vec4(pc.centres.d[c], slope, -outer * sums.x / pc.total - slope * rest, outer);
}

void main() {
    take_lanes(pc.lanes);
    uint c = group_index() * width + column, each = pc.places * pc.splits, size = pc.n * each;
    bool inside = c < pc.n;
    vec3 sums = vec3(0.0);
    Moments all = NO_MOMENTS;
    for (uint e = lane; inside && e < each; e += depth) {
        uint at = c * each + e;
        if (BACKWARD) {
            sums += vec3(pc.partial.d[at], pc.partial.d[size + at], pc.partial.d[2 * size + at]);
        } else {
            uint begin = e % pc.splits * pc.chunk;
            float count = float(min(pc.chunk, pc.count - begin));
            all = join(all, Moments(count, pc.partial.d[at], pc.partial.d[size + at]));
        }
    }
    if (BACKWARD) {
        sums = over_lanes(sums);
        if (lane == 0 && inside) backward(c, sums);
    } else {
        all = over_lanes(all);
        if (lane == 0 && inside) forward(c, all);
    }
}
