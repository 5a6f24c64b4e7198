/* No workload: prints so many bytes of text for others to work on, words of differing frequency with numbers among them. */
#include "bench.h"

int main(int count, char **arguments)
{
    static const char *words[] = {
        "the", "of", "machine", "and", "a", "log", "primary", "to", "backup", "in", "is", "that", "position", "epoch",
        "it", "output", "for", "acknowledged", "before", "replay", "on", "state", "digest", "at", "arbiter", "owner",
        "instruction", "with", "guest", "be", "entry", "network",
    };
    uint64_t random = 88172645463325252u;
    long left = count > 1 ? atol(arguments[1]) : 0;
    while (left > 0) {
        char word[32];
        uint64_t r = next_random(&random);
        /* The product of two draws makes the first words frequent. */
        const char *choice = words[(r % 32) * (r / 32 % 32) / 32];
        int length = r >> 60 == 0 ? snprintf(word, sizeof word, "%u ", (unsigned)(r >> 20 & 0xfffff))
                                  : snprintf(word, sizeof word, "%s%s", choice, r >> 56 & 15 ? " " : ".\n");
        length = length < left ? length : left;
        need(fwrite(word, 1, length, stdout) == (size_t)length, "write");
        left -= length;
    }
    return 0;
}
