/* Four processes that yield to each other: context switches between address spaces. */
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { PROCESSES = 4, YIELDS = 10000 };

int main(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child = fork();
        need(child >= 0, "fork");
        if (child == 0) {
            for (int j = 0; j < YIELDS; j++)
                need(sched_yield() == 0, "sched_yield");
            _exit(i + 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        need(wait(&status) > 0, "wait");
        need(WIFEXITED(status), "the child");
        sum += 1u << WEXITSTATUS(status);
    }
    return finish(sum);
}
