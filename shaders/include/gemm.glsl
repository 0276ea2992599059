// The core of every product: a BM x BN tile of results for each workgroup of 256, TM x TN of them for each invocation,
// factors staged through shared memory BK deep. The next tile is fetched into registers while this one is multiplied.
//
// The including shader defines BM, BN, BK, TM, TN, fetch and emit, and tells by A_ALONG_K and B_ALONG_K how neighbouring
// invocations should walk when they fetch, so that they read neighbours.
const uint A_PITCH = BM + 4, B_PITCH = BN + 4;
const uint A_EACH = BM * BK / 256, B_EACH = BN * BK / 256;

shared float a_tile[BK * A_PITCH];
shared float b_tile[BK * B_PITCH];

float acc[TM][TN];
float a_next[A_EACH];
float b_next[B_EACH];

// Where the i-th element that this invocation fetches lies in the tile: (row or column, k).
uvec2 a_place(uint i) {
    uint t = gl_LocalInvocationIndex;
    return A_ALONG_K ? uvec2(t / BK + i * (256 / BK), t % BK) : uvec2(t % BM, t / BM + i * (256 / BM));
}
uvec2 b_place(uint i) {
    uint t = gl_LocalInvocationIndex;
    return B_ALONG_K ? uvec2(t / BK + i * (256 / BK), t % BK) : uvec2(t % BN, t / BN + i * (256 / BN));
}

// Rows and columns of results of this invocation: runs of up to four, so that shared reads are wide and spread.
uint row_of(uint i) {
    uint r = gl_LocalInvocationIndex / (BN / TN);
    return TM < 4 ? r * TM + i : i / 4 * (BM / ((TM + 3) / 4)) + r * 4 + i % 4;
}
uint column_of(uint j) {
    uint c = gl_LocalInvocationIndex % (BN / TN);
#ifdef SPREAD  // neighbours write neighbours: for products whose results outweigh their sums
    return j * (BN / TN) + c;
#endif
    return TN < 4 ? c * TN + j : j / 4 * (BN / ((TN + 3) / 4)) + c * 4 + j % 4;
}

void fetch(uint k0);                            // fills a_next and b_next
void emit(uint row, uint column, float value);  // takes a result at a place in the tile

void multiply(uint k_begin, uint k_end) {
    [[unroll]] for (uint i = 0; i < TM; ++i)
        [[unroll]] for (uint j = 0; j < TN; ++j) acc[i][j] = 0.0;
    fetch(k_begin);
    for (uint k0 = k_begin; k0 < k_end; k0 += BK) {
        barrier();
        [[unroll]] for (uint i = 0; i < A_EACH; ++i) {
            uvec2 p = a_place(i);
            a_tile[p.y * A_PITCH + p.x] = a_next[i];
        }
        [[unroll]] for (uint i = 0; i < B_EACH; ++i) {
            uvec2 p = b_place(i);
            b_tile[p.y * B_PITCH + p.x] = b_next[i];
        }
        barrier();
        if (k0 + BK < k_end) fetch(k0 + BK);
        [[unroll]] for (uint k = 0; k < BK; ++k) {
            float a[TM], b[TN];
            [[unroll]] for (uint i = 0; i < TM; ++i) a[i] = a_tile[k * A_PITCH + row_of(i)];
            [[unroll]] for (uint j = 0; j < TN; ++j) b[j] = b_tile[k * B_PITCH + column_of(j)];
            [[unroll]] for (uint i = 0; i < TM; ++i)
                [[unroll]] for (uint j = 0; j < TN; ++j) acc[i][j] = fma(a[i], b[j], acc[i][j]);
        }
    }
}

void emit_all() {
    [[unroll]] for (uint i = 0; i < TM; ++i)
        [[unroll]] for (uint j = 0; j < TN; ++j) emit(row_of(i), column_of(j), acc[i][j]);
}

uint group_index() { return gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x; }
