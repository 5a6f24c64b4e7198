/* Quicksort of half a million words, comparing through a function pointer. */
#include "bench.h"

enum { COUNT = 1 << 19 };

static uint64_t values[COUNT];

static int ascending(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

static void sort(uint64_t *first, uint64_t *last, int (*compare)(const void *, const void *))
{
    while (first < last) {
        uint64_t pivot = first[(last - first) / 2], *low = first - 1, *high = last + 1;
        for (;;) {
            do
                low++;
            while (compare(low, &pivot) < 0);
            do
                high--;
            while (compare(high, &pivot) > 0);
            if (low >= high)
                break;
            uint64_t swap = *low;
            *low = *high;
            *high = swap;
        }
        /* The shorter half by recursion, so that the stack stays small. */
        if (high - first < last - high) {
            sort(first, high, compare);
            first = high + 1;
        } else {
            sort(high + 1, last, compare);
            last = high;
        }
    }
}

int main(void)
{
    uint64_t random = 88172645463325252u, sum = 0;
    for (int i = 0; i < COUNT; i++)
        values[i] = next_random(&random);
    int (*compare)(const void *, const void *) = ascending;
    OPAQUE(compare);
    sort(values, values + COUNT - 1, compare);
    for (int i = 0; i < COUNT; i++)
        sum = mix(sum, values[i]);
    return finish(sum);
}
