#version 460
// y[o, j, i] = x[o, index[j], i]; an index out of range gives zeros and reads nothing.
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    UintIn x; IntIn index; UintOut y; uint n; uint extent; uint picks; uint inner;
    uint inner_multiplier; uint inner_shift; uint picks_multiplier; uint picks_shift;
} pc;

uint element(uint i) {
    uint line = divide(i, pc.inner_multiplier, pc.inner_shift);
    uint outer = divide(line, pc.picks_multiplier, pc.picks_shift);
    uint at = uint(pc.index.d[line - outer * pc.picks]);
    return at < pc.extent ? pc.x.d[(outer * pc.extent + at) * pc.inner + i - line * pc.inner] : 0;
}

#include "four.glsl"
