#version 460
//! each 4
// y = OP(x) of a float, element by element, x under any strides.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint OP = 0;
layout(constant_id = 1) const uint AXES = 1;
layout(push_constant) uniform PC { FloatIn x; FloatOut y; uint n; uint extents[8]; uint xs[8]; } pc;

float apply(float a) {
    switch (OP) {
        case 0: return -a;
        case 1: return abs(a);
        case 2: return exp(a);
        case 3: return log(a);
        case 4: return sqrt(a);
        case 5: return tanh(clamp(a, -10.0, 10.0));  // some drivers overflow beyond
        case 6: return atan(a);
        case 7: return floor(a);
        case 8: return roundEven(a);
        case 9: return tanh(clamp(a * 0.5, -10.0, 10.0)) * 0.5 + 0.5;
        case 10: return a > 0.0 || a != a ? a : 0.0;
    }
    return a >= 0.0 ? 1.0 : 0.0;
}

float element(uint i) {
    uint rest = i, at = 0;
    [[unroll]] for (uint a = AXES - 1; a > 0; --a) {
        at += rest % pc.extents[a] * pc.xs[a];
        rest /= pc.extents[a];
    }
    return apply(pc.x.d[at + rest * pc.xs[0]]);
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
