#version 460
// Sum, maximum or index of the maximum over some axes of a view: one invocation for each result.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint OP = 0;     // 0 sum, 1 maximum, 2 index of the maximum
layout(constant_id = 1) const uint DTYPE = 0;  // 0 float32, 1 int32, 2 uint32
layout(push_constant) uniform PC {
    UintIn x; UintOut y; uint n; uint count; uint kept; uint reduced;
    uint extents[8]; uint strides[8];
} pc;  // the kept axes come first

bool larger(uint a, uint b) {
    if (DTYPE == 0) {
        float p = uintBitsToFloat(a), q = uintBitsToFloat(b);
        return p > q || (p != p && q == q);
    }
    return DTYPE == 1 ? int(a) > int(b) : a > b;
}

uint place(uint index, uint first, uint axes) {
    uint at = 0;
    for (uint a = first + axes; a-- > first;) {
        at += index % pc.extents[a] * pc.strides[a];
        index /= pc.extents[a];
    }
    return at;
}

void main() {
    uint i = GLOBAL_INDEX;
    if (i >= pc.n) return;
    uint base = place(i, 0, pc.kept);
    if (OP == 0) {
        float total = 0.0;
        uint whole = 0;
        for (uint j = 0; j < pc.count; ++j) {
            uint word = pc.x.d[base + place(j, pc.kept, pc.reduced)];
            if (DTYPE == 0) total += uintBitsToFloat(word);
            else whole += word;
        }
        pc.y.d[i] = DTYPE == 0 ? floatBitsToUint(total) : whole;
        return;
    }
    uint best = pc.x.d[base], at = 0;
    for (uint j = 1; j < pc.count; ++j) {
        uint word = pc.x.d[base + place(j, pc.kept, pc.reduced)];
        if (larger(word, best)) {
            best = word;
            at = j;
        }
    }
    pc.y.d[i] = OP == 1 ? best : at;
}
