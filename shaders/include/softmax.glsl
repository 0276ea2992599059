// Softmax, its logarithm and their gradients along the middle axis of [outer, extent, inner]; a row is what sums to 1.
// Rows that fit are kept in registers; longer ones are read again for each pass.
#include "common.glsl"
#include "divide.glsl"
#include "lanes.glsl"
#include "lane-sums.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 1) const bool BACKWARD = false;
layout(constant_id = 2) const bool LOGARITHM = false;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn y; FloatOut target; uint n; uint extent; uint lanes; uint inner; uint multiplier; uint shift;
} pc;  // backward x is the gradient of y

const uint EACH = 8;
const float LOWEST = -3.402823466e38;  // finite: -inf less -inf is NaN, which only a row of -inf may give
float x[EACH], y[EACH];
uint base, end;

uint place(uint j) { return base + j * pc.inner; }

void fetch(uint first) {
    [[unroll]] for (uint k = 0; k < EACH; ++k) {
        uint at = place(min(first + k * depth, pc.extent - 1));
        x[k] = pc.x.d[at];
        if (BACKWARD) y[k] = pc.y.d[at];
    }
}

float term(uint k, float most) {
    if (!BACKWARD) return exp(x[k] - most);
    return LOGARITHM ? x[k] : x[k] * y[k];
}

float result(uint k, float most, float sum, float other) {
    if (!BACKWARD) return LOGARITHM ? x[k] - most - other : exp(x[k] - most) * other;
    return LOGARITHM ? x[k] - exp(y[k]) * sum : y[k] * (x[k] - sum);
}

void main() {
    take_lanes(pc.lanes);
    uint i = group_index() * width + column, tile = EACH * depth;
    base = i + divide(i, pc.multiplier, pc.shift) * ((pc.extent - 1) * pc.inner);
    end = i < pc.n ? pc.extent : 0;
    bool again = pc.extent > tile;
    float most = LOWEST, part = 0.0;
    if (end > 0) fetch(lane);
    if (!BACKWARD) {
        for (uint first = lane; first < end; first += tile) {
            if (again) fetch(first);
            [[unroll]] for (uint k = 0; k < EACH; ++k) if (first + k * depth < end) most = max(most, x[k]);
        }
        most = max_of_lanes(most);
    }
    for (uint first = lane; first < end; first += tile) {
        if (again) fetch(first);
        [[unroll]] for (uint k = 0; k < EACH; ++k) if (first + k * depth < end) part += term(k, most);
    }
    float sum = sum_of_lanes(part), other = LOGARITHM ? log(sum) : 1.0 / sum;
    for (uint first = lane; first < end; first += tile) {
        if (again) fetch(first);
        [[unroll]] for (uint k = 0; k < EACH; ++k) {
            uint j = first + k * depth;
            if (j < end) pc.target.d[place(j)] = result(k, most, sum, other);
        }
    }
}
