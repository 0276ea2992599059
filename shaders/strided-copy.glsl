#version 460
// A strided view made row-major.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC { UintIn x; UintOut y; uint n; uint axes; uint extents[8]; uint strides[8]; } pc;
void main() {
    uint i = GLOBAL_INDEX;
    if (i >= pc.n) return;
    uint rest = i, at = 0;
    for (uint a = pc.axes; a-- > 0;) {
        at += rest % pc.extents[a] * pc.strides[a];
        rest /= pc.extents[a];
    }
    pc.y.d[i] = pc.x.d[at];
}
