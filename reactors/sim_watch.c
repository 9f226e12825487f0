/* SPDX-License-Identifier: MIT
 *
 * What a watcher of a world is shown: each datagram as its sender knows it when it leaves, with
 * what the network will do to it, and as its receiver gets it, with what became of it there. A
 * world that nobody watches pays a look for it. The world's thread.
 */
#include "sim.h"

kirim_err kirim_sim_watch(struct kirim_sim *sim, const struct kirim_sim_watcher *watcher)
{
    struct kirim_sim_watcher w = KIRIM_SIM_WATCHER_INIT;
    if (sim == NULL ||
        (watcher != NULL && !ki_grown_copy(&w, sizeof w, watcher, watcher->size, sizeof w))) {
        return KIRIM_EINVAL;
    }
    if (watcher != NULL && (sim->watcher.seen != NULL || sim->watcher.ended != NULL)) {
        return KIRIM_EBUSY;
    }
    sim->watcher = w;
    return KIRIM_OK;
}

static void show(struct kirim_sim *sim, const struct kirim_sim_host *host,
                 const struct ki_sim_packet *pk, bool is_sent, const char *remark)
{
    const struct kirim_sim_sight sight = {
        .size = sizeof sight,
        .time_ns = sim->now_ns,
        .host = host,
        .host_number = host->number,
        .source = is_sent ? pk->sent_source : pk->source,
        .dest = is_sent ? pk->sent_dest : pk->dest,
        .data = pk->data,
        .bytes = pk->bytes,
        .ecn = pk->ecn,
        .dscp = pk->arrival.dscp,
        .ttl = pk->arrival.ttl,
        .is_sent = is_sent,
        .remark = remark,
    };
    sim->watcher.seen(sim->watcher.user, &sight);
}

/* What a sender cannot know: the first of what will happen. */
static const char *remark_of(uint64_t cut, const struct ki_sim_packet *pk,
                             const struct kirim_link_fate *fate)
{
    if (cut == KI_SIM_NOTE_PARTITIONED) {
        return "lost: a partition";
    }
    if (cut == KI_SIM_NOTE_NAT) {
        return "lost: no way through the translator";
    }
    if (fate->outcome != KIRIM_LINK_CARRIED) {
        return kirim_link_outcome_text(fate->outcome);
    }
    if (fate->flip_count > 0) {
        return "bits will be flipped";
    }
    if (fate->ecn != pk->ecn) {
        return "will be marked CE";
    }
    if (fate->is_reordered) {
        return "may be overtaken";
    }
    return fate->copy_count == 2 ? "will arrive twice" : NULL;
}

void ki_sim_show_sent(struct kirim_sim *sim, const struct ki_sim_packet *pk, uint64_t cut,
                      const struct kirim_link_fate *fate)
{
    if (sim->watcher.seen != NULL) {
        show(sim, pk->from, pk, true, fate == NULL ? NULL : remark_of(cut, pk, fate));
    }
}

void ki_sim_show_arrived(struct kirim_sim *sim, const struct ki_sim_packet *pk, uint64_t note)
{
    if (sim->watcher.seen == NULL) {
        return;
    }
    const char *remark = NULL;
    switch (note) {
    case KI_SIM_NOTE_HOST_DOWN:
        remark = "dropped: the host is down";
        break;
    case KI_SIM_NOTE_NO_PORT:
        remark = "dropped: no such port";
        break;
    case KI_SIM_NOTE_RECEIVE_FULL:
        remark = "dropped: the receive buffer is full";
        break;
    case KI_SIM_NOTE_NAT:
        remark = "dropped: not let in";
        break;
    default:
        break;
    }
    show(sim, pk->to, pk, false, remark);
}
