// Batch norm over [T, M, C, L] with statistics for every step and channel (T is 1 for one batch norm): partial sums of
// pieces of a channel, a thread for each channel that turns them into coefficients, and one pass that applies them.
#include "common.cuh"

#ifndef ALIGN
#define ALIGN sizeof(REAL)
#endif
#if BACK
#define SUMS 3
#else
#define SUMS 2
#endif

// Forward: sums of d and d d, with d = x - centre and the channel's first element as centre. Backward, where the centre is
// the mean as it was rounded: sums of g, g d and d.
struct Sums {
    double of[SUMS];
    __device__ inline void add(REAL x, REAL centre, REAL g) {
        REAL d = x - centre;
#if BACK
        of[0] += (double)g, of[1] += (double)g * (double)d, of[2] += (double)d;
#else
        of[0] += (double)d, of[1] += (double)d * (double)d;
#endif
    }
};

#ifdef REDUCE
#define AHEAD 4  // loads of a thread that are on their way together

// From element to element of a channel, a block's width at a time: without divisions, which cost more than the sums.
struct Walk {
    INDEX from, column, length, more, step, skip;
    __device__ inline Walk(INDEX e, INDEX start, INDEX channels, INDEX row_length) {
        length = row_length, skip = (channels - 1) * length;
        more = blockDim.x % length, step = blockDim.x + blockDim.x / length * skip;
        column = e % length, from = start + e + e / length * skip;
    }
    __device__ inline void next() {
        column += more, from += step;
        if (column >= length) column -= length, from += skip;
    }
};

// Long rows: a block takes a piece of one channel; grid (T C, pieces).
extern "C" __global__ void sums_long(
    const REAL* __restrict__ x, const REAL* __restrict__ g, const REAL* __restrict__ mean, double* __restrict__ partial,
    Long rows, Long channels, Long length
) {
    Long q = blockIdx.x, at = (q / channels * rows * channels + q % channels) * length;
    REAL centre = BACK ? mean[q] : x[at];
    INDEX count = rows * length, width = (count + gridDim.y - 1) / gridDim.y;
    INDEX first = blockIdx.y * width, last = first + width < count ? first + width : count;
    INDEX e = first + threadIdx.x, turns = e < last ? (last - e - 1) / blockDim.x + 1 : 0;
    Walk walk(e, at, channels, length);
    Sums sums = {};
#pragma unroll 1
    for (; turns >= AHEAD; turns -= AHEAD) {
        REAL values[AHEAD], gradients[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k, walk.next()) {
            values[k] = x[walk.from], gradients[k] = BACK ? g[walk.from] : (REAL)0;
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) sums.add(values[k], centre, gradients[k]);
    }
    for (; turns > 0; --turns, walk.next()) sums.add(x[walk.from], centre, BACK ? g[walk.from] : (REAL)0);
    for (int part = 0; part < SUMS; ++part) {
        double total = block_sum(sums.of[part]);
        if (threadIdx.x == 0) partial[(blockIdx.y * (Long)gridDim.x + q) * SUMS + part] = total;
    }
}

// Short rows: 32 neighbouring channels and 8 rows at a time; grid (T ceil(C / 32), pieces), block (32, 8).
extern "C" __global__ void sums_short(
    const REAL* __restrict__ x, const REAL* __restrict__ g, const REAL* __restrict__ mean, double* __restrict__ partial,
    Long rows, Long channels, Long length
) {
    __shared__ double cells[8][32];
    Long tiles = (channels + 31) / 32, t = blockIdx.x / tiles, c = blockIdx.x % tiles * 32 + threadIdx.x;
    Long q = t * channels + c, all = gridDim.x / tiles * channels;
    Sums sums = {};
    if (c < channels) {
        Long at = (t * rows * channels + c) * length;
        REAL centre = BACK ? mean[q] : x[at];
        for (Long m = blockIdx.y * 8 + threadIdx.y; m < rows; m += gridDim.y * 8) {
            for (Long l = 0; l < length; ++l) {
                Long from = at + m * channels * length + l;
                sums.add(x[from], centre, BACK ? g[from] : (REAL)0);
            }
        }
    }
    for (int part = 0; part < SUMS; ++part) {
        cells[threadIdx.y][threadIdx.x] = sums.of[part];
        __syncthreads();
        if (threadIdx.y == 0 && c < channels) {
            double total = 0;
            for (int y = 0; y < 8; ++y) total += cells[y][threadIdx.x];
            partial[(blockIdx.y * all + q) * SUMS + part] = total;
        }
        __syncthreads();
    }
}
#endif

__device__ inline double total_of(const double* partial, Long pieces, Long all, Long q, int part) {
    double total = 0;
    for (Long piece = 0; piece < pieces; ++piece) total += partial[(piece * all + q) * SUMS + part];
    return total;
}

#if BACK
// g_x = slope (x - mean) + outer g + shift
extern "C" __global__ void coefficients(
    const double* __restrict__ partial, const REAL* __restrict__ var, const REAL* __restrict__ weight,
    REAL* __restrict__ g_weight, REAL* __restrict__ g_bias,
    REAL* __restrict__ outers, REAL* __restrict__ slopes, REAL* __restrict__ shifts,
    Long pieces, Long all, Long count, double eps
) {
    Long q = GLOBAL_INDEX;
    if (q >= all) return;
    double total = total_of(partial, pieces, all, q, 0), rest = total_of(partial, pieces, all, q, 2) / count;
    double inverse = 1.0 / sqrt((double)var[q] + eps);
    double along = (total_of(partial, pieces, all, q, 1) - rest * total) * inverse;
    double outer = weight ? (double)weight[q] * inverse : inverse, slope = -outer * inverse * along / count;
    g_weight[q] = (REAL)along;
    g_bias[q] = (REAL)total;
    outers[q] = (REAL)outer;
    slopes[q] = (REAL)slope;
    shifts[q] = (REAL)(-outer * total / count - slope * rest);
}
#else
// y = (x - mean) factor + shift, with the mean as it is rounded
extern "C" __global__ void coefficients(
    const double* __restrict__ partial, const REAL* __restrict__ x, const REAL* __restrict__ weight,
    const REAL* __restrict__ bias, REAL* __restrict__ means, REAL* __restrict__ vars,
    REAL* __restrict__ factors, REAL* __restrict__ shifts,
    Long pieces, Long all, Long rows, Long channels, Long length, double eps
) {
    Long q = GLOBAL_INDEX;
    if (q >= all) return;
    double count = (double)(rows * length), off = total_of(partial, pieces, all, q, 0) / count;
    double var = total_of(partial, pieces, all, q, 1) / count - off * off;
    if (var < 0) var = 0;
    double mean = (double)x[(q / channels * rows * channels + q % channels) * length] + off;
    REAL centre = (REAL)mean;
    double factor = (weight ? (double)weight[q] : 1.0) / sqrt(var + eps);
    means[q] = centre;
    vars[q] = (REAL)var;
    factors[q] = (REAL)factor;
    shifts[q] = (REAL)((bias ? (double)bias[q] : 0.0) - (mean - (double)centre) * factor);
}
#endif

// Neighbours in memory, read and written at once where ALIGN is 16.
#define WIDE (16 / (int)sizeof(REAL))
struct alignas(ALIGN) Pack {
    REAL of[WIDE];
};

// An element's place in [T, M, C, L]: q counts channels of all steps, `left` is what follows in its row, itself included.
struct Place {
    INDEX m, c, q, left;
    __device__ inline Place(INDEX i, INDEX rows, INDEX channels, INDEX length) {
        INDEX row = i / length, line = row / channels, t = line < rows ? 0 : line / rows;
        m = line - t * rows, c = row - line * channels, q = t * channels + c, left = length - (i - row * length);
    }
    __device__ inline void next_row(INDEX rows, INDEX channels, INDEX length) {
        left = length, ++c, ++q;
        if (c < channels) return;
        c = 0, ++m;
        if (m < rows) q -= channels;
        else m = 0;
    }
};

#define COEFFICIENTS                                                                                                     \
    const REAL* __restrict__ means, const REAL* __restrict__ factors, const REAL* __restrict__ shifts,                   \
        const REAL* __restrict__ outers

// Of channel q. Only backward has outers, and g; no shifts are no addition.
struct Coefficients {
    REAL mean, factor, shift, outer;
    __device__ inline Coefficients(INDEX q, COEFFICIENTS) {
        mean = means[q], factor = factors[q];
        shift = shifts ? shifts[q] : (REAL)0, outer = outers ? outers[q] : (REAL)0;
    }
    __device__ inline REAL of(REAL x, REAL g, bool shifted, bool back) {
        REAL value = (x - mean) * factor;
        if (back) value += g * outer;
        return shifted ? value + shift : value;
    }
};

// Each element by the coefficients of its channel, WIDE neighbours by a thread: divisions are for the first of them only.
extern "C" __global__ void apply(
    const REAL* __restrict__ x, const REAL* __restrict__ g, COEFFICIENTS,
    REAL* __restrict__ y, Long size, Long rows, Long channels, Long length
) {
    INDEX i = GLOBAL_INDEX * WIDE;
    if (i >= (INDEX)size) return;
    Place at(i, rows, channels, length);
    Coefficients by(at.q, means, factors, shifts, outers);
    if (at.left >= WIDE) {
        Pack pack = *(const Pack*)(x + i), gradients = {};
        if (outers) gradients = *(const Pack*)(g + i);
        for (int k = 0; k < WIDE; ++k) pack.of[k] = by.of(pack.of[k], gradients.of[k], shifts, outers);
        *(Pack*)(y + i) = pack;
        return;
    }
#pragma unroll 1
    for (INDEX last = (INDEX)size - i < WIDE ? size : i + WIDE; i < last; ++i, --at.left) {
        if (at.left == 0) {
            at.next_row(rows, channels, length);
            by = Coefficients(at.q, means, factors, shifts, outers);
        }
        y[i] = by.of(x[i], outers ? g[i] : (REAL)0, shifts, outers);
    }
}

extern "C" __global__ void factors(
    const REAL* __restrict__ var, const REAL* __restrict__ weight, REAL* __restrict__ out, Long size, REAL eps
) {
    Long i = GLOBAL_INDEX;
    if (i >= size) return;
    REAL factor = (REAL)1 / sqrt(var[i] + eps);
    out[i] = weight ? factor * weight[i] : factor;
}

extern "C" __global__ void moving_average(
    const REAL* __restrict__ old, const REAL* __restrict__ now, REAL* __restrict__ out, Long size, REAL keep, REAL gain
) {
    Long i = GLOBAL_INDEX;
    if (i < size) out[i] = old[i] * keep + now[i] * gain;
}
