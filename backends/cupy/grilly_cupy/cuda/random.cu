// Philox4x32-10: a thread makes four words.
#include "common.cuh"

extern "C" __global__ void philox(
    unsigned int* __restrict__ out, Long count, unsigned int seed_low, unsigned int seed_high,
    unsigned int stream_low, unsigned int stream_high, int shift
) {
    Long block = GLOBAL_INDEX;
    if (4 * block >= count) return;
    unsigned int c0 = (unsigned int)block, c1 = (unsigned int)(block >> 32), c2 = stream_low, c3 = stream_high;
    for (int round = 0; round < 10; ++round) {
        unsigned long long p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
        c0 = (unsigned int)(p1 >> 32) ^ c1 ^ seed_low;
        c1 = (unsigned int)p1;
        c2 = (unsigned int)(p0 >> 32) ^ c3 ^ seed_high;
        c3 = (unsigned int)p0;
        seed_low += 0x9E3779B9u;
        seed_high += 0xBB67AE85u;
    }
    unsigned int words[4] = {c0, c1, c2, c3};
    for (int i = 0; i < 4; ++i) {
        if (4 * block + i < count) out[4 * block + i] = words[i] >> shift;
    }
}
