#version 460
// Philox4x32-10 (Salmon et al. 2011): one block of four words for each invocation.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(buffer_reference, std430, buffer_reference_align = 16) restrict writeonly buffer Uvec4Out { uvec4 d[]; };
layout(push_constant) uniform PC {
    Uvec4Out y; uint n; uint shift; uint key_low; uint key_high; uint stream_low; uint stream_high;
} pc;
void main() {
    uint block = GLOBAL_INDEX;
    if (block > (pc.n - 1) / 4) return;
    uvec4 c = uvec4(block, 0, pc.stream_low, pc.stream_high);
    uvec2 k = uvec2(pc.key_low, pc.key_high);
    [[unroll]] for (uint r = 0; r < 10; ++r) {
        uint h0, l0, h1, l1;
        umulExtended(0xD2511F53u, c.x, h0, l0);
        umulExtended(0xCD9E8D57u, c.z, h1, l1);
        c = uvec4(h1 ^ c.y ^ k.x, l1, h0 ^ c.w ^ k.y, l0);
        k += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    c >>= pc.shift;
    uint left = pc.n - block * 4;
    if (left >= 4) pc.y.d[block] = c;
    else for (uint w = 0; w < left; ++w) pc.y.d[block][w] = c[w];
}
