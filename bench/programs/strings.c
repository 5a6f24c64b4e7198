/* The string functions of the C library on lines of text: length, search, comparison, conversion, formatting. */
#include "bench.h"

enum { LINES = 2000, ROUNDS = 60 };

static char lines[LINES][80];

int main(void)
{
    static const char *words[] = {"primary", "backup", "epoch", "position", "log", "entry", "digest", "arbiter"};
    uint64_t random = 88172645463325252u, sum = 0;
    for (int i = 0; i < LINES; i++) {
        uint64_t r = next_random(&random);
        snprintf(lines[i], sizeof lines[i], "%s %s=%u %s of %s", words[r % 8], words[r / 8 % 8],
                 (unsigned)(r / 64 % 100000), words[r >> 50 & 7], words[r >> 60 & 7]);
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < LINES; i++) {
            char copy[96], *equals = strchr(lines[i], '=');
            sum = mix(sum, strlen(lines[i]));
            sum = mix(sum, strstr(lines[i], "log") != NULL);
            sum = mix(sum, strcmp(lines[i], lines[(i + round + 1) % LINES]) < 0);
            sum = mix(sum, strtoul(equals + 1, NULL, 10));
            strcpy(copy, equals);
            snprintf(copy + 20, 40, "%d:%s", i * round, words[i % 8]);
            sum = mix(sum, strlen(copy + 20));
            char *rest = copy, *word;
            copy[19] = 0;
            while ((word = strtok_r(rest, " ", &rest)))
                sum = mix(sum, word[0]);
        }
    return finish(sum);
}
