//! each 4
// The end of a shader whose element(i) is y[i] for i < n, as bits: all loads of an invocation come before its stores.
void main() {
    uint first = FIRST_OF(4);
    uint values[4];
    if (first + 768 < pc.n) {
        [[unroll]] for (uint j = 0; j < 4; ++j) values[j] = element(first + j * 256);
        [[unroll]] for (uint j = 0; j < 4; ++j) pc.y.d[first + j * 256] = values[j];
    } else {
        for (uint i = first; i < pc.n; i += 256) pc.y.d[i] = element(i);
    }
}
