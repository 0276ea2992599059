#version 460
// Gradient of NeuNorm at w before it is summed over chunks: -sum g x over steps and samples [M], of g [M, C, L] and states
// x [M, L]. A workgroup takes `width` of the n places in [C, L] and one chunk of the samples.
#include "common.glsl"
#include "divide.glsl"
#include "lanes.glsl"
#include "lane-sums.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    FloatIn g; FloatIn x; FloatOut partial; uint n; uint count; uint chunk; uint lanes; uint extent; uint multiplier;
    uint shift;
} pc;

const uint EACH = 4;

void main() {
    take_lanes(pc.lanes);
    uint group = group_index(), tiles = tiles_of(pc.n), split = group / tiles;
    if (split * pc.chunk >= pc.count) return;
    uint i = group % tiles * width + column, place = i - divide(i, pc.multiplier, pc.shift) * pc.extent;
    uint end = i < pc.n ? min((split + 1) * pc.chunk, pc.count) : 0;
    float sums[EACH] = float[EACH](0.0, 0.0, 0.0, 0.0);
    for (uint m = split * pc.chunk + lane; m < end; m += EACH * depth) {
        float g[EACH], x[EACH];
        [[unroll]] for (uint k = 0; k < EACH; ++k) {
            uint at = min(m + k * depth, end - 1);
            g[k] = pc.g.d[at * pc.n + i];
            x[k] = pc.x.d[at * pc.extent + place];
        }
        [[unroll]] for (uint k = 0; k < EACH; ++k) if (m + k * depth < end) sums[k] += g[k] * x[k];
    }
    float sum = sum_of_lanes((sums[0] + sums[2]) + (sums[1] + sums[3]));
    if (lane == 0 && i < pc.n) pc.partial.d[split * pc.n + i] = -sum;
}
