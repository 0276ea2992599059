// One neuron: charge, fire, reset. The order of operations is that of every backend, and `precise` forbids contraction,
// so that spikes are the same everywhere.
layout(constant_id = 0) const uint KIND = 0;  // 0 integrates, 1 leaks with decayed input, 2 leaks with input as it is
layout(constant_id = 1) const bool SOFT = false;
layout(constant_id = 2) const bool LEARNED = false;  // k lies in memory

float charge(float x, float v, float k, float r) {
    precise float h;
    if (KIND == 0) h = v + x;
    else if (KIND == 1) h = v + (x - (v - r)) * k;
    else h = (v - (v - r) * k) + x;
    return h;
}

float fire(float h, float threshold) { return h >= threshold ? 1.0 : 0.0; }

float reset(float h, float s, float threshold, float r) {
    precise float v;
    if (SOFT) v = h - s * threshold;
    else v = (1.0 - s) * h + s * r;
    return v;
}
