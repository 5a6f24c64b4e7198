/* Starts this program itself 200 times, each time in a new process: page faults, loading, exit. */
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { CHILDREN = 200 };

int main(int count, char **arguments)
{
    uint64_t sum = 0;
    if (count > 1)
        return atoi(arguments[1]) & 127;
    for (int i = 0; i < CHILDREN; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        pid_t child = fork();
        need(child >= 0, "fork");
        if (child == 0) {
            execl(arguments[0], arguments[0], number, (char *)NULL);
            _exit(255);
        }
        int status;
        need(waitpid(child, &status, 0) == child, "waitpid");
        need(WIFEXITED(status) && WEXITSTATUS(status) != 255, "the child");
        sum = mix(sum, WEXITSTATUS(status));
    }
    return finish(sum);
}
