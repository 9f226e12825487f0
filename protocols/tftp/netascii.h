/* SPDX-License-Identifier: MIT
 *
 * Netascii: lines end in CR LF on the wire, and a CR that ends none is CR NUL; in the file they end
 * in LF. A pair may stand on both sides of a block's border, so each direction carries a byte from
 * one call to the next. Owns nothing. Any thread. Sources: RFC 1350 section 1, RFC 764.
 */
#ifndef KIRIM_TFTP_NETASCII_H
#define KIRIM_TFTP_NETASCII_H

#include "tftp.h"

/** One direction of one file; all zero at its beginning. */
struct kirim_tftp_netascii {
    uint8_t has_pending; /**< Whether `pending` counts. */
    uint8_t pending;     /**< To the wire: a byte that found no room. From it: a CR. */
};

/**
 * @brief Turns bytes of a file into those of the wire.
 *
 * @param state  Of this direction.
 * @param in     What is to be turned.
 * @param out    Room; `bytes` is set.
 * @return How many bytes of `in` were used up: all, unless the room is full.
 * @note Any thread.
 */
size_t kirim_tftp_netascii_encode(struct kirim_tftp_netascii *state, struct kirim_tftp_span in,
                                  struct kirim_tftp_room *out);

/**
 * @brief Turns bytes of the wire into those of a file.
 *
 * A CR before anything but LF and NUL stays, as does one at the very end.
 *
 * @param state   Of this direction.
 * @param in      What is to be turned.
 * @param is_end  Nothing follows.
 * @param out     Room for `in.bytes` + 1; `bytes` is set.
 * @retval KIRIM_OK        All of it was turned.
 * @retval KIRIM_EMSGSIZE  Too little room.
 * @note Any thread.
 */
kirim_err kirim_tftp_netascii_decode(struct kirim_tftp_netascii *state, struct kirim_tftp_span in,
                                     bool is_end, struct kirim_tftp_room *out);

#endif
