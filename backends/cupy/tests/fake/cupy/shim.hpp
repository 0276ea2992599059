#include <math.h>
#include <stdlib.h>
#include <ucontext.h>
#define __global__
#define __device__
#define __shared__ static
struct Extent3 { unsigned x, y, z; };
static Extent3 gridDim, blockDim, blockIdx, threadIdx;
struct Fiber { ucontext_t context; char* stack; bool done; Extent3 index; };
static ucontext_t scheduler;
static Fiber* running;
static void (*body)();
static void enter() { body(); running->done = true; swapcontext(&running->context, &scheduler); }
static void __syncthreads() { Fiber* me = running; swapcontext(&me->context, &scheduler); }
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
