/* SPDX-License-Identifier: MIT
 *
 * tftp_files.h for Windows. Names have passed kirim_tftp_path_check(), so none is a device, a drive
 * or a stream; a directory or file that is a reparse point (a link, a junction) is refused. Unlike
 * on Linux the directories are looked at by their paths, so whoever may replace them while a file
 * is opened can lead it out: serve what only you may change. Sources: CreateFileW, MoveFileExW,
 * GetFileInformationByHandle, GetDiskFreeSpaceExW.
 */
#include "tftp_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

enum { PATH_BYTES = 2048 };

struct file {
    HANDLE handle;
    bool is_new;
    wchar_t path[PATH_BYTES];
    wchar_t unfinished[PATH_BYTES];
};

static kirim_err err_of(DWORD code)
{
    switch (code) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
        return KIRIM_ENOENT;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
    case ERROR_WRITE_PROTECT:
    case ERROR_INVALID_NAME:
    case ERROR_DIRECTORY:
        return KIRIM_EACCES;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
        return KIRIM_EEXIST;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
        return KIRIM_TFTP_EFULL;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
        return KIRIM_ENOMEM;
    case ERROR_TOO_MANY_OPEN_FILES:
        return KIRIM_EMFILE;
    default:
        return KIRIM_ESYSTEM;
    }
}

/* Whether the first `bytes` of a name are a directory in the root, and no link. */
static kirim_err check_directory(const struct tftp_files *files, const char *name, size_t bytes)
{
    char path[PATH_BYTES];
    wchar_t wide[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s\\%.*s", files->path, (int)bytes, name);
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, PATH_BYTES) == 0) {
        return KIRIM_EACCES;
    }
    const DWORD attributes = GetFileAttributesW(wide);
    if (attributes == INVALID_FILE_ATTRIBUTES) {
        return err_of(GetLastError());
    }
    const bool is_plain = (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 &&
                          (attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0;
    return is_plain ? KIRIM_OK : KIRIM_EACCES;
}

/* The path of a name, and that of an unfinished file beside it. */
static kirim_err make_paths(struct tftp_files *files, const char *name, struct file *file)
{
    char path[PATH_BYTES];
    const char *last = name;
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(last, '/')) {
        const kirim_err err = check_directory(files, name, (size_t)(slash - name));
        if (err < 0) {
            return err;
        }
        last = slash + 1;
    }
    if (strncmp(last, TFTP_FILES_UNFINISHED, strlen(TFTP_FILES_UNFINISHED)) == 0) {
        return KIRIM_ENOENT;
    }
    (void)snprintf(path, sizeof path, "%s\\%s", files->path, name);
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, file->path, PATH_BYTES) == 0) {
        return KIRIM_EACCES;
    }
    (void)snprintf(path, sizeof path, "%s\\%.*s" TFTP_FILES_UNFINISHED "%lu-%" PRIu32, files->path,
                   (int)(last - name), name, (unsigned long)GetCurrentProcessId(),
                   files->file_number++);
    return MultiByteToWideChar(CP_UTF8, 0, path, -1, file->unfinished, PATH_BYTES) == 0
               ? KIRIM_EACCES
               : KIRIM_OK;
}

static void free_file(struct file *file)
{
    if (file->handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(file->handle);
    }
    free(file);
}

static kirim_err make_file(struct tftp_files *files, const char *name, struct file **out)
{
    struct file *const file = calloc(1, sizeof *file);
    if (file == NULL) {
        return KIRIM_ENOMEM;
    }
    file->handle = INVALID_HANDLE_VALUE;
    const kirim_err err = make_paths(files, name, file);
    if (err < 0) {
        free_file(file);
        return err;
    }
    *out = file;
    return KIRIM_OK;
}

/* An ordinary file, seen through its handle. */
static kirim_err open_plain(struct file *file, uint64_t *bytes)
{
    BY_HANDLE_FILE_INFORMATION info;
    file->handle = CreateFileW(file->path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL,
                               OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    if (file->handle == INVALID_HANDLE_VALUE || !GetFileInformationByHandle(file->handle, &info)) {
        return err_of(GetLastError());
    }
    if ((info.dwFileAttributes & (FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY)) != 0 ||
        GetFileType(file->handle) != FILE_TYPE_DISK) {
        return KIRIM_EACCES;
    }
    *bytes = (uint64_t)info.nFileSizeHigh << 32 | info.nFileSizeLow;
    return KIRIM_OK;
}

static kirim_err open_read(void *user, const char *name, void **out, uint64_t *bytes)
{
    struct file *file = NULL;
    kirim_err err = make_file(user, name, &file);
    if (err < 0) {
        return err;
    }
    err = open_plain(file, bytes);
    if (err < 0) {
        free_file(file);
        return err;
    }
    *out = file;
    return KIRIM_OK;
}

static kirim_err check_place(const struct tftp_files *files, const struct file *file,
                             uint64_t bytes)
{
    const DWORD attributes = GetFileAttributesW(file->path);
    ULARGE_INTEGER space;
    if (attributes != INVALID_FILE_ATTRIBUTES) {
        if ((attributes & (FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY)) != 0) {
            return KIRIM_EACCES;
        }
        if (!files->is_overwriting) {
            return KIRIM_EEXIST;
        }
    }
    if (bytes != KIRIM_NEVER && GetDiskFreeSpaceExA(files->path, &space, NULL, NULL) &&
        bytes > space.QuadPart) {
        return KIRIM_TFTP_EFULL;
    }
    return KIRIM_OK;
}

static kirim_err open_write(void *user, const char *name, uint64_t bytes, void **out)
{
    struct file *file = NULL;
    kirim_err err = make_file(user, name, &file);
    if (err < 0) {
        return err;
    }
    err = check_place(user, file, bytes);
    if (err == KIRIM_OK) {
        file->handle = CreateFileW(file->unfinished, GENERIC_WRITE, FILE_SHARE_DELETE, NULL,
                                   CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
        err = file->handle == INVALID_HANDLE_VALUE ? err_of(GetLastError()) : KIRIM_OK;
    }
    if (err < 0) {
        free_file(file);
        return err;
    }
    file->is_new = true;
    *out = file;
    return KIRIM_OK;
}

static kirim_err read_file(void *user, void *opened, uint64_t offset, void *data, size_t bytes,
                           size_t *got)
{
    const struct file *const file = opened;
    OVERLAPPED place = { .Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32) };
    DWORD count = 0;
    (void)user;
    if (!ReadFile(file->handle, data, (DWORD)bytes, &count, &place) &&
        GetLastError() != ERROR_HANDLE_EOF) {
        return err_of(GetLastError());
    }
    *got = count;
    return KIRIM_OK;
}

static kirim_err write_file(void *user, void *opened, const void *data, size_t bytes)
{
    const struct file *const file = opened;
    DWORD count = 0;
    (void)user;
    if (!WriteFile(file->handle, data, (DWORD)bytes, &count, NULL)) {
        return err_of(GetLastError());
    }
    return count == bytes ? KIRIM_OK : KIRIM_TFTP_EFULL;
}

static void discard_file(void *user, void *opened)
{
    struct file *const file = opened;
    (void)user;
    if (file->handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(file->handle);
        file->handle = INVALID_HANDLE_VALUE;
    }
    if (file->is_new) {
        (void)DeleteFileW(file->unfinished);
    }
    free_file(file);
}

static kirim_err commit_file(void *user, void *opened)
{
    const struct tftp_files *const files = user;
    struct file *const file = opened;
    const DWORD flags = files->is_overwriting ? MOVEFILE_REPLACE_EXISTING : 0;
    kirim_err err = CloseHandle(file->handle) ? KIRIM_OK : err_of(GetLastError());
    file->handle = INVALID_HANDLE_VALUE;
    if (err == KIRIM_OK && !MoveFileExW(file->unfinished, file->path, flags)) {
        err = err_of(GetLastError());
    }
    file->is_new = err < 0;
    discard_file(user, file);
    return err;
}

const char *tftp_files_last_separator(const char *path)
{
    const char *const slash = strrchr(path, '/');
    const char *const backslash = strrchr(path, '\\');
    return backslash != NULL && (slash == NULL || backslash > slash) ? backslash : slash;
}

bool tftp_files_open(struct tftp_files *files, const char *path)
{
    *files = (struct tftp_files){ .path = path };
    files->storage = (struct kirim_tftp_storage){ files,      open_read,   open_write,  read_file,
                                                  write_file, commit_file, discard_file };
    const DWORD attributes = GetFileAttributesA(path);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

void tftp_files_close(struct tftp_files *files)
{
    (void)files;
}
