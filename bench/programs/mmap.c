/* Maps 1 MiB, touches every page, unmaps it: page faults and page tables. */
#include <sys/mman.h>

#include "bench.h"

enum { SIZE = 1 << 20, PAGE = 4096, ROUNDS = 80 };

int main(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned char *area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        need(area != MAP_FAILED, "mmap");
        need(madvise(area, SIZE, MADV_NOHUGEPAGE) == 0, "madvise");
        for (int page = 0; page < SIZE; page += PAGE) {
            sum = mix(sum, area[page]);
            area[page] = i;
        }
        for (int page = 0; page < SIZE; page += PAGE)
            sum = mix(sum, area[page]);
        need(munmap(area, SIZE) == 0, "munmap");
    }
    return finish(sum);
}
