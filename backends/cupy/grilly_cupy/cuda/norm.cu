// Batch norm over [T, M, C, L] with statistics for every step and channel (T is 1 for one batch norm): partial sums of
// pieces of a channel, a thread for each channel that turns them into coefficients, and one pass that applies them.
#include "common.cuh"

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
// Long rows: a block takes a piece of one channel; grid (T C, pieces).
extern "C" __global__ void sums_long(
    const REAL* __restrict__ x, const REAL* __restrict__ g, const REAL* __restrict__ mean, double* __restrict__ partial,
    Long rows, Long channels, Long length
) {
    Long q = blockIdx.x, at = (q / channels * rows * channels + q % channels) * length;
    REAL centre = BACK ? mean[q] : x[at];
    INDEX count = rows * length, width = (count + gridDim.y - 1) / gridDim.y, l = length;
    INDEX first = blockIdx.y * width, last = first + width < count ? first + width : count;
    Sums sums = {};
#pragma unroll 4
    for (INDEX e = first + threadIdx.x; e < last; e += blockDim.x) {
        Long from = at + (Long)(e / l) * channels * length + e % l;
        sums.add(x[from], centre, BACK ? g[from] : (REAL)0);
    }
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

// Each element by the coefficients of its channel; backward has g and outers, else they are null.
extern "C" __global__ void apply(
    const REAL* __restrict__ x, const REAL* __restrict__ g, const REAL* __restrict__ means,
    const REAL* __restrict__ factors, const REAL* __restrict__ shifts, const REAL* __restrict__ outers,
    REAL* __restrict__ y, Long size, Long rows, Long channels, Long length
) {
    INDEX i = GLOBAL_INDEX;
    if (i >= size) return;
    INDEX row = i / (INDEX)length, c = row % (INDEX)channels, t = row / (INDEX)(rows * channels);
    INDEX q = t * (INDEX)channels + c;
    REAL value = (x[i] - means[q]) * factors[q];
    if (g) value += g[i] * outers[q];
    y[i] = shifts ? value + shifts[q] : value;
}

extern "C" __global__ void moving_average(
    const REAL* __restrict__ old, const REAL* __restrict__ now, REAL* __restrict__ out, Long size, REAL keep, REAL gain
) {
    Long i = GLOBAL_INDEX;
    if (i < size) out[i] = old[i] * keep + now[i] * gain;
}
