/* 300 children that touch some memory and exit. */
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { CHILDREN = 300, SIZE = 256 << 10 };

static unsigned char memory[SIZE];

int main(void)
{
    uint64_t sum = 0;
    memset(memory, 1, sizeof memory);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        need(child >= 0, "fork");
        if (child == 0) {
            memory[i * 512 % SIZE] = i;
            _exit(i & 127);
        }
        int status;
        need(waitpid(child, &status, 0) == child, "waitpid");
        need(WIFEXITED(status), "the child");
        sum = mix(sum, WEXITSTATUS(status));
    }
    return finish(sum);
}
