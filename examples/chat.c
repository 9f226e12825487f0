/* SPDX-License-Identifier: MIT
 *
 * chat: a lobby as games have it, over channels (docs/channel.md). Stream 0 is reliable-ordered: a
 * guest's name first, then what he says, and nothing of it is lost. Stream 1 is sequenced: where he
 * stands, of which only the newest counts. The server tells everybody, and that is all of it:
 * on_said() and on_heard() are the two sides.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <channel/channel_endpoint.h>

#include "common/cli.h"
#include "common/lines.h"
#include "common/report.h"
#include "common/stop.h"

enum { SAY = 0, STAND = 1, LINE_BYTES = 1100, NAME_BYTES = 33, GUEST_MAX = 64 };

static const uint64_t CLOSE_NS = 1000000000;

struct guest {
    struct lobby *lobby;
    struct kirim_channel *channel;
    char name[NAME_BYTES]; /* empty: not told yet */
};

struct lobby {
    struct cli cli;
    struct report report;
    struct kirim_loop *loop;
    struct kirim_channel_listener listener;
    struct guest guest[GUEST_MAX]; /* of a server; `channel` NULL: free */
    struct kirim_channel *channel; /* of a client */
    const char *to, *name;
    bool is_over, has_failed;
};

static uint32_t mode_of(uint32_t stream)
{
    return stream == STAND ? KIRIM_CHANNEL_SEQUENCED : KIRIM_CHANNEL_ORDERED;
}

/* A text without what could upset a terminal. */
static void copy_text(char *out, size_t room, const struct kirim_channel_message *m)
{
    const size_t bytes = m->bytes < room - 1 ? m->bytes : room - 1;
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (char)(m->data[i] < ' ' || m->data[i] == 0x7f ? '?' : m->data[i]);
    }
    out[bytes] = '\0';
}

/* ---- the server ------------------------------------------------------------------------------ */

static void tell_all(struct lobby *l, uint32_t stream, const char *name, const char *text)
{
    char line[LINE_BYTES + NAME_BYTES];
    const int bytes = snprintf(line, sizeof line, "%s%s%s", name, stream == SAY ? ": " : " ", text);
    for (size_t i = 0; i < GUEST_MAX; i++) {
        if (l->guest[i].channel != NULL && l->guest[i].name[0] != '\0' &&
            kirim_channel_send(l->guest[i].channel, stream, mode_of(stream), line, (size_t)bytes) ==
                KIRIM_EWOULDBLOCK) {
            (void)kirim_channel_close(l->guest[i].channel, KIRIM_CHANNEL_CODE_OWN, "too slow");
        }
    }
}

static void on_said(struct kirim_channel *channel, const struct kirim_channel_message *m,
                    void *user)
{
    struct guest *const g = user;
    char text[LINE_BYTES];
    (void)channel;
    copy_text(text, sizeof text, m);
    if (g->name[0] != '\0') {
        tell_all(g->lobby, m->stream == STAND ? STAND : SAY, g->name, text);
    } else if (m->stream == SAY && m->bytes > 0) {
        copy_text(g->name, sizeof g->name, m);
        tell_all(g->lobby, SAY, g->name, "is here");
    }
}

static void on_left(struct kirim_channel *channel, const struct kirim_channel_end *end, void *user)
{
    struct guest *const g = user;
    (void)channel;
    g->channel = NULL;
    if (g->name[0] != '\0' && !g->lobby->is_over) {
        tell_all(g->lobby, SAY, g->name, end->err < 0 ? "is lost" : "leaves");
    }
}

static const struct kirim_channel_handler server_handler = { .size = KIRIM_CHANNEL_HANDLER_INIT,
                                                             .received = on_said,
                                                             .closed = on_left };
static const struct kirim_channel_handler full_handler = { .size = KIRIM_CHANNEL_HANDLER_INIT };

static void on_accepted(struct kirim_channel_listener *listener, struct kirim_channel *channel,
                        void *user)
{
    struct lobby *const l = user;
    (void)listener;
    for (size_t i = 0; i < GUEST_MAX; i++) {
        if (l->guest[i].channel == NULL) {
            l->guest[i] = (struct guest){ .lobby = l, .channel = channel };
            kirim_channel_set_user(channel, &l->guest[i]);
            return;
        }
    }
    kirim_channel_set_handler(channel, &full_handler);
    (void)kirim_channel_close(channel, KIRIM_CHANNEL_CODE_OWN, "the lobby is full");
}

static void on_listener_closed(struct kirim_channel_listener *listener, void *user)
{
    struct lobby *const l = user;
    (void)listener;
    l->has_failed = !l->is_over;
    kirim_loop_stop(l->loop);
}

static kirim_err serve(struct lobby *l)
{
    char text[KIRIM_ADDR_TEXT_BYTES];
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_listen_options o = KIRIM_CHANNEL_LISTEN_OPTIONS_INIT;
    ep.local = l->cli.listen[0];
    o.endpoint = &ep;
    o.channel.handler = &server_handler;
    o.accepted = on_accepted;
    o.closed = on_listener_closed;
    o.user = l;
    kirim_err err = kirim_channel_listen(&l->listener, l->loop, &o);
    if (err < 0) {
        return err;
    }
    struct kirim_endpoint *const endpoint = kirim_sessions_endpoint(l->listener.sessions);
    const struct kirim_addr local = kirim_endpoint_local(endpoint);
    (void)kirim_addr_format(&local, text, sizeof text);
    cli_say(&l->cli, "listening on %s (%s)", text, kirim_loop_reactor(l->loop));
    report_start(&l->report, &l->cli, l->loop);
    report_add(&l->report, endpoint);
    err = kirim_loop_run(l->loop);
    report_end(&l->report);
    l->is_over = true;
    (void)kirim_channel_listener_close(&l->listener, kirim_loop_now(l->loop) + CLOSE_NS);
    return err < 0 ? err : kirim_loop_run(l->loop); /* until the guests have heard of it */
}

/* ---- a guest --------------------------------------------------------------------------------- */

static void on_heard(struct kirim_channel *channel, const struct kirim_channel_message *m,
                     void *user)
{
    char text[LINE_BYTES + NAME_BYTES];
    (void)channel;
    (void)user;
    copy_text(text, sizeof text, m);
    (void)printf("%s%s\n", m->stream == STAND ? "@ " : "", text);
    (void)fflush(stdout);
}

static void on_ended(struct kirim_channel *channel, const struct kirim_channel_end *end, void *user)
{
    struct lobby *const l = user;
    (void)channel;
    l->channel = NULL;
    l->is_over = true;
    l->has_failed = end->err < 0 || end->code >= KIRIM_CHANNEL_CODE_OWN;
    if (l->has_failed || end->is_by_peer) {
        cli_say(&l->cli, "the lobby is closed: %s",
                end->err < 0 ? kirim_err_text(end->err) : end->text);
    }
    kirim_loop_stop(l->loop);
}

/* "/at X Y" stands somewhere, "/quit" and the end of the input leave, all else is said. */
static void on_line(const char *line, void *user)
{
    struct lobby *const l = user;
    if (l->channel == NULL) {
        return;
    }
    if (line == NULL || strcmp(line, "/quit") == 0) {
        (void)kirim_channel_finish(l->channel);
        return;
    }
    const bool is_place = strncmp(line, "/at ", 4) == 0;
    const uint32_t stream = is_place ? STAND : SAY;
    const char *const text = is_place ? line + 4 : line;
    if (kirim_channel_send(l->channel, stream, mode_of(stream), text, strlen(text)) ==
        KIRIM_EWOULDBLOCK) {
        cli_say(&l->cli, "the network is too slow, that was not said");
    }
}

static const struct kirim_channel_handler guest_handler = { .size = KIRIM_CHANNEL_HANDLER_INIT,
                                                            .received = on_heard,
                                                            .closed = on_ended };

static kirim_err visit(struct lobby *l)
{
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_open_options o = KIRIM_CHANNEL_OPEN_OPTIONS_INIT;
    if (!cli_parse_addr(l->to, &ep.peer)) {
        cli_fail_usage(&l->cli, "'%s' is not a numeric address with a port", l->to);
    }
    o.endpoint = &ep;
    o.channel.handler = &guest_handler;
    o.channel.user = l;
    kirim_err err = kirim_channel_open(l->loop, &o, &l->channel);
    if (err < 0) {
        return err;
    }
    (void)kirim_channel_send(l->channel, SAY, KIRIM_CHANNEL_ORDERED, l->name, strlen(l->name));
    if (!lines_start(l->loop, on_line, l)) {
        return KIRIM_ESYSTEM;
    }
    err = kirim_loop_run(l->loop);
    if (err == KIRIM_OK && !l->is_over) { /* the user has asked for the end */
        (void)kirim_channel_close(l->channel, KIRIM_CHANNEL_CODE_SHUTDOWN, "");
        err = kirim_loop_run(l->loop);
    }
    return err;
}

int main(int argc, char **argv)
{
    static struct lobby lobby;
    struct lobby *const l = &lobby;
    const struct cli_option options[] = {
        { .name = "--connect", .value = "ADDR:PORT", .text = &l->to, .help = "visit this lobby" },
        { .name = "--name",
          .value = "NAME",
          .text = &l->name,
          .help = "with --connect: who you are; default: somebody" },
    };
    const struct cli_program program = {
        .name = "chat",
        .summary = "A lobby: what a guest types all others read; '/at X Y' says where he stands,\n"
                   "'/quit' leaves.",
        .listen_help = "be the lobby, at this address",
        .listen_max = 1,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    l->name = "somebody";
    cli_parse(&l->cli, &program, argc, argv);
    if ((l->to != NULL) == (l->cli.listen_count > 0)) {
        cli_fail_usage(&l->cli, "give --listen or --connect");
    }
    if (l->to != NULL && l->cli.has_stats) {
        cli_fail_usage(&l->cli, "--stats is for --listen");
    }
    const struct kirim_loop_options loop_options = cli_loop_options(&l->cli);
    kirim_err err = kirim_loop_open(&loop_options, &l->loop);
    if (err < 0) {
        return cli_fail(&l->cli, err, "cannot open a loop");
    }
    err = !stop_catch(l->loop) ? KIRIM_ESYSTEM : l->to != NULL ? visit(l) : serve(l);
    stop_release();
    (void)kirim_loop_close(l->loop);
    return err < 0 ? cli_fail(&l->cli, err, "chat") : l->has_failed ? CLI_FAILURE : CLI_SUCCESS;
}
