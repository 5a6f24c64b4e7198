/* A chain of pointers through 32 MiB in random order: every step misses caches and, mostly, the TLB. */
#include "bench.h"

enum { COUNT = 4 << 20, STEPS = 3000000 };

static uint64_t next[COUNT];

int main(void)
{
    /* Sattolo's shuffle makes one cycle through all places. */
    uint64_t random = 88172645463325252u;
    for (uint64_t i = 0; i < COUNT; i++)
        next[i] = i;
    for (uint64_t i = COUNT - 1; i > 0; i--) {
        uint64_t j = next_random(&random) % i, swap = next[i];
        next[i] = next[j];
        next[j] = swap;
    }
    uint64_t place = 0;
    for (int i = 0; i < STEPS; i++)
        place = next[place];
    return finish(place);
}
