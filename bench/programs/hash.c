/* A hash table with open addressing, larger than the host's second-level cache: inserts and finds. */
#include "bench.h"

enum { SLOTS = 1 << 19, KEYS = 250000, FINDS = 3000000 };

static uint64_t keys[SLOTS], counts[SLOTS];

static uint64_t *find(uint64_t key)
{
    uint64_t slot = (key * 0x9e3779b97f4a7c15u) >> 45;
    while (keys[slot] != key && keys[slot] != 0)
        slot = (slot + 1) % SLOTS;
    keys[slot] = key;
    return &counts[slot];
}

int main(void)
{
    uint64_t random = 88172645463325252u, sum = 0;
    for (int i = 0; i < FINDS; i++) {
        uint64_t key = next_random(&random) % KEYS + 1;
        uint64_t *count = find(key * key);
        *count += i;
        sum = mix(sum, *count);
    }
    return finish(sum);
}
