/* Records what a process asks the kernel to do to the files below one directory.
 *
 * Preloaded (LD_PRELOAD) into the process and its children. Environment:
 *   CVAULT_RECORD_ROOT   absolute path without links; files below it are recorded
 *   CVAULT_RECORD_LOG    the log, appended to
 *   CVAULT_RECORD_MARKS  writes to this file are recorded as marks and nothing else
 *
 * One record a call that succeeded, little-endian, in the order in which the calls returned:
 *   header (40 bytes): kind u8 | durable u8 | path length u16 | second path length u16 | 2 bytes zero
 *                      | inode u64 | offset u64 | length u64 | data length u64
 *   then path, second path (both relative to the root), data
 *
 * A mutex is held over call and record, so that no other thread of the process comes between the two.
 * The recorded program must not race itself across processes. What this cannot follow (links, copies inside
 * the kernel, holes, writable shared maps) is recorded by name for the reader to judge.
 */
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    CREATE = 1, MAKE_DIRECTORY, WRITE, RESIZE, ALLOCATE, SYNC, RENAME, UNLINK, REMOVE_DIRECTORY, MARK,
    UNFOLLOWED, MAPPED
};

struct header {
    uint8_t kind, durable;
    uint16_t path_length, second_length, zero;
    uint64_t inode, offset, length, data_length;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *marks;
static size_t root_length;
static int log_fd = -1;

#define REAL(result, name, ...)                                       \
    static result (*real)(__VA_ARGS__);                               \
    if (!real)                                                        \
        real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static void die(const char *why) {
    dprintf(2, "recorder: %s\n", why);
    abort();
}

__attribute__((constructor)) static void begin(void) {
    root = getenv("CVAULT_RECORD_ROOT");
    marks = getenv("CVAULT_RECORD_MARKS");
    const char *path = getenv("CVAULT_RECORD_LOG");
    if (!root || !marks || !path)
        die("CVAULT_RECORD_* are not set");
    root_length = strlen(root);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    log_fd = fd < 0 ? -1 : (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 512); /* out of the program's way */
    if (log_fd < 0)
        die("cannot open the log");
    syscall(SYS_close, fd);
}

static void record(struct header header, const char *path, const char *second, const void *data) {
    header.path_length = path ? (uint16_t)strlen(path) : 0;
    header.second_length = second ? (uint16_t)strlen(second) : 0;
    struct iovec parts[] = {
        {&header, sizeof header},
        {(void *)path, header.path_length},
        {(void *)second, header.second_length},
        {(void *)data, header.data_length},
    };
    size_t whole = sizeof header + header.path_length + header.second_length + header.data_length;
    int kept = errno;
    if (syscall(SYS_writev, log_fd, parts, 4) != (long)whole)
        die("cannot write the log");
    errno = kept;
}

/* The path relative to the root ("" for the root itself), or NULL when it lies elsewhere. */
static const char *below_root(const char *path) {
    if (strncmp(path, root, root_length) != 0)
        return NULL;
    if (path[root_length] == '\0')
        return "";
    return path[root_length] == '/' ? path + root_length + 1 : NULL;
}

static int path_of(int fd, char *out) {
    char link[64];
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, PATH_MAX - 1);
    errno = kept;
    if (length < 0)
        return 0;
    out[length] = '\0';
    return 1;
}

static void absolute(int directory, const char *path, char *out) {
    char base[PATH_MAX] = "";
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return;
    }
    if (directory == AT_FDCWD) {
        if (!getcwd(base, sizeof base))
            die("no working directory");
    } else if (!path_of(directory, base)) {
        die("a directory without a path");
    }
    if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX)
        die("a path is too long");
}

static uint64_t inode_of(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/* Whether `fd` is a file or directory below the root; fills in its path relative to the root. */
static int is_recorded(int fd, char *out) {
    char path[PATH_MAX];
    const char *relative;
    if (!path_of(fd, path) || !(relative = below_root(path)))
        return 0;
    memmove(out, relative, strlen(relative) + 1);
    return 1;
}

static int is_marks(int fd) {
    char path[PATH_MAX];
    return path_of(fd, path) && strcmp(path, marks) == 0;
}

static void unfollowed(const char *call) {
    record((struct header){.kind = UNFOLLOWED}, call, NULL, NULL);
}

/* ---- names ---- */

static int open_recorded(int directory, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    absolute(directory, path, whole);
    const char *relative = below_root(whole);
    if (!relative || !(flags & (O_CREAT | O_TRUNC)))
        return (int)syscall(SYS_openat, directory, path, flags, mode);
    pthread_mutex_lock(&mutex);
    if ((flags & O_TMPFILE) == O_TMPFILE)
        unfollowed("O_TMPFILE");
    int was_there = syscall(SYS_faccessat, AT_FDCWD, whole, F_OK) == 0;
    int fd = (int)syscall(SYS_openat, directory, path, flags, mode);
    if (fd >= 0 && !was_there)
        record((struct header){.kind = CREATE, .inode = inode_of(fd)}, relative, NULL, NULL);
    else if (fd >= 0 && (flags & O_TRUNC))
        record((struct header){.kind = RESIZE, .inode = inode_of(fd)}, relative, NULL, NULL);
    pthread_mutex_unlock(&mutex);
    return fd;
}

#define MODE_OF(flags, mode)                                          \
    mode_t mode = 0;                                                  \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                            \
        va_list arguments;                                            \
        va_start(arguments, flags);                                   \
        mode = va_arg(arguments, mode_t);                             \
        va_end(arguments);                                            \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_recorded(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_recorded(AT_FDCWD, path, flags, mode);
}
int openat(int directory, const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_recorded(directory, path, flags, mode);
}
int openat64(int directory, const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_recorded(directory, path, flags, mode);
}
int creat(const char *path, mode_t mode) {
    return open_recorded(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *path, mode_t mode) {
    return open_recorded(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int mkdirat(int directory, const char *path, mode_t mode) {
    char whole[PATH_MAX];
    struct stat status;
    absolute(directory, path, whole);
    pthread_mutex_lock(&mutex);
    int result = (int)syscall(SYS_mkdirat, directory, path, mode);
    const char *relative = below_root(whole);
    if (result == 0 && relative && stat(whole, &status) == 0)
        record((struct header){.kind = MAKE_DIRECTORY, .inode = status.st_ino}, relative, NULL, NULL);
    pthread_mutex_unlock(&mutex);
    return result;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
    char from_whole[PATH_MAX], to_whole[PATH_MAX];
    absolute(from_directory, from, from_whole);
    absolute(to_directory, to, to_whole);
    pthread_mutex_lock(&mutex);
    int result = (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
    const char *source = below_root(from_whole), *target = below_root(to_whole);
    if (result == 0 && (source || target)) {
        if (source && target && !flags)
            record((struct header){.kind = RENAME}, source, target, NULL);
        else
            unfollowed("rename across the root or with flags");
    }
    pthread_mutex_unlock(&mutex);
    return result;
}
int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    return renameat2(from_directory, from, to_directory, to, 0);
}
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int directory, const char *path, int flags) {
    char whole[PATH_MAX];
    absolute(directory, path, whole);
    pthread_mutex_lock(&mutex);
    int result = (int)syscall(SYS_unlinkat, directory, path, flags);
    const char *relative = below_root(whole);
    if (result == 0 && relative)
        record((struct header){.kind = flags & AT_REMOVEDIR ? REMOVE_DIRECTORY : UNLINK}, relative, NULL,
               NULL);
    pthread_mutex_unlock(&mutex);
    return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    int result = unlink(path);
    return result != 0 && errno == EISDIR ? rmdir(path) : result;
}

/* ---- contents ---- */

/* After a write of `done` bytes that ended at `end`; the caller holds the mutex. */
static void wrote(int fd, const struct iovec *parts, int count, ssize_t done, off64_t end, int flags) {
    char path[PATH_MAX];
    if (done <= 0)
        return;
    int mark = is_marks(fd);
    if (!mark && !is_recorded(fd, path))
        return;
    char *data = malloc((size_t)done);
    if (!data)
        die("no memory");
    size_t filled = 0;
    for (int i = 0; i < count && filled < (size_t)done; i++) {
        size_t part = parts[i].iov_len < (size_t)done - filled ? parts[i].iov_len : (size_t)done - filled;
        memcpy(data + filled, parts[i].iov_base, part);
        filled += part;
    }
    if (mark) {
        record((struct header){.kind = MARK, .data_length = filled}, NULL, NULL, data);
    } else {
        struct header header = {.kind = WRITE, .inode = inode_of(fd), .offset = (uint64_t)end - filled,
                                .length = filled, .data_length = filled};
        header.durable = (fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC)) || (flags & (RWF_DSYNC | RWF_SYNC));
        record(header, path, NULL, data);
    }
    free(data);
}

ssize_t write(int fd, const void *data, size_t length) {
    struct iovec part = {(void *)data, length};
    char path[PATH_MAX];
    if (!is_marks(fd) && !is_recorded(fd, path)) /* without the mutex: it may be a pipe, and wait */
        return syscall(SYS_write, fd, data, length);
    pthread_mutex_lock(&mutex);
    ssize_t done = syscall(SYS_write, fd, data, length);
    wrote(fd, &part, 1, done, lseek64(fd, 0, SEEK_CUR), 0);
    pthread_mutex_unlock(&mutex);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (!is_marks(fd) && !is_recorded(fd, path))
        return syscall(SYS_writev, fd, parts, count);
    pthread_mutex_lock(&mutex);
    ssize_t done = syscall(SYS_writev, fd, parts, count);
    wrote(fd, parts, count, done, lseek64(fd, 0, SEEK_CUR), 0);
    pthread_mutex_unlock(&mutex);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    struct iovec part = {(void *)data, length};
    pthread_mutex_lock(&mutex);
    ssize_t done = real(fd, data, length, offset);
    wrote(fd, &part, 1, done, offset + done, 0);
    pthread_mutex_unlock(&mutex);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    return pwrite64(fd, data, length, offset);
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    REAL(ssize_t, "pwritev64v2", int, const struct iovec *, int, off64_t, int);
    pthread_mutex_lock(&mutex);
    ssize_t done = real(fd, parts, count, offset, flags);
    wrote(fd, parts, count, done, offset + done, flags);
    pthread_mutex_unlock(&mutex);
    return done;
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return pwritev64v2(fd, parts, count, offset, flags);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return pwritev64v2(fd, parts, count, offset, 0);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev64v2(fd, parts, count, offset, 0);
}

int ftruncate64(int fd, off64_t length) {
    char path[PATH_MAX];
    pthread_mutex_lock(&mutex);
    int result = (int)syscall(SYS_ftruncate, fd, length);
    if (result == 0 && is_recorded(fd, path))
        record((struct header){.kind = RESIZE, .inode = inode_of(fd), .length = (uint64_t)length}, path, NULL,
               NULL);
    pthread_mutex_unlock(&mutex);
    return result;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int truncate64(const char *path, off64_t length) {
    char whole[PATH_MAX];
    absolute(AT_FDCWD, path, whole);
    pthread_mutex_lock(&mutex);
    int result = (int)syscall(SYS_truncate, path, length);
    if (result == 0 && below_root(whole))
        unfollowed("truncate by name");
    pthread_mutex_unlock(&mutex);
    return result;
}
int truncate(const char *path, off_t length) { return truncate64(path, length); }

static void allocated(int fd, const char *path, off64_t offset, off64_t length) {
    record((struct header){.kind = ALLOCATE, .inode = inode_of(fd), .offset = (uint64_t)offset,
                           .length = (uint64_t)length},
           path, NULL, NULL);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    char path[PATH_MAX];
    pthread_mutex_lock(&mutex);
    int result = (int)syscall(SYS_fallocate, fd, mode, offset, length);
    if (result == 0 && is_recorded(fd, path)) {
        if (mode == 0)
            allocated(fd, path, offset, length);
        else if (mode != FALLOC_FL_KEEP_SIZE)
            unfollowed("fallocate with a mode");
    }
    pthread_mutex_unlock(&mutex);
    return result;
}
int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    REAL(int, "posix_fallocate64", int, off64_t, off64_t);
    char path[PATH_MAX];
    pthread_mutex_lock(&mutex);
    int result = real(fd, offset, length);
    if (result == 0 && is_recorded(fd, path))
        allocated(fd, path, offset, length);
    pthread_mutex_unlock(&mutex);
    return result;
}
int posix_fallocate(int fd, off_t offset, off_t length) { return posix_fallocate64(fd, offset, length); }

/* ---- durability ---- */

static int sync_recorded(long call, int fd) {
    char path[PATH_MAX];
    pthread_mutex_lock(&mutex);
    int result = (int)syscall(call, fd);
    if (result == 0 && is_recorded(fd, path))
        record((struct header){.kind = SYNC, .inode = inode_of(fd)}, path, NULL, NULL);
    pthread_mutex_unlock(&mutex);
    return result;
}
int fsync(int fd) { return sync_recorded(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_recorded(SYS_fdatasync, fd); }

/* ---- what replaying cannot follow ---- */

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    REAL(void *, "mmap64", void *, size_t, int, int, int, off64_t);
    char path[PATH_MAX];
    if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED) && is_recorded(fd, path)) {
        pthread_mutex_lock(&mutex);
        record((struct header){.kind = MAPPED, .inode = inode_of(fd)}, path, NULL, NULL);
        pthread_mutex_unlock(&mutex);
    }
    return real(address, length, protection, flags, fd, offset);
}
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(address, length, protection, flags, fd, offset);
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
    char whole[PATH_MAX];
    absolute(to_directory, to, whole);
    if (below_root(whole))
        unfollowed("link");
    return (int)syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int symlinkat(const char *target, int directory, const char *path) {
    char whole[PATH_MAX];
    absolute(directory, path, whole);
    if (below_root(whole))
        unfollowed("symlink");
    return (int)syscall(SYS_symlinkat, target, directory, path);
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length,
                        unsigned flags) {
    char path[PATH_MAX];
    if (is_recorded(out, path))
        unfollowed("copy_file_range");
    return syscall(SYS_copy_file_range, in, in_offset, out, out_offset, length, flags);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t length) {
    char path[PATH_MAX];
    if (is_recorded(out, path))
        unfollowed("sendfile");
    return syscall(SYS_sendfile, out, in, offset, length);
}
ssize_t sendfile(int out, int in, off_t *offset, size_t length) {
    return sendfile64(out, in, offset, length);
}
