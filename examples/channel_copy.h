/* SPDX-License-Identifier: MIT
 *
 * What the two sides of channel_copy share. Each file has a stream of its own, reliable-ordered, so
 * that none waits for another one. Its messages begin with a letter:
 *
 *     F, name                               the file begins
 *     D, bytes                              what is in it
 *     E, length (8), SipHash-2-4-128 (16)   its end; the key of the hash is zeros
 *
 * The other side answers on its stream 0, by a message for each file: the file's stream, and what
 * has become of it. One thread.
 */
#ifndef EXAMPLES_CHANNEL_COPY_H
#define EXAMPLES_CHANNEL_COPY_H

#include <channel/channel_endpoint.h>
#include <kirim/kirim.h>

#include "common/cli.h"
#include "files.h"

enum {
    COPY_FILE_MAX = 60, /* of one run: streams 1 and up */
    COPY_HASH_BYTES = KIRIM_SIPHASH_LONG_TAG_BYTES,
    COPY_END_BYTES = 1 + 8 + COPY_HASH_BYTES,
    COPY_NAME_BYTES_MAX = 255
};

/* What has become of a file. */
enum {
    COPY_KEPT = 0,    /* it is there, whole; or was checked, where none is kept */
    COPY_FAILED = 1,  /* it is not */
    COPY_IS_THERE = 2 /* it is not, as another one of its name was before */
};

/* What both sides are told by the command line. */
struct copy_setup {
    const struct cli *cli;
    struct kirim_loop *loop;
    uint64_t message_bytes;  /* of file in one message */
    uint64_t datagram_bytes; /* at the most */
    bool is_json, is_discarding;
};

/* A hash of what a file holds; for finding faults, not for keeping out forgers. */
void copy_hash_begin(struct kirim_siphash *hash);

/* Channel options that suit bulk. */
struct kirim_channel_options copy_options(const struct copy_setup *setup);

/* Sends files; `generated_bytes` instead of files if it is not 0. Returns what main() returns. */
int copy_send(const struct copy_setup *setup, const struct kirim_addr *to, const char *const *paths,
              size_t count, uint64_t generated_bytes);

/* Takes files until the user ends it. Returns what main() returns. */
int copy_receive(const struct copy_setup *setup, struct files *files);

#endif
