#version 460
// A batch norm for each step: y = slope (x - centre) + shift, backward with outer g added, of x [T, M, C, L] and the table of
// norm-merge.glsl, a row for each of [T, C].
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const bool BACKWARD = false;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn g; Vec4In table; UintOut y; uint n; uint channels; uint extent_multiplier; uint extent_shift;
    uint channels_multiplier; uint channels_shift; uint m_multiplier; uint m_shift;
} pc;

uint element(uint i) {
    uint line = divide(i, pc.extent_multiplier, pc.extent_shift);
    uint sample_ = divide(line, pc.channels_multiplier, pc.channels_shift);
    uint before = sample_ - divide(sample_, pc.m_multiplier, pc.m_shift);  // samples, and no steps
    vec4 row = pc.table.d[line - before * pc.channels];
    float y = (pc.x.d[i] - row.x) * row.y + row.z;
    return floatBitsToUint(BACKWARD ? y + pc.g.d[i] * row.w : y);
}

#include "four.glsl"
