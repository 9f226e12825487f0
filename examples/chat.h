/* SPDX-License-Identifier: MIT
 *
 * The two files of chat: the lobby itself, and the program around it. One thread.
 */
#ifndef EXAMPLES_CHAT_H
#define EXAMPLES_CHAT_H

#include <channel/channel_endpoint.h>

#include "common/cli.h"
#include "common/report.h"

enum { CHAT_LINE_BYTES = 1100, CHAT_NAME_BYTES = 33, CHAT_GUEST_MAX = 64 };

struct chat_guest {
    struct chat *chat;
    struct kirim_channel *channel;
    char name[CHAT_NAME_BYTES]; /* empty: not told yet */
};

struct chat {
    struct cli cli;
    struct report report;
    struct kirim_loop *loop;
    struct kirim_channel_listener listener;
    struct chat_guest guest[CHAT_GUEST_MAX]; /* of a server; `channel` NULL: free */
    struct kirim_channel *channel;           /* of a client; NULL: it has ended */
    const char *to, *name;
    bool is_over, has_failed;
};

/* A message as a text of at most `room` - 1 bytes, without what could upset a terminal. */
void chat_copy_text(char *out, size_t room, const struct kirim_channel_message *m);

/* A guest has sent a message; of a server. `user` is his struct chat_guest. */
void chat_on_said(struct kirim_channel *channel, const struct kirim_channel_message *m, void *user);

/* A guest's channel has ended; of a server. `user` is his struct chat_guest. */
void chat_on_left(struct kirim_channel *channel, const struct kirim_channel_end *end, void *user);

/* The lobby has sent a message; of a client. */
void chat_on_heard(struct kirim_channel *channel, const struct kirim_channel_message *m,
                   void *user);

/* Tells the lobby who the user is, before all else. */
void chat_introduce(struct chat *chat);

/* The user has typed a line; NULL: the end of his input. `user` is a struct chat of a client. */
void chat_on_line(const char *line, void *user);

#endif
