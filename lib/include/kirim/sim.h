/* SPDX-License-Identifier: MIT
 *
 * The simulated network: hosts that are ordinary loops, links with faults, one virtual clock.
 *
 * A world runs in one thread and uses no socket and no system clock. One seed gives one run: the
 * same program with the same seed has the same digest on every compiler and system. What a link
 * does to a datagram is a function of (seed, link, ordinal of the datagram, kind of fault), so that
 * taking one fault away leaves the others as they were. Integers only: probabilities are in parts
 * per million.
 *
 * A loop opened with the reactor "sim" and no host gets a private world of one host, 127.0.0.1 and
 * ::1, and runs like any other loop, but for the clock, which jumps to the next event or deadline;
 * while anybody holds a remote of the loop it goes on with the real time instead, so as not to
 * outrun the threads that may post. The model is described in docs/simulator.md. Thread: that of
 * the world.
 */
#ifndef KIRIM_SIM_H
#define KIRIM_SIM_H

#include <kirim/addr.h>
#include <kirim/config.h>
#include <kirim/error.h>
#include <kirim/link.h>
#include <kirim/loop.h>

struct kirim_sim;
struct kirim_sim_host;
struct kirim_sim_nat;
struct kirim_sim_capture;

/** How to open a world; start from KIRIM_SIM_OPTIONS_INIT. */
struct kirim_sim_options {
    size_t size;          /**< sizeof, set by the INIT macro. */
    uint64_t seed;        /**< The run's seed. */
    uint64_t start_ns;    /**< Virtual time at the start; 0: 1 s. */
    kirim_alloc_fn alloc; /**< NULL: the C library's allocator. */
    void *alloc_user;     /**< First argument of `alloc`. */
};

/** Initialises options of a world: seed 1. */
#define KIRIM_SIM_OPTIONS_INIT                             \
    {                                                      \
        sizeof(struct kirim_sim_options), 1, 0, NULL, NULL \
    }

/**
 * Initialises the rules (kirim/link.h) of a direction of traffic between two hosts: 50 us delay, no
 * faults.
 */
#define KIRIM_SIM_LINK_INIT                                                                      \
    {                                                                                            \
        sizeof(struct kirim_link_rules), 50000, 0, 0, 0, 0, 0, 0, 0, 0, false, 0, 0, 0, 0, 0, 0, \
            0, 0, 0                                                                              \
    }

/** What a link does with a datagram larger than its MTU. */
enum {
    KIRIM_SIM_MTU_ERROR = KIRIM_LINK_MTU_ERROR,   /**< The send is refused, KIRIM_EMSGSIZE. */
    KIRIM_SIM_MTU_REPORT = KIRIM_LINK_MTU_REPORT, /**< Lost; an event tells the path MTU. */
    KIRIM_SIM_MTU_BLACK_HOLE = KIRIM_LINK_MTU_BLACK_HOLE, /**< Lost. */
    /** Arrives whole; refused if it says KIRIM_CONTROL_DONT_FRAGMENT. */
    KIRIM_SIM_MTU_FRAGMENT = KIRIM_LINK_MTU_FRAGMENT
};

/** A datagram as a host saw it; lent until the callback returns. */
struct kirim_sim_sight {
    size_t size;                       /**< sizeof, of the library's version. */
    uint64_t time_ns;                  /**< The world's time. */
    const struct kirim_sim_host *host; /**< Who saw it; a translator's gateway too. */
    uint32_t host_number;              /**< Of that, in the order of joining, from 0. */
    uint32_t bytes;                    /**< Payload. */
    const uint8_t *data;               /**< It. */
    struct kirim_addr source;          /**< As this host sees it: */
    struct kirim_addr dest;            /**< a translator may stand between the two. */
    uint32_t ecn;                      /**< Two bits. */
    uint32_t dscp;                     /**< Six bits. */
    uint32_t ttl;                      /**< Time to live, or hop limit. */
    bool is_sent;                      /**< It leaves; else it has arrived. */
    const char *remark;                /**< What befalls it, or NULL: why it is lost, for example.
                                            Static. */
};

/** Who watches a world; start from KIRIM_SIM_WATCHER_INIT. */
struct kirim_sim_watcher {
    size_t size; /**< sizeof, set by the INIT macro. */
    /** Called for each datagram that leaves a host or arrives at one; changes nothing of the world.
     * NULL: it is not. */
    void (*seen)(void *user, const struct kirim_sim_sight *sight);
    /** Called when the world is closed, with its last digest; NULL: it is not. */
    void (*ended)(void *user, uint64_t digest);
    void *user; /**< First argument of both. */
};

/** Initialises a watcher. */
#define KIRIM_SIM_WATCHER_INIT                             \
    {                                                      \
        sizeof(struct kirim_sim_watcher), NULL, NULL, NULL \
    }

/** What the simulator counted. */
struct kirim_sim_stats {
    size_t size;           /**< sizeof, set by KIRIM_SIM_STATS_INIT. */
    uint64_t sent;         /**< Datagrams that left a host. */
    uint64_t delivered;    /**< Datagrams put into a receive buffer, duplicates included. */
    uint64_t lost;         /**< By `loss_ppm` or a link that is down. */
    uint64_t duplicated;   /**< Second copies made. */
    uint64_t reordered;    /**< Delayed to be overtaken. */
    uint64_t corrupted;    /**< Dropped by a checksum. */
    uint64_t too_large;    /**< Larger than an MTU: refused or lost. */
    uint64_t no_host;      /**< Refused: no route, as no host has the destination. */
    uint64_t no_port;      /**< The host has no such port. */
    uint64_t receive_full; /**< The receive buffer was full. */
    uint64_t events;       /**< Events worked off. */
    uint64_t host_down;    /**< No loop was open on the host. */
    uint64_t reported;     /**< Errors that the network told a sender. */
    uint64_t burst;        /**< Lost in a burst. */
    uint64_t queue_full;   /**< Lost, for the queue of a link had no room. */
    uint64_t congested;    /**< Lost, for the queue marks, and they did not say ECT. */
    uint64_t marked;       /**< Marked CE by the queue of a link. */
    uint64_t flipped;      /**< Arrived with flipped bits, duplicates not counted. */
    uint64_t partitioned;  /**< Lost, for a partition stood between the hosts. */
    uint64_t nat_dropped;  /**< Lost: no mapping, not let in, or no way to behind a translator. */
};

/** Initialises the structure for kirim_sim_read_stats(). */
#define KIRIM_SIM_STATS_INIT                                                                       \
    {                                                                                              \
        sizeof(struct kirim_sim_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }

/** On what of the other end a mapping or a filter of a translator depends; RFC 4787. */
enum {
    KIRIM_SIM_NAT_ENDPOINT_INDEPENDENT = 0,      /**< On nothing. */
    KIRIM_SIM_NAT_ADDRESS_DEPENDENT = 1,         /**< On its address. */
    KIRIM_SIM_NAT_ADDRESS_AND_PORT_DEPENDENT = 2 /**< On both. */
};

/** A network address translator; start from KIRIM_SIM_NAT_OPTIONS_INIT. */
struct kirim_sim_nat_options {
    size_t size;                    /**< sizeof, set by the INIT macro. */
    const char *name;               /**< As of a host, unique among those. */
    const struct kirim_addr *addrs; /**< Its outer addresses, ports ignored; unique in the world. */
    size_t addr_count;              /**< How many, 1..16. */
    uint32_t mapping;   /**< KIRIM_SIM_NAT_...: which datagrams of one inner address and port leave
                             from the same outer ones. */
    uint32_t filtering; /**< KIRIM_SIM_NAT_...: of whom a mapping lets datagrams in: of those that
                             something was sent to. */
    uint64_t expiry_ns; /**< A mapping unused for so long ends; not 0, KIRIM_NEVER: it does not. */
    bool is_refreshed_inward; /**< Use is also what comes in, not only what goes out. */
};

/** Initialises options of a translator: mappings are endpoint-independent and end after 2 minutes,
 * filters depend on address and port, as is common in homes. */
#define KIRIM_SIM_NAT_OPTIONS_INIT                                                               \
    {                                                                                            \
        sizeof(struct kirim_sim_nat_options), NULL, NULL, 0, KIRIM_SIM_NAT_ENDPOINT_INDEPENDENT, \
            KIRIM_SIM_NAT_ADDRESS_AND_PORT_DEPENDENT, UINT64_C(120000000000), false              \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief Opens a world without hosts.
 *
 * @param options  Read during the call; NULL for defaults.
 * @param out      The world; written on success only. End it with kirim_sim_close().
 * @retval KIRIM_OK      Open.
 * @retval KIRIM_EINVAL  `out` is NULL, or a size that no version had.
 * @retval KIRIM_ENOMEM  Out of memory.
 * @note Any thread; it becomes the world's.
 */
KIRIM_API kirim_err kirim_sim_open(const struct kirim_sim_options *options, struct kirim_sim **out);

/**
 * @brief Closes a world with its hosts; their loops must be closed before.
 *
 * @param sim  The world, or NULL.
 * @retval KIRIM_OK      Gone.
 * @retval KIRIM_EBUSY   A host's loop is still open; nothing was closed.
 * @retval KIRIM_EINVAL  Called while the world runs, or a private world, which its loop closes.
 * @note The world's thread.
 */
KIRIM_API kirim_err kirim_sim_close(struct kirim_sim *sim);

/**
 * @brief Adds a host.
 *
 * Every host also has 127.0.0.0/8 and ::1 of its own. Open its loop with kirim_loop_open(),
 * `reactor` "sim" and `reactor_context` the host, one at a time (else KIRIM_EBUSY); the world
 * drives it, so run and step of that loop are refused. A loop can be closed and another one opened:
 * a host that restarts. Without a loop the host is down, and what is sent to it vanishes.
 *
 * @param sim         The world.
 * @param name        1..31 bytes, unique; keys the host's random stream and its links' faults.
 * @param addrs       Its addresses, ports ignored; unique in the world. The first one of a family
 * is the source of what is sent from a wildcard.
 * @param addr_count  How many, 0..16.
 * @param out         The host; owned by the world. Written on success only.
 * @retval KIRIM_OK      Added.
 * @retval KIRIM_EINVAL  NULL, a bad name, a wildcard, loopback, multicast or broadcast address, too
 *                       many, or a private world.
 * @retval KIRIM_EEXIST  The name or an address is there already.
 * @retval KIRIM_ENOMEM  Out of memory.
 * @note The world's thread; also inside callbacks.
 */
KIRIM_API kirim_err kirim_sim_host_add(struct kirim_sim *sim, const char *name,
                                       const struct kirim_addr *addrs, size_t addr_count,
                                       struct kirim_sim_host **out);

/** @brief The host of this name, or NULL. That of a private world is "localhost". The world's
 * thread. */
KIRIM_API struct kirim_sim_host *kirim_sim_host_find(struct kirim_sim *sim, const char *name);

/** @brief Name of a host; lives as long as the host. The world's thread. */
KIRIM_API const char *kirim_sim_host_name(const struct kirim_sim_host *host);

/**
 * @brief Sets the link from one host to another; without it the world's default link is used.
 *
 * @param sim   The world.
 * @param from  Sending host; NULL with `to` NULL sets the default link of the world.
 * @param to    Receiving host; may be `from`: its loopback, which else has no delay and no faults.
 * @param link  Read during the call. What is under way keeps what it got, and is not overtaken.
 * @retval KIRIM_OK      Set.
 * @retval KIRIM_EINVAL  NULL, a size that no version had, more than a million of a million, a time
 *                       over 2^60 ns, an MTU below 576, hosts of another world.
 * @retval KIRIM_ENOMEM  Out of memory.
 * @note The world's thread; also inside callbacks.
 */
KIRIM_API kirim_err kirim_sim_link_set(struct kirim_sim *sim, struct kirim_sim_host *from,
                                       struct kirim_sim_host *to,
                                       const struct kirim_link_rules *link);

/**
 * @brief Cuts the network in two: nothing passes between the hosts of `side` and all others.
 *
 * Up to 64 partitions can be in force at one time; a datagram passes if none is between its hosts.
 * What is under way arrives.
 *
 * @param sim      The world.
 * @param side     The hosts of the one side, at least one; read during the call. Hosts that are
 *                 added later stand on the other one.
 * @param count    How many.
 * @param heal_ns  Virtual time at which it ends by itself; KIRIM_NEVER: it does not.
 * @param out      Its number, for kirim_sim_heal(); written on success only.
 * @retval KIRIM_OK      In force.
 * @retval KIRIM_EINVAL  NULL, no host, hosts of another world, or a private world.
 * @retval KIRIM_EBUSY   There are 64 already.
 * @note The world's thread; also inside callbacks.
 */
KIRIM_API kirim_err kirim_sim_partition(struct kirim_sim *sim, struct kirim_sim_host *const *side,
                                        size_t count, uint64_t heal_ns, uint32_t *out);

/**
 * @brief Ends a partition; nothing if it has ended.
 *
 * @param sim        The world.
 * @param partition  Number from kirim_sim_partition(). Those of partitions that have ended are used
 *                   again.
 * @retval KIRIM_OK      It is not in force.
 * @retval KIRIM_EINVAL  NULL, or no number of a partition.
 * @note The world's thread; also inside callbacks.
 */
KIRIM_API kirim_err kirim_sim_heal(struct kirim_sim *sim, uint32_t partition);

/**
 * @brief Adds a network address translator, with nobody behind it yet.
 *
 * Datagrams keep the link between the hosts that they go between, with its delay and faults; the
 * translator only rewrites their addresses. A port is not given again before all others have been.
 *
 * @param sim      The world.
 * @param options  Read during the call.
 * @param out      The translator; owned by the world. Written on success only.
 * @retval KIRIM_OK      Added.
 * @retval KIRIM_EINVAL  NULL, a size that no version had, a name or an address that no host could
 *                       have, none or too many addresses, an expiry of 0, or a private world.
 * @retval KIRIM_EEXIST  The name or an address is there already.
 * @retval KIRIM_ENOMEM  Out of memory.
 * @note The world's thread; also inside callbacks.
 */
KIRIM_API kirim_err kirim_sim_nat_add(struct kirim_sim *sim,
                                      const struct kirim_sim_nat_options *options,
                                      struct kirim_sim_nat **out);

/**
 * @brief Puts a host behind a translator, or takes it to another one or none.
 *
 * For the address families that the translator has, the host is no longer reached from the other
 * side but by mappings, and what it sends there comes from one of them. Hosts behind the same one
 * reach each other by their own addresses, and by the outer ones.
 *
 * @param nat   The translator; NULL: none.
 * @param host  The host.
 * @retval KIRIM_OK      It stands there.
 * @retval KIRIM_EINVAL  No host, one of another world or of a private one.
 * @note The world's thread; also inside callbacks.
 */
KIRIM_API kirim_err kirim_sim_nat_attach(struct kirim_sim_nat *nat, struct kirim_sim_host *host);

/**
 * @brief Makes a translator forget its mappings, as if it was restarted: those behind it go on from
 *        other ports, and from the next of its addresses if it has several.
 *
 * @param nat  The translator.
 * @retval KIRIM_OK      Forgotten.
 * @retval KIRIM_EINVAL  NULL.
 * @note The world's thread; also inside callbacks.
 */
KIRIM_API kirim_err kirim_sim_nat_rebind(struct kirim_sim_nat *nat);

/**
 * @brief Crashes a host: all that it was vanishes from the world, without a last word.
 *
 * Its ports are free, its receive buffers are gone, and what is under way to it is lost, or
 * answered as to closed ports once it is there again. The loop itself stays with its owner, who
 * closes it when he likes; until then it does nothing, sends to nobody, and refuses endpoints with
 * KIRIM_ENETDOWN. To restart the host, open another loop for it; that can be at once.
 *
 * @param host  The host; nothing happens if it is down.
 * @retval KIRIM_OK      It is down.
 * @retval KIRIM_EINVAL  NULL, a host of a private world, or a translator's.
 * @note The world's thread; also inside callbacks, its own too.
 */
KIRIM_API kirim_err kirim_sim_host_crash(struct kirim_sim_host *host);

/**
 * @brief Stops a host for a while, as a machine that is suspended or overloaded: it runs no turn,
 *        and what arrives waits in its receive buffers as far as they go.
 *
 * @param host      The host.
 * @param until_ns  Virtual time at which it goes on; not after the present: at once. KIRIM_NEVER:
 *                  when it is called again.
 * @retval KIRIM_OK      It pauses, or goes on.
 * @retval KIRIM_EINVAL  NULL, a host of a private world, or a translator's.
 * @note The world's thread; also inside callbacks, its own too.
 */
KIRIM_API kirim_err kirim_sim_host_pause(struct kirim_sim_host *host, uint64_t until_ns);

/**
 * @brief Lets the clock of a host jump ahead: kirim_loop_now() there is that much later from now on
 *        than kirim_sim_now(), and timers that would have fired meanwhile fire at once.
 *
 * @param host      The host.
 * @param ahead_ns  How far; all jumps of a host together up to 2^62 ns.
 * @retval KIRIM_OK      It is later there.
 * @retval KIRIM_EINVAL  NULL, too far, a host of a private world, or a translator's.
 * @note The world's thread; also inside callbacks.
 */
KIRIM_API kirim_err kirim_sim_host_jump(struct kirim_sim_host *host, uint64_t ahead_ns);

/**
 * @brief Runs the world until its clock would pass `until_ns`, or nothing is left to happen, or
 *        kirim_sim_stop().
 *
 * At each instant first everything of the network happens, in the order in which it was caused,
 * then a turn of each loop that has reason for one.
 *
 * @param sim       The world.
 * @param until_ns  Virtual time; the clock stands there afterwards unless it was stopped.
 *                  KIRIM_NEVER: until nothing is left, the clock stands at the last event.
 * @retval KIRIM_OK      Done.
 * @retval KIRIM_EINVAL  NULL, called while the world runs, or a private world, which its loop runs.
 * @note The world's thread.
 */
KIRIM_API kirim_err kirim_sim_run(struct kirim_sim *sim, uint64_t until_ns);

/**
 * @brief Makes kirim_sim_run() return after the event that is worked on; nothing if it does not
 * run. The world's thread, inside callbacks.
 */
KIRIM_API void kirim_sim_stop(struct kirim_sim *sim);

/** @brief The world's virtual time in ns. The world's thread. */
KIRIM_API uint64_t kirim_sim_now(const struct kirim_sim *sim);

/**
 * @brief Digest of all that has happened to datagrams so far: times, hosts, addresses, bytes,
 * drops. Equal runs have equal digests. The world's thread.
 */
KIRIM_API uint64_t kirim_sim_digest(const struct kirim_sim *sim);

/** @brief The seed the world was opened with. The world's thread. */
KIRIM_API uint64_t kirim_sim_seed(const struct kirim_sim *sim);

/**
 * @brief Copies what the simulator counted.
 *
 * @param sim  The world.
 * @param out  Initialised with KIRIM_SIM_STATS_INIT; as many counters are written as fit its size.
 * @retval KIRIM_OK      Written.
 * @retval KIRIM_EINVAL  NULL, or a size that no version had.
 * @note The world's thread.
 */
KIRIM_API kirim_err kirim_sim_read_stats(const struct kirim_sim *sim, struct kirim_sim_stats *out);

/**
 * @brief Watches a world, private ones too. That changes nothing of the run.
 *
 * A datagram to many is seen once when it leaves, and by each host where it arrives. What a host
 * refuses to send is not seen, and reports of errors are not.
 *
 * @param sim      The world.
 * @param watcher  Copied; NULL: nobody watches any more.
 * @retval KIRIM_OK      So it is.
 * @retval KIRIM_EINVAL  No world, or a size that no version had.
 * @retval KIRIM_EBUSY   Somebody else watches.
 * @note The world's thread.
 */
KIRIM_API kirim_err kirim_sim_watch(struct kirim_sim *sim, const struct kirim_sim_watcher *watcher);

/**
 * @brief Begins to write a capture: a pcapng file of what every host sees, with an interface for
 *        each host, the world's time, and the losses as comments. It is the world's watcher.
 *
 * @param sim   The world.
 * @param path  The file; what it had is lost.
 * @param out   The capture; written on success only. Ended by kirim_sim_capture_close(), also after
 *              the world was closed.
 * @retval KIRIM_OK       It goes on.
 * @retval KIRIM_EINVAL   NULL.
 * @retval KIRIM_EBUSY    The world is watched already.
 * @retval KIRIM_ENOMEM   Out of memory.
 * @retval KIRIM_ESYSTEM  The file cannot be opened.
 * @note The world's thread.
 */
KIRIM_API kirim_err kirim_sim_capture_open(struct kirim_sim *sim, const char *path,
                                           struct kirim_sim_capture **out);

/**
 * @brief Ends a capture and closes its file.
 *
 * @param capture  The capture, or NULL.
 * @retval KIRIM_OK       The file is whole.
 * @retval KIRIM_ESYSTEM  Not all of it could be written.
 * @note The world's thread.
 */
KIRIM_API kirim_err kirim_sim_capture_close(struct kirim_sim_capture *capture);

/**
 * @brief The world of a loop whose reactor is "sim", private worlds included; NULL for any other
 *        loop. The world's thread.
 */
KIRIM_API struct kirim_sim *kirim_loop_sim(struct kirim_loop *loop);

KIRIM_END_DECLS

#endif
