// The core of every product on matrix units: a 128 x 128 tile of results for each workgroup of 8 subgroups of 32.
//
// float32 factors are scaled by a power of two so that the largest of each array is near 2^14, and split in two halves,
// x = high + low, which keeps 22 bits. high high + high low + low high is summed in float32: an error of the size of
// float32's own. A factor whose values all fit in a half (spikes do) needs no low part.
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

const uint BM = 128, BN = 128, BK = 32;
const uint ALONG_K = BK + 8, ACROSS = 128 + 8;  // pitch of a tile stored along k, or along rows or columns
const uint A_PITCH = A_ALONG_K ? ALONG_K : ACROSS, B_PITCH = B_ALONG_K ? ALONG_K : ACROSS;
const uint A_EACH = BM * BK / 256, B_EACH = BN * BK / 256;

shared float16_t a_high[128 * ALONG_K], a_low[128 * ALONG_K], b_high[128 * ALONG_K], b_low[128 * ALONG_K];
shared float staged[8 * 256];

#define SUM coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>
#define FACTOR_A coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>
#define FACTOR_B coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB>

SUM acc[2][4];
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

void fetch(uint k0);                                  // fills a_next and b_next
void emit(uint row, uint column, float value);        // takes a result at a place in the tile

// 2^14 over the largest magnitude, as a power of two that has an inverse; 1 for arrays of zeros, infinities or NaN.
float scale_of(uint largest) {
    uint exponent = largest >> 23;
    if (exponent == 0 || exponent == 255) return 1.0;
    return uintBitsToFloat(clamp(268u - min(exponent, 267u), 1u, 253u) << 23);
}
// What undoes both scales, in two factors: their product may be beyond what float32 holds, where the result is not.
vec2 inverses_of(float a_scale, float b_scale) {
    int spread = 254 - int(floatBitsToUint(a_scale) >> 23) - int(floatBitsToUint(b_scale) >> 23), first = spread / 2;
    return vec2(uintBitsToFloat(uint(127 + first) << 23), uintBitsToFloat(uint(127 + spread - first) << 23));
}

// The value rounded to what a half holds. Not by conversion and back, which a driver was seen to fold away.
float eleven_bits(float value) { return uintBitsToFloat((floatBitsToUint(value) + 0x1000u) & 0xFFFFE000u); }

void multiply(uint k_begin, uint k_end) {
    float a_scale = scale_of(pc.a_info.d[0]), b_scale = scale_of(pc.b_info.d[0]);
    bool a_exact = pc.a_info.d[1] == 0, b_exact = pc.b_info.d[1] == 0;
    uint row0 = gl_SubgroupID / 2 * 32, column0 = gl_SubgroupID % 2 * 64;
    [[unroll]] for (uint i = 0; i < 2; ++i)
        [[unroll]] for (uint j = 0; j < 4; ++j) acc[i][j] = SUM(0.0);
    fetch(k_begin);
    for (uint k0 = k_begin; k0 < k_end; k0 += BK) {
        barrier();
        [[unroll]] for (uint i = 0; i < A_EACH; ++i) {
            uvec2 p = a_place(i);
            uint at = A_ALONG_K ? p.x * A_PITCH + p.y : p.y * A_PITCH + p.x;
            precise float value = a_next[i] * a_scale, high = eleven_bits(value), low = value - high;
            a_high[at] = float16_t(high);
            if (!a_exact) a_low[at] = float16_t(low);
        }
        [[unroll]] for (uint i = 0; i < B_EACH; ++i) {
            uvec2 p = b_place(i);
            uint at = B_ALONG_K ? p.x * B_PITCH + p.y : p.y * B_PITCH + p.x;
            precise float value = b_next[i] * b_scale, high = eleven_bits(value), low = value - high;
            b_high[at] = float16_t(high);
            if (!b_exact) b_low[at] = float16_t(low);
        }
        barrier();
        if (k0 + BK < k_end) fetch(k0 + BK);
        [[unroll]] for (uint k = 0; k < BK; k += 16) {
            FACTOR_A high[2], low[2];
            [[unroll]] for (uint i = 0; i < 2; ++i) {
                uint row = row0 + i * 16;
                if (A_ALONG_K) {
                    coopMatLoad(high[i], a_high, row * A_PITCH + k, A_PITCH, gl_CooperativeMatrixLayoutRowMajor);
                    if (!a_exact) coopMatLoad(low[i], a_low, row * A_PITCH + k, A_PITCH, gl_CooperativeMatrixLayoutRowMajor);
                } else {
                    coopMatLoad(high[i], a_high, k * A_PITCH + row, A_PITCH, gl_CooperativeMatrixLayoutColumnMajor);
                    if (!a_exact) coopMatLoad(low[i], a_low, k * A_PITCH + row, A_PITCH, gl_CooperativeMatrixLayoutColumnMajor);
                }
            }
            [[unroll]] for (uint j = 0; j < 4; ++j) {
                uint column = column0 + j * 16;
                FACTOR_B right;
                if (!b_exact) {
                    if (B_ALONG_K) coopMatLoad(right, b_low, column * B_PITCH + k, B_PITCH, gl_CooperativeMatrixLayoutColumnMajor);
                    else coopMatLoad(right, b_low, k * B_PITCH + column, B_PITCH, gl_CooperativeMatrixLayoutRowMajor);
                    [[unroll]] for (uint i = 0; i < 2; ++i) acc[i][j] = coopMatMulAdd(high[i], right, acc[i][j]);
                }
                if (B_ALONG_K) coopMatLoad(right, b_high, column * B_PITCH + k, B_PITCH, gl_CooperativeMatrixLayoutColumnMajor);
                else coopMatLoad(right, b_high, k * B_PITCH + column, B_PITCH, gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint i = 0; i < 2; ++i) {
                    if (!a_exact) acc[i][j] = coopMatMulAdd(low[i], right, acc[i][j]);
                    acc[i][j] = coopMatMulAdd(high[i], right, acc[i][j]);
                }
            }
        }
    }
}

void emit_all() {
    vec2 inverses = inverses_of(scale_of(pc.a_info.d[0]), scale_of(pc.b_info.d[0]));
    uint row0 = gl_SubgroupID / 2 * 32, column0 = gl_SubgroupID % 2 * 64;
    [[unroll]] for (uint i = 0; i < 2; ++i) {
        [[unroll]] for (uint j = 0; j < 4; ++j) {
            coopMatStore(acc[i][j], staged, gl_SubgroupID * 256, 16, gl_CooperativeMatrixLayoutRowMajor);
            subgroupBarrier();
            [[unroll]] for (uint e = 0; e < 8; ++e) {
                uint at = e * 32 + gl_SubgroupInvocationID;
                float value = staged[gl_SubgroupID * 256 + at] * inverses.x * inverses.y;
                emit(row0 + i * 16 + at / 16, column0 + j * 16 + at % 16, value);
            }
            subgroupBarrier();
        }
    }
}

uint group_index() { return gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x; }
