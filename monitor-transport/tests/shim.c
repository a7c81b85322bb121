/* Preloaded into a process under test: the k-th sync of a file fails once with EIO. A sync that is tried again on the
 * same open file after it failed is reported, because it would be a lie: the kernel has forgotten the failed pages. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int synced;
static char failed[4096];

static void report(const char *variable) {
    const char *path = getenv(variable);
    if (path) {
        int file = open(path, O_CREAT | O_WRONLY, 0644);
        if (file >= 0) close(file);
    }
}

static int sync_or_fail(int file, int (*real)(int)) {
    const char *k = getenv("SHIM_FAIL_SYNC");
    if (file >= 0 && file < 4096 && failed[file]) report("SHIM_AGAIN");
    if (k && __sync_add_and_fetch(&synced, 1) == atoi(k)) {
        if (file >= 0 && file < 4096) failed[file] = 1;
        report("SHIM_FIRED");
        errno = EIO;
        return -1;
    }
    return real(file);
}

int fsync(int file) { return sync_or_fail(file, (int (*)(int))dlsym(RTLD_NEXT, "fsync")); }
int fdatasync(int file) { return sync_or_fail(file, (int (*)(int))dlsym(RTLD_NEXT, "fdatasync")); }

int close(int file) {
    if (file >= 0 && file < 4096) failed[file] = 0;
    return ((int (*)(int))dlsym(RTLD_NEXT, "close"))(file);
}
