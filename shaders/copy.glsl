#version 460
//! each 4
// Words moved as they are: uploads, readbacks, contiguous copies.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC { UintIn x; UintOut y; uint n; } pc;
uint element(uint i) { return pc.x.d[i]; }

void main() {
    uint first = FIRST_OF(4);
    uint values[4];
    if (first + 768 < pc.n) {
        [[unroll]] for (uint j = 0; j < 4; ++j) values[j] = element(first + j * 256);
        [[unroll]] for (uint j = 0; j < 4; ++j) pc.y.d[first + j * 256] = values[j];
    } else {
        for (uint i = first; i < pc.n; i += 256) pc.y.d[i] = element(i);
    }
}
