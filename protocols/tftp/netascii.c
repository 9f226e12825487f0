/* SPDX-License-Identifier: MIT
 *
 * Netascii: see netascii.h.
 */
#include "netascii.h"

size_t kirim_tftp_netascii_encode(struct kirim_tftp_netascii *state, struct kirim_tftp_span in,
                                  struct kirim_tftp_room *out)
{
    size_t used = 0;
    size_t at = 0;
    if (state->has_pending != 0 && out->room > 0) {
        out->data[used++] = state->pending;
        state->has_pending = 0;
    }
    while (at < in.bytes && used < out->room) {
        const uint8_t byte = in.data[at++];
        if (byte != '\n' && byte != '\r') {
            out->data[used++] = byte;
            continue;
        }
        const uint8_t second = byte == '\n' ? (uint8_t)'\n' : (uint8_t)0;
        out->data[used++] = '\r';
        if (used < out->room) {
            out->data[used++] = second;
        } else {
            state->pending = second;
            state->has_pending = 1;
        }
    }
    out->bytes = used;
    return at;
}

kirim_err kirim_tftp_netascii_decode(struct kirim_tftp_netascii *state, struct kirim_tftp_span in,
                                     bool is_end, struct kirim_tftp_room *out)
{
    size_t used = 0;
    if (out->room < in.bytes + 1) {
        return KIRIM_EMSGSIZE;
    }
    for (size_t i = 0; i < in.bytes; i++) {
        const uint8_t byte = in.data[i];
        const bool follows_cr = state->has_pending != 0;
        state->has_pending = byte == '\r' ? 1 : 0;
        if (follows_cr && byte == 0) {
            out->data[used++] = '\r';
        } else if (follows_cr && byte != '\n') {
            out->data[used++] = '\r';
            if (byte != '\r') {
                out->data[used++] = byte;
            }
        } else if (byte != '\r') {
            out->data[used++] = byte;
        }
    }
    if (is_end && state->has_pending != 0) {
        out->data[used++] = '\r';
        state->has_pending = 0;
    }
    out->bytes = used;
    return KIRIM_OK;
}
