#version 460
//! each 4
// z = x OP y with broadcasting: each operand has its own strides over the axes of z, merged where they form one run.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint OP = 0;
layout(constant_id = 1) const uint DTYPE = 0;  // 0 float32, 1 int32, 2 uint32 and bool
layout(constant_id = 2) const uint AXES = 1;
layout(push_constant) uniform PC {
    UintIn x; UintIn y; UintOut z; uint n;
    uint extents[8]; uint xs[8]; uint ys[8];
} pc;

uint float_op(float a, float b) {
    switch (OP) {
        case 0: return floatBitsToUint(a + b);
        case 1: return floatBitsToUint(a - b);
        case 2: return floatBitsToUint(a * b);
        case 3: return floatBitsToUint(a / b);
        case 4: return floatBitsToUint(a >= b || a != a ? a : b);
        case 5: return floatBitsToUint(a <= b || a != a ? a : b);
        case 6: return uint(a > b);
        case 7: return uint(a >= b);
    }
    return uint(a == b);
}

uint int_op(int a, int b) {
    switch (OP) {
        case 0: return uint(a + b);
        case 1: return uint(a - b);
        case 2: return uint(a * b);
        case 4: return uint(max(a, b));
        case 5: return uint(min(a, b));
        case 6: return uint(a > b);
        case 7: return uint(a >= b);
    }
    return uint(a == b);
}

uint uint_op(uint a, uint b) {
    switch (OP) {
        case 0: return a + b;
        case 1: return a - b;
        case 2: return a * b;
        case 4: return max(a, b);
        case 5: return min(a, b);
        case 6: return uint(a > b);
        case 7: return uint(a >= b);
    }
    return uint(a == b);
}

uint element(uint i) {
    uint rest = i, ax = 0, ay = 0;
    [[unroll]] for (uint a = AXES - 1; a > 0; --a) {
        uint at = rest % pc.extents[a];
        rest /= pc.extents[a];
        ax += at * pc.xs[a];
        ay += at * pc.ys[a];
    }
    uint p = pc.x.d[ax + rest * pc.xs[0]], q = pc.y.d[ay + rest * pc.ys[0]];
    uint r;
    if (DTYPE == 0) r = float_op(uintBitsToFloat(p), uintBitsToFloat(q));
    else if (DTYPE == 1) r = int_op(int(p), int(q));
    else r = uint_op(p, q);
    return r;
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
