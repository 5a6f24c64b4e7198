/* A mix in the manner of Dhrystone: records by pointer, short strings, calls, comparisons, enumerations. */
#include "bench.h"

enum { RUNS = 3000000 };

enum kind { FIRST, SECOND, THIRD };

struct record {
    struct record *next;
    enum kind kind;
    int number;
    char text[31];
};

static struct record one, two;
static char letter;
static int table[50], grid[50][50];

static __attribute__((noinline)) enum kind compare_letters(char a, char b)
{
    if (a != b)
        return FIRST;
    letter = a;
    return SECOND;
}

static __attribute__((noinline)) int compare_texts(const char *a, const char *b)
{
    int place = 2;
    while (place <= 2)
        if (compare_letters(a[place], b[place + 1]) == FIRST)
            place++;
    if (strcmp(a, b) <= 0)
        return 0;
    letter += 7;
    return 1;
}

static __attribute__((noinline)) void choose(enum kind kind, enum kind *out)
{
    switch (kind) {
    case FIRST:
        *out = table[7] > 100 ? FIRST : THIRD;
        break;
    case SECOND:
        *out = SECOND;
        break;
    case THIRD:
        *out = FIRST;
        break;
    }
}

static __attribute__((noinline)) void fill(int *row, int (*rows)[50], int a, int b)
{
    int place = a + 5;
    row[place] = b;
    row[place + 1] = row[place];
    row[place + 30] = place;
    for (int i = place; i <= place + 1; i++)
        rows[place][i] = place;
    rows[place][place - 1]++;
    rows[place + 20][place] = row[place];
}

static __attribute__((noinline)) void follow(struct record *record)
{
    struct record *next = record->next;
    *next = *record;
    record->number = 5;
    next->number = record->number;
    next->next = record;
    choose(next->kind, &record->kind);
}

int main(void)
{
    uint64_t sum = 0;
    char text[31];
    one.next = &two;
    strcpy(one.text, "RECORDS, THE FIRST OF THE TWO");
    for (int run = 0; run < RUNS; run++) {
        int a = run % 7, b = 3;
        strcpy(text, "RECORDS, THE OTHER OF THE TWO");
        int order = compare_texts(one.text, text);
        if (a < b) {
            b = 5 * a - b;
            a++;
        }
        fill(table, grid, a, b);
        one.next = &two;
        one.kind = run % 3;
        follow(&one);
        for (char c = 'A'; c <= letter % 4 + 'A'; c++)
            if (one.kind == compare_letters(c, 'C'))
                choose(FIRST, &one.kind);
        b = (b * a) / (order + 3);
        sum = mix(sum, (uint64_t)(one.kind + b + two.number + table[8]));
    }
    return finish(sum);
}
