/* A disk on which every sync takes 50 ms longer. Preloaded into the agents of one scene. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait_for_the_disk(void)
{
    struct timespec left = { 0, 50 * 1000 * 1000 };
    while (nanosleep(&left, &left) != 0) {
    }
}

int fsync(int file)
{
    wait_for_the_disk();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    wait_for_the_disk();
    return (int)syscall(SYS_fdatasync, file);
}
