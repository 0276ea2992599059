#version 460
//! each 4
// z = c ? x : y with broadcasting.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint AXES = 1;
layout(push_constant) uniform PC {
    UintIn c; UintIn x; UintIn y; UintOut z; uint n;
    uint extents[5]; uint cs[5]; uint xs[5]; uint ys[5];
} pc;
uint element(uint i) {
    uint rest = i, ac = 0, ax = 0, ay = 0;
    [[unroll]] for (uint a = AXES - 1; a > 0; --a) {
        uint at = rest % pc.extents[a];
        rest /= pc.extents[a];
        ac += at * pc.cs[a];
        ax += at * pc.xs[a];
        ay += at * pc.ys[a];
    }
    bool choice = pc.c.d[ac + rest * pc.cs[0]] != 0;
    return choice ? pc.x.d[ax + rest * pc.xs[0]] : pc.y.d[ay + rest * pc.ys[0]];
}

void main() {
    uint first = FIRST_OF(4);
    uint values[4];
    if (first + 768 < pc.n) {
        [[unroll]] for (uint j = 0; j < 4; ++j) values[j] = element(first + j * 256);
        [[unroll]] for (uint j = 0; j < 4; ++j) pc.z.d[first + j * 256] = values[j];
    } else {
        for (uint i = first; i < pc.n; i += 256) pc.z.d[i] = element(i);
    }
}
