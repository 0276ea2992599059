#version 460
// y[o, j, i] = x[o, index[j], i]; an index out of range gives zeros and reads nothing.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(push_constant) uniform PC { UintIn x; IntIn index; UintOut y; uint n; uint extent; uint picks; uint inner; } pc;
void main() {
    uint i = GLOBAL_INDEX;
    if (i >= pc.n) return;
    uint within = i % pc.inner, pick = i / pc.inner % pc.picks, outer = i / pc.inner / pc.picks;
    uint at = uint(pc.index.d[pick]);
    pc.y.d[i] = at < pc.extent ? pc.x.d[(outer * pc.extent + at) * pc.inner + within] : 0;
}
