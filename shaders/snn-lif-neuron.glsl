#version 460
//! each 4
// One step of leaky neurons with an absolute refractory period; the order of operations is that of every backend.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    FloatIn x; FloatIn v; FloatIn wait; FloatOut s; FloatOut v_next; FloatOut wait_next;
    uint n; float threshold; float decay; float refractory;
} pc;

void finish(uint i, float x, float v, float wait) {
    precise float h = v * pc.decay + x;
    bool resting = wait > 0.0, fires = !resting && h >= pc.threshold;
    float left = wait - 1.0;
    pc.s.d[i] = fires ? 1.0 : 0.0;
    pc.v_next.d[i] = resting || fires ? 0.0 : h;
    pc.wait_next.d[i] = fires ? pc.refractory : left < 0.0 ? 0.0 : left;
}

void main() {
    uint first = FIRST_OF(4);
    float x[4], v[4], wait[4];
    [[unroll]] for (uint j = 0; j < 4; ++j) {
        uint i = min(first + j * 256, pc.n - 1);
        x[j] = pc.x.d[i];
        v[j] = pc.v.d[i];
        wait[j] = pc.wait.d[i];
    }
    [[unroll]] for (uint j = 0; j < 4; ++j) if (first + j * 256 < pc.n) finish(first + j * 256, x[j], v[j], wait[j]);
}
