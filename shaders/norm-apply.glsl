#version 460
//! each 4
// y = slope (x - centre) + shift, backward with outer g added, of x [M, C, L] and the table of norm-merge.glsl.
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const bool BACKWARD = false;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn g; Vec4In table; FloatOut y; uint n; uint channels; uint extent_multiplier; uint extent_shift;
    uint channels_multiplier; uint channels_shift;
} pc;

float element(uint i) {
    uint line = divide(i, pc.extent_multiplier, pc.extent_shift);
    uint c = line - divide(line, pc.channels_multiplier, pc.channels_shift) * pc.channels;
    vec4 row = pc.table.d[c];
    float y = (pc.x.d[i] - row.x) * row.y + row.z;
    return BACKWARD ? y + pc.g.d[i] * row.w : y;
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
