// Layer and root-mean-square normalisation of rows [n, extent], a workgroup's width of them at a time. Rows that fit are
// kept in registers; longer ones are read again for each pass.
#include "common.glsl"
#include "lanes.glsl"
#include "lane-sums.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 1) const bool CENTRED = true;
layout(constant_id = 2) const bool WEIGHTED = false;
layout(constant_id = 3) const bool BIASED = false;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn weight; FloatIn bias; FloatOut y; uint n; uint extent; uint lanes; float eps;
} pc;

const uint EACH = 8;
float x[EACH];

void fetch(uint base, uint first) {
    [[unroll]] for (uint k = 0; k < EACH; ++k) x[k] = pc.x.d[base + min(first + k * depth, pc.extent - 1)];
}

void main() {
    take_lanes(pc.lanes);
    uint i = group_index() * width + column, base = i * pc.extent;
    uint end = i < pc.n ? pc.extent : 0, tile = EACH * depth;
    bool again = pc.extent > tile;
    // Less the row's first element, nothing cancels.
    float centre = CENTRED && end > 0 ? pc.x.d[base] : 0.0, mean = 0.0, part = 0.0;
    if (end > 0) fetch(base, lane);
    if (CENTRED) {
        for (uint first = lane; first < end; first += tile) {
            if (again) fetch(base, first);
            [[unroll]] for (uint k = 0; k < EACH; ++k) if (first + k * depth < end) part += x[k] - centre;
        }
        mean = sum_of_lanes(part) / float(pc.extent);
        part = 0.0;
    }
    for (uint first = lane; first < end; first += tile) {
        if (again) fetch(base, first);
        [[unroll]] for (uint k = 0; k < EACH; ++k) {
            float away = x[k] - centre - mean;
            if (first + k * depth < end) part += away * away;
        }
    }
    float inverse = 1.0 / sqrt(sum_of_lanes(part) / float(pc.extent) + pc.eps);
    for (uint first = lane; first < end; first += tile) {
        if (again) fetch(base, first);
        [[unroll]] for (uint k = 0; k < EACH; ++k) {
            uint j = first + k * depth;
            if (j >= end) continue;
            float y = (x[k] - centre - mean) * inverse;
            if (WEIGHTED) y *= pc.weight.d[j];
            if (BIASED) y += pc.bias.d[j];
            pc.y.d[base + j] = y;
        }
    }
}
