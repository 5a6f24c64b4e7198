/* Product of two 256 by 256 matrices of doubles. */
#include "bench.h"

enum { N = 256, PASSES = 2 };

static double a[N][N], b[N][N], c[N][N];

int main(void)
{
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (double)(next_random(&random) >> 44);
            b[i][j] = (double)(next_random(&random) >> 44);
        }
    for (int pass = 0; pass < PASSES; pass++)
        for (int i = 0; i < N; i++)
            for (int k = 0; k < N; k++) {
                double factor = a[i][k] * (pass + 1);
                for (int j = 0; j < N; j++)
                    c[i][j] += factor * b[k][j];
            }
    uint64_t sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            sum = mix_double(sum, c[i][j]);
    return finish(sum);
}
