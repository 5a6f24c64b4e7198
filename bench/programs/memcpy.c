/* Copies of 1 MiB by the C library. */
#include "bench.h"

enum { SIZE = 1 << 20, COPIES = 2500 };

/* Some pages between them, lest they fall into the same places of every table that an emulator keeps. */
static struct {
    unsigned char from[SIZE], between[5 * 4096], to[SIZE];
} memory;

int main(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < SIZE; i++)
        memory.from[i] = i * 7;
    for (int i = 0; i < COPIES; i++) {
        memory.from[i % SIZE] = i;
        unsigned char *target = memory.to;
        OPAQUE(target);
        memcpy(target, memory.from, SIZE);
        sum = mix(sum, memory.to[(i * 4099) % SIZE]);
    }
    return finish(sum);
}
