#version 460
// y[o, e, i] = x[o, e, i] + sum of src[o, j, i] where index[j] == e, in the order of j: the same bits every time.
#include "common.glsl"
#include "divide.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint DTYPE = 0;
layout(constant_id = 1) const bool LISTED = false;  // scatter-lists.glsl has gathered the j of every e
layout(constant_id = 2) const bool SPREAD = false;  // x is one element seen everywhere
layout(push_constant) uniform PC {
    UintIn x; IntIn index; UintIn src; UintIn count; UintIn next; UintIn ordered; UintOut y;
    uint n; uint extent; uint picks; uint inner; uint longest;
    uint inner_multiplier; uint inner_shift; uint extent_multiplier; uint extent_shift;
} pc;

uint add(uint a, uint b) {
    if (DTYPE == 0) return floatBitsToUint(uintBitsToFloat(a) + uintBitsToFloat(b));
    return DTYPE == 3 ? a | b : a + b;
}

void main() {
    uint i = GLOBAL_INDEX;
    if (i >= pc.n) return;
    uint line = divide(i, pc.inner_multiplier, pc.inner_shift);
    uint outer = divide(line, pc.extent_multiplier, pc.extent_shift);
    uint at = line - outer * pc.extent;
    uint first = outer * pc.picks * pc.inner + i - line * pc.inner;
    uint total = pc.x.d[SPREAD ? 0 : i];
    uint size = LISTED ? pc.count.d[at] : 0;
    if (LISTED && size <= pc.longest) {
        uint end = pc.next.d[at];
        for (uint k = end - size; k < end; ++k) total = add(total, pc.src.d[first + pc.ordered.d[k] * pc.inner]);
    } else {
        for (uint j = 0; j < pc.picks; ++j)
            if (uint(pc.index.d[j]) == at) total = add(total, pc.src.d[first + j * pc.inner]);
    }
    pc.y.d[i] = total;
}
