/* SPDX-License-Identifier: MIT
 *
 * chat: a lobby as games have it, over channels (docs/channel.md). Stream 0 is reliable-ordered: a
 * guest's name first, then what he says, and nothing of it is lost. Stream 1 is sequenced: where he
 * stands, of which only the newest counts. The server tells everybody. This file is all of that;
 * chat_main.c has the command line, the start and the end.
 */
#include <stdio.h>
#include <string.h>

#include "chat.h"

enum { SAY = 0, STAND = 1 };

static kirim_err say(struct kirim_channel *channel, uint32_t stream, const char *text)
{
    const uint32_t mode = stream == STAND ? KIRIM_CHANNEL_SEQUENCED : KIRIM_CHANNEL_ORDERED;
    return kirim_channel_send(channel, stream, mode, text, strlen(text));
}

/* ---- the server ------------------------------------------------------------------------------ */

static void tell_all(struct chat *c, uint32_t stream, const char *name, const char *text)
{
    char line[CHAT_LINE_BYTES + CHAT_NAME_BYTES];
    (void)snprintf(line, sizeof line, "%s%s%s", name, stream == SAY ? ": " : " ", text);
    for (struct chat_guest *g = c->guest; g < c->guest + CHAT_GUEST_MAX; g++) {
        if (g->channel != NULL && g->name[0] != '\0' &&
            say(g->channel, stream, line) == KIRIM_EWOULDBLOCK) {
            (void)kirim_channel_close(g->channel, KIRIM_CHANNEL_CODE_OWN, "too slow");
        }
    }
}

void chat_on_said(struct kirim_channel *channel, const struct kirim_channel_message *m, void *user)
{
    struct chat_guest *const g = user;
    char text[CHAT_LINE_BYTES];
    (void)channel;
    chat_copy_text(text, sizeof text, m);
    if (g->name[0] != '\0') {
        tell_all(g->chat, m->stream == STAND ? STAND : SAY, g->name, text);
    } else if (m->stream == SAY && m->bytes > 0) {
        chat_copy_text(g->name, sizeof g->name, m);
        tell_all(g->chat, SAY, g->name, "is here");
    }
}

void chat_on_left(struct kirim_channel *channel, const struct kirim_channel_end *end, void *user)
{
    struct chat_guest *const g = user;
    (void)channel;
    g->channel = NULL;
    if (g->name[0] != '\0' && !g->chat->is_over) {
        tell_all(g->chat, SAY, g->name, end->err < 0 ? "is lost" : "leaves");
    }
}

/* ---- a guest --------------------------------------------------------------------------------- */

void chat_on_heard(struct kirim_channel *channel, const struct kirim_channel_message *m, void *user)
{
    char text[CHAT_LINE_BYTES + CHAT_NAME_BYTES];
    (void)channel;
    (void)user;
    chat_copy_text(text, sizeof text, m);
    (void)printf("%s%s\n", m->stream == STAND ? "@ " : "", text);
    (void)fflush(stdout);
}

void chat_introduce(struct chat *chat)
{
    (void)say(chat->channel, SAY, chat->name);
}

/* "/at X Y" stands somewhere, "/quit" and the end of the input leave, all else is said. */
void chat_on_line(const char *line, void *user)
{
    struct chat *const c = user;
    if (c->channel == NULL) {
        return;
    }
    if (line == NULL || strcmp(line, "/quit") == 0) {
        (void)kirim_channel_finish(c->channel);
        return;
    }
    const bool is_place = strncmp(line, "/at ", 4) == 0;
    if (say(c->channel, is_place ? STAND : SAY, is_place ? line + 4 : line) == KIRIM_EWOULDBLOCK) {
        cli_say(&c->cli, "the network is too slow, that was not said");
    }
}
