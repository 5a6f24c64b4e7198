/* The Mandelbrot set in single precision: short dependent chains with a branch on a comparison of floats. */
#include "bench.h"

enum { SIDE = 512, DEPTH = 256 };

int main(void)
{
    uint64_t sum = 0;
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            float cx = (float)column * (3.0f / SIDE) - 2.0f, cy = (float)row * (2.5f / SIDE) - 1.25f;
            float x = 0, y = 0;
            int depth = 0;
            while (depth < DEPTH && x * x + y * y < 4.0f) {
                float swap = x * x - y * y + cx;
                y = 2.0f * x * y + cy;
                x = swap;
                depth++;
            }
            sum = mix(sum, depth);
        }
    return finish(sum);
}
