#version 460
// Of every row of x [R, K] the sum and the largest element (NaN is largest); backward the sum of g x and how many elements
// are `top`. A workgroup takes `width` rows and one chunk of each.
#include "common.glsl"
#include "lanes.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 1) const bool BACKWARD = false;
layout(push_constant) uniform PC {
    FloatIn g; FloatIn x; FloatIn top; FloatOut first; FloatOut second; uint n; uint count; uint chunk; uint lanes;
} pc;

const uint EACH = 4;  // loads of an invocation in flight
#define LEAST uintBitsToFloat(0xFF800000u)

bool is_nan(float v) { return (floatBitsToUint(v) & 0x7FFFFFFFu) > 0x7F800000u; }

// The second of two results joined: a count, or a largest element.
float join(float a, float b) {
    if (BACKWARD) return a + b;
    return is_nan(a) || a > b ? a : b;
}

shared float sums[256], seconds[256];

void main() {
    take_lanes(pc.lanes);
    uint t = gl_LocalInvocationIndex, tiles = tiles_of(pc.n), splits = (pc.count - 1) / pc.chunk + 1;
    uint split = group_index() / tiles, row = group_index() % tiles * width + column;
    if (split >= splits) return;
    uint base = row * pc.count, end = row < pc.n ? min((split + 1) * pc.chunk, pc.count) : 0;
    float top = BACKWARD && row < pc.n ? pc.top.d[row] : 0.0;
    float sum[EACH] = float[EACH](0.0, 0.0, 0.0, 0.0), second = BACKWARD ? 0.0 : LEAST;
    for (uint j = split * pc.chunk + lane; j < end; j += EACH * depth) {
        float x[EACH], g[EACH];
        [[unroll]] for (uint k = 0; k < EACH; ++k) {
            uint at = base + min(j + k * depth, end - 1);
            x[k] = pc.x.d[at];
            g[k] = BACKWARD ? pc.g.d[at] : 1.0;
        }
        [[unroll]] for (uint k = 0; k < EACH; ++k) {
            if (j + k * depth >= end) continue;
            sum[k] += g[k] * x[k];
            second = join(second, BACKWARD ? float(x[k] == top) : x[k]);
        }
    }
    sums[t] = (sum[0] + sum[2]) + (sum[1] + sum[3]);
    seconds[t] = second;
    for (uint apart = depth >> 1; apart > 0; apart >>= 1) {
        barrier();
        if (lane < apart) {
            sums[t] += sums[t + apart * lane_step()];
            seconds[t] = join(seconds[t], seconds[t + apart * lane_step()]);
        }
    }
    if (lane > 0 || row >= pc.n) return;
    pc.first.d[row * splits + split] = sums[t];
    pc.second.d[row * splits + split] = seconds[t];
}
