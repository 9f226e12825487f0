/* SPDX-License-Identifier: MIT
 *
 * The side of channel_copy that receives: see channel_copy.h. Files are written beside their names
 * and renamed when they are whole and their hash is right, so that there is a whole file or none.
 */
#include "channel_copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <tftp/path.h>

#include "common/report.h"
#include "common/stop.h"

static const uint64_t CLOSE_NS = 1000000000;

struct incoming {
    void *file;
    uint64_t bytes;
    struct kirim_siphash hash;
    bool has_begun, has_ended, has_failed, is_there;
};

/* One channel. */
struct source {
    struct receiver *receiver;
    struct incoming file[COPY_FILE_MAX];
};

struct receiver {
    const struct copy_setup *setup;
    struct files *files; /* NULL: nothing is kept */
    struct kirim_channel_listener listener[CLI_LISTEN_MAX];
    size_t listener_count, open_count;
    struct report report;
    uint64_t file_count, byte_count, failed_count;
};

/* ---- files ----------------------------------------------------------------------------------- */

static void discard(struct receiver *r, struct incoming *f)
{
    if (f->file != NULL) {
        r->files->storage.discard(r->files->storage.user, f->file);
        f->file = NULL;
    }
}

static void begin_file(struct receiver *r, struct incoming *f, const uint8_t *name, size_t bytes)
{
    char path[KIRIM_TFTP_PATH_BYTES_MAX];
    const struct kirim_tftp_span span = { name, bytes };
    f->has_begun = true;
    copy_hash_begin(&f->hash);
    if (r->files == NULL) {
        return;
    }
    const bool is_flat = memchr(name, '/', bytes) == NULL;
    kirim_err err = is_flat ? kirim_tftp_path_check(span, path) : KIRIM_EINVAL;
    if (err >= 0) {
        err = r->files->storage.open_write(r->files->storage.user, path, KIRIM_NEVER, &f->file);
    }
    if (err < 0) {
        f->has_failed = true;
        f->is_there = err == KIRIM_EEXIST;
        f->file = NULL;
    }
}

static void add_bytes(struct receiver *r, struct incoming *f, const uint8_t *data, size_t bytes)
{
    f->bytes += bytes;
    kirim_siphash_take(&f->hash, data, bytes);
    if (f->file != NULL &&
        r->files->storage.write(r->files->storage.user, f->file, data, bytes) < 0) {
        f->has_failed = true;
        discard(r, f);
    }
}

/* Whether a file is there as it was sent. */
static bool end_file(struct receiver *r, struct incoming *f, const uint8_t *end)
{
    uint8_t hash[COPY_HASH_BYTES];
    uint64_t bytes = 0;
    for (size_t i = 0; i < 8; i++) {
        bytes = bytes << 8 | end[i];
    }
    kirim_siphash_end(&f->hash, hash);
    f->has_ended = true;
    if (f->has_failed || bytes != f->bytes || !kirim_secret_equal(hash, end + 8, sizeof hash)) {
        discard(r, f);
        return false;
    }
    void *const file = f->file;
    f->file = NULL;
    return file == NULL || r->files->storage.commit(r->files->storage.user, file) == KIRIM_OK;
}

/* ---- channels -------------------------------------------------------------------------------- */

static void answer(struct kirim_channel *channel, struct source *s, uint32_t stream, bool is_whole)
{
    struct receiver *const r = s->receiver;
    const uint8_t words[2] = { (uint8_t)stream, is_whole                       ? COPY_KEPT
                                                : s->file[stream - 1].is_there ? COPY_IS_THERE
                                                                               : COPY_FAILED };
    r->file_count += is_whole ? 1 : 0;
    r->failed_count += is_whole ? 0 : 1;
    r->byte_count += is_whole ? s->file[stream - 1].bytes : 0;
    (void)kirim_channel_send(channel, 0, KIRIM_CHANNEL_ORDERED, words, sizeof words);
}

static void on_received(struct kirim_channel *channel, const struct kirim_channel_message *m,
                        void *user)
{
    struct source *const s = user;
    const size_t index = (size_t)m->stream - 1;
    struct incoming *const f = index < COPY_FILE_MAX ? &s->file[index] : NULL;
    if (f != NULL && m->bytes > 1 && m->data[0] == 'F' && !f->has_begun) {
        begin_file(s->receiver, f, m->data + 1, m->bytes - 1);
    } else if (f != NULL && f->has_begun && !f->has_ended && m->bytes > 1 && m->data[0] == 'D') {
        add_bytes(s->receiver, f, m->data + 1, m->bytes - 1);
    } else if (f != NULL && f->has_begun && !f->has_ended && m->bytes == COPY_END_BYTES &&
               m->data[0] == 'E') {
        answer(channel, s, m->stream, end_file(s->receiver, f, m->data + 1));
    } else {
        (void)kirim_channel_close(channel, KIRIM_CHANNEL_CODE_OWN, "not a file");
    }
}

static void on_closed(struct kirim_channel *channel, const struct kirim_channel_end *end,
                      void *user)
{
    struct source *const s = user;
    (void)channel;
    (void)end;
    for (size_t i = 0; i < COPY_FILE_MAX; i++) {
        discard(s->receiver, &s->file[i]);
    }
    free(s);
}

static const struct kirim_channel_handler handler = {
    .size = KIRIM_CHANNEL_HANDLER_INIT,
    .received = on_received,
    .closed = on_closed,
};

/* Without memory for a source nobody listens to the channel. */
static const struct kirim_channel_handler deaf = { .size = KIRIM_CHANNEL_HANDLER_INIT };

static void on_accepted(struct kirim_channel_listener *listener, struct kirim_channel *channel,
                        void *user)
{
    struct source *const s = calloc(1, sizeof *s);
    (void)listener;
    if (s == NULL) {
        kirim_channel_set_handler(channel, &deaf);
        (void)kirim_channel_close(channel, KIRIM_CHANNEL_CODE_SHUTDOWN, "no memory");
        return;
    }
    s->receiver = user;
    kirim_channel_set_user(channel, s);
}

static void on_listener_closed(struct kirim_channel_listener *listener, void *user)
{
    struct receiver *const r = user;
    (void)listener;
    if (--r->open_count == 0) {
        kirim_loop_stop(r->setup->loop);
    }
}

/* ---- a run ----------------------------------------------------------------------------------- */

static kirim_err listen_on(struct receiver *r, const struct kirim_addr *addr)
{
    struct kirim_channel_listener *const l = &r->listener[r->listener_count];
    struct kirim_endpoint_options ep = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_listen_options o = KIRIM_CHANNEL_LISTEN_OPTIONS_INIT;
    ep.local = *addr;
    o.endpoint = &ep;
    o.channel = copy_options(r->setup);
    o.channel.handler = &handler;
    o.accepted = on_accepted;
    o.closed = on_listener_closed;
    o.user = r;
    const kirim_err err = kirim_channel_listen(l, r->setup->loop, &o);
    if (err < 0) {
        return cli_fail_addr(r->setup->cli, err, addr);
    }
    r->listener_count++;
    r->open_count++;
    report_listening(&r->report, kirim_sessions_endpoint(l->sessions));
    return KIRIM_OK;
}

static void print_counters(const struct receiver *r)
{
    struct kirim_channel_listener_stats sum = { 0 };
    for (size_t i = 0; i < r->listener_count; i++) {
        const struct kirim_channel_listener_stats *const stats = &r->listener[i].stats;
        sum.hellos += stats->hellos;
        sum.refused += stats->refused;
        sum.accepted += stats->accepted;
        sum.resets += stats->resets;
        sum.dropped += stats->dropped;
    }
    cli_say(r->setup->cli,
            "channel hellos=%" PRIu64 " refused=%" PRIu64 " accepted=%" PRIu64 " resets=%" PRIu64
            " dropped=%" PRIu64 " files=%" PRIu64 " bytes=%" PRIu64 " failed=%" PRIu64,
            sum.hellos, sum.refused, sum.accepted, sum.resets, sum.dropped, r->file_count,
            r->byte_count, r->failed_count);
}

int copy_receive(const struct copy_setup *setup, struct files *files)
{
    static struct receiver receiver;
    struct receiver *const r = &receiver;
    r->setup = setup;
    r->files = files;
    report_start(&r->report, setup->cli, setup->loop);
    for (size_t i = 0; i < setup->cli->listen_count; i++) {
        if (listen_on(r, &setup->cli->listen[i]) < 0) {
            return CLI_FAILURE;
        }
    }
    kirim_err err = kirim_loop_run(setup->loop);
    report_end(&r->report);
    for (size_t i = 0; i < r->listener_count; i++) {
        (void)kirim_channel_listener_close(&r->listener[i], kirim_loop_now(setup->loop) + CLOSE_NS);
    }
    if (err == KIRIM_OK && r->open_count > 0) {
        err = kirim_loop_run(setup->loop); /* until all have heard of it */
    }
    if (setup->cli->has_stats) {
        print_counters(r);
    }
    return err < 0 ? cli_fail(setup->cli, err, "the loop ended") : CLI_SUCCESS;
}
