#version 460
// Gradient of pool.glsl: every element of the image adds up what the windows over it pass back to it, in the order of places.
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const bool LARGEST = true;
layout(constant_id = 1) const uint KH = 1;
layout(constant_id = 2) const uint KW = 1;
layout(constant_id = 3) const uint SH = 1;
layout(constant_id = 4) const uint SW = 1;
layout(constant_id = 5) const uint PH = 0;
layout(constant_id = 6) const uint PW = 0;
layout(push_constant) uniform PC {
    FloatIn g; UintIn place; UintOut y; uint n; uint height; uint width; uint out_height; uint out_width;
    uint plane_multiplier; uint plane_shift; uint row_multiplier; uint row_shift; float share;
} pc;

uint element(uint i) {
    uint line = divide(i, pc.row_multiplier, pc.row_shift);
    uint plane = divide(line, pc.plane_multiplier, pc.plane_shift);
    uint h = line - plane * pc.height + PH, w = i - line * pc.width + PW;
    uint first = plane * pc.out_height * pc.out_width;
    precise float total = 0.0;
    // Row a of the window in row (h - a) / SH of windows; rows before the first wrap around, and are too large.
    for (uint a = h % SH, row = h / SH; a < KH; a += SH, --row) {
        if (row >= pc.out_height) continue;
        for (uint b = w % SW, column = w / SW; b < KW; b += SW, --column) {
            if (column >= pc.out_width) continue;
            uint at = first + row * pc.out_width + column;
            if (!LARGEST) {
                precise float part = pc.g.d[at] * pc.share;
                total = total + part;
            } else if (pc.place.d[at] == a * KW + b) {
                total = total + pc.g.d[at];
            }
        }
    }
    return floatBitsToUint(total);
}

#include "four.glsl"
