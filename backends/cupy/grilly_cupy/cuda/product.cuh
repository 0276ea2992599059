// Products of float32 on tensor cores: BM x BN results for each block of 256 threads, a chunk of 32 of k at a time.
//
// Each factor is scaled by a power of two, so that the largest of the block's tile so far is near 2^14, and split in two
// halves, x = high + low, which keep 22 bits: high high + high low + low high. Where a factor of a chunk has no low parts, as
// spikes have none, a product is skipped. The units add by truncation: every second chunk, and where a scale changes, what
// they added up is added to the sum by a rounded addition.
#pragma once
#include "common.cuh"
#ifndef WARPS_M  // BM = 16 WARPS_M TILES_M, BN = 8 (8 / WARPS_M) TILES_N
#define WARPS_M 2
#define TILES_M 4
#define TILES_N 4
#endif
#define WARPS_N (8 / WARPS_M)
#define BM (16 * WARPS_M * TILES_M)
#define BN (8 * WARPS_N * TILES_N)
#define BK 32
#define A_EACH (BM * 8 / 256)  // fours of k that a thread fetches of each factor
#define B_EACH (BN * 8 / 256)
#define EACH_SUM(i, j, e) _Pragma("unroll") for (int i = 0; i < TILES_M; ++i) \
    _Pragma("unroll") for (int j = 0; j < TILES_N; ++j) _Pragma("unroll") for (int e = 0; e < 4; ++e)

struct alignas(16) Four {
    float at[4];
};
struct alignas(8) Pairs {
    unsigned at[2];  // of halves
};
typedef float Sums[TILES_M][TILES_N][4];

#ifdef __CUDACC__
// d += a b of 16 x 8 x 16 elements for each of a row of tiles, spread over a warp as mma.m16n8k16 wants them.
__device__ inline void multiply_row(float (&d)[TILES_N][4], const unsigned (&a)[4], const unsigned (&b)[TILES_N][2]) {
#pragma unroll
    for (int j = 0; j < TILES_N; ++j) {
        asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(d[j][0]), "+f"(d[j][1]), "+f"(d[j][2]), "+f"(d[j][3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[j][0]), "r"(b[j][1]));
    }
}
__device__ inline unsigned halves(float first, float second) {
    unsigned pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}
__device__ inline void floats(unsigned pair, float& first, float& second) {
    asm("{.reg .b16 x, y; mov.b32 {x, y}, %2; cvt.f32.f16 %0, x; cvt.f32.f16 %1, y;}" : "=f"(first), "=f"(second) : "r"(pair));
}
// Four matrices of 8 x 8 halves, each row where one lane says; a lane gets two neighbours of row lane / 4 of each.
__device__ inline void load_matrices(unsigned (&out)[4], const Pairs* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}
#endif

// 2^14 over the largest magnitude, as the exponent (with its bias) of a power of two that has an inverse; of zeros any.
__device__ inline int scale_of(unsigned largest) {
    int exponent = 268 - (int)(largest >> 23);
    return exponent > 253 ? 253 : exponent;
}
__device__ inline float power(int exponent) { return __uint_as_float((unsigned)exponent << 23); }

// In the range of halves; what is no number is somewhere in it.
__device__ inline float within(float x) { return fminf(fmaxf(x, -65504.0f), 65504.0f); }

// Two numbers in two halves each. What is infinite has a finite high part and an infinite low one, which then meets high
// parts alone: an infinite high part would meet low ones, which may be 0 or of the other sign.
__device__ inline void split(float first, float second, float scale, unsigned& high, unsigned& low) {
    float one, two;
    first *= scale, second *= scale;
    high = halves(within(first), within(second));
    floats(high, one, two);
    low = halves(first - one, second - two);
}

// The bits of the largest magnitude; that of what is finite, where asked.
template <bool FINITE, int EACH> __device__ inline unsigned largest_of(const Four (&x)[EACH]) {
    float most = 0.0f;
#pragma unroll
    for (int i = 0; i < EACH; ++i)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            float size = fabsf(x[i].at[e]);
            most = fmaxf(most, FINITE && !(size <= 3.4028234e38f) ? 0.0f : size);
        }
    return __reduce_max_sync(0xFFFFFFFFu, __float_as_uint(most));
}

// Where a tile keeps eight neighbouring halves of a line, 0 to 3 the high ones of a chunk, 4 to 7 the low ones: in an order in
// which neither reading eight lines nor writing one meets a bank twice.
__device__ inline int place(int line, int eight) {
    return (line * 8 + (eight ^ ((line & 1) << 2 | line & 2 | line >> 2 & 1))) * 2;
}

// Where a thread's i-th four belongs, of a factor whose neighbours in memory follow k, and of one whose neighbours are lines.
template <int LINES> struct AlongK {
    static __device__ inline int line(int i) { return threadIdx.x / 8 + i * 32; }
    static __device__ inline int quad(int) { return threadIdx.x % 8; }
};
template <int LINES> struct Across {
    static __device__ inline int line(int) { return threadIdx.x % LINES; }
    static __device__ inline int quad(int i) { return threadIdx.x / LINES + i * (256 / LINES); }
};

// What a block knows of a factor, for three chunks in turn: the largest magnitude, and whether there are low parts.
struct Known {
    unsigned largest[3];
    int inexact[3];

    template <int EACH> __device__ inline void note(const Four (&x)[EACH], int slot, unsigned before) {
        unsigned most = largest_of<false>(x);
        if (most >= 0x7F800000u) most = largest_of<true>(x);
        if (threadIdx.x % 32 == 0 && most > before) atomicMax(&largest[slot], most);
    }
    template <class Order, int EACH>
    __device__ inline void keep(const Four (&x)[EACH], Pairs* tile, int slot, float scale) {
        unsigned any = 0;
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            int line = Order::line(i), quad = Order::quad(i);
            Pairs high, low;
            split(x[i].at[0], x[i].at[1], scale, high.at[0], low.at[0]);
            split(x[i].at[2], x[i].at[3], scale, high.at[1], low.at[1]);
            any |= low.at[0] | low.at[1];
            tile[place(line, quad / 2) + quad % 2] = high;
            tile[place(line, 4 + quad / 2) + quad % 2] = low;
        }
        if (any & 0x7FFF7FFFu) inexact[slot] = 1;
    }
};
__shared__ Known a_known, b_known;
#ifdef __CUDACC__
extern __shared__ Four shared_tiles[];  // more than a block gets unasked
#else
static Four shared_tiles[2 * (BM + BN) * 8];
#endif
__device__ inline Pairs* a_tile(int which) { return (Pairs*)shared_tiles + which * BM * 16; }
__device__ inline Pairs* b_tile(int which) { return (Pairs*)shared_tiles + (2 * BM + which * BN) * 16; }

// What a warp reads of half a chunk.
struct Fragments {
    unsigned a_high[TILES_M][4], a_low[TILES_M][4], b_high[TILES_N][2], b_low[TILES_N][2];

    __device__ inline void load(int tile, int half) {
        int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        int row = warp % WARPS_M * TILES_M * 16 + lane % 16, column = warp / WARPS_M * TILES_N * 8 + lane % 8;
#pragma unroll
        for (int j = 0; j < TILES_N; ++j) {
            unsigned both[4];
            load_matrices(both, b_tile(tile) + place(column + j * 8, half * 2 + lane / 8 % 2 + lane / 16 * 4));
            b_high[j][0] = both[0], b_high[j][1] = both[1], b_low[j][0] = both[2], b_low[j][1] = both[3];
        }
#pragma unroll
        for (int i = 0; i < TILES_M; ++i) {
            load_matrices(a_high[i], a_tile(tile) + place(row + i * 16, half * 2 + lane / 16));
            load_matrices(a_low[i], a_tile(tile) + place(row + i * 16, half * 2 + lane / 16 + 4));
        }
    }
    __device__ inline void add_to(Sums& sum, bool with_a_low, bool with_b_low) const {
#pragma unroll
        for (int i = 0; i < TILES_M; ++i)
            if (with_a_low) multiply_row(sum[i], a_low[i], b_high);
#pragma unroll
        for (int i = 0; i < TILES_M; ++i)
            if (with_b_low) multiply_row(sum[i], a_high[i], b_low);
#pragma unroll
        for (int i = 0; i < TILES_M; ++i) multiply_row(sum[i], a_high[i], b_high);
    }
};

// What the units added up, at its own scale, and nothing in its place. In two steps where float32 has no such power of two;
// the product is exact, so the fused addition rounds as one by itself would.
__device__ inline void add_parts(Sums& part, int spread, Sums& sum) {
    bool far = spread < -126 || spread > 127;
    float one = power(127 + spread / 2), rest = power(127 + spread - (far ? spread / 2 : 0));
    if (far) EACH_SUM(i, j, e) part[i][j][e] *= one;
    EACH_SUM(i, j, e) sum[i][j][e] = fmaf(part[i][j][e], rest, sum[i][j][e]), part[i][j][e] = 0.0f;
}

// The sum over k from begin to end. `fetch(k0, a, b)` reads what this thread brings of each chunk in turn, in the orders A and
// B; nothing beyond the end.
template <class A, class B, class Fetch> struct Product {
    Fetch& fetch;
    Four a_next[A_EACH], b_next[B_EACH];
    unsigned a_largest, b_largest;
    int a_scale, b_scale, before, now, next;  // where what is known of the chunks before, this one and the next is kept
    Sums part;

    __device__ inline Product(Fetch& fetch) : fetch(fetch), a_largest(0), b_largest(0), before(2), now(0), next(1) {}

    __device__ inline void note(int slot) {
        a_known.note(a_next, slot, a_largest);
        b_known.note(b_next, slot, b_largest);
    }
    __device__ inline void keep(int tile) {
        a_largest = max(a_largest, a_known.largest[now]), b_largest = max(b_largest, b_known.largest[now]);
        a_scale = scale_of(a_largest), b_scale = scale_of(b_largest);
        a_known.keep<A>(a_next, a_tile(tile), now, power(a_scale));
        b_known.keep<B>(b_next, b_tile(tile), now, power(b_scale));
    }
    __device__ inline void turn() {
        if (threadIdx.x == 0) {
            a_known.largest[before] = b_known.largest[before] = 0;
            a_known.inexact[next] = b_known.inexact[next] = 0;
        }
        int last = before;
        before = now, now = next, next = last;
        __syncthreads();
    }
    __device__ inline int spread() const { return 254 - a_scale - b_scale; }

    // While a chunk is multiplied, the next one is split and the one after it is on its way.
    __device__ inline void run(int begin, int end, Sums& sum) {
        EACH_SUM(i, j, e) sum[i][j][e] = part[i][j][e] = 0.0f;
        if (threadIdx.x < 3) {
            a_known.largest[threadIdx.x] = b_known.largest[threadIdx.x] = 0;
            a_known.inexact[threadIdx.x] = b_known.inexact[threadIdx.x] = 0;
        }
        __syncthreads();
        int chunks = (end - begin + BK - 1) / BK;
        if (chunks <= 0) return;
        fetch(begin, a_next, b_next);
        note(now);
        __syncthreads();
        keep(0);
        if (chunks > 1) {
            fetch(begin + BK, a_next, b_next);
            note(next);
        }
        turn();
        Fragments fragments;
        for (int c = 1; c < chunks; ++c) {
            int scales = spread(), tile = c & 1;
            fragments.load(tile ^ 1, 0);
            bool with_a = a_known.inexact[before], with_b = b_known.inexact[before];
            keep(tile);
            fetch(begin + (c + 1) * BK, a_next, b_next);
            fragments.add_to(part, with_a, with_b);
            fragments.load(tile ^ 1, 1);
            fragments.add_to(part, with_a, with_b);
            if (tile == 0 || spread() != scales) add_parts(part, scales, sum);
            note(next);
            turn();
        }
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            fragments.load(chunks & 1 ^ 1, half);
            fragments.add_to(part, a_known.inexact[before], b_known.inexact[before]);
        }
        add_parts(part, spread(), sum);
    }
};

// Two neighbours of a row of results, together where their address allows it.
struct alignas(8) Two {
    float at[2];
};
__device__ inline void store(float* to, float one, float next, bool both) {
    if (both && (unsigned long long)to % 8 == 0) {
        *(Two*)to = {one, next};
        return;
    }
    *to = one;
    if (both) to[1] = next;
}

// Calls each(row, column, one, next) for pairs of neighbouring columns of the tile.
template <class Each> __device__ inline void results(const Sums& sum, const Each& each) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int row0 = warp % WARPS_M * TILES_M * 16 + lane / 4, column0 = warp / WARPS_M * TILES_N * 8 + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < TILES_M; ++i)
#pragma unroll
        for (int j = 0; j < TILES_N; ++j) {
            each(row0 + i * 16, column0 + j * 8, sum[i][j][0], sum[i][j][1]);
            each(row0 + i * 16 + 8, column0 + j * 8, sum[i][j][2], sum[i][j][3]);
        }
}
