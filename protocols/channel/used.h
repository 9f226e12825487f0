/* SPDX-License-Identifier: MIT
 *
 * Which connection ids have begun a channel lately: a token is good for a while, and must begin no
 * second channel in that time, when the first has ended. Two generations of ids in tables that
 * grow; the older one is forgotten when the younger is full, or so old that the tokens of the older
 * one are too old themselves. What is forgotten earlier than that is told, so that its tokens can
 * be refused by their age: no flood of channels makes a token good twice. A pure state machine:
 * time, memory and key are given. One thread.
 */
#ifndef KI_CHANNEL_USED_H
#define KI_CHANNEL_USED_H

#include <kirim/siphash.h>

#include "ranges.h"

enum { KI_CHANNEL_USED_MAX = 32768 }; /* ids of a generation */

struct ki_channel_generation {
    uint8_t (*id)[KIRIM_CHANNEL_ID_BYTES]; /* a table of `room`; zeros: an empty place */
    uint32_t room, count;
    uint64_t since_ns; /* when its first one was added */
};

struct ki_channel_used {
    struct ki_channel_memory memory;
    struct ki_channel_generation now, before;
    uint64_t lifetime_ns;
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES]; /* peers choose among ids that they are offered */
};

/* `lifetime_ns` is that of a token, rounded up. */
void ki_channel_used_init(struct ki_channel_used *u, const struct ki_channel_memory *memory,
                          uint64_t lifetime_ns, const uint8_t key[KIRIM_SIPHASH_KEY_BYTES]);

void ki_channel_used_free(struct ki_channel_used *u);

bool ki_channel_used_has(const struct ki_channel_used *u, const uint8_t *id);

/* Adds an id that is not there. Returns the time before which ids may have been added that are
 * forgotten now: tokens that were issued before it are good no more. 0: there are none. */
uint64_t ki_channel_used_add(struct ki_channel_used *u, const uint8_t *id, uint64_t now_ns);

#endif
