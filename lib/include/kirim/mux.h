/* SPDX-License-Identifier: MIT
 *
 * Several protocols on one port, told apart by the first byte of a datagram: a table of 256
 * entries. Pure; a value. Sources: RFC 7983 section 7, RFC 9443 section 3, RFC 5761 section 4.
 */
#ifndef KIRIM_MUX_H
#define KIRIM_MUX_H

#include <kirim/config.h>
#include <kirim/error.h>

/** Protocols of the table of RFC 7983 and RFC 9443. A table of one's own uses numbers from
 * KIRIM_MUX_OWN for what is not among them. */
enum {
    KIRIM_MUX_NONE = 0, /**< Nobody's: to be dropped. */
    KIRIM_MUX_STUN = 1, /**< 0..3. */
    KIRIM_MUX_ZRTP = 2, /**< 16..19. */
    KIRIM_MUX_DTLS = 3, /**< 20..63. */
    KIRIM_MUX_TURN = 4, /**< 64..79: TURN channel data. */
    KIRIM_MUX_QUIC = 5, /**< 80..127 and 192..255. */
    KIRIM_MUX_RTP = 6,  /**< 128..191, but for RTCP. */
    KIRIM_MUX_RTCP = 7, /**< 128..191, if the second byte is 192..223. */
    KIRIM_MUX_OWN = 16  /**< The first number that this header will never give to anybody. */
};

/** A table; zero-initialised (`{ { 0 } }`) every byte is nobody's. */
struct kirim_mux {
    uint8_t protocol[256]; /**< By first byte. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Gives a range of first bytes to a protocol.
 *
 * @param mux       The table.
 * @param first     First byte of the range.
 * @param last      Last byte of the range.
 * @param protocol  One of the numbers above, or KIRIM_MUX_OWN and more; not KIRIM_MUX_NONE.
 * @retval KIRIM_OK      Done.
 * @retval KIRIM_EINVAL  An empty range, or no protocol.
 * @retval KIRIM_EEXIST  A byte of the range has another protocol; nothing was changed.
 * @note One thread at a time.
 */
KIRIM_API kirim_err kirim_mux_add(struct kirim_mux *mux, uint8_t first, uint8_t last,
                                  uint8_t protocol);

/**
 * @brief Makes the table of RFC 7983 with QUIC as RFC 9443 adds it.
 *
 * On a port without QUIC its bytes may be taken out of `protocol` again.
 *
 * @param mux  Caller's storage.
 * @note One thread at a time.
 */
KIRIM_API void kirim_mux_init_rfc7983(struct kirim_mux *mux);

/**
 * @brief Whose a datagram is.
 *
 * @param mux    The table.
 * @param data   The datagram; may be NULL if it is empty.
 * @param bytes  Of it.
 * @return The protocol; KIRIM_MUX_NONE for a byte of nobody, and for an empty datagram. Where the
 *         table says KIRIM_MUX_RTP, KIRIM_MUX_RTCP by the second byte.
 * @note Any thread, as long as nobody changes the table.
 */
KIRIM_API uint8_t kirim_mux_find(const struct kirim_mux *mux, const uint8_t *data, size_t bytes);

KIRIM_END_DECLS

#endif
