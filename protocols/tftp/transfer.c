/* SPDX-License-Identifier: MIT
 *
 * One transfer: how it begins, what comes in and goes out, and how it ends. See transfer.h; the
 * blocks themselves are in sender.c and receiver.c.
 */
#include "parts.h"

#include <string.h>

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static const uint64_t give_up_ns_default = 30 * SECOND;
static const uint64_t unproven_ns = 20 * SECOND; /* who never answers may be forged */

/* A disk or a scheduler may hold an answer up for some 10 ms on a path without any delay. */
static const struct kirim_rtt_options waits = {
    .initial_ns = SECOND, .min_ns = 50 * MS, .max_ns = 8 * SECOND, .granularity_ns = MS
};

enum { GIVE_UP_TRIES = 5 }; /* of waits that the other side has asked for */

/* ---- steps ----------------------------------------------------------------------------------- */

void ki_tftp_init(struct kirim_tftp_transfer *t, const struct kirim_tftp_storage *storage,
                  uint64_t give_up_ns, uint64_t now_ns)
{
    *t = (struct kirim_tftp_transfer){
        .storage = storage,
        .give_up_ns = give_up_ns != 0 ? give_up_ns : give_up_ns_default,
        .progress_ns = now_ns,
        .deadline_ns = now_ns,
        .file_bytes = KIRIM_NEVER,
        .bytes_max = KIRIM_NEVER,
        .last = KIRIM_NEVER,
        .agreed = { .blksize = KIRIM_TFTP_BLOCK_BYTES, .windowsize = 1 },
    };
    (void)kirim_rtt_init(&t->rtt, &waits); /* its bounds are good */
}

/* Waits as the other side has asked: never less, whatever is measured. */
static void agree_timeout(struct kirim_tftp_transfer *t, uint64_t timeout_ns)
{
    const uint64_t least_ns = GIVE_UP_TRIES * timeout_ns;
    struct kirim_rtt_options asked = waits;
    asked.initial_ns = timeout_ns;
    asked.min_ns = timeout_ns;
    asked.max_ns = asked.max_ns < timeout_ns ? timeout_ns : asked.max_ns;
    (void)kirim_rtt_init(&t->rtt, &asked); /* 255 s at the most */
    t->give_up_ns = t->give_up_ns < least_ns ? least_ns : t->give_up_ns;
}

void ki_tftp_agree(struct kirim_tftp_transfer *t, const struct kirim_tftp_options *options)
{
    t->agreed.has = options->has;
    if ((options->has & KIRIM_TFTP_HAS_BLKSIZE) != 0) {
        t->agreed.blksize = options->blksize;
    }
    if ((options->has & KIRIM_TFTP_HAS_WINDOWSIZE) != 0) {
        t->agreed.windowsize = options->windowsize;
    }
    if ((options->has & KIRIM_TFTP_HAS_TSIZE) != 0) {
        t->agreed.tsize = options->tsize;
    }
    if ((options->has & KIRIM_TFTP_HAS_TIMEOUT) != 0) {
        t->agreed.timeout_s = options->timeout_s;
        agree_timeout(t, options->timeout_s * SECOND);
    }
}

void ki_tftp_note_progress(struct kirim_tftp_transfer *t, uint64_t now_ns)
{
    t->progress_ns = now_ns;
}

/* How long the peer may bring nothing new. Some clients start their wait anew with everything that
 * comes, so their second try may follow some seconds after our fourth. */
static uint64_t patience_ns(const struct kirim_tftp_transfer *t)
{
    const bool is_forged = !t->is_client && !t->is_proven && t->request.kind == KIRIM_TFTP_RRQ;
    const bool is_short = is_forged && t->give_up_ns > unproven_ns;
    return is_short ? unproven_ns : t->give_up_ns;
}

void ki_tftp_await(struct kirim_tftp_transfer *t, uint64_t now_ns)
{
    const uint64_t end_ns = t->progress_ns + patience_ns(t);
    const uint64_t next_ns = now_ns + t->rtt.timeout_ns;
    t->deadline_ns = next_ns < end_ns ? next_ns : end_ns;
}

void ki_tftp_drop_file(struct kirim_tftp_transfer *t)
{
    if (t->file != NULL) {
        void *const file = t->file;
        t->file = NULL;
        t->storage->discard(t->storage->user, file);
    }
}

void ki_tftp_finish(struct kirim_tftp_transfer *t)
{
    ki_tftp_drop_file(t);
    t->state = KIRIM_TFTP_DONE;
    t->pending = KI_TFTP_NOTHING;
    t->deadline_ns = KIRIM_NEVER;
}

void kirim_tftp_transfer_fail(struct kirim_tftp_transfer *t, kirim_err err, bool is_heard)
{
    if (kirim_tftp_transfer_has_ended(t)) {
        return;
    }
    if (t->state == KIRIM_TFTP_LINGERING) {
        ki_tftp_finish(t);
        return;
    }
    ki_tftp_finish(t);
    t->state = KIRIM_TFTP_FAILED;
    t->err = err;
    t->pending = is_heard ? KI_TFTP_FAILURE : KI_TFTP_NOTHING;
}

/* ---- the client's beginning ------------------------------------------------------------------ */

static bool is_possible(const struct kirim_tftp_client_options *o)
{
    const struct kirim_tftp_options *const wanted = &o->request.options;
    const bool is_kind = o->request.kind == KIRIM_TFTP_RRQ || o->request.kind == KIRIM_TFTP_WRQ;
    const bool is_mode =
        o->request.mode == KIRIM_TFTP_OCTET || o->request.mode == KIRIM_TFTP_NETASCII;
    const bool is_block = (wanted->has & KIRIM_TFTP_HAS_BLKSIZE) == 0 ||
                          (wanted->blksize >= KIRIM_TFTP_BLOCK_BYTES_MIN &&
                           wanted->blksize <= KIRIM_TFTP_BLOCK_BYTES_MAX);
    const bool is_window =
        (wanted->has & KIRIM_TFTP_HAS_WINDOWSIZE) == 0 ||
        (wanted->windowsize >= 1 && wanted->windowsize <= KIRIM_TFTP_OWN_WINDOW_BLOCKS_MAX);
    const bool is_timeout =
        (wanted->has & KIRIM_TFTP_HAS_TIMEOUT) == 0 ||
        (wanted->timeout_s >= 1 && wanted->timeout_s <= KIRIM_TFTP_TIMEOUT_SECONDS_MAX);
    return is_kind && is_mode && is_block && is_window && is_timeout && o->storage != NULL &&
           o->request.name != NULL && o->request.name[0] != '\0' && o->local_name != NULL;
}

kirim_err kirim_tftp_transfer_ask(struct kirim_tftp_transfer *t,
                                  const struct kirim_tftp_client_options *options, uint64_t now_ns)
{
    uint8_t scratch[KIRIM_TFTP_CONTROL_BYTES_MAX];
    struct kirim_tftp_room room = { scratch, sizeof scratch, 0 };
    if (t == NULL || options == NULL || !is_possible(options)) {
        return KIRIM_EINVAL;
    }
    ki_tftp_init(t, options->storage, options->give_up_ns, now_ns);
    t->is_client = true;
    t->request = options->request;
    t->local_name = options->local_name;
    t->linger_ns = options->linger_ns;
    t->request.options.tsize = 0; /* the server shall fill it in, RFC 2349 section 3 */
    if (t->request.kind == KIRIM_TFTP_WRQ) {
        const kirim_err err =
            t->storage->open_read(t->storage->user, t->local_name, &t->file, &t->file_bytes);
        if (err < 0) {
            return err;
        }
        t->request.options.tsize = t->file_bytes;
        if (t->request.mode == KIRIM_TFTP_NETASCII) {
            t->request.options.has &= ~(uint32_t)KIRIM_TFTP_HAS_TSIZE; /* not known by then */
        }
    }
    const kirim_err err = kirim_tftp_write_request(&t->request, &room);
    if (err < 0) {
        ki_tftp_drop_file(t);
        return err;
    }
    t->state = KIRIM_TFTP_ASKING;
    t->pending = KI_TFTP_REQUEST;
    return KIRIM_OK;
}

void kirim_tftp_transfer_limit_window(struct kirim_tftp_transfer *t, uint32_t blocks)
{
    const uint32_t most = blocks > 0 ? blocks : 1;
    if (t->request.options.windowsize > most) {
        t->request.options.windowsize = most;
    }
    if (t->agreed.windowsize > most) {
        t->agreed.windowsize = most;
    }
}

/* A get's file is opened when the server has one. */
static bool open_local(struct kirim_tftp_transfer *t)
{
    const struct kirim_tftp_storage *const storage = t->storage;
    if (storage->open_write == NULL) {
        kirim_tftp_transfer_fail(t, KIRIM_EACCES, true);
        return false;
    }
    const kirim_err err =
        storage->open_write(storage->user, t->local_name, t->file_bytes, &t->file);
    if (err < 0) {
        kirim_tftp_transfer_fail(t, err, true);
    }
    return err == KIRIM_OK;
}

/* An OACK may hold what was asked for, smaller if the option allows that (RFC 2347). */
static bool is_answer(const struct kirim_tftp_request *asked,
                      const struct kirim_tftp_packet *packet)
{
    const struct kirim_tftp_options *const got = &packet->options;
    const bool is_block =
        (got->has & KIRIM_TFTP_HAS_BLKSIZE) == 0 || got->blksize <= asked->options.blksize;
    const bool is_window =
        (got->has & KIRIM_TFTP_HAS_WINDOWSIZE) == 0 || got->windowsize <= asked->options.windowsize;
    const bool is_timeout =
        (got->has & KIRIM_TFTP_HAS_TIMEOUT) == 0 || got->timeout_s == asked->options.timeout_s;
    return !packet->has_bad_option && (got->has & ~asked->options.has) == 0 && is_block &&
           is_window && is_timeout;
}

/* What opened the transfer was answered; if it was sent once, that is a round trip. */
static void note_answered_opening(struct kirim_tftp_transfer *t, uint64_t now_ns)
{
    if (t->timed == 1) {
        kirim_rtt_sample(&t->rtt, now_ns - t->timed_ns);
    }
    t->timed = 0;
    t->is_proven = true;
    ki_tftp_note_progress(t, now_ns);
}

/* The first answer to a request: what it may be depends on what was asked. */
static void take_first(struct kirim_tftp_transfer *t, const struct kirim_tftp_packet *packet,
                       uint64_t now_ns)
{
    const bool is_get = t->request.kind == KIRIM_TFTP_RRQ;
    const bool is_oack = packet->kind == KIRIM_TFTP_OACK;
    const bool is_plain = is_get ? packet->kind == KIRIM_TFTP_DATA && packet->block == 1
                                 : packet->kind == KIRIM_TFTP_ACK && packet->block == 0;
    if (!is_oack && !is_plain) {
        t->stats.ignored++;
        return;
    }
    if (is_oack && !is_answer(&t->request, packet)) {
        kirim_tftp_transfer_fail(t, KIRIM_TFTP_EOPTION, true);
        return;
    }
    if (is_oack) {
        ki_tftp_agree(t, &packet->options);
    }
    note_answered_opening(t, now_ns);
    if (!is_get) {
        ki_tftp_sender_start(t);
        return;
    }
    if ((t->agreed.has & KIRIM_TFTP_HAS_TSIZE) != 0 && t->request.mode == KIRIM_TFTP_OCTET) {
        t->file_bytes = t->agreed.tsize;
    }
    if (open_local(t)) {
        ki_tftp_receiver_start(t, is_oack, now_ns);
        if (!is_oack) {
            ki_tftp_receiver_data(t, packet, now_ns);
        }
    }
}

/* ---- in -------------------------------------------------------------------------------------- */

/* What the peer said, for people: nothing in it may move a terminal's cursor. */
static void take_error(struct kirim_tftp_transfer *t, const struct kirim_tftp_packet *packet)
{
    size_t bytes = packet->data.bytes;
    bytes = bytes < sizeof t->peer_text - 1 ? bytes : sizeof t->peer_text - 1;
    for (size_t i = 0; i < bytes; i++) {
        const char letter = (char)packet->data.data[i];
        t->peer_text[i] = '?';
        if (letter >= 0x20 && letter < 0x7f) {
            t->peer_text[i] = letter;
        }
    }
    t->peer_text[bytes] = '\0';
    t->peer_code = packet->code;
    kirim_tftp_transfer_fail(t, KIRIM_TFTP_EREMOTE, false);
}

/* A server's OACK is answered: by ACK 0 of who reads, by DATA 1 of who writes. */
static void take_offered(struct kirim_tftp_transfer *t, const struct kirim_tftp_packet *packet,
                         uint64_t now_ns)
{
    const bool is_read = t->request.kind == KIRIM_TFTP_RRQ;
    if (is_read ? packet->kind != KIRIM_TFTP_ACK || packet->block != 0
                : packet->kind != KIRIM_TFTP_DATA || packet->block == 0 ||
                      packet->block > t->agreed.windowsize) {
        t->stats.ignored++;
        return;
    }
    note_answered_opening(t, now_ns);
    if (is_read) {
        ki_tftp_sender_start(t);
    } else {
        ki_tftp_receiver_start(t, false, now_ns);
        ki_tftp_receiver_data(t, packet, now_ns);
    }
}

static void take_receiving(struct kirim_tftp_transfer *t, const struct kirim_tftp_packet *packet,
                           uint64_t now_ns)
{
    if (packet->kind == KIRIM_TFTP_DATA) {
        t->is_proven = true;
        ki_tftp_receiver_data(t, packet, now_ns);
    } else if (packet->kind == KIRIM_TFTP_OACK && t->is_client && t->have == 0 &&
               t->agreed.has != 0) {
        t->stats.duplicates++; /* the server has not seen that its OACK was taken */
        t->pending = KI_TFTP_ACKNOWLEDGE;
    } else {
        t->stats.ignored++;
    }
}

void kirim_tftp_transfer_input(struct kirim_tftp_transfer *t, struct kirim_tftp_span wire,
                               uint64_t now_ns)
{
    struct kirim_tftp_packet packet;
    if (kirim_tftp_transfer_has_ended(t)) {
        return;
    }
    if (kirim_tftp_packet_read(wire, &packet) < 0) {
        t->stats.ignored++;
        return;
    }
    if (packet.kind == KIRIM_TFTP_ERROR) {
        take_error(t, &packet);
    } else if (t->state == KIRIM_TFTP_ASKING) {
        take_first(t, &packet, now_ns);
    } else if (t->state == KIRIM_TFTP_OFFERING) {
        take_offered(t, &packet, now_ns);
    } else if (t->state != KIRIM_TFTP_SENDING) {
        take_receiving(t, &packet, now_ns);
    } else if (packet.kind == KIRIM_TFTP_ACK) {
        t->is_proven = true;
        ki_tftp_sender_ack(t, packet.block, now_ns);
    } else {
        t->stats.ignored++;
    }
}

void kirim_tftp_transfer_expire(struct kirim_tftp_transfer *t, uint64_t now_ns)
{
    if (now_ns < t->deadline_ns || kirim_tftp_transfer_has_ended(t)) {
        return;
    }
    t->stats.timeouts++;
    if (t->state == KIRIM_TFTP_LINGERING) {
        ki_tftp_finish(t);
    } else if (now_ns - t->progress_ns >= patience_ns(t)) {
        kirim_tftp_transfer_fail(t, KIRIM_ETIMEDOUT, t->is_proven);
    } else if (t->state == KIRIM_TFTP_SENDING) {
        ki_tftp_sender_expire(t, now_ns);
    } else if (t->state == KIRIM_TFTP_RECEIVING) {
        ki_tftp_receiver_expire(t);
        ki_tftp_await(t, now_ns);
    } else {
        t->pending = t->state == KIRIM_TFTP_ASKING ? KI_TFTP_REQUEST : KI_TFTP_OFFER;
        kirim_rtt_back_off(&t->rtt);
        ki_tftp_await(t, now_ns);
    }
}

/* ---- out ------------------------------------------------------------------------------------- */

size_t kirim_tftp_transfer_output_bytes(const struct kirim_tftp_transfer *t)
{
    const size_t data_bytes = (size_t)t->agreed.blksize + KIRIM_TFTP_HEADER_BYTES;
    if (t->pending == KI_TFTP_NOTHING && !ki_tftp_sender_has_data(t)) {
        return 0;
    }
    /* What begins as a block may end as the ERROR that says why there is none. */
    return t->pending == KI_TFTP_NOTHING && data_bytes > KIRIM_TFTP_CONTROL_BYTES_MAX
               ? data_bytes
               : KIRIM_TFTP_CONTROL_BYTES_MAX + KIRIM_TFTP_HEADER_BYTES;
}

/* A message that opens something: its first answer is measured, unless it is sent twice. */
static void note_opening(struct kirim_tftp_transfer *t, uint64_t now_ns)
{
    t->timed = t->timed == 0 ? 1 : KIRIM_NEVER;
    t->timed_ns = now_ns;
    ki_tftp_await(t, now_ns);
}

static void write_pending(struct kirim_tftp_transfer *t, struct kirim_tftp_room *out,
                          uint64_t now_ns)
{
    const uint8_t pending = t->pending;
    t->pending = KI_TFTP_NOTHING;
    if (pending == KI_TFTP_REQUEST) {
        (void)kirim_tftp_write_request(&t->request, out); /* it was tried at the start */
        note_opening(t, now_ns);
    } else if (pending == KI_TFTP_OFFER) {
        (void)kirim_tftp_write_oack(&t->agreed, out);
        note_opening(t, now_ns);
    } else if (pending == KI_TFTP_ACKNOWLEDGE) {
        (void)kirim_tftp_write_ack((uint16_t)t->acked, out);
        ki_tftp_receiver_note_ack(t, now_ns);
    } else {
        (void)kirim_tftp_write_error(kirim_tftp_err_code(t->err), kirim_tftp_err_text(t->err), out);
    }
}

void kirim_tftp_transfer_output(struct kirim_tftp_transfer *t, struct kirim_tftp_room *out,
                                uint64_t now_ns)
{
    out->bytes = 0;
    if (out->room < kirim_tftp_transfer_output_bytes(t)) {
        return;
    }
    if (t->pending == KI_TFTP_NOTHING && ki_tftp_sender_has_data(t)) {
        const kirim_err err = ki_tftp_sender_write(t, out, now_ns);
        if (err == KIRIM_OK) {
            return;
        }
        kirim_tftp_transfer_fail(t, err, true);
    }
    if (t->pending != KI_TFTP_NOTHING) {
        write_pending(t, out, now_ns);
    }
}
