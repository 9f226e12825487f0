/* SPDX-License-Identifier: MIT
 *
 * Where the peer is: challenges to an address that might be its new one, answers to its challenges,
 * and how long datagrams may be on the way there. A server follows its client; a client does not
 * follow. One thread. Sources: RFC 9000 sections 8.2 and 9, RFC 8899.
 */
#include <kirim/secret.h>

#include "parts.h"

enum {
    TRIES_MAX = 5,
    PMTU_PROBES = 3,
    PMTU_GRANULARITY = 16,
    LEAST_BYTES = KIRIM_CHANNEL_HEADER_BYTES + 1 + KIRIM_CHANNEL_CHALLENGE_BYTES
};

static const uint64_t PMTU_PROBE_NS = UINT64_C(15000000000);
static const uint64_t PMTU_RAISE_NS = UINT64_C(600000000000);

static const struct kirim_addr nobody;

static void give_up(struct ki_channel_path *p)
{
    p->candidate = nobody;
    p->deadline_ns = KIRIM_NEVER;
    p->owes_challenge = false;
    p->try_count = 0;
}

void ki_channel_path_init(struct kirim_channel *ch, const struct kirim_addr *peer)
{
    ch->path.peer = *peer;
    give_up(&ch->path);
}

/* ---- size ------------------------------------------------------------------------------------ */

void ki_channel_path_search(struct kirim_channel *ch, uint64_t now_ns)
{
    const uint32_t most = ki_channel_ceiling_bytes(ch);
    const uint32_t base = most < KI_CHANNEL_BASE_BYTES ? most : KI_CHANNEL_BASE_BYTES;
    ch->pmtu_options = (struct kirim_pmtu_options){
        base, base, most, PMTU_PROBES, PMTU_GRANULARITY, 0, PMTU_PROBE_NS, PMTU_RAISE_NS, 0
    };
    (void)kirim_pmtu_init(&ch->pmtu, &ch->pmtu_options);
    if (ch->state == KI_CHANNEL_OPEN && most > base &&
        (ch->options.flags & KIRIM_CHANNEL_NO_PMTU) == 0) {
        kirim_pmtu_start(&ch->pmtu, now_ns);
    }
}

void kirim_channel_refuse_probe(struct kirim_channel *ch, size_t bytes, uint64_t now_ns)
{
    if (bytes == ch->pmtu.probed_bytes) {
        kirim_pmtu_lose(&ch->pmtu, (uint32_t)bytes, now_ns);
    }
}

/* ---- a new address --------------------------------------------------------------------------- */

void ki_channel_path_arrived(struct kirim_channel *ch, const struct kirim_channel_arrival *arrival,
                             bool is_highest, uint64_t now_ns)
{
    struct ki_channel_path *const p = &ch->path;
    if (arrival->peer == NULL || kirim_addr_equal(arrival->peer, &p->peer)) {
        return;
    }
    if (kirim_addr_equal(arrival->peer, &p->candidate)) {
        kirim_amplification_receive(&p->budget, arrival->bytes);
        return;
    }
    if (!is_highest) {
        return; /* late, from where it was before */
    }
    give_up(p);
    p->candidate = *arrival->peer;
    p->budget = (struct kirim_amplification){ 0 };
    kirim_amplification_receive(&p->budget, arrival->bytes);
    ch->options.random(ch->options.random_user, p->challenge, sizeof p->challenge);
    p->owes_challenge = true;
    p->deadline_ns = now_ns + ki_channel_pto_ns(ch);
}

void ki_channel_path_challenged(struct kirim_channel *ch, const uint8_t *challenge,
                                const struct kirim_addr *from)
{
    struct ki_channel_path *const p = &ch->path;
    memcpy(p->response, challenge, sizeof p->response);
    p->response_to = from != NULL ? *from : p->peer;
    p->owes_response = true;
}

void ki_channel_path_answered(struct kirim_channel *ch, const uint8_t *response,
                              const struct kirim_addr *from, uint64_t now_ns)
{
    struct ki_channel_path *const p = &ch->path;
    if (from == NULL || kirim_addr_family(&p->candidate) == KIRIM_FAMILY_NONE ||
        !kirim_addr_equal(from, &p->candidate) ||
        !kirim_secret_equal(response, p->challenge, sizeof p->challenge)) {
        return;
    }
    p->peer = *from;
    give_up(p);
    ch->stats.moves++;
    ki_channel_path_search(ch, now_ns);
    ki_channel_recovery_restart(ch, now_ns);
    ki_channel_congestion_restart(ch, now_ns);
    if (ch->handler.moved != NULL) {
        ch->handler.moved(ch, &p->peer, ch->options.user);
    }
}

uint64_t ki_channel_path_deadline(const struct kirim_channel *ch)
{
    return ch->path.deadline_ns;
}

void ki_channel_path_expire(struct kirim_channel *ch, uint64_t now_ns)
{
    struct ki_channel_path *const p = &ch->path;
    if (p->deadline_ns > now_ns) {
        return;
    }
    /* Also a try that found no allowance is one: there is an end to them. */
    p->try_count++;
    if (p->try_count >= TRIES_MAX) {
        give_up(p);
        return;
    }
    p->owes_challenge = true;
    p->deadline_ns = now_ns + (ki_channel_pto_ns(ch) << p->try_count);
}

/* ---- packets of their own -------------------------------------------------------------------- */

/* One frame and padding, to an address that need not be the peer's. It is not tracked: what it
 * brings about is repeated by its own clock. */
static bool write_packet(struct kirim_channel *ch, struct kirim_channel_departure *out,
                         uint8_t type, const uint8_t *data, const struct kirim_addr *to,
                         size_t wanted)
{
    struct kirim_channel_frame f;
    size_t at = ki_channel_write_header(ch, out->data, out->room_bytes);
    memset(&f, 0, offsetof(struct kirim_channel_frame, ack));
    f.type = type;
    f.proof = data;
    const size_t bytes =
        at > 0 ? kirim_channel_frame_write(&f, out->data + at, out->room_bytes - at) : 0;
    if (bytes == 0) {
        return false;
    }
    at += bytes;
    wanted = wanted < out->room_bytes ? wanted : out->room_bytes;
    if (at < wanted) {
        memset(out->data + at, KIRIM_CHANNEL_PADDING, wanted - at);
        at = wanted;
    }
    out->bytes = at;
    out->peer = *to;
    out->is_elsewhere = !kirim_addr_equal(to, &ch->path.peer);
    out->is_probe = false;
    out->ecn = 0;
    ch->next_number++;
    return true;
}

static bool write_challenge(struct kirim_channel *ch, struct kirim_channel_departure *out)
{
    struct ki_channel_path *const p = &ch->path;
    const uint64_t allowance = kirim_amplification_allowance(&p->budget);
    const size_t most = ch->pmtu_options.base_bytes;
    if (allowance < LEAST_BYTES) {
        return false; /* when more has come from there */
    }
    p->owes_challenge = false;
    if (!write_packet(ch, out, KIRIM_CHANNEL_PATH_CHALLENGE, p->challenge, &p->candidate,
                      allowance < most ? (size_t)allowance : most)) {
        return false;
    }
    (void)kirim_amplification_send(&p->budget, out->bytes);
    ch->stats.challenges++;
    return true;
}

bool ki_channel_path_output(struct kirim_channel *ch, struct kirim_channel_departure *out,
                            uint64_t now_ns)
{
    struct ki_channel_path *const p = &ch->path;
    (void)now_ns;
    if (p->owes_response) {
        p->owes_response = false;
        const bool is_elsewhere = !kirim_addr_equal(&p->response_to, &p->peer);
        const bool may = !is_elsewhere || (kirim_addr_equal(&p->response_to, &p->candidate) &&
                                           kirim_amplification_send(&p->budget, LEAST_BYTES));
        if (may) {
            return write_packet(ch, out, KIRIM_CHANNEL_PATH_RESPONSE, p->response, &p->response_to,
                                0);
        }
    }
    return p->owes_challenge && write_challenge(ch, out);
}
