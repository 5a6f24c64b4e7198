/* Fibonacci numbers by recursion: calls and returns. */
#include "bench.h"

static __attribute__((noinline)) uint64_t fibonacci(uint64_t n)
{
    if (n < 2)
        return n;
    uint64_t before = fibonacci(n - 1);
    OPAQUE(before);
    return before + fibonacci(n - 2);
}

int main(void)
{
    return finish(fibonacci(35));
}
