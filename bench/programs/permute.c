/* Reversals of prefixes of all permutations of ten numbers: short loops over bytes, hard to predict. */
#include "bench.h"

enum { N = 10 };

int main(void)
{
    int numbers[N], count[N], flipped[N], permutations = 0, most = 0, level = N;
    uint64_t sum = 0;
    for (int i = 0; i < N; i++)
        numbers[i] = i;
    for (;;) {
        for (; level > 1; level--)
            count[level - 1] = level;
        memcpy(flipped, numbers, sizeof numbers);
        int flips = 0, first;
        while ((first = flipped[0]) != 0) {
            for (int low = 0, high = first; low < high; low++, high--) {
                int swap = flipped[low];
                flipped[low] = flipped[high];
                flipped[high] = swap;
            }
            flips++;
        }
        most = flips > most ? flips : most;
        sum += permutations++ % 2 ? -(uint64_t)flips : (uint64_t)flips;
        for (;; level++) {
            if (level == N)
                return finish(mix(sum, most));
            int head = numbers[0];
            for (int i = 0; i < level; i++)
                numbers[i] = numbers[i + 1];
            numbers[level] = head;
            if (--count[level] > 0)
                break;
        }
    }
}
