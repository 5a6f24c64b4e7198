/* The block function of ChaCha20 (RFC 8439, section 2.3): more values than there are registers, and rotations. */
#include "bench.h"

enum { WORDS = 16, DOUBLE_ROUNDS = 10, BLOCKS = 1200000 };

static inline uint32_t rotate(uint32_t word, int left)
{
    return word << left | word >> (32 - left);
}

static inline void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b, *d = rotate(*d ^ *a, 16);
    *c += *d, *b = rotate(*b ^ *c, 12);
    *a += *b, *d = rotate(*d ^ *a, 8);
    *c += *d, *b = rotate(*b ^ *c, 7);
}

int main(void)
{
    uint32_t state[WORDS], x[WORDS];
    uint64_t sum = 0;
    for (int i = 0; i < WORDS; i++)
        state[i] = (uint32_t)i * 0x9e3779b9u;
    for (int block = 0; block < BLOCKS; block++) {
        memcpy(x, state, sizeof x);
        for (int round = 0; round < DOUBLE_ROUNDS; round++) {
            for (int i = 0; i < 4; i++)
                quarter_round(&x[i], &x[4 + i], &x[8 + i], &x[12 + i]);
            for (int i = 0; i < 4; i++)
                quarter_round(&x[i], &x[4 + (i + 1) % 4], &x[8 + (i + 2) % 4], &x[12 + (i + 3) % 4]);
        }
        for (int i = 0; i < WORDS; i++)
            sum = mix(sum, x[i] + state[i]);
        state[12]++;
    }
    return finish(sum);
}
