/* A disk between a program and its real one, to be preloaded (LD_PRELOAD).
 *
 * What the program does to files below DISK_ROOT is written to DISK_TRACE, with the bytes, in the
 * order in which it happened, and so is what it sends over sockets: from that the test rebuilds
 * what a power cut may leave. With DISK_LIES a sync returns at once and makes nothing durable.
 * DISK_FAULTS names a file with a line "CALL PART ACTION" for each fault: calls of this kind (write,
 * sync, truncate, open, rename, link, mkdir) on paths that contain PART (with a $ at its end: end
 * in it) fail with the number ACTION; "half" writes half of what it is given, "half:N" half and then fails with N. The file
 * is read at each call. DISK_BOOT stands in the place of the kernel's name for this boot.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define MOST 4096

#define REAL(type, name, ...)                                    \
    static type (*real)(__VA_ARGS__);                            \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

struct head {
    uint32_t op, length;  /* bytes that follow the names */
    uint64_t parent, inode;
    int64_t offset;
    uint32_t name, other;  /* lengths of two names that follow */
};

static char *paths[MOST];  /* of descriptors below DISK_ROOT */
static int half_done;

static int below(const char *path) {
    const char *root = getenv("DISK_ROOT");
    size_t length = root ? strlen(root) : 0;
    return length && !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

/* Make PATH absolute, its parent resolved; 0 if that cannot be done or it is not below the root. */
static int resolve(const char *path, char out[PATH_MAX], uint64_t *parent, const char **name) {
    char copy[PATH_MAX], real_parent[PATH_MAX];
    if (strlen(path) >= PATH_MAX - 1) return 0;
    strcpy(copy, path);
    size_t end = strlen(copy);
    while (end > 1 && copy[end - 1] == '/') copy[--end] = 0;
    char *slash = strrchr(copy, '/');
    const char *last = slash ? slash + 1 : copy;
    const char *up = !slash ? "." : slash == copy ? "/" : (*slash = 0, copy);
    struct stat found;
    if (!realpath(up, real_parent) || stat(real_parent, &found)) return 0;
    if (snprintf(out, PATH_MAX, "%s/%s", real_parent, last) >= PATH_MAX || !below(out)) return 0;
    *parent = found.st_ino;
    *name = strrchr(out, '/') + 1;
    return 1;
}

static void note(uint32_t op, uint64_t parent, uint64_t inode, int64_t offset, const char *name,
                 const char *other, const void *data, size_t length) {
    const char *trace = getenv("DISK_TRACE");
    if (!trace) return;
    int kept = errno;
    struct head head = {op, length, parent, inode, offset, strlen(name), strlen(other)};
    struct iovec all[4] = {{&head, sizeof head},
                           {(void *)name, head.name},
                           {(void *)other, head.other},
                           {(void *)data, length}};
    int fd = syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_writev, fd, all, 4) != (long)(sizeof head + head.name + head.other + length))
        abort();
    syscall(SYS_close, fd);
    errno = kept;
}

/* Return what is to befall a call: 0 nothing, N > 0 this errno, -1 half of a write. A few bytes,
 * which no disk divides, are written or not. */
static int fault(const char *call, const char *path, size_t size) {
    const char *faults = getenv("DISK_FAULTS");
    char text[2048], kind[32], part[512], action[32];
    int fd = faults ? syscall(SYS_openat, AT_FDCWD, faults, O_RDONLY | O_CLOEXEC, 0) : -1;
    if (fd < 0) return 0;
    long got = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    text[got > 0 ? got : 0] = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (sscanf(line, "%31s %511s %31s", kind, part, action) != 3) continue;
        size_t last = strlen(part) - 1;
        const char *found = part[last] == '$' ? (part[last] = 0, path + strlen(path) - last) : NULL;
        if (strcmp(kind, call)) continue;
        if (found ? found < path || strcmp(found, part) : !strstr(path, part)) continue;
        if (strncmp(action, "half", 4)) return atoi(action);
        if (size < 8) return 0;
        if (action[4] == ':' && half_done) {
            half_done = 0;
            return atoi(action + 5);
        }
        half_done = 1;
        return -1;
    }
    return 0;
}

static const char *path_of(int fd) { return fd >= 0 && fd < MOST ? paths[fd] : NULL; }

static uint64_t inode_of(int fd, off_t *size) {
    struct stat found;
    if (fstat(fd, &found)) abort();
    if (size) *size = found.st_size;
    return found.st_ino;
}

static int opening(int (*real)(int, const char *, int, ...), int at, const char *path, int flags,
                   mode_t mode) {
    char whole[PATH_MAX];
    const char *name, *boot = getenv("DISK_BOOT");
    uint64_t parent;
    if (boot && !strcmp(path, BOOT_ID)) return real(AT_FDCWD, boot, flags, mode);
    if ((at != AT_FDCWD && path[0] != '/') || !resolve(path, whole, &parent, &name))
        return real(at, path, flags, mode);
    int failing = (flags & O_ACCMODE) != O_RDONLY ? fault("open", whole, 0) : 0;
    if (failing > 0) {
        errno = failing;
        return -1;
    }
    struct stat before;
    int was_there = !lstat(whole, &before);
    int fd = real(at, path, flags, mode);
    if (fd < 0 || fd >= MOST) return fd;
    free(paths[fd]);
    paths[fd] = strdup(whole);
    uint64_t inode = inode_of(fd, NULL);
    if (!was_there)
        note('C', parent, inode, 0, name, "", NULL, 0);
    else if (flags & O_TRUNC)
        note('T', 0, inode, 0, "", "", NULL, 0);
    return fd;
}

#define OPEN(symbol)                                                     \
    int symbol(const char *path, int flags, ...) {                       \
        REAL(int, "openat", int, const char *, int, ...);                \
        va_list more;                                                    \
        va_start(more, flags);                                           \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                    \
        return opening(real, AT_FDCWD, path, flags, mode);               \
    }
#define OPENAT(symbol)                                                   \
    int symbol(int at, const char *path, int flags, ...) {               \
        REAL(int, "openat", int, const char *, int, ...);                \
        va_list more;                                                    \
        va_start(more, flags);                                           \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                    \
        return opening(real, at, path, flags, mode);                     \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    REAL(int, "close", int);
    if (path_of(fd)) {
        free(paths[fd]);
        paths[fd] = NULL;
    }
    return real(fd);
}

static ssize_t writing(int fd, const void *data, size_t size, off_t offset) {
    const char *path = path_of(fd);
    int failing = path ? fault("write", path, size) : 0;
    if (failing > 0) {
        errno = failing;
        return -1;
    }
    if (failing < 0) size /= 2;
    off_t end = 0;
    uint64_t inode = path ? inode_of(fd, &end) : 0;
    off_t at = offset;
    if (path && offset < 0)
        at = fcntl(fd, F_GETFL) & O_APPEND ? end : lseek(fd, 0, SEEK_CUR);
    ssize_t done = offset < 0 ? syscall(SYS_write, fd, data, size)
                              : syscall(SYS_pwrite64, fd, data, size, offset);
    if (path && done > 0) note('W', 0, inode, at, "", "", data, done);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) { return writing(fd, data, size, -1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return writing(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    return writing(fd, data, size, at);
}

static int cutting(int fd, off_t size) {
    const char *path = path_of(fd);
    int failing = path ? fault("truncate", path, 0) : 0;
    if (failing > 0) {
        errno = failing;
        return -1;
    }
    int done = syscall(SYS_ftruncate, fd, size);
    if (path && !done) note('T', 0, inode_of(fd, NULL), size, "", "", NULL, 0);
    return done;
}

int ftruncate(int fd, off_t size) { return cutting(fd, size); }
int ftruncate64(int fd, off_t size) { return cutting(fd, size); }

static int syncing(int fd, long call) {
    const char *path = path_of(fd);
    int failing = path ? fault("sync", path, 0) : 0;
    if (failing > 0) {
        errno = failing;
        return -1;
    }
    if (path && getenv("DISK_LIES")) return 0;
    int done = syscall(call, fd);
    if (path && !done) note('F', 0, inode_of(fd, NULL), 0, "", "", NULL, 0);
    return done;
}

int fsync(int fd) { return syncing(fd, SYS_fsync); }
int fdatasync(int fd) { return syncing(fd, SYS_fdatasync); }

int rename(const char *from, const char *to) {
    char a[PATH_MAX], b[PATH_MAX];
    const char *one, *two;
    uint64_t first, second;
    int known = resolve(from, a, &first, &one) && resolve(to, b, &second, &two);
    int failing = known ? fault("rename", b, 0) : 0;
    if (failing > 0) {
        errno = failing;
        return -1;
    }
    int done = syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    if (known && !done && first != second) abort();  /* the test's model knows none such */
    if (known && !done) note('R', first, 0, 0, one, two, NULL, 0);
    return done;
}

int link(const char *from, const char *to) {
    char a[PATH_MAX], b[PATH_MAX];
    const char *one, *two;
    uint64_t first, second;
    struct stat found;
    int known = resolve(from, a, &first, &one) && resolve(to, b, &second, &two);
    int failing = known ? fault("link", b, 0) : 0;
    if (failing > 0) {
        errno = failing;
        return -1;
    }
    int done = syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (known && !done && !lstat(b, &found)) note('C', second, found.st_ino, 1, two, "", NULL, 0);
    return done;
}

int linkat(int at, const char *from, int other, const char *to, int flags) {
    if (at == AT_FDCWD && other == AT_FDCWD && !flags) return link(from, to);
    return syscall(SYS_linkat, at, from, other, to, flags);
}

int unlink(const char *path) {
    char whole[PATH_MAX];
    const char *name;
    uint64_t parent;
    int known = resolve(path, whole, &parent, &name);
    int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (known && !done) note('U', parent, 0, 0, name, "", NULL, 0);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    char whole[PATH_MAX];
    const char *name;
    uint64_t parent;
    struct stat found;
    int known = resolve(path, whole, &parent, &name);
    int failing = known ? fault("mkdir", whole, 0) : 0;
    if (failing > 0) {
        errno = failing;
        return -1;
    }
    int done = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (known && !done && !lstat(whole, &found)) note('M', parent, found.st_ino, 0, name, "", NULL, 0);
    return done;
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
    ssize_t done = syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
    if (done > 0) note('S', fd, 0, 0, "", "", data, done);
    return done;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    ssize_t done = syscall(SYS_sendmsg, fd, message, flags);
    for (size_t i = 0, left = done > 0 ? done : 0; left && i < message->msg_iovlen; i++) {
        size_t size = message->msg_iov[i].iov_len < left ? message->msg_iov[i].iov_len : left;
        note('S', fd, 0, 0, "", "", message->msg_iov[i].iov_base, size);
        left -= size;
    }
    return done;
}
