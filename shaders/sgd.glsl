#version 460
// Stochastic gradient descent over many parameters; the order of operations is that of the composite sgd_update.
#include "multi-tensor.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const bool MOMENTUM = false;
layout(constant_id = 1) const bool NESTEROV = false;
layout(constant_id = 2) const bool DECAY = false;
layout(push_constant) uniform PC {
    Addresses addresses; Chunks chunks; uint n; float rate; float momentum; float decay;
} pc;
void main() {
    uint group = gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x;
    if (group >= pc.n) return;
    Chunk chunk = pc.chunks.d[group];
    uint row = chunk.tensor * (MOMENTUM ? 5 : 3);
    Floats at_p = pc.addresses.d[row], to_p = pc.addresses.d[row + 1], at_g = pc.addresses.d[row + 2];
    uint first = chunk.start + gl_LocalInvocationID.x, end = chunk.start + chunk.count;
    precise float p[EACH], g[EACH], m[EACH];
    // Everything is read before anything is written: the loads may overlap.
    [[unroll]] for (uint k = 0; k < EACH; ++k) {
        uint i = first + k * 256;
        if (i >= end) continue;
        p[k] = at_p.d[i];
        g[k] = at_g.d[i];
        if (MOMENTUM) m[k] = pc.addresses.d[row + 3].d[i];
    }
    [[unroll]] for (uint k = 0; k < EACH; ++k) {
        uint i = first + k * 256;
        if (i >= end) continue;
        precise float d = g[k];
        if (DECAY) d = d + p[k] * pc.decay;
        if (MOMENTUM) {
            precise float next = m[k] * pc.momentum + d;
            pc.addresses.d[row + 4].d[i] = next;
            d = NESTEROV ? d + next * pc.momentum : next;
        }
        precise float result = p[k] - d * pc.rate;
        to_p.d[i] = result;
    }
}
