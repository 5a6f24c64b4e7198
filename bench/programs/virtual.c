/* Calls through tables of function pointers, of objects of many kinds: indirect calls and returns. */
#include "bench.h"

enum { OBJECTS = 1024, ROUNDS = 12000 };

struct object {
    const struct class *class;
    uint64_t state;
};

struct class {
    uint64_t (*touch)(struct object *, uint64_t);
    uint64_t (*read)(const struct object *);
};

static uint64_t add(struct object *object, uint64_t value) { return object->state += value; }
static uint64_t toggle(struct object *object, uint64_t value) { return object->state ^= value; }
static uint64_t rotate(struct object *object, uint64_t value) { return object->state = object->state << 1 | value >> 63; }
static uint64_t plain(const struct object *object) { return object->state; }
static uint64_t inverse(const struct object *object) { return ~object->state; }

static const struct class classes[] = {{add, plain}, {toggle, inverse}, {rotate, plain}, {add, inverse}};
static struct object objects[OBJECTS];

int main(void)
{
    uint64_t random = 88172645463325252u, sum = 0;
    for (int i = 0; i < OBJECTS; i++)
        objects[i].class = &classes[next_random(&random) % 4];
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < OBJECTS; i++) {
            sum += objects[i].class->touch(&objects[i], sum ^ i);
            sum ^= objects[i].class->read(&objects[i]);
        }
    return finish(sum);
}
