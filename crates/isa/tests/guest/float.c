// Executes real F and D instructions for the oracle test in tests/float/oracle.rs.
//
// Standard input holds records of 32 bytes: operation, format (0 single, 1 double), rounding mode, fflags
// before, four bytes of padding, three operands of 64 bits. Each is answered on standard output with 16
// bytes: the result and fflags after. The numbers of the operations are those of `Operation` in tests/float/operation.rs.
//
// riscv64-linux-gnu-gcc -O1 -static -nostdlib -ffreestanding -march=rv64gc -mabi=lp64d

typedef unsigned long u64;
typedef unsigned char u8;

struct request {
    u8 operation, is_double, rounding, accrued, padding[4];
    u64 a, b, c;
};

struct answer {
    u64 result, flags;
};

enum { BATCH = 1024 };

static struct request requests[BATCH];
static struct answer answers[BATCH];

static long system_call(long number, long a, long b, long c)
{
    register long a0 asm("a0") = a;
    register long a1 asm("a1") = b;
    register long a2 asm("a2") = c;
    register long a7 asm("a7") = number;
    asm volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    return a0;
}

static void leave(int status)
{
    for (;;)
        system_call(93, status, 0, 0);
}

#define RUN(text)                                                                   \
    asm volatile("fscsr %[fcsr]\n" text "frflags %[flags]\n"                         \
                 : [r] "=&r"(answer->result), [flags] "=&r"(answer->flags)           \
                 : [a] "r"(request->a), [b] "r"(request->b), [c] "r"(request->c),    \
                   [fcsr] "r"((u64)request->rounding << 5 | request->accrued)                         \
                 : "ft0", "ft1", "ft2", "ft3")

// `move` is the suffix of the fmv that carries the format's bits: w or d.
#define LOAD(move)                                                                  \
    "fmv." move ".x ft0, %[a]\n fmv." move ".x ft1, %[b]\n fmv." move ".x ft2, %[c]\n"
#define STORE(move) "fmv.x." move " %[r], ft3\n"
#define TO_FLOAT(number, move, text)                                                \
    case number: RUN(LOAD(move) text "\n" STORE(move)); break
#define TO_REGISTER(number, move, text)                                             \
    case number: RUN(LOAD(move) text "\n"); break

#define OPERATIONS(f, move, other, other_move)                                      \
    TO_FLOAT(0, move, "fadd." f " ft3, ft0, ft1");                                   \
    TO_FLOAT(1, move, "fsub." f " ft3, ft0, ft1");                                   \
    TO_FLOAT(2, move, "fmul." f " ft3, ft0, ft1");                                   \
    TO_FLOAT(3, move, "fdiv." f " ft3, ft0, ft1");                                   \
    TO_FLOAT(4, move, "fsqrt." f " ft3, ft0");                                       \
    TO_FLOAT(5, move, "fmadd." f " ft3, ft0, ft1, ft2");                             \
    TO_FLOAT(6, move, "fmsub." f " ft3, ft0, ft1, ft2");                             \
    TO_FLOAT(7, move, "fnmsub." f " ft3, ft0, ft1, ft2");                            \
    TO_FLOAT(8, move, "fnmadd." f " ft3, ft0, ft1, ft2");                            \
    TO_FLOAT(9, move, "fmin." f " ft3, ft0, ft1");                                   \
    TO_FLOAT(10, move, "fmax." f " ft3, ft0, ft1");                                  \
    TO_REGISTER(11, move, "feq." f " %[r], ft0, ft1");                               \
    TO_REGISTER(12, move, "flt." f " %[r], ft0, ft1");                               \
    TO_REGISTER(13, move, "fle." f " %[r], ft0, ft1");                               \
    TO_REGISTER(14, move, "fclass." f " %[r], ft0");                                 \
    TO_REGISTER(15, move, "fcvt.w." f " %[r], ft0");                                 \
    TO_REGISTER(16, move, "fcvt.wu." f " %[r], ft0");                                \
    TO_REGISTER(17, move, "fcvt.l." f " %[r], ft0");                                 \
    TO_REGISTER(18, move, "fcvt.lu." f " %[r], ft0");                                \
    TO_FLOAT(19, move, "fcvt." f ".w ft3, %[a]");                                    \
    TO_FLOAT(20, move, "fcvt." f ".wu ft3, %[a]");                                   \
    TO_FLOAT(21, move, "fcvt." f ".l ft3, %[a]");                                    \
    TO_FLOAT(22, move, "fcvt." f ".lu ft3, %[a]");                                   \
    case 23:                                                                        \
        RUN(LOAD(move) "fcvt." other "." f " ft3, ft0\n" STORE(other_move));          \
        break;                                                                      \
    default:                                                                        \
        leave(2)

static void execute(const struct request *request, struct answer *answer)
{
    if (request->is_double) {
        switch (request->operation) {
            OPERATIONS("d", "d", "s", "w");
        }
    } else {
        switch (request->operation) {
            OPERATIONS("s", "w", "d", "d");
        }
    }
}

static long read_batch(void)
{
    long size = 0;
    while (size < (long)sizeof requests) {
        long more = system_call(63, 0, (long)requests + size, sizeof requests - size);
        if (more < 0)
            leave(3);
        if (more == 0)
            break;
        size += more;
    }
    return size;
}

static void write_batch(long size)
{
    for (long done = 0; done < size;) {
        long more = system_call(64, 1, (long)answers + done, size - done);
        if (more <= 0)
            leave(4);
        done += more;
    }
}

void _start(void)
{
    long size;
    while ((size = read_batch()) > 0) {
        long count = size / (long)sizeof(struct request);
        for (long i = 0; i < count; i++)
            execute(&requests[i], &answers[i]);
        write_batch(count * (long)sizeof(struct answer));
    }
    leave(0);
}
