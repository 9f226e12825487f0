/* SPDX-License-Identifier: MIT
 *
 * What the suites of the TFTP protocol share: a storage in memory that counts, fails when told to
 * and fills up, and bytes that differ from place to place. One thread.
 */
#ifndef TFTP_KIT_H
#define TFTP_KIT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/tftp/server.h"
#include "support/claims.h"
#include "support/memory.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MS              UINT64_C(1000000)
#define SECOND          UINT64_C(1000000000)

enum { KIT_FILE_MAX = 1100 };

struct kit_file {
    char name[64];
    uint8_t *data;
    size_t bytes;
    size_t room;
    bool is_open, is_new; /* being read, or written and not committed */
};

/* Files by name; the same storage may be read and written at once. */
struct kit_store {
    struct kirim_tftp_storage storage;
    struct kit_file file[KIT_FILE_MAX];
    size_t file_count;
    size_t open_count, opened_count, commit_count, discard_count;
    uint64_t bytes_max; /* writes beyond it are KIRIM_TFTP_EFULL */
    kirim_err open_err; /* what the next calls answer, if not 0 */
    kirim_err read_err;
    kirim_err commit_err;
    bool is_overwriting;
};

void kit_store_init(struct kit_store *store);
void kit_store_fini(struct kit_store *store);

/* Puts a file of so many bytes there, or one with this text. */
struct kit_file *kit_put(struct kit_store *store, const char *name, const void *data, size_t bytes);
struct kit_file *kit_put_pattern(struct kit_store *store, const char *name, size_t bytes);

/* A committed file, or NULL. */
const struct kit_file *kit_find(const struct kit_store *store, const char *name);

/* Whether both stores have this file, with the same bytes; and a check of it. */
bool kit_is_same(const struct kit_store *a, const char *a_name, const struct kit_store *b,
                 const char *b_name);
void kit_check_same(const struct kit_store *a, const char *a_name, const struct kit_store *b,
                    const char *b_name);

/* Runs the claims of one suite; returns what main() returns. */
static inline int kit_main(const char *name, const struct kit_claim *claims)
{
    return claims_run(name, claims, 600);
}

#endif
