/* Binary trees on the heap: allocation, recursion, pointers. */
#include "bench.h"

enum { DEPTH = 14, TREES = 60 };

struct tree {
    struct tree *left, *right;
};

static struct tree *grow(int depth)
{
    struct tree *tree = malloc(sizeof *tree);
    need(tree != NULL, "malloc");
    tree->left = depth > 0 ? grow(depth - 1) : NULL;
    tree->right = depth > 0 ? grow(depth - 1) : NULL;
    return tree;
}

static uint64_t fell(struct tree *tree)
{
    uint64_t nodes = 1;
    if (tree->left)
        nodes += fell(tree->left) + fell(tree->right);
    free(tree);
    return nodes;
}

int main(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < TREES; i++)
        sum = mix(sum, fell(grow(DEPTH)));
    return finish(sum);
}
