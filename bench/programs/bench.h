/* What every program of the bench shares: it prints one number by which its work is checked, the same on every machine. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keeps the compiler from knowing what a value is. */
#define OPAQUE(value) __asm__ volatile("" : "+r"(value) : : "memory")

/* The numbers of Marsaglia's xorshift64, the same everywhere. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* One step of FNV-1a over eight bytes at once. */
static inline uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x100000001b3u;
}

static inline uint64_t mix_double(uint64_t sum, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return mix(sum, bits);
}

/* Ends the program when the machine refuses what it must give. */
static inline void need(int condition, const char *what)
{
    if (!condition) {
        perror(what);
        exit(1);
    }
}

static inline int finish(uint64_t sum)
{
    printf("%016llx\n", (unsigned long long)sum);
    return 0;
}

#endif
