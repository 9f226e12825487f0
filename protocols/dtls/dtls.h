/* SPDX-License-Identifier: MIT
 *
 * DTLS 1.2 as a layer: what is above it is sent encrypted, what comes from the wire is handed up
 * when it was authentic, and any handler runs over it as it runs over UDP.
 *
 * A context holds what the associations of a program share: certificates, keys, whom to believe,
 * limits, counters. A layer of kirim_dtls_layer_type() in a plan, with a kirim_dtls_config, is one
 * end of one association, as client or as server, on a session or on an endpoint. The layer above
 * is told `ready` when the handshake is done; one that fails closes the stack. A server keeps
 * nothing of a peer until that has sent a cookie back: kirim_dtls_admit() is the `admit` of its set
 * of sessions.
 *
 * The engine is OpenSSL (3.0 or later), with memory and random bytes of its own and the system's
 * clock; time-outs are kept on the loop. Where OpenSSL was not there when kirim was built, so is
 * none of this (KIRIM_DTLS, docs/dtls.md). Loop thread only. Sources: RFC 6347, RFC 9147 appendix
 * C, RFC 5764, RFC 7301, RFC 5705, RFC 5077, RFC 4279, RFC 9325.
 */
#ifndef KIRIM_DTLS_H
#define KIRIM_DTLS_H

#include <kirim/layer.h>

struct kirim_dtls;
struct ssl_st; /* SSL of OpenSSL */

/** Bounds. */
enum {
    KIRIM_DTLS_OVERHEAD_BYTES = 37,          /**< Most that a record adds: header, nonce, tag. */
    KIRIM_DTLS_RECORD_BYTES_MAX = 16384,     /**< Longest datagram of the layer above. */
    KIRIM_DTLS_PSK_KEY_BYTES_MAX = 256,      /**< Longest pre-shared key. */
    KIRIM_DTLS_PSK_IDENTITY_BYTES_MAX = 127, /**< Longest identity, without its NUL. */
    KIRIM_DTLS_TICKET_KEY_BYTES = 80,        /**< Of the key of session tickets. */
    KIRIM_DTLS_FAILURE_TEXT_BYTES = 120,     /**< Of the words for a failure, with the NUL. */
    KIRIM_DTLS_PAYLOAD_BYTES_MIN = 256       /**< Shortest datagrams below that it works with. */
};

/** Which end of an association a layer is. */
enum {
    KIRIM_DTLS_SERVER = 1, /**< Waits for a ClientHello. */
    KIRIM_DTLS_CLIENT = 2  /**< Sends one when the layer below is ready. */
};

/** What is asked of the peer's certificate. Pre-shared keys have none, and need none. */
enum {
    KIRIM_DTLS_VERIFY_DEFAULT = 0, /**< Clients: as REQUIRE, servers: as NONE. */
    KIRIM_DTLS_VERIFY_NONE = 1,    /**< Nothing: anybody may be at the other end. */
    KIRIM_DTLS_VERIFY_REQUEST = 2, /**< Servers: it may have none, but not a wrong one. */
    KIRIM_DTLS_VERIFY_REQUIRE = 3  /**< It must have one, and a right one. */
};

/** A peer's certificate under examination; lent until the return. */
struct kirim_dtls_peer {
    size_t size;                /**< sizeof in the library that runs. */
    const uint8_t *certificate; /**< The peer's own one, DER. */
    size_t certificate_bytes;   /**< Of it. */
    const char *text;           /**< OpenSSL's verdict in words, "ok" for a good one. Static. */
    int32_t code;               /**< The same as OpenSSL's number, X509_V_...; 0: good. */
    bool is_trusted;            /**< It was issued by who is trusted, for the host, and is valid. */
};

/**
 * @brief Has the last word on a peer's certificate: pins one, or asks more of it.
 *
 * @param layer  Whose peer it is; nothing may be sent or closed from here.
 * @param peer   What is known.
 * @param user   That of the context's options.
 * @return Whether to go on. Without a hook that is `peer->is_trusted`.
 */
typedef bool (*kirim_dtls_verify_fn)(struct kirim_layer *layer, const struct kirim_dtls_peer *peer,
                                     void *user);

/**
 * @brief Finds the pre-shared key of an identity, for a server.
 *
 * @param layer       Whose peer asks; nothing may be sent or closed from here.
 * @param identity    What the peer says it is; ends in NUL. Anybody may say anything.
 * @param key         Gets the key.
 * @param room_bytes  Room at `key`: KIRIM_DTLS_PSK_KEY_BYTES_MAX.
 * @param user        That of the context's options.
 * @return Bytes of the key; 0: nobody of this name.
 */
typedef size_t (*kirim_dtls_psk_fn)(struct kirim_layer *layer, const char *identity, uint8_t *key,
                                    size_t room_bytes, void *user);

/** How to open a context; start from KIRIM_DTLS_OPTIONS_INIT. Everything is read during the call,
 * but for the functions' `user`. */
struct kirim_dtls_options {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** Certificate of this side, and behind it those that lead to a trusted one: PEM. Empty: none.
     */
    struct kirim_buf certificate;
    /** Private key of the certificate: PEM, not encrypted. */
    struct kirim_buf private_key;
    /** Certificates of those who are trusted to issue others': PEM. */
    struct kirim_buf trusted;
    /** Those of the system are trusted, too: OpenSSL's default files. */
    bool is_system_trusted;
    /** No session tickets: nobody resumes. */
    bool is_without_tickets;
    /** KIRIM_DTLS_VERIFY_... */
    uint16_t verify;
    /** 0. */
    uint32_t ki_reserved;
    /** NULL: OpenSSL's verdict stands. */
    kirim_dtls_verify_fn verify_peer;
    /** Pre-shared key: of a client, and of a server that has but one peer. Empty: none. */
    struct kirim_buf psk_key;
    /** The identity that goes with it. */
    const char *psk_identity;
    /** Servers: what a peer is told to choose its identity by; NULL: nothing. */
    const char *psk_hint;
    /** Servers: finds keys; goes before `psk_key`. */
    kirim_dtls_psk_fn psk;
    /** Handed to `verify_peer` and `psk`. */
    void *user;
    /** Cipher suites in OpenSSL's notation, the best first, AEAD only. NULL: those of certificates,
     * with forward secrecy, then those of pre-shared keys; of who has a key, no certificate and
     * nobody whom it trusts only the latter. */
    const char *ciphers;
    /** Names for ALPN, the best first; of a client those that it offers, of a server those that it
     * knows: a client that offers others only is refused. NULL: no ALPN. */
    const char *const *alpn;
    /** Of `alpn`. */
    size_t alpn_count;
    /** SRTP profiles in OpenSSL's notation, "SRTP_AES128_CM_SHA1_80:..."; NULL: no DTLS-SRTP. */
    const char *srtp_profiles;
    /** Servers: key of session tickets, KIRIM_DTLS_TICKET_KEY_BYTES, for those who shall resume
     * each other's sessions, if they ask the same of their peers. Empty: a random one. */
    struct kirim_buf ticket_key;
    /** A handshake that has taken so long fails, in ns. 0: 30 s. */
    uint64_t handshake_ns;
    /** Servers: most handshakes at a time; a new one ends another, the oldest of the network that
     * has most (kirim/share.h). 0: 1,024. */
    uint32_t half_open_count_max;
    /** Servers: how long a cookie is good, in s. 0: 30. */
    uint32_t cookie_lifetime_s;
};

/** Initialises options: no identity, nobody trusted, defaults everywhere. */
#define KIRIM_DTLS_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(struct kirim_dtls_options), { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, false, false, 0, \
            0, NULL, { NULL, 0 }, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, { NULL, 0 }, 0, 0,  \
            0                                                                                      \
    }

/** What a layer of a plan is told; start from KIRIM_DTLS_CONFIG_INIT. */
struct kirim_dtls_config {
    /** sizeof, set by the INIT macro. */
    size_t size;
    /** The context; the layer keeps it alive. Of the same loop. */
    struct kirim_dtls *dtls;
    /** KIRIM_DTLS_SERVER or KIRIM_DTLS_CLIENT. */
    uint32_t role;
    /** 0. */
    uint32_t ki_reserved;
    /** Clients: DNS name or numeric address that the peer's certificate must be for; a name is also
     * told to it (SNI). It has to be among the certificate's alternative names (RFC 9525): its
     * subject does not count. Needed where a certificate is asked for. */
    const char *host;
    /** Clients: from kirim_dtls_session(), to be resumed if the server likes; else a whole
     * handshake follows, as with bytes that are not understood. Empty: none. */
    struct kirim_buf session;
};

/** Initialises a configuration of `role` without a host. */
#define KIRIM_DTLS_CONFIG_INIT(dtls, role)                         \
    {                                                              \
        sizeof(struct kirim_dtls_config), (dtls), (role), 0, NULL, \
        {                                                          \
            NULL, 0                                                \
        }                                                          \
    }

/** What is known of an association; of one that failed also why. */
struct kirim_dtls_info {
    size_t size;            /**< sizeof, set by KIRIM_DTLS_INFO_INIT. */
    bool is_established;    /**< The handshake is done. */
    bool is_resumed;        /**< It was an abbreviated one. */
    bool is_peer_certified; /**< The peer has shown a certificate, now or when the session began. */
    uint8_t alert;          /**< The last alert that was received, or sent; 0: none, close_notify.
                             */
    int32_t verify_code;    /**< OpenSSL's verdict on the certificate, X509_V_...; 0: good. */
    const char *cipher;     /**< Name of the suite, OpenSSL's; "" before. Static. */
    const char *srtp;       /**< Profile of SRTP that was agreed on, or "". Static. */
    char psk_identity[KIRIM_DTLS_PSK_IDENTITY_BYTES_MAX + 1]; /**< Of a client, at a server; "":
                                                                   none, or resumed. */
    uint64_t code; /**< Of the failure, as OpenSSL counts its errors; 0: none. */
    char failure[KIRIM_DTLS_FAILURE_TEXT_BYTES]; /**< In words; "": none. */
};

/** Initialises the structure for kirim_dtls_read_info(). */
#define KIRIM_DTLS_INFO_INIT                                                             \
    {                                                                                    \
        sizeof(struct kirim_dtls_info), false, false, false, 0, 0, NULL, NULL, { 0 }, 0, \
        {                                                                                \
            0                                                                            \
        }                                                                                \
    }

/** Counters of a context. */
struct kirim_dtls_stats {
    size_t size;              /**< sizeof, set by KIRIM_DTLS_STATS_INIT. */
    uint64_t open;            /**< Associations that are established now: a level. */
    uint64_t half_open;       /**< Handshakes under way: a level. */
    uint64_t begun;           /**< Handshakes. */
    uint64_t done;            /**< Of those, to their end; */
    uint64_t resumed;         /**< of those, abbreviated. */
    uint64_t failed;          /**< Not done, for whatever reason but those that follow; */
    uint64_t timed_out;       /**< took too long; */
    uint64_t evicted;         /**< ended to make room; */
    uint64_t evicted_crowd;   /**< of those, for a network that had fewer under way. */
    uint64_t replaced;        /**< Associations that ended since their peer began anew. */
    uint64_t cookies_sent;    /**< HelloVerifyRequests. */
    uint64_t cookies_refused; /**< ClientHellos whose cookie was wrong or too old. */
    uint64_t hellos_dropped;  /**< First datagrams that were no whole ClientHello. */
    uint64_t retransmits;     /**< Flights that were sent again as a time-out passed. */
    uint64_t rx_malformed;    /**< Dropped: not DTLS 1.2, or not at this time. */
    uint64_t rx_discarded;    /**< Records that were not authentic, or came twice, were empty, or of
                               * a message longer than one can be there. */
    uint64_t rx_closed;       /**< Associations that the peer ended with close_notify, */
    uint64_t rx_fatal;        /**< and with an alert. */
    uint64_t tx_lost;         /**< Datagrams of handshakes that the layer below did not take. */
};

/** Initialises the structure for kirim_dtls_read_stats(). */
#define KIRIM_DTLS_STATS_INIT                                                                    \
    {                                                                                            \
        sizeof(struct kirim_dtls_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }

KIRIM_BEGIN_DECLS

/* ---- contexts -------------------------------------------------------------------------------- */

/**
 * @brief Opens a context.
 *
 * @param loop     Open loop, of all layers that will use it.
 * @param options  Read during the call.
 * @param out      The context; given back with kirim_dtls_close(). Written on success only.
 * @retval KIRIM_OK          Open.
 * @retval KIRIM_EINVAL      NULL, a size that no version had, PEM that is not understood, a
 * certificate without its key, no or other ciphers than AEAD, a bad name for ALPN, a key, identity
 * or profile out of bounds.
 * @retval KIRIM_ENOMEM      Out of memory.
 * @return Also an error of kirim_loop_random().
 */
kirim_err kirim_dtls_open(struct kirim_loop *loop, const struct kirim_dtls_options *options,
                          struct kirim_dtls **out);

/** @brief Gives a context back. It is gone when the last of its layers is, and may be given back
 * before them, or after its loop was closed. NULL: nothing happens. */
void kirim_dtls_close(struct kirim_dtls *dtls);

/** @brief Copies the counters of a context; as kirim_endpoint_read_stats(). */
kirim_err kirim_dtls_read_stats(const struct kirim_dtls *dtls, struct kirim_dtls_stats *out);

/* ---- servers --------------------------------------------------------------------------------- */

/**
 * @brief The `admit` of a set whose sessions speak DTLS: answers a ClientHello without a cookie
 * with one (HelloVerifyRequest), and admits who sends it back, validated. Keeps nothing of anybody,
 * and its answers are never longer than what they answer.
 *
 * @param dtls      Context.
 * @param set       The set, inside of its `admit`.
 * @param datagram  As `admit` was lent it.
 * @param out       As `admit` was given it; `is_validated` is set.
 * @retval KIRIM_OK      Admitted: put a stack with a DTLS_SERVER layer on the session in `opened`.
 * @retval KIRIM_EACCES  Not, or not yet.
 * @retval KIRIM_EINVAL  Not a ClientHello, or not a whole one.
 */
kirim_err kirim_dtls_admit(struct kirim_dtls *dtls, struct kirim_sessions *set,
                           const struct kirim_datagram *datagram, struct kirim_admission *out);

/* ---- layers ---------------------------------------------------------------------------------- */

/**
 * @brief The type of the layer, for plans; its configuration is a kirim_dtls_config.
 *
 * `open` fails with KIRIM_EINVAL for a configuration that is none, a client without a host where a
 * certificate is asked for, or datagrams below of less than KIRIM_DTLS_PAYLOAD_BYTES_MIN; with
 * KIRIM_ENOMEM.
 *
 * `send` of the layer above also answers KIRIM_EMSGSIZE over KIRIM_DTLS_RECORD_BYTES_MAX, what the
 * peer has asked for (RFC 6066), or the longer of 4,096 bytes and the path when it was opened;
 * KIRIM_EOPNOTSUPP for an empty datagram, which OpenSSL cannot send. Datagrams leave one by one:
 * nothing is split, nothing is joined.
 *
 * The stack is closed with KIRIM_OK after the peer's close_notify, KIRIM_ECONNRESET after its
 * alert, KIRIM_EACCES if it was not believed, KIRIM_ETIMEDOUT if the handshake took too long,
 * KIRIM_EBUSY if it was evicted, KIRIM_EEXIST if the peer began anew (then a session of its own was
 * opened for that, before: see docs/dtls.md), KIRIM_ESYSTEM for all that OpenSSL can say beside.
 * Draining sends close_notify; kirim_stack_close() alone does not.
 *
 * @return Static.
 * @note Any thread.
 */
const struct kirim_layer_type *kirim_dtls_layer_type(void);

/** @brief Copies what is known of a layer's association, until its `closed` has returned: those
 * above may still ask in theirs. KIRIM_EINVAL: NULL, not a layer of this type, or a size that no
 * version had. */
kirim_err kirim_dtls_read_info(struct kirim_layer *layer, struct kirim_dtls_info *out);

/** @brief The protocol that ALPN agreed on, not ended by NUL, its length in `bytes`; NULL and 0:
 * none. Lent while the layer lives. */
const char *kirim_dtls_alpn(struct kirim_layer *layer, size_t *bytes);

/**
 * @brief The peer's certificate.
 *
 * @param layer       Established.
 * @param out         Gets it, DER.
 * @param room_bytes  Room at `out`; 0 asks for the length only.
 * @param bytes       Gets its length, also with KIRIM_EMSGSIZE.
 * @retval KIRIM_OK        Written.
 * @retval KIRIM_ENOENT    The peer has shown none.
 * @retval KIRIM_EMSGSIZE  Too little room.
 * @retval KIRIM_ENOTCONN  Not established, or not a layer of this type.
 */
kirim_err kirim_dtls_peer_certificate(struct kirim_layer *layer, uint8_t *out, size_t room_bytes,
                                      size_t *bytes);

/**
 * @brief Derives keys from the association's secrets (RFC 5705), as SRTP takes them (RFC 5764).
 *
 * @param layer    Established.
 * @param label    Name of the purpose, "EXTRACTOR-dtls_srtp".
 * @param context  Bound to it; NULL: none, which is another thing than empty.
 * @param out      Gets the bytes: both sides the same.
 * @param bytes    How many.
 * @retval KIRIM_OK        Written.
 * @retval KIRIM_EINVAL    NULL, not a layer of this type, or OpenSSL refused.
 * @retval KIRIM_ENOTCONN  Not established.
 */
kirim_err kirim_dtls_export(struct kirim_layer *layer, const char *label,
                            const struct kirim_buf *context, uint8_t *out, size_t bytes);

/**
 * @brief A client's session, to be resumed later: `session` of a configuration. It holds secrets.
 *
 * @param layer       Established, as client.
 * @param out         Gets it.
 * @param room_bytes  Room at `out`; 0 asks for the length only.
 * @param bytes       Gets its length, also with KIRIM_EMSGSIZE.
 * @retval KIRIM_OK        Written.
 * @retval KIRIM_ENOENT    It cannot be resumed: the server gave no ticket.
 * @retval KIRIM_EMSGSIZE  Too little room.
 * @retval KIRIM_ENOTCONN  Not established, or not a layer of this type.
 */
kirim_err kirim_dtls_session(struct kirim_layer *layer, uint8_t *out, size_t room_bytes,
                             size_t *bytes);

/** @brief OpenSSL's own object, for questions that this header does not answer; NULL: there is none
 * now. To be read only. */
struct ssl_st *kirim_dtls_ssl(struct kirim_layer *layer);

KIRIM_END_DECLS

#endif
