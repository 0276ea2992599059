// Sums and maxima over the lanes of a result, known to all of them afterwards; every invocation must come here.
shared float lane_parts[256];

float sum_of_lanes(float part) {
    uint t = gl_LocalInvocationIndex;
    barrier();  // what the last call left has been read
    lane_parts[t] = part;
    for (uint apart = depth >> 1; apart > 0; apart >>= 1) {
        barrier();
        if (lane < apart) lane_parts[t] += lane_parts[t + apart * lane_step()];
    }
    barrier();
    return lane_parts[t - lane * lane_step()];
}

float max_of_lanes(float part) {
    uint t = gl_LocalInvocationIndex;
    barrier();
    lane_parts[t] = part;
    for (uint apart = depth >> 1; apart > 0; apart >>= 1) {
        barrier();
        if (lane < apart) lane_parts[t] = max(lane_parts[t], lane_parts[t + apart * lane_step()]);
    }
    barrier();
    return lane_parts[t - lane * lane_step()];
}
