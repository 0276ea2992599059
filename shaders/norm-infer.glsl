#version 460
//! each 4
// y = (x - mean) / sqrt(var + eps) weight + bias of x [M, C, L], all others [C].
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const bool WEIGHT = false;
layout(constant_id = 1) const bool BIAS = false;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn mean; FloatIn var; FloatIn weight; FloatIn bias; FloatOut y;
    uint n; uint channels; float eps; uint extent_multiplier; uint extent_shift; uint channels_multiplier; uint channels_shift;
} pc;

float element(uint i) {
    uint line = divide(i, pc.extent_multiplier, pc.extent_shift);
    uint c = line - divide(line, pc.channels_multiplier, pc.channels_shift) * pc.channels;
    float scale = 1.0 / sqrt(pc.var.d[c] + pc.eps);
    if (WEIGHT) scale *= pc.weight.d[c];
    float y = (pc.x.d[i] - pc.mean.d[c]) * scale;
    return BIAS ? y + pc.bias.d[c] : y;
}

void main() {
    uint first = FIRST_OF(4);
    float values[4];
    if (first + 768 < pc.n) {
        [[unroll]] for (uint j = 0; j < 4; ++j) values[j] = element(first + j * 256);
        [[unroll]] for (uint j = 0; j < 4; ++j) pc.y.d[first + j * 256] = values[j];
    } else {
        for (uint i = first; i < pc.n; i += 256) pc.y.d[i] = element(i);
    }
}
