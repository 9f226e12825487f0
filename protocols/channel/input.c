/* SPDX-License-Identifier: MIT
 *
 * What arrives: packets of a connection, frame by frame. Every byte may be hostile: a packet counts
 * once its connection id is right and its number is new; what is in it is bounded by the rules of
 * docs/channel.md, section 4. One thread.
 */
#include <kirim/secret.h>

#include "parts.h"

/* ACKs of the first packets are not delayed: the peer has no round-trip time yet. */
enum { PROMPT_PACKETS = 4 };

/* Without a message handed over for so long, since one found no room, there will be none. */
static const uint64_t REFUSED_NS_MAX = UINT64_C(10000000000);

/* A frame that needs no live connection is CLOSE alone. */
static kirim_err take_frame(struct kirim_channel *ch, const struct kirim_channel_frame *f,
                            const struct kirim_channel_arrival *arrival, uint64_t now_ns)
{
    bool is_right = true;
    switch (f->type) {
    case KIRIM_CHANNEL_PADDING:
    case KIRIM_CHANNEL_PING:
        break;
    case KIRIM_CHANNEL_ACK:
    case KIRIM_CHANNEL_ACK_ECN:
        is_right = ki_channel_recovery_ack(ch, f, now_ns);
        break;
    case KIRIM_CHANNEL_MAX_DATA:
    case KIRIM_CHANNEL_MAX_STREAM:
        is_right = ki_channel_send_raise(ch, f);
        break;
    case KIRIM_CHANNEL_PATH_CHALLENGE:
        ki_channel_path_challenged(ch, f->proof, arrival->peer);
        break;
    case KIRIM_CHANNEL_PATH_RESPONSE:
        ki_channel_path_answered(ch, f->proof, arrival->peer, now_ns);
        break;
    case KIRIM_CHANNEL_CLOSE:
        ki_channel_take_close(ch, f, now_ns);
        break;
    default:
        return ki_channel_receive(ch, f);
    }
    if (!is_right) {
        ki_channel_fail(ch, KIRIM_CHANNEL_CODE_PROTOCOL, "a frame broke a rule");
        return KIRIM_EINVAL;
    }
    return KIRIM_OK;
}

/* Works through the frames of a packet. KIRIM_OK: it counts as arrived. KIRIM_ENOMEM,
 * KIRIM_ENOBUFS: something in it found no room; the rest was done, so that what is under way can
 * end and make some.
 */
static kirim_err take_frames(struct kirim_channel *ch, struct kirim_channel_span rest,
                             const struct kirim_channel_arrival *arrival, bool *is_eliciting,
                             uint64_t now_ns)
{
    struct kirim_channel_frame f;
    kirim_err err = rest.bytes > 0 ? KIRIM_OK : KIRIM_EINVAL;
    kirim_err refusal = KIRIM_OK;
    while (err == KIRIM_OK && rest.bytes > 0 && ki_channel_is_live(ch)) {
        err = kirim_channel_frame_read(&rest, &f);
        if (err == KIRIM_OK) {
            *is_eliciting = *is_eliciting || kirim_channel_frame_is_eliciting(f.type);
            err = take_frame(ch, &f, arrival, now_ns);
        }
        if (err == KIRIM_ENOMEM || err == KIRIM_ENOBUFS) {
            refusal = refusal != KIRIM_ENOMEM ? err : refusal;
            err = KIRIM_OK;
        }
    }
    if (err == KIRIM_EINVAL) {
        ki_channel_fail(ch, KIRIM_CHANNEL_CODE_PROTOCOL, "a packet that cannot be read");
    }
    return err == KIRIM_OK ? refusal : err;
}

/* A closing or draining connection looks for CLOSE alone. */
static void look_for_close(struct kirim_channel *ch, struct kirim_channel_span rest,
                           uint64_t now_ns)
{
    struct kirim_channel_frame f;
    while (rest.bytes > 0 && kirim_channel_frame_read(&rest, &f) == KIRIM_OK) {
        if (f.type == KIRIM_CHANNEL_CLOSE) {
            ki_channel_take_close(ch, &f, now_ns);
            return;
        }
    }
}

static void tell_ready(struct kirim_channel *ch, uint64_t now_ns)
{
    if (ch->state == KI_CHANNEL_BEGINNING) {
        ch->state = KI_CHANNEL_OPEN;
        ch->has_heard = true;
        ch->handshake_ns = KIRIM_NEVER;
        ch->owes_ready = true;
    }
    if (ch->owes_ready) {
        ch->owes_ready = false;
        ki_channel_path_search(ch, now_ns);
        if (ch->handler.ready != NULL) {
            ch->handler.ready(ch, ch->options.user);
        }
    }
}

/* A packet for which there was no room counts as lost; but the peer shall know that somebody is
 * here. What is refused may be the peer's own doing, who has begun too much at a time: that ends.
 */
static void refuse(struct kirim_channel *ch, kirim_err why, uint64_t now_ns)
{
    ch->stats.rx_refused++;
    ch->acks.deadline_ns = now_ns;
    if (why != KIRIM_ENOMEM) {
        return; /* it will fit when what lies before it has come */
    }
    ch->refused_ns = ch->refused_ns < now_ns ? ch->refused_ns : now_ns;
    if (now_ns - ch->refused_ns >= REFUSED_NS_MAX) {
        ki_channel_fail(ch, KIRIM_CHANNEL_CODE_INTERNAL, "no room for messages");
    }
}

/* A packet of this connection that was not seen before. */
static void take_packet(struct kirim_channel *ch, const struct kirim_channel_packet *p,
                        const struct kirim_channel_arrival *arrival, uint64_t now_ns)
{
    const bool is_highest = ki_channel_acks_is_highest(&ch->acks, p->number);
    const uint64_t delay_ns = ch->stats.rx_packets < PROMPT_PACKETS
                                  ? 0
                                  : ch->options.params.ack_delay_ms * KI_CHANNEL_NS_PER_MS;
    bool is_eliciting = false;
    tell_ready(ch, now_ns);
    if (ch->is_server && p->kind == KIRIM_CHANNEL_DATA) {
        ki_channel_path_arrived(ch, arrival, is_highest, now_ns);
    }
    const kirim_err err = take_frames(ch, p->rest, arrival, &is_eliciting, now_ns);
    ch->idle_ns = now_ns + ch->peer_params.idle_ms * KI_CHANNEL_NS_PER_MS;
    if (ch->options.keepalive_ns > 0) {
        kirim_keepalive_heard(&ch->keepalive, now_ns);
    }
    if (err == KIRIM_ENOMEM || err == KIRIM_ENOBUFS) {
        refuse(ch, err, now_ns);
        return;
    }
    ch->stats.rx_packets++;
    ch->stats.rx_bytes += arrival->bytes;
    ch->stats.rx_ce += arrival->ecn == 3 ? 1 : 0;
    ki_channel_acks_note(&ch->acks, p->number, is_eliciting, arrival->ecn, delay_ns, now_ns);
}

/* Whether a packet is one of this connection, as far as its fixed part says. */
static bool is_ours(const struct kirim_channel *ch, const struct kirim_channel_packet *p,
                    const struct kirim_channel_arrival *arrival)
{
    const bool is_from_peer =
        arrival->peer == NULL || kirim_addr_equal(arrival->peer, &ch->path.peer);
    if (!kirim_secret_equal(p->to, ch->id, sizeof p->to)) {
        return false;
    }
    if (p->kind == KIRIM_CHANNEL_BEGIN) {
        return ch->is_server && is_from_peer && ki_channel_is_own_begin(ch, p);
    }
    return ch->state != KI_CHANNEL_ASKING && (ch->is_server || is_from_peer);
}

static void dispatch(struct kirim_channel *ch, const struct kirim_channel_packet *p,
                     const struct kirim_channel_arrival *arrival, uint64_t now_ns)
{
    switch (p->kind) {
    case KIRIM_CHANNEL_TOKEN:
        ki_channel_take_token(ch, p, now_ns);
        return;
    case KIRIM_CHANNEL_VERSIONS:
        ki_channel_take_versions(ch, p);
        return;
    case KIRIM_CHANNEL_RESET:
        if (ch->has_params && kirim_secret_equal(p->reset, ch->peer_reset, sizeof p->reset)) {
            ki_channel_end(ch, KIRIM_ECONNRESET);
        } else {
            ch->stats.rx_dropped++;
        }
        return;
    case KIRIM_CHANNEL_BEGIN:
    case KIRIM_CHANNEL_DATA:
        break;
    default:
        ch->stats.rx_dropped++;
        return;
    }
    if (!is_ours(ch, p, arrival)) {
        ch->stats.rx_dropped++;
    } else if (!ki_channel_acks_is_new(&ch->acks, p->number)) {
        ch->stats.rx_duplicate++;
    } else if (ki_channel_is_live(ch)) {
        take_packet(ch, p, arrival, now_ns);
    } else {
        look_for_close(ch, p->rest, now_ns);
    }
}

void kirim_channel_input(struct kirim_channel *ch, const struct kirim_channel_arrival *arrival,
                         uint64_t now_ns)
{
    struct kirim_channel_packet p;
    if (ch->state == KI_CHANNEL_ENDED ||
        kirim_channel_packet_read(arrival->data, arrival->bytes, &p) < 0) {
        ch->stats.rx_dropped++;
        return;
    }
    ch->is_inside = true;
    dispatch(ch, &p, arrival, now_ns);
    ki_channel_settle(ch);
}
