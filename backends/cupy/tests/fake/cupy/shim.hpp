#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
struct Extent3 { unsigned x, y, z; };
static Extent3 gridDim, blockDim, blockIdx, threadIdx;
struct Fiber { ucontext_t context; char* stack; bool done; Extent3 index; };
static ucontext_t scheduler;
static Fiber* running;
static void (*body)();
static void enter() { body(); running->done = true; swapcontext(&running->context, &scheduler); }
static void __syncthreads() { Fiber* me = running; swapcontext(&me->context, &scheduler); }
static unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
static float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
static unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
// Halves, in software: to the nearest, ties to even.
static unsigned half_of(float x) {
    unsigned sign = __float_as_uint(x) >> 16 & 0x8000u;
    float size = fabsf(x);
    if (size != size) return sign | 0x7E00u;
    if (size >= 65520.0f) return sign | 0x7C00u;
    if (size < 6.103515625e-05f) return sign | (unsigned)rintf(size * 16777216.0f);
    int exponent = ilogbf(size);
    return sign | (unsigned)(((exponent + 14) << 10) + (int)rintf(ldexpf(size, 10 - exponent)));
}
static float float_of(unsigned half) {
    int exponent = half >> 10 & 31, digits = half & 1023;
    float size = exponent == 31 ? (digits ? NAN : INFINITY)
        : exponent ? ldexpf((float)(1024 + digits), exponent - 25) : ldexpf((float)digits, -24);
    return half & 0x8000u ? -size : size;
}
static unsigned halves(float first, float second) { return half_of(second) << 16 | half_of(first); }
static void floats(unsigned pair, float& first, float& second) {
    first = float_of(pair & 0xFFFFu), second = float_of(pair >> 16);
}
static unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
static void atomicMax(unsigned* at, unsigned value) { *at = max(*at, value); }
// What needs a whole warp: every thread shows what it has to the others.
struct Shown { unsigned a[4], b[16][2]; const unsigned* row; };
static Shown shown[1024];
static unsigned __reduce_max_sync(unsigned, unsigned value) {
    unsigned thread = threadIdx.x, most = 0;
    shown[thread].a[0] = value;
    __syncthreads();
    for (unsigned lane = 0; lane < 32; ++lane) most = max(most, shown[thread / 32 * 32 + lane].a[0]);
    __syncthreads();
    return most;
}
template <class T> static void load_matrices(unsigned (&out)[4], const T* row) {
    unsigned thread = threadIdx.x, lane = thread % 32;
    shown[thread].row = (const unsigned*)row;
    __syncthreads();
    for (int m = 0; m < 4; ++m) out[m] = shown[thread - lane + m * 8 + lane / 4].row[lane % 4];
    __syncthreads();
}
// A row of products of tensor cores, mma.m16n8k16 of halves.
template <int N> static void multiply_row(float (&d)[N][4], const unsigned (&a)[4], const unsigned (&b)[N][2]) {
    unsigned thread = threadIdx.x, lane = thread % 32;
    memcpy(shown[thread].a, a, sizeof a);
    memcpy(shown[thread].b, b, sizeof b);
    __syncthreads();
    const Shown* warp = shown + (thread - lane);
    for (int j = 0; j < N; ++j)
        for (int e = 0; e < 4; ++e) {
            double sum = d[j][e];
            for (int k = 0; k < 16; ++k) {
                unsigned left = warp[lane / 4 * 4 + k / 2 % 4].a[k / 8 * 2 + e / 2];
                unsigned right = warp[(lane % 4 * 2 + e % 2) * 4 + k / 2 % 4].b[j][k / 8];
                sum += (double)float_of(left >> k % 2 * 16 & 0xFFFFu) * float_of(right >> k % 2 * 16 & 0xFFFFu);
            }
            d[j][e] = (float)sum;
        }
    __syncthreads();
}
// One block: every thread up to its next barrier in turn, until all are done.
static void run_block(Fiber* fibers, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        Fiber& f = fibers[i];
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack;
        f.context.uc_stack.ss_size = 65536;
        f.context.uc_link = 0;
        f.done = false;
        f.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
        makecontext(&f.context, enter, 0);
    }
    for (bool left = true; left;) {
        left = false;
        for (unsigned i = 0; i < count; ++i) {
            if (fibers[i].done) continue;
            running = fibers + i;
            threadIdx = running->index;
            swapcontext(&scheduler, &running->context);
            left = left || !running->done;
        }
    }
}
template <class T> struct SizeOf { static constexpr int value = sizeof(T); };
template <> struct SizeOf<float> { static constexpr int value = -4; };
template <> struct SizeOf<double> { static constexpr int value = -8; };
template <class T> struct SizeOf<T*> { static constexpr int value = 0; };
template <int... I> struct Numbers {};
template <int N, int... I> struct Count : Count<N - 1, N - 1, I...> {};
template <int... I> struct Count<0, I...> { typedef Numbers<I...> type; };
static void** arguments;
template <class... A, int... I> static void call(void (*f)(A...), Numbers<I...>) { f(*(A*)arguments[I]...); }
template <class... A> static void call(void (*f)(A...)) { call(f, typename Count<sizeof...(A)>::type()); }
template <class... A> static int measure(void (*f)(A...), int* sizes) {
    int all[] = {SizeOf<A>::value..., 0};
    for (unsigned i = 0; i < sizeof...(A); ++i) sizes[i] = all[i];
    return sizeof...(A);
}
static void run_grid(const int* extents, void** args, void (*kernel)()) {
    arguments = args;
    body = kernel;
    gridDim = {(unsigned)extents[0], (unsigned)extents[1], (unsigned)extents[2]};
    blockDim = {(unsigned)extents[3], (unsigned)extents[4], (unsigned)extents[5]};
    unsigned count = blockDim.x * blockDim.y * blockDim.z;
    Fiber* fibers = (Fiber*)calloc(count, sizeof(Fiber));
    for (unsigned i = 0; i < count; ++i) fibers[i].stack = (char*)malloc(65536);
    for (unsigned z = 0; z < gridDim.z; ++z)
        for (unsigned y = 0; y < gridDim.y; ++y)
            for (unsigned x = 0; x < gridDim.x; ++x) {
                blockIdx = {x, y, z};
                run_block(fibers, count);
            }
    for (unsigned i = 0; i < count; ++i) free(fibers[i].stack);
    free(fibers);
}
#define EMULATE(name)                                                                             \
    static void one_thread() { call(name); }                                                      \
    extern "C" int parameter_sizes[64] = {};                                                      \
    extern "C" int parameter_count() { return measure(name, parameter_sizes); }                   \
    extern "C" void emulate(const int* extents, void** args) { run_grid(extents, args, one_thread); }
