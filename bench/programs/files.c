/* Files in a memory file system: create, write, read back, look up, remove. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

enum { FILES = 100, ROUNDS = 40, SIZE = 8192 };

int main(void)
{
    char directory[] = "/tmp/bench-files-XXXXXX", path[64], data[SIZE];
    uint64_t sum = 0;
    need(mkdtemp(directory) != NULL, "mkdtemp");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < FILES; i++) {
            snprintf(path, sizeof path, "%s/%d", directory, i);
            int file = open(path, O_RDWR | O_CREAT, 0600);
            need(file >= 0, path);
            memset(data, i + round, SIZE);
            need(write(file, data, SIZE) == SIZE, "write");
            need(lseek(file, SIZE / 2, SEEK_SET) == SIZE / 2, "lseek");
            need(read(file, data, SIZE) == SIZE / 2, "read");
            close(file);
            sum = mix(sum, (unsigned char)data[0]);
        }
        for (int i = 0; i < FILES; i++) {
            struct stat status;
            snprintf(path, sizeof path, "%s/%d", directory, i);
            need(stat(path, &status) == 0, path);
            sum = mix(sum, status.st_size);
            need(unlink(path) == 0, path);
        }
    }
    need(rmdir(directory) == 0, "rmdir");
    return finish(sum);
}
