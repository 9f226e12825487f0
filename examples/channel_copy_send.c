/* SPDX-License-Identifier: MIT
 *
 * The side of channel_copy that sends: see channel_copy.h.
 */
#include "channel_copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/stop.h"

static const uint64_t NS_PER_US = 1000;

struct outgoing {
    const char *path;
    FILE *file;           /* NULL: generated */
    uint64_t bytes, left; /* sent; to be generated */
    struct kirim_siphash hash;
    size_t waiting_bytes; /* read, but refused for want of room */
    bool has_begun, has_ended, is_confirmed, is_failed;
    uint8_t *room; /* a message */
};

struct sender {
    const struct copy_setup *setup;
    struct kirim_channel *channel;
    struct outgoing file[COPY_FILE_MAX];
    size_t count, confirmed_count;
    uint64_t bytes, started_ns, ended_ns;
    struct kirim_channel_stats stats;
    bool has_failed, is_over;
};

/* ---- files ----------------------------------------------------------------------------------- */

static const char *name_of(const char *path)
{
    const char *const slash = files_last_separator(path);
    return slash != NULL ? slash + 1 : path;
}

/* Reads the next bytes of a file into its message; 0 at its end. */
static size_t read_next(struct sender *s, struct outgoing *f)
{
    const size_t most = (size_t)s->setup->message_bytes;
    size_t bytes = 0;
    if (f->file != NULL) {
        bytes = fread(f->room + 1, 1, most, f->file);
        f->is_failed = ferror(f->file) != 0;
    } else {
        bytes = f->left < most ? (size_t)f->left : most;
        memset(f->room + 1, (int)(f->bytes / most % 251), bytes);
        f->left -= bytes;
    }
    kirim_siphash_take(&f->hash, f->room + 1, bytes);
    return bytes;
}

/* The next message of a file, in its room. */
static void make_message(struct sender *s, struct outgoing *f)
{
    if (!f->has_begun) {
        const char *const name = name_of(f->path);
        f->has_begun = true;
        f->room[0] = 'F';
        f->waiting_bytes = 1 + strlen(name);
        memcpy(f->room + 1, name, strlen(name));
        return;
    }
    const size_t bytes = read_next(s, f);
    f->bytes += bytes;
    f->room[0] = 'D';
    f->waiting_bytes = 1 + bytes;
    if (bytes > 0 || f->is_failed) {
        return;
    }
    f->room[0] = 'E';
    for (size_t i = 0; i < 8; i++) {
        f->room[1 + i] = (uint8_t)(f->bytes >> (8 * (7 - i)));
    }
    kirim_siphash_end(&f->hash, f->room + 9);
    f->waiting_bytes = COPY_END_BYTES;
    f->has_ended = true;
}

/* Sends one message of a file; false: there is no room, or the channel has ended. */
static bool send_one(struct sender *s, struct outgoing *f)
{
    const uint32_t stream = (uint32_t)(f - s->file) + 1;
    if (f->waiting_bytes == 0) {
        make_message(s, f);
    }
    if (f->is_failed) {
        cli_say(s->setup->cli, "%s: cannot be read", f->path);
        s->has_failed = true;
        (void)kirim_channel_close(s->channel, KIRIM_CHANNEL_CODE_OWN, "a file cannot be read");
        return false;
    }
    const kirim_err err =
        kirim_channel_send(s->channel, stream, KIRIM_CHANNEL_ORDERED, f->room, f->waiting_bytes);
    if (err == KIRIM_EMSGSIZE) {
        cli_say(s->setup->cli, "%s: the other side takes no messages as long as that", f->path);
        s->has_failed = true;
        (void)kirim_channel_close(s->channel, KIRIM_CHANNEL_CODE_OWN, "too long for you");
    }
    if (err < 0) {
        return false;
    }
    f->waiting_bytes = 0;
    return true;
}

/* All files take turns, as far as there is room. */
static void send_all(struct sender *s)
{
    bool has_sent = true;
    while (has_sent) {
        has_sent = false;
        for (size_t i = 0; i < s->count; i++) {
            struct outgoing *const f = &s->file[i];
            if (f->has_ended && f->waiting_bytes == 0) {
                continue;
            }
            if (!send_one(s, f)) {
                return;
            }
            has_sent = true;
        }
    }
}

/* ---- the channel ----------------------------------------------------------------------------- */

static void on_ready(struct kirim_channel *channel, void *user)
{
    struct sender *const s = user;
    (void)channel;
    send_all(s);
}

static void on_writable(struct kirim_channel *channel, void *user)
{
    struct sender *const s = user;
    (void)channel;
    send_all(s);
}

/* An answer: a file is there, or not. */
static void on_received(struct kirim_channel *channel, const struct kirim_channel_message *m,
                        void *user)
{
    struct sender *const s = user;
    const size_t index = m->bytes == 2 ? (size_t)m->data[0] - 1 : COPY_FILE_MAX;
    if (m->stream != 0 || index >= s->count || s->file[index].is_confirmed) {
        (void)kirim_channel_close(channel, KIRIM_CHANNEL_CODE_OWN, "not an answer");
        return;
    }
    s->file[index].is_confirmed = true;
    s->confirmed_count++;
    s->bytes += s->file[index].bytes;
    if (m->data[1] != COPY_KEPT) {
        s->has_failed = true;
        cli_say(s->setup->cli, "%s: %s", s->file[index].path,
                m->data[1] == COPY_IS_THERE ? "the other side has such a file, and no --overwrite"
                                            : "the other side could not keep it");
    }
    if (s->confirmed_count == s->count) {
        s->ended_ns = kirim_loop_now(s->setup->loop);
        (void)kirim_channel_finish(channel);
    }
}

static void on_closed(struct kirim_channel *channel, const struct kirim_channel_end *end,
                      void *user)
{
    struct sender *const s = user;
    kirim_channel_read_stats(channel, &s->stats);
    s->channel = NULL;
    if (end->err < 0) {
        cli_say(s->setup->cli, "the connection ended: %s", kirim_err_text(end->err));
    } else if (end->code != KIRIM_CHANNEL_CODE_DONE) {
        cli_say(s->setup->cli, "the connection was closed: code %" PRIu32 "%s%s", end->code,
                end->text[0] != '\0' ? ": " : "", end->text);
    }
    s->is_over = true;
    kirim_loop_stop(s->setup->loop);
}

static const struct kirim_channel_handler handler = {
    .size = KIRIM_CHANNEL_HANDLER_INIT,
    .ready = on_ready,
    .received = on_received,
    .writable = on_writable,
    .closed = on_closed,
};

/* ---- a run ----------------------------------------------------------------------------------- */

static int print_result(const struct sender *s)
{
    const bool is_done = s->confirmed_count == s->count && !s->has_failed;
    const uint64_t end_ns = s->ended_ns > s->started_ns ? s->ended_ns : s->started_ns + 1;
    const uint64_t took_us = (end_ns - s->started_ns) / NS_PER_US + 1;
    const uint64_t kbit_s = s->bytes * 8000 / took_us;
    if (s->setup->is_json) {
        (void)printf("{\"done\": %s, \"files\": %zu, \"bytes\": %" PRIu64 ", \"took_us\": %" PRIu64
                     ", \"kbit_s\": %" PRIu64 ", \"packets\": %" PRIu64 ", \"lost\": %" PRIu64
                     ", \"timeouts\": %" PRIu64 ", \"congestion\": %" PRIu64
                     ", \"payload_bytes\": %" PRIu64 ", \"rtt_us\": %" PRIu64 "}\n",
                     is_done ? "true" : "false", s->confirmed_count, s->bytes, took_us, kbit_s,
                     s->stats.tx_packets, s->stats.tx_lost, s->stats.timeouts, s->stats.congestion,
                     s->stats.payload_bytes, s->stats.smoothed_ns / NS_PER_US);
    } else if (is_done) {
        cli_say(s->setup->cli,
                "%zu files, %" PRIu64 " bytes in %" PRIu64 ".%06" PRIu64 " s: %" PRIu64
                ".%03" PRIu64 " Mbit/s, %" PRIu64 " of %" PRIu64 " packets lost",
                s->confirmed_count, s->bytes, took_us / 1000000, took_us % 1000000, kbit_s / 1000,
                kbit_s % 1000, s->stats.tx_lost, s->stats.tx_packets);
    }
    return is_done ? CLI_SUCCESS : CLI_FAILURE;
}

static bool open_file(struct sender *s, const char *path, uint64_t generated_bytes)
{
    struct outgoing *const f = &s->file[s->count];
    const size_t room_bytes = (size_t)s->setup->message_bytes + COPY_NAME_BYTES_MAX + 1;
    f->path = path;
    f->left = generated_bytes;
    f->room = malloc(room_bytes);
    f->file = generated_bytes > 0 || f->room == NULL ? NULL : fopen(path, "rb");
    copy_hash_begin(&f->hash);
    s->count++;
    if (f->room == NULL || (generated_bytes == 0 && f->file == NULL) ||
        strlen(name_of(path)) > COPY_NAME_BYTES_MAX) {
        cli_say(s->setup->cli, "%s: cannot be opened", path);
        return false;
    }
    return true;
}

static void close_files(struct sender *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->file[i].room);
        if (s->file[i].file != NULL) {
            (void)fclose(s->file[i].file);
        }
    }
}

static kirim_err run(struct sender *s, const struct kirim_addr *to)
{
    struct kirim_loop *const loop = s->setup->loop;
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_open_options o = KIRIM_CHANNEL_OPEN_OPTIONS_INIT;
    ep.peer = *to;
    o.endpoint = &ep;
    o.channel = copy_options(s->setup);
    o.channel.handler = &handler;
    o.channel.user = s;
    s->started_ns = kirim_loop_now(loop);
    kirim_err err = kirim_channel_open(loop, &o, &s->channel);
    if (err < 0) {
        return err;
    }
    err = kirim_loop_run(loop);
    if (err == KIRIM_OK && !s->is_over) {
        s->has_failed = true; /* the user has had enough: the other side is told */
        (void)kirim_channel_close(s->channel, KIRIM_CHANNEL_CODE_SHUTDOWN, "");
        (void)kirim_loop_step(loop, 0);
    }
    return err;
}

int copy_send(const struct copy_setup *setup, const struct kirim_addr *to, const char *const *paths,
              size_t count, uint64_t generated_bytes)
{
    static struct sender sender;
    struct sender *const s = &sender;
    bool is_open = true;
    s->setup = setup;
    for (size_t i = 0; i < count && is_open; i++) {
        is_open = open_file(s, paths[i], 0);
    }
    if (generated_bytes > 0) {
        is_open = is_open && open_file(s, "generated", generated_bytes);
    }
    int status = CLI_FAILURE;
    if (is_open) {
        const kirim_err err = run(s, to);
        status = err < 0 ? cli_fail(setup->cli, err, "cannot connect") : print_result(s);
    }
    close_files(s);
    return status;
}
