/* Two processes hand a number to and fro over two pipes. */
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { TURNS = 12000 };

static void pass(int from, int to)
{
    uint64_t number;
    need(read(from, &number, sizeof number) == sizeof number, "read");
    number = mix(number, 1);
    need(write(to, &number, sizeof number) == sizeof number, "write");
}

int main(void)
{
    int there[2], back[2];
    need(pipe(there) == 0 && pipe(back) == 0, "pipe");
    pid_t child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        for (int i = 0; i < TURNS; i++)
            pass(there[0], back[1]);
        _exit(0);
    }
    uint64_t number = 1;
    need(write(there[1], &number, sizeof number) == sizeof number, "write");
    for (int i = 0; i < TURNS - 1; i++)
        pass(back[0], there[1]);
    need(read(back[0], &number, sizeof number) == sizeof number, "read");
    need(waitpid(child, NULL, 0) == child, "waitpid");
    return finish(number);
}
