/* SPDX-License-Identifier: MIT
 *
 * files.h for Linux. Every component of a name is opened by itself, from the directory before
 * it and without following links, so that nobody who moves directories meanwhile can lead it out.
 * Sources: openat(2), linkat(2), renameat(2), fstatvfs(3).
 */
#define _GNU_SOURCE /* O_PATH */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { NAME_BYTES = 256, FILE_MODE = 0644 };

struct file {
    int descriptor;
    int directory; /* of a file that is written; else -1 */
    char name[NAME_BYTES];
    char unfinished[NAME_BYTES];
};

static kirim_err err_of(int number)
{
    switch (number) {
    case ENOENT:
        return KIRIM_ENOENT;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
    case ENOTDIR:
    case EISDIR:
    case ENXIO: /* a FIFO */
        return KIRIM_EACCES;
    case EEXIST:
        return KIRIM_EEXIST;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return KIRIM_TFTP_EFULL;
    case ENOMEM:
        return KIRIM_ENOMEM;
    case EMFILE:
    case ENFILE:
        return KIRIM_EMFILE;
    default:
        return KIRIM_ESYSTEM;
    }
}

/* The directory that a name leads to, and its last component. */
static kirim_err open_directory(const struct files *files, const char *name, int *directory,
                                char last[NAME_BYTES])
{
    int at = fcntl((int)files->root, F_DUPFD_CLOEXEC, 0);
    const char *slash = strchr(name, '/');
    while (at >= 0 && slash != NULL) {
        char component[NAME_BYTES];
        (void)snprintf(component, sizeof component, "%.*s", (int)(slash - name), name);
        const int next = openat(at, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        const int number = errno;
        (void)close(at);
        errno = number;
        at = next;
        name = slash + 1;
        slash = strchr(name, '/');
    }
    if (at < 0) {
        return err_of(errno);
    }
    if (strncmp(name, FILES_UNFINISHED, strlen(FILES_UNFINISHED)) == 0 ||
        strlen(name) >= NAME_BYTES) {
        (void)close(at);
        return KIRIM_ENOENT;
    }
    (void)snprintf(last, NAME_BYTES, "%s", name);
    *directory = at;
    return KIRIM_OK;
}

static void free_file(struct file *file)
{
    if (file->descriptor >= 0) {
        (void)close(file->descriptor);
    }
    if (file->directory >= 0) {
        (void)close(file->directory);
    }
    free(file);
}

static struct file *make_file(void)
{
    struct file *const file = calloc(1, sizeof *file);
    if (file != NULL) {
        file->descriptor = -1;
        file->directory = -1;
    }
    return file;
}

/* Only what has a length can be sent; O_NONBLOCK keeps from waiting at anything else. */
static kirim_err open_regular(struct file *file, uint64_t *bytes)
{
    struct stat status;
    file->descriptor =
        openat(file->directory, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file->descriptor < 0 || fstat(file->descriptor, &status) < 0) {
        return err_of(errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return KIRIM_EACCES;
    }
    *bytes = (uint64_t)status.st_size;
    return KIRIM_OK;
}

static kirim_err open_read(void *user, const char *name, void **out, uint64_t *bytes)
{
    struct file *const file = make_file();
    if (file == NULL) {
        return KIRIM_ENOMEM;
    }
    kirim_err err = open_directory(user, name, &file->directory, file->name);
    if (err == KIRIM_OK) {
        err = open_regular(file, bytes);
        if (file->directory >= 0) {
            (void)close(file->directory);
            file->directory = -1;
        }
    }
    if (err < 0) {
        free_file(file);
        return err;
    }
    *out = file;
    return KIRIM_OK;
}

/* What is in the way of a new file of this name. */
static kirim_err check_place(const struct files *files, const struct file *file, uint64_t bytes)
{
    struct stat status;
    struct statvfs space;
    if (fstatat(file->directory, file->name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!S_ISREG(status.st_mode)) {
            return KIRIM_EACCES;
        }
        if (!files->is_overwriting) {
            return KIRIM_EEXIST;
        }
    } else if (errno != ENOENT) {
        return err_of(errno);
    }
    if (bytes != KIRIM_NEVER && fstatvfs((int)files->root, &space) == 0 &&
        bytes / space.f_frsize >= space.f_bavail && bytes > 0) {
        return KIRIM_TFTP_EFULL;
    }
    return KIRIM_OK;
}

/* A name that nobody else has; another process's is passed over. */
static kirim_err make_unfinished(struct files *files, struct file *file)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    do {
        (void)snprintf(file->unfinished, sizeof file->unfinished, FILES_UNFINISHED "%jd-%" PRIu32,
                       (intmax_t)getpid(), files->file_number++);
        file->descriptor = openat(file->directory, file->unfinished, flags, FILE_MODE);
    } while (file->descriptor < 0 && errno == EEXIST);
    return file->descriptor < 0 ? err_of(errno) : KIRIM_OK;
}

static kirim_err open_write(void *user, const char *name, uint64_t bytes, void **out)
{
    struct files *const files = user;
    struct file *const file = make_file();
    if (file == NULL) {
        return KIRIM_ENOMEM;
    }
    kirim_err err = open_directory(files, name, &file->directory, file->name);
    if (err == KIRIM_OK) {
        err = check_place(files, file, bytes);
    }
    if (err == KIRIM_OK) {
        err = make_unfinished(files, file);
    }
    if (err < 0) {
        free_file(file);
        return err;
    }
    *out = file;
    return KIRIM_OK;
}

static kirim_err read_file(void *user, void *opened, uint64_t offset, void *data, size_t bytes,
                           size_t *got)
{
    const struct file *const file = opened;
    size_t used = 0;
    (void)user;
    while (used < bytes) {
        const ssize_t count =
            pread(file->descriptor, (char *)data + used, bytes - used, (off_t)(offset + used));
        if (count == 0) {
            break;
        }
        if (count < 0 && errno != EINTR) {
            return err_of(errno);
        }
        used += count > 0 ? (size_t)count : 0;
    }
    *got = used;
    return KIRIM_OK;
}

static kirim_err write_file(void *user, void *opened, const void *data, size_t bytes)
{
    const struct file *const file = opened;
    size_t used = 0;
    (void)user;
    while (used < bytes) {
        const ssize_t count = write(file->descriptor, (const char *)data + used, bytes - used);
        if (count == 0) {
            return KIRIM_TFTP_EFULL;
        }
        if (count < 0 && errno != EINTR) {
            return err_of(errno);
        }
        used += count > 0 ? (size_t)count : 0;
    }
    return KIRIM_OK;
}

static void discard_file(void *user, void *opened)
{
    struct file *const file = opened;
    (void)user;
    if (file->directory >= 0) {
        (void)unlinkat(file->directory, file->unfinished, 0);
    }
    free_file(file);
}

/* A link to a name that is taken fails; a rename replaces it. The last bytes may fail as late as in
 * the close. */
static kirim_err commit_file(void *user, void *opened)
{
    const struct files *const files = user;
    struct file *const file = opened;
    const int descriptor = file->descriptor;
    file->descriptor = -1;
    int status = close(descriptor);
    if (status == 0) {
        status = files->is_overwriting
                     ? renameat(file->directory, file->unfinished, file->directory, file->name)
                     : linkat(file->directory, file->unfinished, file->directory, file->name, 0);
    }
    const kirim_err err = status == 0 ? KIRIM_OK : err_of(errno);
    discard_file(user, file); /* the other name goes; after a rename there is none */
    return err;
}

const char *files_last_separator(const char *path)
{
    return strrchr(path, '/');
}

bool files_open(struct files *files, const char *path)
{
    *files = (struct files){ .path = path };
    files->storage = (struct kirim_tftp_storage){ files,      open_read,   open_write,  read_file,
                                                  write_file, commit_file, discard_file };
    files->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return files->root >= 0;
}

void files_close(struct files *files)
{
    (void)close((int)files->root);
}
