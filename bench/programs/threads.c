/* Two threads that count under one mutex, and count with atomic additions. */
#include <pthread.h>

#include "bench.h"

enum { ROUNDS = 2000000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t guarded, atomic;

static void *count(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        guarded += i;
        pthread_mutex_unlock(&mutex);
        __atomic_fetch_add(&atomic, i, __ATOMIC_RELAXED);
    }
    return argument;
}

int main(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        need(pthread_create(&threads[i], NULL, count, NULL) == 0, "pthread_create");
    for (int i = 0; i < 2; i++)
        need(pthread_join(threads[i], NULL) == 0, "pthread_join");
    return finish(mix(mix(1, guarded), atomic));
}
