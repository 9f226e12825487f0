/* SPDX-License-Identifier: MIT
 *
 * The program around the lobby of chat.c: the command line, the start and the end of either side.
 * One thread.
 */
#include <stdio.h>
#include <string.h>

#include "chat.h"
#include "common/lines.h"
#include "common/stop.h"

static const uint64_t CLOSE_NS = 1000000000;

void chat_copy_text(char *out, size_t room, const struct kirim_channel_message *m)
{
    const size_t bytes = m->bytes < room - 1 ? m->bytes : room - 1;
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (char)(m->data[i] < ' ' || m->data[i] == 0x7f ? '?' : m->data[i]);
    }
    out[bytes] = '\0';
}

/* ---- the server ------------------------------------------------------------------------------ */

static const struct kirim_channel_handler server_handler = { .size = KIRIM_CHANNEL_HANDLER_INIT,
                                                             .received = chat_on_said,
                                                             .closed = chat_on_left };
static const struct kirim_channel_handler full_handler = { .size = KIRIM_CHANNEL_HANDLER_INIT };

static void on_accepted(struct kirim_channel_listener *listener, struct kirim_channel *channel,
                        void *user)
{
    struct chat *const c = user;
    (void)listener;
    for (size_t i = 0; i < CHAT_GUEST_MAX; i++) {
        if (c->guest[i].channel == NULL) {
            c->guest[i] = (struct chat_guest){ .chat = c, .channel = channel };
            kirim_channel_set_user(channel, &c->guest[i]);
            return;
        }
    }
    kirim_channel_set_handler(channel, &full_handler);
    (void)kirim_channel_close(channel, KIRIM_CHANNEL_CODE_OWN, "the lobby is full");
}

static void on_listener_closed(struct kirim_channel_listener *listener, void *user)
{
    struct chat *const c = user;
    (void)listener;
    c->has_failed = !c->is_over;
    kirim_loop_stop(c->loop);
}

static kirim_err serve(struct chat *c)
{
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_listen_options o = KIRIM_CHANNEL_LISTEN_OPTIONS_INIT;
    ep.local = c->cli.listen[0];
    o.endpoint = &ep;
    o.channel.handler = &server_handler;
    o.accepted = on_accepted;
    o.closed = on_listener_closed;
    o.user = c;
    kirim_err err = kirim_channel_listen(&c->listener, c->loop, &o);
    if (err < 0) {
        return err;
    }
    report_start(&c->report, &c->cli, c->loop);
    report_listening(&c->report, kirim_sessions_endpoint(c->listener.sessions));
    err = kirim_loop_run(c->loop);
    report_end(&c->report);
    c->is_over = true;
    (void)kirim_channel_listener_close(&c->listener, kirim_loop_now(c->loop) + CLOSE_NS);
    return err < 0 ? err : kirim_loop_run(c->loop); /* until the guests have heard of it */
}

/* ---- a guest --------------------------------------------------------------------------------- */

static void on_ended(struct kirim_channel *channel, const struct kirim_channel_end *end, void *user)
{
    struct chat *const c = user;
    (void)channel;
    c->channel = NULL;
    c->is_over = true;
    c->has_failed = end->err < 0 || end->code >= KIRIM_CHANNEL_CODE_OWN;
    if (c->has_failed || end->is_by_peer) {
        cli_say(&c->cli, "the lobby is closed: %s",
                end->err < 0 ? kirim_err_text(end->err) : end->text);
    }
    kirim_loop_stop(c->loop);
}

static const struct kirim_channel_handler guest_handler = { .size = KIRIM_CHANNEL_HANDLER_INIT,
                                                            .received = chat_on_heard,
                                                            .closed = on_ended };

static kirim_err visit(struct chat *c)
{
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_open_options o = KIRIM_CHANNEL_OPEN_OPTIONS_INIT;
    if (!cli_parse_peer(c->to, &ep.peer)) {
        cli_fail_usage(&c->cli, "'%s' is not a numeric address with a port", c->to);
    }
    o.endpoint = &ep;
    o.channel.handler = &guest_handler;
    o.channel.user = c;
    kirim_err err = kirim_channel_open(c->loop, &o, &c->channel);
    if (err < 0) {
        return err;
    }
    chat_introduce(c);
    if (!lines_start(c->loop, chat_on_line, c)) {
        return KIRIM_ESYSTEM;
    }
    err = kirim_loop_run(c->loop);
    if (err == KIRIM_OK && !c->is_over) { /* the user has asked for the end */
        (void)kirim_channel_close(c->channel, KIRIM_CHANNEL_CODE_SHUTDOWN, "");
        err = kirim_loop_run(c->loop);
    }
    return err;
}

int main(int argc, char **argv)
{
    static struct chat chat;
    struct chat *const c = &chat;
    const struct cli_option options[] = {
        { .name = "--connect", .value = "ADDR:PORT", .text = &c->to, .help = "visit this lobby" },
        { .name = "--name",
          .value = "NAME",
          .text = &c->name,
          .help = "with --connect: who you are, 1 to 32 bytes; default: somebody" },
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
    c->name = "somebody";
    cli_parse(&c->cli, &program, argc, argv);
    if ((c->to != NULL) == (c->cli.listen_count > 0)) {
        cli_fail_usage(&c->cli, "give --listen or --connect");
    }
    const size_t name_bytes = strlen(c->name);
    if (name_bytes == 0 || name_bytes >= CHAT_NAME_BYTES) {
        cli_fail_usage(&c->cli, "--name: not of 1 to %d bytes", CHAT_NAME_BYTES - 1);
    }
    if (c->to != NULL && c->cli.has_stats) {
        cli_fail_usage(&c->cli, "--stats is for --listen");
    }
    const struct kirim_loop_options loop_options = cli_loop_options(&c->cli);
    kirim_err err = kirim_loop_open(&loop_options, &c->loop);
    if (err < 0) {
        return cli_fail(&c->cli, err, "cannot open a loop");
    }
    err = !stop_catch(c->loop) ? KIRIM_ESYSTEM : c->to != NULL ? visit(c) : serve(c);
    stop_release();
    (void)kirim_loop_close(c->loop);
    return err < 0 ? cli_fail(&c->cli, err, "chat") : c->has_failed ? CLI_FAILURE : CLI_SUCCESS;
}
