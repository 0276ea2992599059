#version 460
//! each 16
// The largest magnitude of an array as bits of a float, and the bits of all mantissas that a half has no room for: what
// products on matrix units need to know. The result must hold zeros; maximum and or do not depend on order.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Info { uint d[]; };
layout(push_constant) uniform PC { UintIn x; Info y; uint n; } pc;

shared uint largest, rest;

void main() {
    if (gl_LocalInvocationIndex == 0) largest = rest = 0;
    barrier();
    uint first = FIRST_OF(16), most = 0, low = 0;
    [[unroll]] for (uint j = 0; j < 16; ++j) {
        uint i = first + j * 256;
        uint word = i < pc.n ? pc.x.d[i] & 0x7FFFFFFFu : 0;
        most = max(most, word);
        low |= word & 0x1FFFu;
    }
    atomicMax(largest, most);
    atomicOr(rest, low);
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        atomicMax(pc.y.d[0], largest);
        atomicOr(pc.y.d[1], rest);
    }
}
