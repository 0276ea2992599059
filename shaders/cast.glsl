#version 460
//! each 4
// Elements in another dtype; also the unary ops of integers.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint FROM = 0;  // 0 float32, 1 int32, 2 uint32, 3 bool
layout(constant_id = 1) const uint TO = 0;
layout(constant_id = 2) const uint OP = 0;    // 0 convert, 1 negate, 2 absolute value
layout(constant_id = 3) const uint AXES = 1;
layout(push_constant) uniform PC { UintIn x; UintOut y; uint n; uint extents[8]; uint xs[8]; } pc;

uint convert(uint word) {
    if (OP == 1) return uint(-int(word));
    if (OP == 2) return FROM == 1 ? uint(abs(int(word))) : word;
    if (FROM == TO) return word;
    if (FROM == 0) {
        float a = uintBitsToFloat(word);
        return TO == 1 ? uint(int(a)) : TO == 2 ? uint(a) : uint(a != 0.0);
    }
    if (TO == 3) return uint(word != 0);
    if (TO == 0) return floatBitsToUint(FROM == 1 ? float(int(word)) : float(word));
    return word;
}

uint element(uint i) {
    uint rest = i, at = 0;
    [[unroll]] for (uint a = AXES - 1; a > 0; --a) {
        at += rest % pc.extents[a] * pc.xs[a];
        rest /= pc.extents[a];
    }
    return convert(pc.x.d[at + rest * pc.xs[0]]);
}

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
