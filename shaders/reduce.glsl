#version 460
// Sum, largest element or its index over some axes of a view. A workgroup takes `width` results and one chunk of what is
// reduced; with several chunks a second dispatch takes their results.
#include "common.glsl"
#include "divide.glsl"
#include "lanes.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 1) const uint OP = 0;       // 0 sum, 1 largest element, 2 index of the largest
layout(constant_id = 2) const uint DTYPE = 0;    // 0 float32, 1 int32, 2 uint32
layout(constant_id = 3) const uint AXES = 1;     // how many are reduced
layout(constant_id = 4) const bool PLACED = false;  // x holds the largest of each chunk, `origin` their indices
layout(constant_id = 5) const bool PARTIAL = false;  // of an index: the largest element is kept too
layout(push_constant) uniform PC {
    UintIn x; UintIn origin; UintOut y; UintOut place; uint n; uint count; uint chunk; uint lanes; uint kept; uint shifts;
    uint extents[6]; uint multipliers[6]; uint strides[6];
} pc;  // the reduced axes come first

const uint EACH = 4;  // loads of an invocation in flight

struct Part { uint word, place; };
const Part NOTHING = Part(0, 0xFFFFFFFFu);

// Largest elements are compared as words whose order is that of the numbers: NaN last, both zeros equal.
uint encode(uint word) {
    if (OP == 0 || DTYPE == 2) return word;
    if (DTYPE == 1) return word ^ 0x80000000u;
    if ((word & 0x7FFFFFFFu) > 0x7F800000u) return 0xFFFFFFFFu;
    if (word == 0x80000000u) word = 0;
    return word >> 31 != 0 ? ~word : word | 0x80000000u;
}

uint decode(uint word) {
    if (OP == 0 || DTYPE == 2) return word;
    if (DTYPE == 1) return word ^ 0x80000000u;
    if (word == 0xFFFFFFFFu) return 0x7FC00000u;
    return word >> 31 != 0 ? word & 0x7FFFFFFFu : ~word;
}

Part join(Part a, Part b) {
    if (OP == 0) {
        a.word = DTYPE == 0 ? floatBitsToUint(uintBitsToFloat(a.word) + uintBitsToFloat(b.word)) : a.word + b.word;
        return a;
    }
    if (OP == 1) return Part(max(a.word, b.word), 0);
    return b.word > a.word || (b.word == a.word && b.place < a.place) ? b : a;
}

uint step_of(uint a, inout uint index) {
    uint quotient = divide(index, pc.multipliers[a], pc.shifts >> (5 * a) & 31);
    uint at = (index - quotient * pc.extents[a]) * pc.strides[a];
    index = quotient;
    return at;
}

uint kept_place(uint index) {
    uint at = 0;
    for (uint a = AXES + pc.kept; a-- > AXES;) at += step_of(a, index);
    return at;
}

uint reduced_place(uint index) {
    uint at = 0;
    [[unroll]] for (uint a = AXES - 1; a > 0; --a) at += step_of(a, index);
    return at + index * pc.strides[0];
}

shared uint words[256], places[256];

Part over_lanes(Part part) {
    uint t = gl_LocalInvocationIndex;
    words[t] = part.word;
    if (OP == 2) places[t] = part.place;
    for (uint apart = depth >> 1; apart > 0; apart >>= 1) {
        barrier();
        uint other = t + apart * lane_step();
        if (lane < apart) {
            part = join(part, Part(words[other], OP == 2 ? places[other] : 0));
            words[t] = part.word;
            if (OP == 2) places[t] = part.place;
        }
    }
    return part;
}

Part over_chunk(uint base, uint begin, uint end) {
    Part parts[EACH];
    [[unroll]] for (uint k = 0; k < EACH; ++k) parts[k] = NOTHING;
    for (uint j = begin + lane; j < end; j += EACH * depth) {
        uint word[EACH], from[EACH];
        [[unroll]] for (uint k = 0; k < EACH; ++k) {
            uint at = base + reduced_place(min(j + k * depth, end - 1));
            word[k] = pc.x.d[at];
            from[k] = PLACED ? pc.origin.d[at] : j + k * depth;
        }
        [[unroll]] for (uint k = 0; k < EACH; ++k)
            if (j + k * depth < end) parts[k] = join(parts[k], Part(encode(word[k]), from[k]));
    }
    return join(join(parts[0], parts[2]), join(parts[1], parts[3]));
}

void main() {
    take_lanes(pc.lanes);
    uint group = group_index(), tiles = tiles_of(pc.n), split = group / tiles, splits = (pc.count - 1) / pc.chunk + 1;
    if (split >= splits) return;
    uint i = group % tiles * width + column, begin = split * pc.chunk;
    Part part = NOTHING;
    if (i < pc.n) part = over_chunk(kept_place(i), begin, min(begin + pc.chunk, pc.count));
    part = over_lanes(part);
    if (lane > 0 || i >= pc.n) return;
    uint at = i * splits + split;
    if (OP != 2 || PARTIAL) pc.y.d[at] = decode(part.word);
    if (OP == 2) pc.place.d[at] = part.place;
}
