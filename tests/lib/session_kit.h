/* SPDX-License-Identifier: MIT
 *
 * A scripted loop with one set of sessions, which writes down what it is told.
 *
 * Marks in the fixture's trace: each session has a letter, given in the order of opening; `A` is
 * followed by what it is told: `o`pened, `r`eceived, `w`ritable, `f`ailed, `p`ath seen, `c`losed.
 * The set's own are `?` for admit, `-` for stateless, `!` for failed, `.` for closed.
 */
#ifndef TEST_SESSION_KIT_H
#define TEST_SESSION_KIT_H

#include "support/scripted.h"

enum { KIT_SESSIONS_MAX = 64, KIT_NUMBERS_MAX = 256 };

struct kit;

/* What is behind each session: its state. */
struct kit_peer {
    struct kirim_session *session; /* NULL after `closed` */
    struct kit *kit;
    char letter;
    int reason;
    uint64_t id;
    size_t batch_count;
    size_t number_count;
    uint32_t numbers[KIT_NUMBERS_MAX]; /* what it received */
    struct kirim_addr seen;            /* the last path */
};

struct kit {
    struct ks t;
    struct script *s;
    struct script_port *p;
    struct kirim_sessions *set; /* NULL after `closed` */
    struct kirim_sessions_options options;
    struct kirim_endpoint_options endpoint;
    struct kirim_sessions_handler handler;
    struct kirim_session_handler session_handler;
    struct kit_peer peers[KIT_SESSIONS_MAX]; /* in the order of opening */
    size_t peer_count;
    kirim_err verdict;    /* of admit */
    bool is_validating;   /* admit says so */
    size_t answer_bytes;  /* of admit and stateless; 0: none */
    kirim_err answer_err; /* of the last one */
    size_t stateless_count;
    void (*on_received)(struct kit_peer *peer, const struct kirim_batch *batch);
    void (*on_opened)(struct kit_peer *peer);
    void (*on_writable)(struct kit_peer *peer);
    void (*on_closed)(struct kit_peer *peer);
    void (*on_path)(struct kit_peer *peer, const struct kirim_addr *addr);
    void *ctx;
};

/* A set that is not open yet: its options can be changed. */
struct kit *kit_new(void);
void kit_open(struct kit *k);
struct kit *kit_opened(void);

/* Closes the loop, and checks that every session and the set were told so once. */
void kit_close(struct kit *k);

/* Address number `n`: 10.0.0.n, port 1000 + n. */
struct kirim_addr kit_addr(unsigned n);

/* A datagram with a number arrives from address `n` with the next turn. */
void kit_arrive(struct kit *k, unsigned n, uint32_t number);

/* The same with the key `key` in front, of a set whose classifier is kit_by_first_byte(). */
void kit_arrive_keyed(struct kit *k, unsigned n, uint8_t key, uint32_t number);

/* A classifier by the first byte: 0 drop, 1 stateless, 'a'..'z' known, other letters admit; the
 * byte is the key, but of '@' the address is. */
void kit_by_first_byte(const struct kirim_datagram *d, struct kirim_class *out, void *user);

/* The numbers that a session received, in order. */
#define KIT_NUMBERS(peer, ...)                                                 \
    do {                                                                       \
        const uint32_t kit_wanted[] = { __VA_ARGS__ };                         \
        KS_EQ(sizeof kit_wanted / sizeof kit_wanted[0], (peer)->number_count); \
        for (size_t kit_i = 0; kit_i < (peer)->number_count; kit_i++) {        \
            KS_EQ(kit_wanted[kit_i], (peer)->numbers[kit_i]);                  \
        }                                                                      \
    } while (0)

struct kirim_sessions_stats kit_stats(const struct kit *k);

#endif
