/* SPDX-License-Identifier: MIT
 *
 * What sim_send.c, which permits a datagram to leave, and sim_wire.c, which carries it, share. The
 * world's thread.
 */
#ifndef KI_SIM_WIRE_H
#define KI_SIM_WIRE_H

#include "sim.h"

/* What is known of a datagram before anything is allocated. */
struct ki_sim_launch {
    const struct ki_sim_route *route; /* to one host, with its link */
    struct ki_sim_route aimed;        /* what `route` points to, if it is to one of many */
    const struct kirim_link_rules *rules;
    struct kirim_addr source;            /* the host's own */
    struct kirim_addr mapped;            /* as it leaves: of a translator, or the same */
    struct kirim_link_datagram datagram; /* as the model takes it */
    uint32_t ttl;
    uint64_t cut; /* what is noted as there is no way at all; 0: there is one */
};

/* Whether the datagram fits: into one of its family, and over the link if that says so at once. */
kirim_err ki_sim_check_size(struct ki_sim_port *p, const struct ki_entry *e,
                            struct ki_sim_launch *out);

/* Everything is known and permitted: memory is all that can still be missing. */
kirim_err ki_sim_launch(struct ki_sim_port *p, struct ki_sim_launch *l, const struct ki_entry *e);

/* Sends a datagram to every host that hears it, in the order in which they joined the world: to
 * none, perhaps, and then it has left all the same. It is sent once, whoever gets it. */
kirim_err ki_sim_launch_to_many(struct ki_sim_port *p, const struct ki_entry *e,
                                struct ki_sim_launch *l);

#endif
