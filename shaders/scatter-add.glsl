#version 460
// y[o, e, i] = x[o, e, i] + sum of src[o, j, i] where index[j] == e, in the order of j: the same bits every time.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint DTYPE = 0;
layout(push_constant) uniform PC {
    UintIn x; IntIn index; UintIn src; UintOut y; uint n; uint extent; uint picks; uint inner;
} pc;
void main() {
    uint i = GLOBAL_INDEX;
    if (i >= pc.n) return;
    uint within = i % pc.inner, at = i / pc.inner % pc.extent, outer = i / pc.inner / pc.extent;
    uint total = pc.x.d[i];
    for (uint j = 0; j < pc.picks; ++j) {
        if (uint(pc.index.d[j]) != at) continue;
        uint word = pc.src.d[(outer * pc.picks + j) * pc.inner + within];
        if (DTYPE == 0) total = floatBitsToUint(uintBitsToFloat(total) + uintBitsToFloat(word));
        else if (DTYPE == 3) total |= word;
        else total += word;
    }
    pc.y.d[i] = total;
}
