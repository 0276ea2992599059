#version 460
// Largest element (and its place in the window) or mean of every window over the last two axes.
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
    FloatIn x; FloatOut y; UintOut place; uint n; uint height; uint width; uint out_height; uint out_width;
    uint plane_multiplier; uint plane_shift; uint row_multiplier; uint row_shift; float share;
} pc;

// By its bits: compilers may take isnan() to be false.
bool is_nan(float v) { return (floatBitsToUint(v) & 0x7FFFFFFFu) > 0x7F800000u; }

void main() {
    uint i = GLOBAL_INDEX;
    if (i >= pc.n) return;
    uint line = divide(i, pc.row_multiplier, pc.row_shift);
    uint plane = divide(line, pc.plane_multiplier, pc.plane_shift);
    // In the padding before the image these wrap around, and are too large.
    uint top = (line - plane * pc.out_height) * SH - PH, left = (i - line * pc.out_width) * SW - PW;
    uint first = plane * pc.height * pc.width;
    // What is in the image is larger than padding, -inf too.
    uint place = max(0, -int(top)) * KW + max(0, -int(left));
    float best = uintBitsToFloat(0xFF800000u);
    precise float total = 0.0;
    bool settled = false;
    for (uint a = 0; a < KH; ++a) {
        uint h = top + a;
        if (h >= pc.height) continue;
        for (uint b = 0; b < KW; ++b) {
            uint w = left + b;
            if (w >= pc.width) continue;
            float v = pc.x.d[first + h * pc.width + w];
            if (!LARGEST) {
                total = total + v;
            } else if (!settled && (v > best || is_nan(v))) {
                best = v;
                place = a * KW + b;
                settled = is_nan(v);
            }
        }
    }
    if (LARGEST) {
        pc.y.d[i] = best;
        pc.place.d[i] = place;
    } else {
        pc.y.d[i] = total * pc.share;
    }
}
