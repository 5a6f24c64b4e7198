/* The sieve of Eratosthenes over a byte array of 4 MiB. */
#include "bench.h"

enum { LIMIT = 4 << 20, PASSES = 12 };

static unsigned char composite[LIMIT];

int main(void)
{
    uint64_t sum = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        memset(composite, 0, sizeof composite);
        for (uint32_t i = 2; i < LIMIT; i++) {
            if (composite[i])
                continue;
            sum = mix(sum, i);
            for (uint64_t j = (uint64_t)i * i; j < LIMIT; j += i)
                composite[j] = 1;
        }
    }
    return finish(sum);
}
