/* SPDX-License-Identifier: MIT
 *
 * files.h for Windows. Names have passed kirim_tftp_path_check(), so none is a device, a drive
 * or a stream. Each directory of a name is opened, refused if it is a reparse point (a link, a
 * junction), and held open as long as the file, not shared for deletion: nobody can put something
 * else in its place meanwhile. Names are UTF-8. Sources: CreateFileW, MoveFileExW,
 * GetFileInformationByHandle, GetDiskFreeSpaceExW, MultiByteToWideChar.
 */
#include "files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include <tftp/path.h>

enum { PATH_UNITS = 2048, NUMBERS_BYTES = 32 };

struct file {
    HANDLE handle;
    HANDLE directory[KIRIM_TFTP_COMPONENT_COUNT_MAX];
    size_t directory_count;
    bool is_new;
    wchar_t path[PATH_UNITS];
    wchar_t unfinished[PATH_UNITS];
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

/* The user's own words may also be in the code page of the system. */
static int widen_root(const char *root, wchar_t *out, int units)
{
    const int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, root, -1, out, units);
    return count > 0 ? count : MultiByteToWideChar(CP_ACP, 0, root, -1, out, units);
}

/* The path of the first `bytes` of a name in the root; false: there is no such path. */
static bool make_path(const struct files *files, const char *name, size_t bytes,
                      wchar_t path[PATH_UNITS])
{
    const int root = widen_root(files->path, path, PATH_UNITS - 1);
    if (root == 0) {
        return false;
    }
    path[root - 1] = L'\\';
    const int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, name, (int)bytes,
                                          path + root, PATH_UNITS - 1 - root);
    path[root + count] = L'\0';
    return count > 0;
}

/* Holds the directory that the first `bytes` of a name are. Who holds it without any right to read
 * it would not keep others from renaming it. */
static kirim_err hold_directory(const struct files *files, const char *name, size_t bytes,
                                struct file *file)
{
    const DWORD wanted = FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT;
    BY_HANDLE_FILE_INFORMATION info;
    wchar_t path[PATH_UNITS];
    if (file->directory_count == KIRIM_TFTP_COMPONENT_COUNT_MAX ||
        !make_path(files, name, bytes, path)) {
        return KIRIM_EACCES;
    }
    const HANDLE handle =
        CreateFileW(path, FILE_LIST_DIRECTORY, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                    OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    if (handle == INVALID_HANDLE_VALUE) {
        return err_of(GetLastError());
    }
    file->directory[file->directory_count++] = handle;
    if (!GetFileInformationByHandle(handle, &info)) {
        return err_of(GetLastError());
    }
    return (info.dwFileAttributes & wanted) == FILE_ATTRIBUTE_DIRECTORY ? KIRIM_OK : KIRIM_EACCES;
}

/* The path of a name, and that of an unfinished file beside it. */
static kirim_err make_paths(struct files *files, const char *name, struct file *file)
{
    char unfinished[KIRIM_TFTP_PATH_BYTES_MAX + sizeof FILES_UNFINISHED + NUMBERS_BYTES];
    const char *last = name;
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(last, '/')) {
        const kirim_err err = hold_directory(files, name, (size_t)(slash - name), file);
        if (err < 0) {
            return err;
        }
        last = slash + 1;
    }
    if (_strnicmp(last, FILES_UNFINISHED, strlen(FILES_UNFINISHED)) == 0) {
        return KIRIM_ENOENT;
    }
    const int bytes = snprintf(unfinished, sizeof unfinished,
                               "%.*s" FILES_UNFINISHED "%lu-%" PRIu32, (int)(last - name), name,
                               (unsigned long)GetCurrentProcessId(), files->file_number++);
    const bool is_whole = bytes > 0 && (size_t)bytes < sizeof unfinished &&
                          make_path(files, name, strlen(name), file->path) &&
                          make_path(files, unfinished, (size_t)bytes, file->unfinished);
    return is_whole ? KIRIM_OK : KIRIM_EACCES;
}

static void free_file(struct file *file)
{
    if (file->handle != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(file->handle);
    }
    while (file->directory_count > 0) {
        (void)CloseHandle(file->directory[--file->directory_count]);
    }
    free(file);
}

static kirim_err make_file(struct files *files, const char *name, struct file **out)
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

static kirim_err check_place(const struct files *files, const struct file *file, uint64_t bytes)
{
    const DWORD attributes = GetFileAttributesW(file->path);
    ULARGE_INTEGER space;
    wchar_t root[PATH_UNITS];
    if (attributes != INVALID_FILE_ATTRIBUTES) {
        if ((attributes & (FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY)) != 0) {
            return KIRIM_EACCES;
        }
        if (!files->is_overwriting) {
            return KIRIM_EEXIST;
        }
    }
    if (bytes != KIRIM_NEVER && widen_root(files->path, root, PATH_UNITS) > 0 &&
        GetDiskFreeSpaceExW(root, &space, NULL, NULL) && bytes > space.QuadPart) {
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
    const struct files *const files = user;
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

const char *files_last_separator(const char *path)
{
    const char *const slash = strrchr(path, '/');
    const char *const backslash = strrchr(path, '\\');
    return backslash != NULL && (slash == NULL || backslash > slash) ? backslash : slash;
}

bool files_open(struct files *files, const char *path)
{
    *files = (struct files){ .path = path };
    files->storage = (struct kirim_tftp_storage){ files,      open_read,   open_write,  read_file,
                                                  write_file, commit_file, discard_file };
    wchar_t wide[PATH_UNITS];
    if (widen_root(path, wide, PATH_UNITS) == 0) {
        return false;
    }
    const DWORD attributes = GetFileAttributesW(wide);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

void files_close(struct files *files)
{
    (void)files;
}
