/* CRC-32 by a table of 256 words: each step depends on a load that depends on the step before. */
#include "bench.h"

enum { SIZE = 1 << 20, PASSES = 80 };

static uint32_t table[256];
static unsigned char data[SIZE];

int main(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t word = i;
        for (int bit = 0; bit < 8; bit++)
            word = word & 1 ? 0xedb88320u ^ word >> 1 : word >> 1;
        table[i] = word;
    }
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < SIZE; i++)
        data[i] = next_random(&random);
    uint32_t crc = ~0u;
    for (int pass = 0; pass < PASSES; pass++)
        for (int i = 0; i < SIZE; i++)
            crc = table[(crc ^ data[i]) & 255] ^ crc >> 8;
    return finish(~crc);
}
