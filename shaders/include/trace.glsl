// A trace that decays, and rounds of UNROLL steps whose inputs are asked for at once, so that memory is never waited for
// step by step. The order of operations is that of every backend, and `precise` forbids contraction, so that neurons
// behind a synapse emit the same spikes everywhere.
layout(constant_id = 0) const bool EXACT = false;  // T is UNROLL: one round
layout(constant_id = 1) const uint UNROLL = 16;

float trace(float y, float decay, float x) {
    precise float next = y * decay + x;
    return next;
}
