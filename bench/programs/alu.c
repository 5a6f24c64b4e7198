/* Integer arithmetic in registers, in one tight loop. */
#include "bench.h"

int main(void)
{
    uint64_t a = 1, b = 2, c = 3;
    OPAQUE(a);
    for (uint64_t i = 0; i < 150000000; i++) {
        a += b ^ i;
        b = (b << 7) - a;
        c ^= b >> 3;
    }
    return finish(mix(mix(a, b), c));
}
