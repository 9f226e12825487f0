/* SPDX-License-Identifier: MIT
 *
 * What the suites of the TFTP protocol share: see kit.h.
 */
#include "kit.h"

#include <stdio.h>

/* ---- a storage in memory --------------------------------------------------------------------- */

static struct kit_file *find_file(struct kit_store *store, const char *name, bool is_new)
{
    for (size_t i = 0; i < store->file_count; i++) {
        struct kit_file *const file = &store->file[i];
        if (file->is_new == is_new && strcmp(file->name, name) == 0) {
            return file;
        }
    }
    return NULL;
}

/* A place that was given up may be used again. */
static struct kit_file *add_file(struct kit_store *store, const char *name)
{
    struct kit_file *file = find_file(store, "", false);
    if (file == NULL) {
        ck_assert_uint_lt(store->file_count, KIT_FILE_MAX);
        file = &store->file[store->file_count++];
    }
    memset(file, 0, sizeof *file);
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    return file;
}

static void remove_file(struct kit_file *file)
{
    free(file->data);
    memset(file, 0, sizeof *file);
}

static void append(struct kit_file *file, const void *data, size_t bytes)
{
    if (file->bytes + bytes > file->room) {
        file->room = 2 * (file->bytes + bytes) + 64;
        file->data = realloc(file->data, file->room);
        ck_assert_ptr_nonnull(file->data);
    }
    if (bytes > 0) {
        memcpy(file->data + file->bytes, data, bytes);
        file->bytes += bytes;
    }
}

static kirim_err open_read(void *user, const char *name, void **out, uint64_t *bytes)
{
    struct kit_store *const store = user;
    struct kit_file *const file = find_file(store, name, false);
    if (store->open_err < 0 || file == NULL) {
        return store->open_err < 0 ? store->open_err : KIRIM_ENOENT;
    }
    store->open_count++;
    store->opened_count++;
    *out = file;
    *bytes = file->bytes;
    return KIRIM_OK;
}

static kirim_err open_write(void *user, const char *name, uint64_t bytes, void **out)
{
    struct kit_store *const store = user;
    if (store->open_err < 0) {
        return store->open_err;
    }
    if (!store->is_overwriting && find_file(store, name, false) != NULL) {
        return KIRIM_EEXIST;
    }
    if (bytes != KIRIM_NEVER && bytes > store->bytes_max) {
        return KIRIM_TFTP_EFULL;
    }
    struct kit_file *const file = add_file(store, name);
    file->is_new = true;
    store->open_count++;
    store->opened_count++;
    *out = file;
    return KIRIM_OK;
}

static kirim_err read_file(void *user, void *opened, uint64_t offset, void *data, size_t bytes,
                           size_t *got)
{
    const struct kit_store *const store = user;
    const struct kit_file *const file = opened;
    if (store->read_err < 0) {
        return store->read_err;
    }
    const size_t left = offset < file->bytes ? file->bytes - (size_t)offset : 0;
    *got = bytes < left ? bytes : left;
    if (*got > 0) {
        memcpy(data, file->data + offset, *got);
    }
    return KIRIM_OK;
}

static kirim_err write_file(void *user, void *opened, const void *data, size_t bytes)
{
    const struct kit_store *const store = user;
    struct kit_file *const file = opened;
    ck_assert(file->is_new);
    if (file->bytes + bytes > store->bytes_max) {
        return KIRIM_TFTP_EFULL;
    }
    append(file, data, bytes);
    return KIRIM_OK;
}

static void discard_file(void *user, void *opened)
{
    struct kit_store *const store = user;
    struct kit_file *const file = opened;
    store->open_count--;
    store->discard_count++;
    if (file->is_new) {
        remove_file(file);
    }
}

static kirim_err commit_file(void *user, void *opened)
{
    struct kit_store *const store = user;
    struct kit_file *const file = opened;
    ck_assert(file->is_new);
    store->open_count--;
    if (store->commit_err < 0) {
        remove_file(file);
        return store->commit_err;
    }
    struct kit_file *const old = find_file(store, file->name, false);
    if (old != NULL) {
        remove_file(old);
    }
    file->is_new = false;
    store->commit_count++;
    return KIRIM_OK;
}

void kit_store_init(struct kit_store *store)
{
    memset(store, 0, sizeof *store);
    store->bytes_max = KIRIM_NEVER;
    store->storage = (struct kirim_tftp_storage){ store,      open_read,   open_write,  read_file,
                                                  write_file, commit_file, discard_file };
}

void kit_store_fini(struct kit_store *store)
{
    ck_assert_uint_eq(store->open_count, 0);
    for (size_t i = 0; i < store->file_count; i++) {
        ck_assert(!store->file[i].is_new);
        free(store->file[i].data);
    }
}

struct kit_file *kit_put(struct kit_store *store, const char *name, const void *data, size_t bytes)
{
    struct kit_file *const file = add_file(store, name);
    append(file, data, bytes);
    return file;
}

struct kit_file *kit_put_pattern(struct kit_store *store, const char *name, size_t bytes)
{
    struct kit_file *const file = add_file(store, name);
    uint32_t state = 12345;
    for (size_t i = 0; i < bytes; i++) {
        state = state * 1103515245 + 12345;
        const uint8_t byte = (uint8_t)(state >> 16);
        append(file, &byte, 1);
    }
    return file;
}

const struct kit_file *kit_find(const struct kit_store *store, const char *name)
{
    for (size_t i = 0; i < store->file_count; i++) {
        if (!store->file[i].is_new && strcmp(store->file[i].name, name) == 0) {
            return &store->file[i];
        }
    }
    return NULL;
}

bool kit_is_same(const struct kit_store *a, const char *a_name, const struct kit_store *b,
                 const char *b_name)
{
    const struct kit_file *const one = kit_find(a, a_name);
    const struct kit_file *const other = kit_find(b, b_name);
    return one != NULL && other != NULL && one->bytes == other->bytes &&
           (one->bytes == 0 || memcmp(one->data, other->data, one->bytes) == 0);
}

void kit_check_same(const struct kit_store *a, const char *a_name, const struct kit_store *b,
                    const char *b_name)
{
    ck_assert(kit_is_same(a, a_name, b, b_name));
}
