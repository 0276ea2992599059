#version 460
// Philox4x32-10 (Salmon et al. 2011): one block of four words for each invocation.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC {
    UintOut y; uint n; uint shift; uint key_low; uint key_high; uint stream_low; uint stream_high;
} pc;
void main() {
    uint block = GLOBAL_INDEX;
    if (block * 4 >= pc.n) return;
    uvec4 c = uvec4(block, 0, pc.stream_low, pc.stream_high);
    uvec2 k = uvec2(pc.key_low, pc.key_high);
    for (uint r = 0; r < 10; ++r) {
        uint h0, l0, h1, l1;
        umulExtended(0xD2511F53u, c.x, h0, l0);
        umulExtended(0xCD9E8D57u, c.z, h1, l1);
        c = uvec4(h1 ^ c.y ^ k.x, l1, h0 ^ c.w ^ k.y, l0);
        k += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    for (uint w = 0; w < 4; ++w)
        if (block * 4 + w < pc.n) pc.y.d[block * 4 + w] = c[w] >> pc.shift;
}
