// Preloaded into every process of a chaos run: a clock that is wrong by injected[0] seconds, and a disk that takes
// injected[1] microseconds longer to confirm a write. The injected are a file that the run changes while all goes on.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long long none[2];
static const volatile long long *injected = none;

__attribute__((constructor)) static void find_levers(void) {
    const char *path = getenv("CHAOS_LEVERS");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(0, sizeof none, PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) injected = found;
    if (file >= 0) close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*really)(clockid_t, struct timespec *);
    if (!really) really = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = really(clock, at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += injected[0];
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

// Its deadline comes from the wrong clock, and the kernel goes by the right one.
int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static int (*really)(sem_t *, const struct timespec *);
    if (!really) really = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec shifted = {until->tv_sec - injected[0], until->tv_nsec};
    return really(semaphore, &shifted);
}

int fdatasync(int file) {
    if (injected[1]) usleep(injected[1]);
    return syscall(SYS_fdatasync, file);
}

int fsync(int file) {
    if (injected[1]) usleep(injected[1]);
    return syscall(SYS_fsync, file);
}
