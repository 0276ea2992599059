#version 460
// z = x a + y b
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC { FloatIn x; FloatIn y; FloatOut z; uint n; float a; float b; } pc;
void main() {
    uint i = GLOBAL_INDEX;
    if (i < pc.n) pc.z.d[i] = pc.x.d[i] * pc.a + pc.y.d[i] * pc.b;
}
