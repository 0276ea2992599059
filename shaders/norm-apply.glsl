#version 460
//! each 4
// y = slope (x - centre) + shift, backward with outer g added, of x [M, C, L] and a table [4, C].
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const bool BACKWARD = false;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn g; FloatIn table; FloatOut y; uint n; uint channels; uint extent_multiplier; uint extent_shift;
    uint channels_multiplier; uint channels_shift;
} pc;

float element(uint i) {
    uint line = divide(i, pc.extent_multiplier, pc.extent_shift);
    uint c = line - divide(line, pc.channels_multiplier, pc.channels_shift) * pc.channels;
    float y = (pc.x.d[i] - pc.table.d[c]) * pc.table.d[pc.channels + c] + pc.table.d[2 * pc.channels + c];
    return BACKWARD ? y + pc.g.d[i] * pc.table.d[3 * pc.channels + c] : y;
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
