/* A million system calls that do nothing. */
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

int main(void)
{
    uint64_t parent = getppid(), same = 0;
    for (int i = 0; i < 1000000; i++)
        same += (uint64_t)syscall(SYS_getppid) == parent;
    return finish(same);
}
