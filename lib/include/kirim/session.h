/* SPDX-License-Identifier: MIT
 *
 * Sessions: many peers on one endpoint, each with its own handler, state, timers and limits.
 *
 * A set of sessions owns one endpoint. A classifier says of each arrival whose it is; what begins a
 * session has to be admitted. Nothing is kept of a sender that was not admitted, and what is sent
 * to an address that was not validated is bounded by what came from it (RFC 9000, section 8). A
 * session ends by its owner, by silence, by eviction or with its set, and always with one last
 * callback. An endpoint without sessions pays nothing for them. Loop thread only. Sources: RFC
 * 8085, RFC 9000 sections 5, 8 and 9, RFC 4787.
 */
#ifndef KIRIM_SESSION_H
#define KIRIM_SESSION_H

#include <kirim/endpoint.h>
#include <kirim/limiter.h>
#include <kirim/timer.h>
#include <kirim/token.h>

struct kirim_sessions;
struct kirim_session;

/** Longest key that a classifier may give, in bytes: that of a connection id of QUIC. */
#define KIRIM_SESSION_KEY_BYTES_MAX 20

/** What a classifier says of an arrival. */
enum {
    KIRIM_CLASS_DROP = 0, /**< Nobody's; counted. */
    /** For the set's `stateless`, whether there is a session of that key or not. */
    KIRIM_CLASS_STATELESS = 1,
    /** For the session of that key. If there is none: for `stateless`. */
    KIRIM_CLASS_KNOWN = 2,
    /** For the session of that key. If there is none, it asks for one: `admit` decides. Whoever
     * chooses a key may take that of others: a key that the peer made up says little. */
    KIRIM_CLASS_ADMIT = 3
};

/** A classifier's answer; zeroed before it is asked. */
struct kirim_class {
    uint32_t verdict;   /**< KIRIM_CLASS_... */
    uint32_t key_bytes; /**< 1..KIRIM_SESSION_KEY_BYTES_MAX, of `key`; 0: the peer's address is the
                           key. Longer ones are dropped. */
    const uint8_t *key; /**< Read before the classifier is asked again; may lie in the datagram. */
};

/**
 * @brief A classifier: a pure function of a datagram. Its answer may depend on nothing else, and it
 * may call nothing of kirim but kirim_addr_... It is not asked of what nobody can have sent
 * (kirim_endpoint_may_answer()).
 *
 * @param datagram  The arrival.
 * @param out       Where to answer.
 * @param user      That of the set.
 */
typedef void (*kirim_classify_fn)(const struct kirim_datagram *datagram, struct kirim_class *out,
                                  void *user);

/** Why a session has ended. */
enum {
    KIRIM_SESSION_CLOSED = 1,    /**< kirim_session_close(). */
    KIRIM_SESSION_IDLE = 2,      /**< Nothing came for so long. */
    KIRIM_SESSION_EVICTED = 3,   /**< It made room for another one. */
    KIRIM_SESSION_SET_CLOSED = 4 /**< kirim_sessions_close(), or the loop was closed. */
};

/**
 * @brief What a session tells its owner. Members may be NULL. Called from inside turns of the loop
 * only, and of kirim_loop_close(); never nested.
 */
struct kirim_session_handler {
    /** Set by KIRIM_SESSION_HANDLER_INIT. */
    size_t size;
    /** Its datagrams of one batch, in order of arrival, at most 64. Lent until the return. Their
     * `peer` differs from kirim_session_peer() where the path may have changed.
     * kirim_session_reply() answers them without a copy. */
    void (*received)(struct kirim_session *session, const struct kirim_batch *batch, void *user);
    /** There is room again, or the peer has earned more, after one or more KIRIM_EWOULDBLOCK. */
    void (*writable)(struct kirim_session *session, void *user);
    /** A datagram to its peer was lost on this side, or the network reported an error about it.
     * Of sessions with keys of their own the set's handler is told instead. */
    void (*failed)(struct kirim_session *session, const struct kirim_event *event, void *user);
    /** A first datagram came from an address other than its peer's: before the `received` that
     * brings it, and once for each such address in a row. Here a challenge is sent to it (RFC 9000,
     * section 8.2); kirim_session_accept_path() when it was answered. */
    void (*path_seen)(struct kirim_session *session, const struct kirim_addr *peer, void *user);
    /** The last callback: exactly once; the session and its state are gone when it returns. Its
     * operations may end later: they belong to the endpoint. */
    void (*closed)(struct kirim_session *session, int reason, void *user);
};

/** Starts a handler, as KIRIM_HANDLER_INIT; one that begins with another macro is refused. */
#define KIRIM_SESSION_HANDLER_INIT KIRIM_SIZE_OF_KIND(1, struct kirim_session_handler)

/** What a session is to be; filled in by `admit`, and zeroed but for its size before. */
struct kirim_admission {
    uint32_t size;         /**< sizeof in the library that runs. */
    uint32_t is_validated; /**< Not 0: the peer has shown that it receives at its address (by a
                              token, say); what is sent to it has no bound. */
    const struct kirim_session_handler *handler; /**< NULL: that of the set's options. Copied. */
    void *user; /**< Handed to its callbacks. NULL: the session's state. */
};

/** What a set tells its owner. Members may be NULL. */
struct kirim_sessions_handler {
    /** Set by KIRIM_SESSIONS_HANDLER_INIT. */
    size_t size;
    /** A datagram asks for a session (KIRIM_CLASS_ADMIT). KIRIM_OK admits it, anything else drops
     * it; kirim_sessions_answer() may tell the peer why. Asked only where the caps leave room or
     * make it, and of whom the set's guard lets in. NULL: everybody is admitted, and not validated.
     */
    kirim_err (*admit)(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                       struct kirim_admission *out, void *user);
    /** A datagram that belongs to no session. kirim_sessions_answer() answers it. NULL: dropped. */
    void (*stateless)(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                      void *user);
    /** A new session: opened by either side, before its first `received`; inside
     * kirim_session_open() if by this one. Its state is zero. It may send, and may be closed. */
    void (*opened)(struct kirim_sessions *set, struct kirim_session *session, void *user);
    /** As the endpoint's `failed`, for what no session was found. */
    void (*failed)(struct kirim_sessions *set, const struct kirim_event *event, void *user);
    /** The last callback, behind those of all sessions. The set is gone when it returns. */
    void (*closed)(struct kirim_sessions *set, void *user);
};

/** Starts a handler, as KIRIM_HANDLER_INIT; one that begins with another macro is refused. */
#define KIRIM_SESSIONS_HANDLER_INIT KIRIM_SIZE_OF_KIND(2, struct kirim_sessions_handler)

/** Bounds of a guard's answers. */
enum {
    KIRIM_GUARD_HEAD_BYTES_MAX = 64,   /**< Of `retry_head`. */
    KIRIM_GUARD_ANSWER_BYTES_MAX = 512 /**< Of what `write_retry` writes. */
};

/** What a guard does. */
enum {
    /** Who asks for a session must bring a token that was sent to his address. */
    KIRIM_GUARD_TOKENS = 1,
    /** Of each prefix only so many may ask in a second. Who brings a good token is not counted. */
    KIRIM_GUARD_RATE = 2
};

/** Where the token of a datagram is; zeroed before the question. */
struct kirim_token_place {
    /** In the datagram; NULL: it brings none. */
    const uint8_t *token;
    /** What of the datagram a token is bound to, beside the peer's address and port: the same bytes
     * with the token and without it. NULL: nothing. */
    const uint8_t *context;
    uint32_t token_bytes;   /**< Of `token`. */
    uint32_t context_bytes; /**< Of `context`. */
};

/**
 * @brief Who is let in to a set, before its `admit` is asked; start from KIRIM_GUARD_OPTIONS_INIT.
 *
 * Of who asks for a session (KIRIM_CLASS_ADMIT) a good token makes him validated, and `admit` finds
 * `is_validated` set. Without one he is judged by the rate of his prefix, and answered with a token
 * (kirim/token.h) under keys that the set draws and renews; nothing is kept of him but a bucket of
 * his prefix. The prefixes are those of the set's options.
 */
struct kirim_guard_options {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** Finds the token of a datagram; pure, as a classifier. NULL: the last KIRIM_TOKEN_BYTES(0)
     * bytes of a datagram are it, whatever they are, and it is bound to the address alone. */
    void (*find_token)(const struct kirim_datagram *datagram, struct kirim_token_place *out,
                       void *user);
    /** Writes the answer that brings a token, at most KIRIM_GUARD_ANSWER_BYTES_MAX bytes at `out`,
     * and returns its bytes; 0: none. NULL: `retry_head`, and the token behind it. */
    size_t (*write_retry)(const struct kirim_datagram *datagram, const uint8_t *token,
                          size_t token_bytes, uint8_t *out, void *user);
    /** What stands in front of the token in the answer; copied. NULL: nothing. */
    const void *retry_head;
    /** Bytes of it. */
    uint32_t retry_head_bytes;
    /** KIRIM_GUARD_... 0: all of them. */
    uint32_t flags;
    /** Tokens are asked for while so many sessions or more are not validated, and of those over
     * the rate. 0: always. */
    uint32_t token_from_count;
    /** How long a token is good, in seconds. 0: 30. */
    uint32_t token_lifetime_s;
    /** How long tokens are made with one key, in seconds; at least a token's lifetime. 0: an hour,
     * or that lifetime if it is longer. */
    uint32_t key_lifetime_s;
    /** Prefixes that are remembered: a multiple of KIRIM_LIMITER_WAYS, 32 bytes each. 0: 1,024. */
    uint32_t slot_count;
    /** How often each prefix may ask. Both 0: 100 a second, 100 at once. */
    struct kirim_rate rate;
};

/** Initialises options: tokens and rate, defaults everywhere, answers that are a bare token. */
#define KIRIM_GUARD_OPTIONS_INIT                                                \
    {                                                                           \
        sizeof(struct kirim_guard_options), NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, \
        {                                                                       \
            0, 0                                                                \
        }                                                                       \
    }

/** What happens when a new session would pass a cap. */
enum {
    KIRIM_EVICT_NONE = 0, /**< It is refused. */
    /** The oldest of those that are not validated ends, if there is one. */
    KIRIM_EVICT_UNVALIDATED = 1,
    /** The same; without one, the most idle of 8 sessions chosen at random. */
    KIRIM_EVICT_IDLE = 2
};

/** How to open a set; start from KIRIM_SESSIONS_OPTIONS_INIT. */
struct kirim_sessions_options {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** The endpoint, open for all who send; its `handler` and `user` are not read. Of a train that
     * is left whole (KIRIM_ENDPOINT_WHOLE_TRAINS) the classifier sees one datagram, and it counts
     * as one: only for keys that are the peer's address. */
    const struct kirim_endpoint_options *endpoint;
    /** NULL: by the peer's address, and everybody may ask for a session. */
    kirim_classify_fn classify;
    /** NULL: everybody is admitted. Copied. */
    const struct kirim_sessions_handler *handler;
    /** Of sessions whose admission names none. Copied. */
    const struct kirim_session_handler *session_handler;
    /** Handed to the classifier and the set's callbacks. */
    void *user;
    /** Most sessions. 0: 65,536; at most 16,777,216. */
    uint32_t count_max;
    /** Most sessions of one prefix. 0: no limit of its own, and one network may fill the set. */
    uint32_t prefix_count_max;
    /** Most sessions that are not validated, so that forged addresses do not fill the set. 0: half
     * of `count_max`. */
    uint32_t unvalidated_count_max;
    /** Length of a prefix of IPv4 in bits. 0: 24. */
    uint8_t prefix_ipv4_bits;
    /** Length of a prefix of IPv6 in bits. 0: 56. */
    uint8_t prefix_ipv6_bits;
    /** KIRIM_EVICT_... */
    uint16_t eviction;
    /** Bytes of the caller's own state behind each session, at most 65,536; zeroed. */
    uint32_t state_bytes;
    /** Bytes behind that for a stack of layers: kirim_stack_bytes(); at most 2 MiB. 0: a stack is
     * allocated on its own. */
    uint32_t stack_bytes;
    /** 0. */
    uint32_t ki_reserved;
    /** What may be sent to an address that was not validated, as a multiple of what came from it.
     * 0: 3. */
    uint32_t amplification;
    /** A session without arrivals for so long ends; what this side sends does not count. 0: 60 s;
     * KIRIM_NEVER: it does not. More than a handshake takes that this side begins and nobody
     * answers, if that is to end it by itself. */
    uint64_t idle_ns;
    /** The same, of one that is not validated. 0: 10 s, or `idle_ns` if that is less. More than the
     * longest pause between two attempts of a peer's handshake: of pauses that begin with 1 s and
     * double, four are shorter than 10 s, and after the fifth a new session begins. */
    uint64_t unvalidated_idle_ns;
    /** NULL: nobody stands before `admit`. Read during the call. */
    const struct kirim_guard_options *guard;
};

/** Initialises options: no endpoint, defaults everywhere. */
#define KIRIM_SESSIONS_OPTIONS_INIT                                                               \
    {                                                                                             \
        sizeof(struct kirim_sessions_options), NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, 0, 0, 0, NULL                                                                   \
    }

/** Counters of a set. */
struct kirim_sessions_stats {
    uint32_t size;              /**< sizeof, set by KIRIM_SESSIONS_STATS_INIT. */
    uint32_t count;             /**< Sessions that are open now: a level. */
    uint32_t unvalidated_count; /**< Of those, not validated: a level. */
    uint32_t ki_reserved;       /**< 0. */
    uint64_t opened;            /**< Sessions that began. */
    uint64_t closed;            /**< Sessions that have ended, for whatever reason; */
    uint64_t idle;              /**< of those, for silence, */
    uint64_t evicted;           /**< and to make room. */
    uint64_t rx_dropped;        /**< Datagrams the classifier dropped or was not asked of, or
                                     nobody wanted, their session having ended in the same batch,
                                     say. */
    uint64_t rx_stateless;      /**< Datagrams for `stateless`. */
    uint64_t refused;           /**< Datagrams that `admit` refused. */
    uint64_t refused_full;      /**< Datagrams that found no room: of the set, */
    uint64_t refused_prefix;    /**< of their prefix, */
    uint64_t refused_memory;    /**< or no memory. */
    uint64_t tx_limited;        /**< Sends refused as the peer is not validated. */
    uint64_t paths_accepted;    /**< Changes of a peer's address. */
    uint64_t tokens_good;       /**< Of the guard: tokens that were right, */
    uint64_t tokens_late;       /**< those that were, but too long ago, */
    uint64_t tokens_bad;        /**< and those that were never given to who brought them. */
    uint64_t refused_token;     /**< Datagrams that were answered with a token, */
    uint64_t refused_short;     /**< that were too short for that, or found the queue full, */
    uint64_t refused_rate;      /**< and of prefixes that ask too often. */
    uint64_t rx_forged;         /**< Of `rx_dropped`: those that nobody can have sent
                                     (kirim_endpoint_may_answer()). */
};

/** Initialises the structure for kirim_sessions_read_stats(). */
#define KIRIM_SESSIONS_STATS_INIT                                                                \
    {                                                                                            \
        (uint32_t)sizeof(struct kirim_sessions_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, 0, 0, 0, 0, 0, 0                                                               \
    }

/** Counters of one session. */
struct kirim_session_stats {
    uint32_t size;         /**< sizeof, set by KIRIM_SESSION_STATS_INIT. */
    uint32_t ki_reserved;  /**< 0. */
    uint64_t rx_datagrams; /**< Arrived. */
    uint64_t rx_bytes;     /**< Payload of those. */
    uint64_t tx_datagrams; /**< Accepted for sending. */
    uint64_t tx_bytes;     /**< Payload of those. */
    uint64_t opened_ns;    /**< Loop time of its beginning. */
    uint64_t heard_ns;     /**< Loop time of its last arrival. */
};

/** Initialises the structure for kirim_session_read_stats(). */
#define KIRIM_SESSION_STATS_INIT                                          \
    {                                                                     \
        (uint32_t)sizeof(struct kirim_session_stats), 0, 0, 0, 0, 0, 0, 0 \
    }

KIRIM_BEGIN_DECLS

/**
 * @brief Opens a set of sessions and its endpoint.
 *
 * @param loop     Open loop.
 * @param options  Read during the call.
 * @param out      The set; ended by kirim_sessions_close() or with the loop. Written on success
 * only.
 * @retval KIRIM_OK      Open; datagrams arrive from the next turn on.
 * @retval KIRIM_EINVAL  NULL, a size that no version had, a value out of range, or as
 * kirim_endpoint_open().
 * @retval KIRIM_ENOMEM  Out of memory.
 * @return Also any other error of kirim_endpoint_open() and kirim_loop_random().
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_sessions_open(struct kirim_loop *loop,
                                        const struct kirim_sessions_options *options,
                                        struct kirim_sessions **out);

/**
 * @brief Closes a set: all its sessions, and its endpoint.
 *
 * Each session is told `closed`, then the set, in a later step of this turn or in a later turn.
 * Until then every other call with it or with its sessions answers KIRIM_ECLOSED.
 *
 * @param set  Open set.
 * @retval KIRIM_OK       Closing.
 * @retval KIRIM_ECLOSED  It was closing already.
 * @retval KIRIM_EINVAL   NULL.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_sessions_close(struct kirim_sessions *set);

/**
 * @brief Closes a set in order: nobody new is let in, each stack of layers drains
 * (kirim_stack_drain()), sessions without one are closed, and when none is left so is the set.
 *
 * @param set          Open set.
 * @param deadline_ns  Loop time at which it is closed at the latest, as by kirim_sessions_close().
 * @retval KIRIM_OK       It drains; `closed` of all sessions and of the set will come.
 * @retval KIRIM_ECLOSED  It is closing, or drains already.
 * @retval KIRIM_EINVAL   NULL.
 * @note Loop thread; callable from any callback. Datagrams that ask for a session meanwhile count
 * as `rx_dropped`; kirim_session_open() answers KIRIM_ECLOSED.
 */
KIRIM_API kirim_err kirim_sessions_drain(struct kirim_sessions *set, uint64_t deadline_ns);

/** @brief The endpoint of a set, for questions and for sending past the sessions; never to be
 * closed. Loop thread. */
KIRIM_API struct kirim_endpoint *kirim_sessions_endpoint(const struct kirim_sessions *set);

/** @brief The `user` of the options. Loop thread. */
KIRIM_API void *kirim_sessions_user(const struct kirim_sessions *set);

/**
 * @brief Answers a datagram of nobody's, from the address that it was sent to, and keeps nothing.
 *
 * @param set       Open set.
 * @param datagram  The one that the running `admit` or `stateless` was lent.
 * @param data      The answer; copied.
 * @param bytes     All answers to a datagram together: at most `amplification` times its own.
 * @retval KIRIM_OK           Queued.
 * @retval KIRIM_EMSGSIZE     More than that, or than a datagram holds.
 * @retval KIRIM_EINVAL       NULL, or outside of those callbacks.
 * @return Also as kirim_endpoint_send() in queued mode.
 * @note Loop thread; inside `admit` and `stateless`.
 */
KIRIM_API kirim_err kirim_sessions_answer(struct kirim_sessions *set,
                                          const struct kirim_datagram *datagram, const void *data,
                                          size_t bytes);

/**
 * @brief Begins a session from this side. It is validated: who is spoken to first is no victim.
 *
 * @param set        Open set.
 * @param peer       Whom it is with.
 * @param key        Under which its arrivals are found; NULL: the peer's address.
 * @param key_bytes  Of the key; 0 without one.
 * @param admission  Its handler and user; NULL: those of the options.
 * @param out        The session; written on success only.
 * @retval KIRIM_OK           Open; `opened` was called.
 * @retval KIRIM_EINVAL       NULL, a peer without port or that the endpoint cannot send to, a key
 * too long, a size of the admission or its handler that no version had.
 * @retval KIRIM_EEXIST       There is a session of that key.
 * @retval KIRIM_EWOULDBLOCK  The set or the prefix is full, and nobody can make room.
 * @retval KIRIM_ECLOSED      The set is closing, or drains.
 * @retval KIRIM_ENOMEM       Out of memory.
 * @note Loop thread; callable from any callback but the classifier.
 */
KIRIM_API kirim_err kirim_session_open(struct kirim_sessions *set, const struct kirim_addr *peer,
                                       const void *key, size_t key_bytes,
                                       const struct kirim_admission *admission,
                                       struct kirim_session **out);

/**
 * @brief Ends a session: its keys are free at once, its timers are cancelled, `closed` comes in a
 * later step of this turn or in a later turn. What it has sent still leaves.
 *
 * @param session  Open session.
 * @retval KIRIM_OK       Closing.
 * @retval KIRIM_ECLOSED  It was closing already.
 * @retval KIRIM_EINVAL   NULL.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_session_close(struct kirim_session *session);

/** @brief Number of a session: never 0, and never that of a later session of this set (it comes
 * again after four billion sessions in one place). Loop thread. */
KIRIM_API uint64_t kirim_session_id(const struct kirim_session *session);

/** @brief The open session of a number, or NULL: it has ended, or there was none. Loop thread. */
KIRIM_API struct kirim_session *kirim_sessions_find(const struct kirim_sessions *set, uint64_t id);

/** @brief The open session that is found by a key, or NULL. `key` NULL: by the address `peer`.
 * Loop thread. */
KIRIM_API struct kirim_session *kirim_sessions_find_key(struct kirim_sessions *set,
                                                        const struct kirim_addr *peer,
                                                        const void *key, size_t key_bytes);

/** @brief Walks the open sessions of a set, in no order; `session` NULL begins, NULL ends. One
 * that is opened during the walk may be missed; the one before may be closed. Loop thread. */
KIRIM_API struct kirim_session *kirim_sessions_next(const struct kirim_sessions *set,
                                                    const struct kirim_session *session);

/** @brief The set of a session. Loop thread. */
KIRIM_API struct kirim_sessions *kirim_session_set(const struct kirim_session *session);

/** @brief The caller's own bytes behind a session, aligned for anything. Loop thread. */
KIRIM_API void *kirim_session_state(struct kirim_session *session);

/** @brief What the callbacks of a session are handed. Loop thread. */
KIRIM_API void *kirim_session_user(const struct kirim_session *session);

/** @brief Address of the peer. Loop thread. */
KIRIM_API struct kirim_addr kirim_session_peer(const struct kirim_session *session);

/** @brief Local address that the peer speaks to, and that answers leave from where the reactor can
 * do that; none if it is not known. Loop thread. */
KIRIM_API struct kirim_addr kirim_session_local(const struct kirim_session *session);

/** @brief Whether the peer's address is validated. Loop thread. */
KIRIM_API bool kirim_session_is_validated(const struct kirim_session *session);

/**
 * @brief Sends to the peer: kirim_endpoint_send() with `msg->peer` NULL.
 *
 * An address other than the peer's is permitted if it is the one that `path_seen` told last. The
 * local address is the one that is spoken to from there, unless the control data names one.
 *
 * @return As kirim_endpoint_send(); also
 * @retval KIRIM_EWOULDBLOCK  More than the address has earned: `writable` comes when it has.
 * @retval KIRIM_EINVAL       `msg->peer` is somebody else.
 * @retval KIRIM_ECLOSED      The session is closing.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_session_send(struct kirim_session *session, const struct kirim_msg *msg,
                                       uint32_t flags, struct kirim_op *op, size_t *sent_bytes);

/** @brief Queues one datagram from one buffer to the peer: kirim_session_send() for the common
 * case. */
KIRIM_API kirim_err kirim_session_send_bytes(struct kirim_session *session, const void *data,
                                             size_t bytes);

/**
 * @brief Answers datagrams of the running `received` with their own bytes, without a copy:
 * kirim_endpoint_reply() within what the peer has earned, counted as the session's.
 *
 * The caller may have overwritten the bytes in place (`data` is writable). Each answer goes to the
 * `peer` of its datagram, from the address that was asked.
 *
 * @param session         The session that is being told.
 * @param datagram        The first of `count` neighbours in the batch that `received` was lent; not
 * a view of one.
 * @param count           At least 1.
 * @param accepted_count  Gets how many were queued, in order, on failure too; may be NULL.
 * @retval KIRIM_OK           All of them.
 * @retval KIRIM_EWOULDBLOCK  The next one finds no room, or is more than its address has earned:
 * `writable` will be called, when the datagrams are gone: keep what is still to be said.
 * @retval KIRIM_EINVAL       NULL, or datagrams that the session is not being told of; or the next
 * one came from an address that is neither the peer's nor the last that `path_seen` told.
 * @retval KIRIM_ECLOSED      The session is closing.
 * @retval KIRIM_ENOMEM       Out of memory for the next one.
 * @note Loop thread; inside the session's `received`.
 */
KIRIM_API kirim_err kirim_session_reply(struct kirim_session *session,
                                        const struct kirim_datagram *datagram, size_t count,
                                        size_t *accepted_count);

/**
 * @brief Notes that the peer receives at its address: what is sent to it has no bound from here on.
 *
 * @retval KIRIM_OK       Noted, or known.
 * @retval KIRIM_EINVAL   NULL.
 * @retval KIRIM_ECLOSED  The session is closing.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_session_validate(struct kirim_session *session);

/**
 * @brief Makes the address that `path_seen` told last that of the peer, validated.
 *
 * A session that is found by its peer's address has no such paths. Its keys stay as they are, and
 * its count moves to the prefix of the new address, whatever the cap of that.
 *
 * @param session  Open session.
 * @param peer     That address.
 * @retval KIRIM_OK       Its datagrams leave for there from now on.
 * @retval KIRIM_EINVAL   NULL, or another address than that.
 * @retval KIRIM_ECLOSED  The session is closing.
 * @retval KIRIM_ENOMEM   Out of memory; nothing has changed.
 * @note Loop thread; callable from any callback.
 */
KIRIM_API kirim_err kirim_session_accept_path(struct kirim_session *session,
                                              const struct kirim_addr *peer);

/**
 * @brief Adds a key by which the session is found, beside those that it has.
 *
 * @param session    Open session.
 * @param key        The bytes; copied.
 * @param key_bytes  1..KIRIM_SESSION_KEY_BYTES_MAX.
 * @retval KIRIM_OK       Added.
 * @retval KIRIM_EEXIST   A session has that key, perhaps this one.
 * @retval KIRIM_EINVAL   NULL, or no such length.
 * @retval KIRIM_ECLOSED  The session is closing.
 * @retval KIRIM_ENOMEM   Out of memory.
 * @note Loop thread; callable from any callback but the classifier.
 */
KIRIM_API kirim_err kirim_session_add_key(struct kirim_session *session, const void *key,
                                          size_t key_bytes);

/** @brief Removes a key that kirim_session_add_key() has added. KIRIM_EINVAL: it is not one of this
 * session's; KIRIM_ECLOSED as above. Loop thread. */
KIRIM_API kirim_err kirim_session_remove_key(struct kirim_session *session, const void *key,
                                             size_t key_bytes);

/**
 * @brief Arms a timer that belongs to a session: its end cancels it. As kirim_endpoint_timer_arm().
 */
KIRIM_API kirim_err kirim_session_timer_arm(struct kirim_session *session,
                                            struct kirim_timer *timer, uint64_t deadline_ns);

/** @brief Copies the counters of a session; as kirim_endpoint_read_stats(). */
KIRIM_API kirim_err kirim_session_read_stats(const struct kirim_session *session,
                                             struct kirim_session_stats *out);

/** @brief Copies the counters of a set; as kirim_endpoint_read_stats(). */
KIRIM_API kirim_err kirim_sessions_read_stats(const struct kirim_sessions *set,
                                              struct kirim_sessions_stats *out);

KIRIM_END_DECLS

#endif
