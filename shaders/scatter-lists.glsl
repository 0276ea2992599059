#version 460
// For every e, which j have index[j] == e, in ascending order; one dispatch for each step.
// Atomics hand out places in any order; sorting every list makes the result the same every time.
#include "common.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint STEP = 0;
layout(buffer_reference, std430, buffer_reference_align = 4) restrict buffer Words { uint d[]; };
layout(push_constant) uniform PC {
    IntIn index; Words count; Words next; Words list; Words ordered; uint picks; uint extent; uint longest;
} pc;
shared uint wanted, place;

// count[e]: how many; one more element counts them all below.
void count(uint j) {
    if (j >= pc.picks) return;
    uint at = uint(pc.index.d[j]);
    if (at < pc.extent) atomicAdd(pc.count.d[at], 1);
}

// next[e]: where the list of e begins; lists lie in no particular order.
void allot(uint e) {
    uint size = e < pc.extent ? pc.count.d[e] : 0;
    if (gl_LocalInvocationID.x == 0) wanted = 0;
    barrier();
    uint within = atomicAdd(wanted, size);
    barrier();
    if (gl_LocalInvocationID.x == 0) place = atomicAdd(pc.count.d[pc.extent], wanted);
    barrier();
    if (e < pc.extent) pc.next.d[e] = place + within;
}

// Afterwards next[e] is where the list ends.
void fill(uint j) {
    if (j >= pc.picks) return;
    uint at = uint(pc.index.d[j]);
    if (at < pc.extent) pc.list.d[atomicAdd(pc.next.d[at], 1)] = j;
}

// The rank of each j in its list; lists longer than `longest` are left, since this compares all pairs.
void order(uint k) {
    if (k >= pc.count.d[pc.extent]) return;
    uint j = pc.list.d[k];
    uint at = uint(pc.index.d[j]);
    uint size = pc.count.d[at], end = pc.next.d[at], first = end - size;
    if (size > pc.longest) return;
    uint rank = 0;
    for (uint other = first; other < end; ++other) rank += uint(pc.list.d[other] < j);
    pc.ordered.d[first + rank] = j;
}

void main() {
    uint i = GLOBAL_INDEX;
    if (STEP == 0) count(i);
    if (STEP == 1) allot(i);
    if (STEP == 2) fill(i);
    if (STEP == 3) order(i);
}
