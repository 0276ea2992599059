// The sum over the workgroup of 256, the same bits every time; every invocation must come here, and between two sums to a
// barrier.
shared float group_parts[256];
float group_sum(float part) {
    uint i = gl_LocalInvocationIndex;
    group_parts[i] = part;
    [[unroll]] for (uint half_size = 128; half_size > 0; half_size >>= 1) {
        barrier();
        if (i < half_size) group_parts[i] += group_parts[i + half_size];
    }
    return group_parts[0];  // the first invocation wrote it
}
