#version 460
// All steps of NeuNorm, a workgroup's width of places [N, L] at a time, lanes along the channels. Spikes of channels that
// fit are kept in registers between the sum and the result; more of them are read again, from a cache.
//
// Forward: x = k x + share sum(s), y = s - w x. Backward, from the last step on: a = k a + (g_states - sum(w g)),
// y = g + share a, and k a at the end.
#include "common.glsl"
#include "divide.glsl"
#include "lanes.glsl"
#include "lane-sums.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 1) const bool BACKWARD = false;
layout(constant_id = 2) const bool WITH_STATES = false;
layout(constant_id = 3) const bool SHARED = false;  // one w for all channels
layout(push_constant) uniform PC {
    FloatIn s; FloatIn start; FloatIn w; FloatOut y; FloatOut states; uint n; uint steps; uint channels; uint extent;
    uint multiplier; uint shift; uint lanes; float k; float share;
} pc;  // backward `start` holds g_states, and `states` takes the gradient at the first state

const uint EACH = 8;
float s[EACH], w[EACH];

void fetch(uint base, uint first) {
    [[unroll]] for (uint j = 0; j < EACH; ++j) s[j] = pc.s.d[base + min(first + j * depth, pc.channels - 1) * pc.extent];
}

void weigh(uint place, uint first) {
    [[unroll]] for (uint j = 0; j < EACH; ++j) {
        w[j] = pc.w.d[(SHARED ? 0 : min(first + j * depth, pc.channels - 1) * pc.extent) + place];
    }
}

float advance(float x, float arriving, float state) {
    precise float following;
    if (!BACKWARD) following = x * pc.k + arriving * pc.share;
    else following = x * pc.k + (WITH_STATES ? state - arriving : -arriving);
    return following;
}

float result(float s, float w, float x) {
    precise float y;
    if (BACKWARD) y = s + x * pc.share;
    else y = s - w * x;
    return y;
}

void main() {
    take_lanes(pc.lanes);
    uint i = group_index() * width + column, image = divide(i, pc.multiplier, pc.shift), place = i - image * pc.extent;
    uint end = i < pc.n ? pc.channels : 0, tile = EACH * depth;
    bool again = pc.channels > tile;
    float x = !BACKWARD && end > 0 ? pc.start.d[i] : 0.0;
    if (end > 0) weigh(place, lane);
    for (uint step_ = 0; step_ < pc.steps; ++step_) {
        uint t = BACKWARD ? pc.steps - 1 - step_ : step_;
        uint base = (t * (pc.n / pc.extent) + image) * pc.channels * pc.extent + place;
        float part = 0.0;
        for (uint first = lane; first < end; first += tile) {
            fetch(base, first);
            if (BACKWARD && again) weigh(place, first);
            [[unroll]] for (uint j = 0; j < EACH; ++j) {
                if (first + j * depth < end) part += BACKWARD ? s[j] * w[j] : s[j];
            }
        }
        if (pc.lanes > 0) part = sum_of_lanes(part);
        x = advance(x, part, WITH_STATES && end > 0 ? pc.start.d[t * pc.n + i] : 0.0);
        if (!BACKWARD && lane == 0 && end > 0) pc.states.d[t * pc.n + i] = x;
        for (uint first = lane; first < end; first += tile) {
            if (again) fetch(base, first);
            if (!BACKWARD && again) weigh(place, first);
            [[unroll]] for (uint j = 0; j < EACH; ++j) {
                uint c = first + j * depth;
                if (c < end) pc.y.d[base + c * pc.extent] = result(s[j], w[j], x);
            }
        }
    }
    if (BACKWARD && lane == 0 && end > 0) pc.states.d[i] = x * pc.k;
}
