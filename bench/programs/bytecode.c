/* An interpreter of byte code, by a switch: an indirect jump for every operation. */
#include "bench.h"

enum { PUSH, ADD, XOR, LOAD, STORE, JUMP_IF_LESS, MULTIPLY, SHIFT, HALT };

static const unsigned char program[] = {
    /* sum = 7; i = 0; do { sum = (sum * 5 ^ i) + 3; if needed shift } while (++i < limit) */
    PUSH, 7, STORE, 0, PUSH, 0, STORE, 1,
    LOAD, 0, PUSH, 5, MULTIPLY, LOAD, 1, XOR, PUSH, 3, ADD, STORE, 0,
    LOAD, 0, SHIFT, 9, LOAD, 0, XOR, STORE, 0,
    LOAD, 1, PUSH, 1, ADD, STORE, 1,
    LOAD, 1, LOAD, 2, JUMP_IF_LESS, 8, HALT,
};

static uint64_t run(const unsigned char *code, uint64_t limit)
{
    uint64_t stack[16], *top = stack, variables[3] = {0, 0, limit};
    const unsigned char *at = code;
    for (;;) {
        switch (*at++) {
        case PUSH:
            *top++ = *at++;
            break;
        case ADD:
            top--;
            top[-1] += *top;
            break;
        case XOR:
            top--;
            top[-1] ^= *top;
            break;
        case MULTIPLY:
            top--;
            top[-1] *= *top;
            break;
        case SHIFT:
            top[-1] >>= *at++;
            break;
        case LOAD:
            *top++ = variables[*at++];
            break;
        case STORE:
            variables[*at++] = *--top;
            break;
        case JUMP_IF_LESS:
            top -= 2;
            at = top[0] < top[1] ? code + *at : at + 1;
            break;
        case HALT:
            return variables[0];
        }
    }
}

int main(void)
{
    const unsigned char *code = program;
    OPAQUE(code);
    return finish(run(code, 1500000));
}
