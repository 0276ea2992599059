#version 460
// Every element of the padded array: one of x, or the value around and between them.
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint AXES = 1;
layout(push_constant) uniform PC {
    UintIn x; UintOut y; uint n; uint word; uint shifts;
    uint extents[5]; uint multipliers[5]; uint sources[5]; uint low[5]; uint step[5];
} pc;

uint element(uint i) {
    uint rest = i, at = 0, stride = 1;
    bool inside = true;
    [[unroll]] for (uint a = AXES; a-- > 0;) {
        uint quotient = a == 0 ? 0 : divide(rest, pc.multipliers[a], pc.shifts >> (5 * (a - 1)) & 31);
        uint place = rest - quotient * pc.extents[a];
        rest = quotient;
        inside = inside && place >= pc.low[a];
        place -= pc.low[a];
        if (pc.step[a] > 1) {
            uint whole = place / pc.step[a];
            inside = inside && whole * pc.step[a] == place;
            place = whole;
        }
        inside = inside && place < pc.sources[a];
        at += place * stride;
        stride *= pc.sources[a];
    }
    return inside ? pc.x.d[at] : pc.word;
}

#include "four.glsl"
