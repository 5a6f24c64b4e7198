/* Greatest common divisors, remainders and 128-bit products. */
#include "bench.h"

int main(void)
{
    uint64_t random = 88172645463325252u, sum = 0;
    for (int i = 0; i < 2000000; i++) {
        uint64_t a = next_random(&random) >> 20, b = next_random(&random) >> 20 | 1;
        sum = mix(sum, (uint64_t)((unsigned __int128)a * random >> 64));
        while (b != 0) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        sum = mix(sum, a);
    }
    return finish(sum);
}
