/* Signals that a process sends itself, each with a handler. */
#include <signal.h>
#include <unistd.h>

#include "bench.h"

enum { SIGNALS = 60000 };

static volatile uint64_t caught;

static void handler(int number)
{
    caught = mix(caught, number);
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler};
    need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    for (int i = 0; i < SIGNALS; i++)
        need(raise(SIGUSR1) == 0, "raise");
    return finish(caught);
}
