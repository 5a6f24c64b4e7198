/* Five bodies under gravity: doubles with division and square root. */
#include <math.h>

#include "bench.h"

enum { BODIES = 5, STEPS = 200000 };

struct body {
    double position[3], velocity[3], mass;
};

static struct body bodies[BODIES];

static void step(double time)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            double away[3], square = 0.01;
            for (int axis = 0; axis < 3; axis++) {
                away[axis] = bodies[i].position[axis] - bodies[j].position[axis];
                square += away[axis] * away[axis];
            }
            double pull = time / (square * sqrt(square));
            for (int axis = 0; axis < 3; axis++) {
                bodies[i].velocity[axis] -= away[axis] * bodies[j].mass * pull;
                bodies[j].velocity[axis] += away[axis] * bodies[i].mass * pull;
            }
        }
    for (int i = 0; i < BODIES; i++)
        for (int axis = 0; axis < 3; axis++)
            bodies[i].position[axis] += time * bodies[i].velocity[axis];
}

int main(void)
{
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < BODIES; i++) {
        bodies[i].mass = (double)(i + 1);
        for (int axis = 0; axis < 3; axis++) {
            bodies[i].position[axis] = (double)(int64_t)next_random(&random) * 0x1p-60;
            bodies[i].velocity[axis] = (double)(int64_t)next_random(&random) * 0x1p-64;
        }
    }
    for (int i = 0; i < STEPS; i++)
        step(0.001);
    uint64_t sum = 0;
    for (int i = 0; i < BODIES; i++)
        for (int axis = 0; axis < 3; axis++)
            sum = mix_double(sum, bodies[i].position[axis]);
    return finish(sum);
}
