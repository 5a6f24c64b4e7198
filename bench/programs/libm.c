/* Sines, exponentials, logarithms and powers of the C library, summed up coarsely: libraries may differ in the last bit. */
#include <math.h>

#include "bench.h"

int main(void)
{
    double sum = 0, x = 0.5;
    for (int i = 0; i < 400000; i++) {
        sum += sin(x) * exp(-x) + log(x + 1.0) + pow(x, 0.3);
        x += 6e-6;
    }
    return finish((uint64_t)(sum * 1e3));
}
