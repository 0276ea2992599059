#version 460
// Adam and AdamW over many parameters; the order of operations is that of the composite adam_update.
#include "multi-tensor.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint DECAY = 0;  // 1: added to the gradient, 2: decoupled
layout(push_constant) uniform PC {
    Addresses addresses; Chunks chunks; uint n; float size; float correction; float eps; float decay;
    float beta1; float rest1; float beta2; float rest2;
} pc;
void main() {
    uint group = gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x;
    if (group >= pc.n) return;
    Chunk chunk = pc.chunks.d[group];
    uint row = chunk.tensor * 7;
    Floats at_p = pc.addresses.d[row], to_p = pc.addresses.d[row + 1], at_g = pc.addresses.d[row + 2];
    Floats at_m = pc.addresses.d[row + 3], to_m = pc.addresses.d[row + 4];
    Floats at_v = pc.addresses.d[row + 5], to_v = pc.addresses.d[row + 6];
    uint first = chunk.start + gl_LocalInvocationID.x, end = chunk.start + chunk.count;
    precise float p[EACH], g[EACH], m[EACH], v[EACH];
    // Everything is read before anything is written: the loads may overlap.
    [[unroll]] for (uint k = 0; k < EACH; ++k) {
        uint i = first + k * 256;
        if (i >= end) continue;
        p[k] = at_p.d[i];
        g[k] = at_g.d[i];
        m[k] = at_m.d[i];
        v[k] = at_v.d[i];
    }
    [[unroll]] for (uint k = 0; k < EACH; ++k) {
        uint i = first + k * 256;
        if (i >= end) continue;
        precise float start = p[k], d = g[k];
        if (DECAY == 1) d = d + start * pc.decay;
        if (DECAY == 2) start = start * pc.decay;
        precise float next_m = m[k] * pc.beta1 + d * pc.rest1;
        precise float next_v = v[k] * pc.beta2 + (d * d) * pc.rest2;
        precise float root = sqrt(next_v) * pc.correction + pc.eps;
        precise float result = start - next_m * pc.size / root;
        to_m.d[i] = next_m;
        to_v.d[i] = next_v;
        to_p.d[i] = result;
    }
}
