/* SPDX-License-Identifier: MIT
 *
 * The simulator's own structures, and what its files ask of each other.
 *
 * A world is a set of hosts, a table of links, a table of ports and one queue of events. Everything
 * of it is for the world's thread, but for what stands under "wakes". Nothing of the system is
 * used, but for the park of a private world (sim_park_posix.c and its siblings). Every number that
 * a run depends on is computed from integers in a fixed byte order, never from an address in
 * memory, so that a run is the same everywhere. docs/simulator.md describes the model.
 */
#ifndef KI_SIM_H
#define KI_SIM_H

#include <stdatomic.h>

#include <kirim/sim.h>

#include "draw.h"
#include "reactor.h"

enum {
    KI_SIM_NAME_BYTES = 32,
    KI_SIM_ADDR_COUNT_MAX = 16,
    KI_SIM_ROOM_BYTES_MIN = 128,      /* payload that the smallest packet block holds */
    KI_SIM_ROOM_CLASS_COUNT = 10,     /* doubling from there: 128 .. 65,536 */
    KI_SIM_FREE_BYTES_MAX = 16 << 20, /* free blocks kept by a world; the rest goes back */
    KI_SIM_BUFFER_BYTES = 212992,     /* socket buffers, as Linux has them by default */
    KI_SIM_RECEIVE_BYTES_MIN = 2304,  /* least sizes that Linux grants, socket(7) */
    KI_SIM_SEND_BYTES_MIN = 4608,
    KI_SIM_BUFFER_BYTES_MAX = 1 << 30,
    KI_SIM_EPHEMERAL_FIRST = 49152, /* RFC 6335, section 6 */
    KI_SIM_EPHEMERAL_COUNT = 65536 - KI_SIM_EPHEMERAL_FIRST,
    KI_SIM_TTL = 64,
    KI_SIM_GROUP_TTL = 1, /* of what goes to groups */
    KI_SIM_IFINDEX = 1,
    KI_SIM_REPORT_CHARGE = 832,  /* what a report takes of the receive buffer */
    KI_SIM_PARTITION_COUNT = 64, /* at one time */

    /* An instant that does not end: a host that has run so many turns without the clock moving runs
     * its next one this much later, so that traffic over links without delay cannot stop the time.
     */
    KI_SIM_TURNS_PER_INSTANT = 1000,
    KI_SIM_TURN_COST_NS = 1000
};

/* Longest wait in real time, after which a private world looks again. */
#define KI_SIM_PARK_NS_MAX ((uint64_t)3600 * 1000000000)

/* How far a clock may be ahead of the world's. */
#define KI_SIM_JUMP_NS_MAX ((uint64_t)1 << 62)

/* ---- hashing (sim_hash.c) ----------------------------------------------------------------------
 */

/* Hash of an address, of its port and scope too only if `is_whole`. */
uint64_t ki_sim_hash_addr(const struct kirim_addr *a, bool is_whole);

/* ---- hash tables (sim_table.c) --------------------------------------------------------------- */

struct ki_sim_node {
    struct ki_sim_node *next;
    uint64_t hash;
};

/* Chained and intrusive. Its order depends on the history of insertions: nothing of a run may
 * depend on it. */
struct ki_sim_table {
    struct ki_sim_node **bucket;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
};

/* ---- the queue of events (sim_queue.c) ------------------------------------------------------- */

enum {
    KI_SIM_PACKET, /* arrives at a host */
    KI_SIM_REPORT, /* comes back to its sender */
    KI_SIM_LEAVE,  /* a full send buffer has room again */
    KI_SIM_TURN    /* a driven loop runs a turn: after all else of its instant */
};

/* Worked off in the order of (time_ns, order). */
struct ki_sim_event {
    uint64_t time_ns;
    uint64_t order; /* ordinal of the putting; the highest bit is set for turns */
    size_t place;   /* in the heap, plus one; 0: not queued */
    uint64_t kind;
};

struct ki_sim_slot {
    uint64_t time_ns, order;
    struct ki_sim_event *event;
};

/* A heap with four children to a node. Turns and leaves were promised a slot when their owner was
 * made, for their putting cannot fail; packets and reports ask for one. */
struct ki_sim_queue {
    struct ki_sim_slot *slot;
    size_t capacity, count;
    size_t promised; /* slots promised, used or not */
    size_t loose;    /* packets and reports queued */
    uint64_t ordinal;
};

/* ---- packets --------------------------------------------------------------------------------- */

/* A datagram under way or received; after a refusal by the network its report. */
struct ki_sim_packet {
    struct ki_sim_event event;
    struct ki_sim_packet *next;
    struct kirim_sim_host *from, *to;
    struct kirim_addr source, dest;           /* as it is where it is now */
    struct kirim_addr sent_source, sent_dest; /* as its sender knows it */
    struct kirim_sim_nat *nat;                /* that `dest` is an address of; NULL: none */
    struct kirim_arrival arrival;
    uint64_t mark; /* hash of all that stands in it */
    uint32_t bytes;
    uint32_t room_class;
    uint32_t charge; /* of a socket buffer */
    uint32_t ecn;
    uint32_t path_mtu;
    kirim_err err;    /* of a report */
    bool is_for_many; /* a broadcast, or to a group: for every port that hears it */
    _Alignas(16) uint8_t data[];
};

/* ---- links (sim_link.c) ---------------------------------------------------------------------- */

struct ki_sim_link {
    struct ki_sim_node node;
    struct kirim_sim_host *from, *to;
    struct kirim_link model; /* its key is made of the seed and both names */
    uint32_t told_mtu;       /* path MTU that a report has told `from`; 0: none */
    bool has_rules;          /* of its own */
    struct kirim_link_rules rules;
};

/* ---- hosts and the world (sim_world.c) ------------------------------------------------------- */

struct ki_sim_home {
    struct ki_sim_node node;
    struct kirim_sim_host *host; /* NULL: it is a translator's */
    struct kirim_sim_nat *nat;
    struct kirim_addr addr; /* port 0 */
};

struct kirim_sim_host {
    struct ki_sim_node node; /* by name */
    struct kirim_sim *sim;
    struct kirim_sim_host *next;    /* all of the world */
    struct ki_sim_reactor *reactor; /* NULL: no loop is open */
    struct ki_sim_event turn;
    uint32_t number;       /* in the order of joining, from 0 */
    uint64_t key;          /* of its draws: from the seed and its name */
    uint64_t random_count; /* words drawn from its stream */
    uint64_t ephemeral;    /* offset at which the search for a port begins */
    uint64_t port_count;   /* ports ever opened */
    uint64_t deadline_ns;  /* the loop's, as of its last turn */
    uint64_t last_turn_ns; /* when the last turn ran */
    uint64_t turn_count;   /* turns without the clock moving by itself */
    bool is_postponed;     /* the turn that is queued was put off */
    bool is_in_turn;
    bool is_gateway;           /* of a translator: it never has a loop */
    struct kirim_sim_nat *nat; /* that it stands behind; NULL: none */
    uint64_t sides;            /* one bit for each partition that it is on the one side of */
    uint64_t paused_ns;        /* no turn before that time */
    uint64_t ahead_ns;         /* of its clock before the world's */
    char name[KI_SIM_NAME_BYTES];
    size_t home_count;
    struct ki_sim_home home[];
};

/* An address translator (sim_nat.c). */
struct kirim_sim_nat {
    struct kirim_sim_nat *next; /* of the world */
    struct kirim_sim_host *gateway;
    struct ki_sim_table by_source, by_mapped, permits;
    struct mapping *mappings;
    uint64_t mapping_count; /* ever made */
    uint64_t expiry_ns;
    uint64_t rebind_count;
    size_t sweep_count; /* mappings at which expired ones are looked for */
    uint32_t port_offset;
    uint32_t families; /* one bit for each */
    uint32_t mapping, filtering;
    bool is_refreshed_inward;
    size_t home_count;
    struct ki_sim_home home[];
};

struct kirim_sim {
    kirim_alloc_fn alloc;
    void *alloc_user;
    uint64_t seed;
    uint64_t now_ns;
    uint64_t
        epoch; /* up with every event and wait: what was sent before has left its send buffer */
    uint64_t digest;
    struct ki_sim_queue queue;
    struct ki_sim_table hosts, homes, links, ports;
    struct kirim_sim_host *first_host;
    struct kirim_sim_nat *first_nat;
    uint64_t partitions;   /* one bit for each in force */
    uint64_t next_heal_ns; /* of them */
    uint64_t heal_ns[KI_SIM_PARTITION_COUNT];
    struct ki_sim_packet *free_packets[KI_SIM_ROOM_CLASS_COUNT];
    size_t free_bytes;
    size_t loop_count; /* open */
    struct kirim_link_rules default_rules;
    struct kirim_link_rules loopback_rules;
    struct kirim_sim_stats stats;
    struct kirim_sim_watcher watcher;
    uint32_t host_count; /* ever added */
    bool is_private;
    bool is_running;
    bool is_stopping;
    _Atomic(struct ki_sim_reactor *) woken; /* wakes: driven loops that were woken, by any thread */
};

/* ---- reactors and ports (sim.c, sim_port.c) -------------------------------------------------- */

struct ki_sim_park;

struct ki_sim_reactor {
    struct ki_reactor reactor;
    struct kirim_sim *sim;
    struct kirim_sim_host *host;
    struct ki_sim_port *pending; /* ports with something to receive */
    struct ki_sim_packet *lent;  /* what receive() handed over */
    uint64_t busy_count;         /* private: waits without the clock moving by itself */
    bool is_driven;
    bool is_dead;                      /* its host has crashed: nobody hears it any more */
    bool has_told;                     /* private: told the core something in this wait */
    struct ki_sim_park *park;          /* wakes: private only */
    atomic_int is_woken;               /* wakes */
    struct ki_sim_reactor *woken_next; /* wakes: of kirim_sim.woken, owned by who set is_woken */
};

/* Where a destination leads; kept for the next datagram to the same one. */
struct ki_sim_route {
    struct kirim_addr asked;   /* the destination this answers; none: nothing is kept */
    struct kirim_addr dest;    /* as it stands in the packet */
    struct kirim_addr source;  /* what the host would choose, port 0 */
    struct kirim_sim_host *to; /* NULL: every host that hears it */
    struct ki_sim_link *link;  /* NULL likewise */
    struct kirim_sim_nat *nat; /* that `dest` is an address of; NULL: none */
    bool is_for_many;
};

struct ki_sim_port {
    struct ki_port port;
    struct ki_sim_node node; /* by (host, number) */
    struct ki_sim_reactor *reactor;
    struct kirim_sim_host *host;
    struct ki_sim_port *pending_next, **pending_link; /* pending_link NULL: not pending */
    uint64_t number;                                  /* of its opening on the host */
    bool is_wildcard, is_dual, is_shared, may_broadcast, is_blocked;
    bool has_control;     /* arrivals tell ECN, DSCP, TTL and time */
    bool is_deaf;         /* hears no reports, unless it is connected */
    bool is_whole;        /* no datagram may be cut into fragments */
    bool is_probing;      /* nor is one refused for what reports have told */
    bool is_lost;         /* its host has crashed: it is in no table any more */
    bool is_group_looped; /* what it sends to groups is heard on its own host */
    uint32_t group_ttl;   /* of what it sends to groups */
    struct ki_sim_packet *rx_first, **rx_last;
    uint64_t rx_used, rx_limit, rx_drops;
    uint64_t tx_used, tx_limit, tx_epoch;
    struct ki_sim_event leave;
    struct ki_sim_route route;
};

/* ---- sim_world.c ----------------------------------------------------------------------------- */

/* Memory of the world, zeroed; ki_sim_free() wants the same size; NULL is permitted. */
void *ki_sim_alloc(struct kirim_sim *sim, size_t bytes);
void ki_sim_free(struct kirim_sim *sim, void *block, size_t bytes);

/* Opens a world of one host, "localhost", that lives on `loop`'s allocator. */
kirim_err ki_sim_open_private(struct kirim_loop *loop, struct kirim_sim **out);

/* Ends a world that has no loop any more. */
void ki_sim_end(struct kirim_sim *sim);

/* The host that has the address, whatever its port and scope, or NULL. */
struct ki_sim_home *ki_sim_home_find(struct kirim_sim *sim, const struct kirim_addr *addr);

/* Whether the addresses can be added to the world. */
kirim_err ki_sim_check_addrs(struct kirim_sim *sim, const struct kirim_addr *addrs, size_t count);

/* Adds an address, for which there is room, to those of the world. */
void ki_sim_home_add(struct kirim_sim *sim, struct ki_sim_home *home,
                     const struct kirim_addr *addr);

/* The clock of a host. */
static inline uint64_t ki_sim_host_now(const struct kirim_sim_host *host)
{
    return host->sim->now_ns + host->ahead_ns;
}

/* Has the driven host run a turn at `time_ns` at the latest. */
void ki_sim_host_turn_at(struct kirim_sim_host *host, uint64_t time_ns);

/* Works off every event up to the present time: private worlds. */
void ki_sim_catch_up(struct kirim_sim *sim);

/* Puts woken loops in line for a turn. */
void ki_sim_take_wakes(struct kirim_sim *sim);

/* ---- sim_digest.c ---------------------------------------------------------------------------- */

/* What became of a packet. A number keeps its meaning for ever: digests are compared across
 * versions. */
enum {
    KI_SIM_NOTE_SENT = 1,
    KI_SIM_NOTE_LOST = 2,
    KI_SIM_NOTE_DUPLICATED = 3,
    KI_SIM_NOTE_REORDERED = 4,
    KI_SIM_NOTE_CORRUPTED = 5,
    KI_SIM_NOTE_TOO_LARGE = 6,
    KI_SIM_NOTE_HOST_DOWN = 7,
    KI_SIM_NOTE_NO_PORT = 8,
    KI_SIM_NOTE_RECEIVE_FULL = 9,
    KI_SIM_NOTE_DELIVERED = 10,
    KI_SIM_NOTE_REPORTED = 11,
    KI_SIM_NOTE_BURST = 12,
    KI_SIM_NOTE_QUEUE_FULL = 13,
    KI_SIM_NOTE_CONGESTED = 14,
    KI_SIM_NOTE_MARKED = 15,
    KI_SIM_NOTE_FLIPPED = 16,
    KI_SIM_NOTE_PARTITIONED = 17,
    KI_SIM_NOTE_NAT = 18
};

/* Sets pk->mark from what stands in the packet. */
void ki_sim_packet_mark(struct ki_sim_packet *pk);

/* Adds what became of the packet to the statistics and to the digest. */
void ki_sim_note(struct kirim_sim *sim, uint64_t note, const struct ki_sim_packet *pk);

/* ---- sim_queue.c ----------------------------------------------------------------------------- */

/* Promises one slot to an event of a kind that cannot fail; false: no memory. */
bool ki_sim_queue_promise(struct kirim_sim *sim);
void ki_sim_queue_unpromise(struct kirim_sim *sim);

/* Makes room for `count` more packets; false: no memory. */
bool ki_sim_queue_reserve(struct kirim_sim *sim, size_t count);

/* Queues the event, which has a slot; one that is queued moves. Its order is that of this call. */
void ki_sim_queue_put(struct kirim_sim *sim, struct ki_sim_event *event, uint64_t time_ns);

/* Takes the event off the queue, if it is there. */
void ki_sim_queue_take(struct kirim_sim *sim, struct ki_sim_event *event);

static inline struct ki_sim_event *ki_sim_queue_first(const struct kirim_sim *sim)
{
    return sim->queue.count == 0 ? NULL : sim->queue.slot[0].event;
}

/* ---- sim_table.c ----------------------------------------------------------------------------- */

/* Makes room for `count` more, which then cannot fail; false: no memory. */
bool ki_sim_table_reserve(struct kirim_sim *sim, struct ki_sim_table *t, size_t count);
void ki_sim_table_add(struct ki_sim_table *t, struct ki_sim_node *node, uint64_t hash);
void ki_sim_table_remove(struct ki_sim_table *t, struct ki_sim_node *node);
void ki_sim_table_fini(struct kirim_sim *sim, struct ki_sim_table *t);

/* The nodes with this hash, one after the other; NULL ends them. The caller compares the rest. */
struct ki_sim_node *ki_sim_table_first(const struct ki_sim_table *t, uint64_t hash);
struct ki_sim_node *ki_sim_table_next(const struct ki_sim_node *node);

/* ---- sim_link.c ------------------------------------------------------------------------------ */

/* The link from one host to another; made if it was not used before. NULL: no memory. */
struct ki_sim_link *ki_sim_link_get(struct kirim_sim_host *from, struct kirim_sim_host *to);

/* The rules in force from one host to another. */
const struct kirim_link_rules *ki_sim_link_rules(struct kirim_sim_host *from,
                                                 struct kirim_sim_host *to,
                                                 const struct ki_sim_link *link);

/* ---- sim_send.c ------------------------------------------------------------------------------ */

uint32_t ki_sim_submit(struct ki_reactor *r, struct ki_port *p, struct ki_entry *e, uint32_t n,
                       struct ki_refusal *why);

kirim_err ki_sim_path_mtu(struct ki_reactor *r, struct ki_port *p, const struct kirim_addr *peer,
                          uint32_t *out);

/* ---- sim_wire.c ------------------------------------------------------------------------------ */

/* A packet or a report has arrived; takes it over. */
void ki_sim_packet_arrive(struct kirim_sim *sim, struct ki_sim_packet *pk);
void ki_sim_report_arrive(struct kirim_sim *sim, struct ki_sim_packet *pk);

/* ---- sim_multicast.c ------------------------------------------------------------------------- */

kirim_err ki_sim_set_membership(struct ki_reactor *r, struct ki_port *p,
                                const struct ki_membership *m, bool is_joining);
kirim_err ki_sim_set_multicast(struct ki_reactor *r, struct ki_port *p,
                               const struct kirim_multicast_options *options);

/* Whether the port has joined the group for what comes from `source`. */
bool ki_sim_port_hears(const struct ki_sim_port *p, const struct kirim_addr *group,
                       const struct kirim_addr *source);

/* Whether what `p` sends from `source` with this time to live, to the many that `dest` stands for,
 * goes to the host too. */
bool ki_sim_host_hears(struct kirim_sim_host *host, const struct ki_sim_port *p,
                       const struct kirim_addr *dest, const struct kirim_addr *source,
                       uint32_t ttl);

/* ---- sim_packet.c ---------------------------------------------------------------------------- */

/* A block with room for `bytes`; its header is the caller's to fill, but for room_class. NULL: no
 * memory. */
struct ki_sim_packet *ki_sim_packet_alloc(struct kirim_sim *sim, size_t bytes);
struct ki_sim_packet *ki_sim_packet_copy(struct kirim_sim *sim, const struct ki_sim_packet *pk);
void ki_sim_packet_free(struct kirim_sim *sim, struct ki_sim_packet *pk);
void ki_sim_packets_fini(struct kirim_sim *sim);

/* What a datagram takes of a socket buffer: its payload and the kernel's overhead. */
uint32_t ki_sim_charge(uint32_t bytes);

/* ---- sim_route.c ----------------------------------------------------------------------------- */

/* The address a host sends from by itself; false: it has none of the family. */
bool ki_sim_host_source(const struct kirim_sim_host *host, int family, struct kirim_addr *out);

/* Whether the host can use the address as its own. */
bool ki_sim_host_has(const struct kirim_sim_host *host, const struct kirim_addr *addr);

/* Where `dest` leads, for a port that may broadcast or not; fills all of `out` but the link. */
kirim_err ki_sim_route_find(struct kirim_sim_host *host, const struct kirim_addr *dest,
                            bool may_broadcast, struct ki_sim_route *out);

/* Whether both are the same address, whatever their ports and scopes. */
static inline bool ki_sim_same_addr(const struct kirim_addr *a, const struct kirim_addr *b)
{
    return ((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1])) == 0 &&
           kirim_addr_family(a) == kirim_addr_family(b);
}

/* ---- sim_port.c ------------------------------------------------------------------------------ */

kirim_err ki_sim_port_open(struct ki_reactor *r, struct ki_port *p,
                           const struct kirim_endpoint_options *options);
kirim_err ki_sim_port_close(struct ki_reactor *r, struct ki_port *p);

/* The port of the host that gets what comes from `remote` for `local`, or NULL. */
struct ki_sim_port *ki_sim_port_find(struct kirim_sim_host *host, const struct kirim_addr *local,
                                     const struct kirim_addr *remote);

/* Of the ports that a broadcast, or a datagram for a group, from `remote` to `local` is for, the
 * one opened next after number `after`; NULL ends them. */
struct ki_sim_port *ki_sim_port_find_next(struct kirim_sim_host *host,
                                          const struct kirim_addr *local,
                                          const struct kirim_addr *remote, uint64_t after);

/* Takes the ports of a loop whose host has crashed out of the world. */
void ki_sim_ports_lose(struct ki_sim_reactor *r);

/* ---- sim_nat.c ------------------------------------------------------------------------------- */

/* The translator that the host stands behind, for this family, or NULL. */
struct kirim_sim_nat *ki_sim_nat_of(const struct kirim_sim_host *host, int family);

/* Where what is sent to an address of the translator goes now; to its gateway: to nobody. */
struct kirim_sim_host *ki_sim_nat_target(const struct kirim_sim_nat *nat,
                                         const struct kirim_addr *dest);

/* The host behind the translator sends to `dest`; `*source` becomes that of the mapping.
 * KIRIM_EADDRINUSE: no port is left, KIRIM_ENOBUFS: no memory. */
kirim_err ki_sim_nat_leave(struct kirim_sim_nat *nat, struct kirim_sim_host *host,
                           const struct kirim_addr *dest, struct kirim_addr *source);

/* A packet for an address of the translator has arrived: whether it is let in, and then it is for
 * the host's own address. */
bool ki_sim_nat_enter(struct kirim_sim_nat *nat, struct ki_sim_packet *pk);

void ki_sim_nats_fini(struct kirim_sim *sim);

/* ---- sim_watch.c ----------------------------------------------------------------------------- */

/* Shows a packet that leaves to whoever watches: with what will become of it on its link, if there
 * is one, or as it is `cut` off. */
void ki_sim_show_sent(struct kirim_sim *sim, const struct ki_sim_packet *pk, uint64_t cut,
                      const struct kirim_link_fate *fate);

/* Shows a packet that has arrived, with what is noted of it. */
void ki_sim_show_arrived(struct kirim_sim *sim, const struct ki_sim_packet *pk, uint64_t note);

/* ---- sim_capture.c --------------------------------------------------------------------------- */

/* A capture that nobody feeds but by the second call; ended by kirim_sim_capture_close(). */
kirim_err ki_sim_capture_begin(const char *path, struct kirim_sim_capture **out);
void ki_sim_capture_see(struct kirim_sim_capture *c, const struct kirim_sim_sight *sight);

/* ---- sim_fault.c ----------------------------------------------------------------------------- */

/* Whether a partition stands between the hosts. */
bool ki_sim_is_cut(const struct kirim_sim_host *from, const struct kirim_sim_host *to);

/* ---- sim_receive.c --------------------------------------------------------------------------- */

/* Puts a packet or report into the port's receive buffer, or drops it; takes it over. */
void ki_sim_port_push(struct ki_sim_port *p, struct ki_sim_packet *pk);

/* Empties the receive buffer. */
void ki_sim_port_drain(struct ki_sim_port *p);

uint32_t ki_sim_receive(struct ki_reactor *r, struct ki_port *p, struct kirim_datagram *d,
                        uint32_t max);

/* Takes back what receive() lent. */
void ki_sim_release(struct ki_reactor *r);

/* Tells the core which ports have something to receive; whether there is any. */
bool ki_sim_announce(struct ki_sim_reactor *r);

/* ---- sim.c ----------------------------------------------------------------------------------- */

extern const struct ki_reactor_ops ki_reactor_sim;

/* ---- sim_park_posix.c: the one thing asked of the system ------------------------------------- */

/* A place where a thread waits for others. Every ki_sim_unpark() ends one ki_sim_park(), earlier or
 * later; unpark may be called by any thread and from signal handlers. */
kirim_err ki_sim_park_open(struct kirim_loop *loop, struct ki_sim_park **out);
void ki_sim_park_close(struct kirim_loop *loop, struct ki_sim_park *park);
void ki_sim_park(struct ki_sim_park *park);

/* Parks for `longest_ns` of real time at most. Returns whether it was unparked; `*elapsed_ns` gets
 * how long it took. */
bool ki_sim_park_for(struct ki_sim_park *park, uint64_t longest_ns, uint64_t *elapsed_ns);
void ki_sim_unpark(struct ki_sim_park *park);

#endif
