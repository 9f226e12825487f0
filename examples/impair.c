/* SPDX-License-Identifier: MIT
 *
 * The judge between the two sides of a relay: the link of a direction says of each datagram
 * whether, when and how often it arrives, and what has happened to it.
 *
 * What one direction carries for all its peers is one sequence: the n-th datagram of a direction
 * has the fate that (seed, direction, n) gives it, whatever the time. Only a rate depends on when
 * they come. Datagrams wait for their time in the queue of the socket that they leave by, which has
 * a bound; what is beyond it is counted there. Loop thread.
 */
#include "impair.h"

enum { HEADER_BYTES_IPV4 = 28, HEADER_BYTES_IPV6 = 48, ECN_CE = 3 };

static void count_fate(struct impair_counts *counts, const struct kirim_link_fate *fate,
                       const struct kirim_datagram *d)
{
    counts->outcomes[fate->outcome]++;
    if (fate->copy_count > 0) {
        counts->duplicated += fate->copy_count > 1;
        counts->reordered += fate->is_reordered;
        counts->flipped += fate->flip_count > 0;
        counts->marked += fate->ecn == ECN_CE && d->ecn != ECN_CE;
    }
}

static void judge(struct relay *relay, bool is_up, const struct kirim_datagram *d,
                  struct relay_fate *out)
{
    struct impair *const impair = relay->options.user;
    const int direction = is_up ? IMPAIR_UP : IMPAIR_DOWN;
    struct kirim_link *const link = &impair->links[direction];
    const bool is_ipv4 = kirim_addr_family(&d->peer) == KIRIM_IPV4;
    const uint64_t ordinal = link->ordinal;
    const struct kirim_link_datagram sent = {
        .time_ns = kirim_loop_now(relay->loop),
        .bytes = d->bytes,
        .header_bytes = is_ipv4 ? HEADER_BYTES_IPV4 : HEADER_BYTES_IPV6,
        .ecn = d->ecn,
    };
    struct kirim_link_fate fate;
    kirim_link_send(link, &impair->rules[direction], &sent, &fate);
    count_fate(&impair->counts[direction], &fate, d);
    kirim_link_corrupt(&fate, d->data);
    out->copy_count = fate.copy_count;
    out->ecn = fate.ecn;
    for (uint32_t i = 0; i < fate.copy_count; i++) {
        out->not_before_ns[i] = fate.arrival_ns[i];
    }
    if (impair->on_fate != NULL) {
        impair->on_fate(impair, direction, ordinal, &fate);
    }
}

void impair_init(struct impair *impair)
{
    *impair = (struct impair){ .rules = { KIRIM_LINK_RULES_INIT, KIRIM_LINK_RULES_INIT } };
    relay_init(&impair->relay);
    impair->relay.options.peer_count_max = IMPAIR_PEER_COUNT;
    impair->relay.options.new_per_second = 0;
    impair->relay.options.is_fragmenting = true; /* the MTU is the link's affair */
    impair->relay.options.queue_count_max = IMPAIR_HELD_COUNT;
    impair->relay.options.judge = judge;
    impair->relay.options.user = impair;
}

kirim_err impair_open(struct impair *impair, struct kirim_loop *loop, uint64_t seed)
{
    static const char *const names[] = { "client", "server" };
    for (int i = IMPAIR_UP; i <= IMPAIR_DOWN; i++) {
        const kirim_err err = kirim_link_check(&impair->rules[i]);
        if (err < 0) {
            return err;
        }
        kirim_link_init(&impair->links[i], kirim_link_key(seed, names[i], names[1 - i]));
    }
    return relay_open(&impair->relay, loop);
}
