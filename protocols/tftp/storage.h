/* SPDX-License-Identifier: MIT
 *
 * Where the bytes of transfers come from and go to, as the caller provides it.
 *
 * The protocol opens no file itself. Each file that was opened is ended by exactly one commit or
 * discard. The calls are made in the thread of the transfer and return when they are done: what
 * takes long holds up the loop. Errors are those of kirim/error.h and tftp.h; KIRIM_ENOENT,
 * KIRIM_EACCES, KIRIM_EEXIST and KIRIM_TFTP_EFULL are told to the other side as what they are.
 */
#ifndef KIRIM_TFTP_STORAGE_H
#define KIRIM_TFTP_STORAGE_H

#include "tftp.h"

/** A storage; the caller's, lent to every transfer that uses it. */
struct kirim_tftp_storage {
    void *user; /**< First argument of every call. */
    /**
     * Opens a file to be read; `*bytes` gets its length, which is what will be sent. A server gives
     * names that have passed kirim_tftp_path_check(), a client the caller's own.
     */
    kirim_err (*open_read)(void *user, const char *name, void **file, uint64_t *bytes);
    /** Opens a file to be written from its beginning. Nobody sees it before the commit. `bytes` is
     * its announced length, or KIRIM_NEVER. NULL if the storage is only read. */
    kirim_err (*open_write)(void *user, const char *name, uint64_t bytes, void **file);
    /** Reads `bytes` at `offset`, which may be read again later; `*got` is less only at the end of
     * the file. */
    kirim_err (*read)(void *user, void *file, uint64_t offset, void *data, size_t bytes,
                      size_t *got);
    /** Writes behind what was written before; all or an error. */
    kirim_err (*write)(void *user, void *file, const void *data, size_t bytes);
    /** What was written becomes the file; the file is closed, also if the answer is an error, in
     * which case nothing of it remains. */
    kirim_err (*commit)(void *user, void *file);
    /** The file is closed; of one that was being written nothing remains. */
    void (*discard)(void *user, void *file);
};

#endif
