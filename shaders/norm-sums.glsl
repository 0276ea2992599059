#version 460
// What batch normalisation needs to know of x [M, C, L], and backward of its gradient g, chunk by chunk. With ALONG a
// result is a channel and its elements are those of axes 0 and 2; else a result is a place in [C, L], to be merged later.
// With STEPPED there is an axis T before the others, and each of its steps has results of its own.
//
// Forward: mean and sum of squared distances from it, both of x less the channel's first element, so that nothing cancels.
// Backward: sums of g, of g (x - mean) and of x - mean, which is not zero: the mean was rounded.
#include "common.glsl"
#include "divide.glsl"
#include "lanes.glsl"
#include "moments.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 1) const bool BACKWARD = false;
layout(constant_id = 2) const bool STEPPED = false;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn g; FloatIn mean; FloatOut partial; uint n; uint count; uint chunk; uint lanes; uint plane;
    uint extent; uint multiplier; uint shift; uint step_multiplier; uint step_shift; uint skip;
} pc;  // a step has that many results, its elements are `skip` more

const uint EACH = 4;  // loads of an invocation in flight, of each array

// Of the j-th element that is added up for one result, from the result's first one.
uint place(uint j) {
    if (!ALONG) return j * pc.plane;
    uint m = divide(j, pc.multiplier, pc.shift);
    return m * pc.plane + (j - m * pc.extent);
}

Moments moments_of(uint base, float centre, uint begin, uint end) {
    if (begin + lane >= end) return NO_MOMENTS;
    float first = 0.0, sum = 0.0, squares = 0.0, count = 0.0;
    for (uint j = begin + lane; j < end; j += EACH * depth) {
        float x[EACH];
        [[unroll]] for (uint k = 0; k < EACH; ++k) x[k] = pc.x.d[base + place(min(j + k * depth, end - 1))] - centre;
        // Less the mean of its first values, the sums of an invocation stay small.
        if (count == 0.0) first = ((x[0] + x[2]) + (x[1] + x[3])) * 0.25;
        [[unroll]] for (uint k = 0; k < EACH; ++k) {
            if (j + k * depth >= end) continue;
            float away = x[k] - first;
            sum += away;
            squares += away * away;
            count += 1.0;
        }
    }
    float rest = squares - sum * (sum / count);
    return Moments(count, first + sum / count, rest < 0.0 ? 0.0 : rest);
}

vec3 products_of(uint base, float centre, uint begin, uint end) {
    vec3 sums[EACH];
    [[unroll]] for (uint k = 0; k < EACH; ++k) sums[k] = vec3(0.0);
    for (uint j = begin + lane; j < end; j += EACH * depth) {
        float x[EACH], g[EACH];
        [[unroll]] for (uint k = 0; k < EACH; ++k) {
            uint at = base + place(min(j + k * depth, end - 1));
            x[k] = pc.x.d[at];
            g[k] = pc.g.d[at];
        }
        [[unroll]] for (uint k = 0; k < EACH; ++k) {
            float away = x[k] - centre;
            if (j + k * depth < end) sums[k] += vec3(g[k], g[k] * away, away);
        }
    }
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

void main() {
    take_lanes(pc.lanes);
    uint group = group_index(), tiles = tiles_of(pc.n), split = group / tiles, splits = (pc.count - 1) / pc.chunk + 1;
    if (split >= splits) return;
    uint i = group % tiles * width + column, begin = split * pc.chunk, end = min(begin + pc.chunk, pc.count);
    bool inside = i < pc.n;
    uint skipped = STEPPED ? divide(i, pc.step_multiplier, pc.step_shift) * pc.skip : 0;
    uint base = (ALONG ? i * pc.extent : i) + skipped;
    uint channel = ALONG ? i : divide(i, pc.multiplier, pc.shift);
    uint at = i * splits + split, size = pc.n * splits;
    if (BACKWARD) {
        vec3 sums = vec3(0.0);
        if (inside) sums = products_of(base, pc.mean.d[channel], begin, end);
        sums = over_lanes(sums);
        if (lane > 0 || !inside) return;
        [[unroll]] for (uint k = 0; k < 3; ++k) pc.partial.d[k * size + at] = sums[k];
    } else {
        Moments all = NO_MOMENTS;
        if (inside) all = moments_of(base, pc.x.d[channel * pc.extent + skipped], begin, end);
        all = over_lanes(all);
        if (lane > 0 || !inside) return;
        pc.partial.d[at] = all.mean;
        pc.partial.d[size + at] = all.squares;
    }
}
