/* SPDX-License-Identifier: MIT
 *
 * Protocols by first byte: see kirim/mux.h. Owns nothing.
 */
#include <kirim/mux.h>

#include <string.h>

enum { RTCP_FIRST = 192, RTCP_LAST = 223 };

kirim_err kirim_mux_add(struct kirim_mux *mux, uint8_t first, uint8_t last, uint8_t protocol)
{
    if (first > last || protocol == KIRIM_MUX_NONE) {
        return KIRIM_EINVAL;
    }
    for (unsigned byte = first; byte <= last; byte++) {
        if (mux->protocol[byte] != KIRIM_MUX_NONE && mux->protocol[byte] != protocol) {
            return KIRIM_EEXIST;
        }
    }
    memset(mux->protocol + first, protocol, (size_t)last - first + 1);
    return KIRIM_OK;
}

void kirim_mux_init_rfc7983(struct kirim_mux *mux)
{
    static const struct {
        uint8_t first, last, protocol;
    } ranges[] = {
        { 0, 3, KIRIM_MUX_STUN },     { 16, 19, KIRIM_MUX_ZRTP },  { 20, 63, KIRIM_MUX_DTLS },
        { 64, 79, KIRIM_MUX_TURN },   { 80, 127, KIRIM_MUX_QUIC }, { 128, 191, KIRIM_MUX_RTP },
        { 192, 255, KIRIM_MUX_QUIC },
    };
    memset(mux, 0, sizeof *mux);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        (void)kirim_mux_add(mux, ranges[i].first, ranges[i].last, ranges[i].protocol);
    }
}

uint8_t kirim_mux_find(const struct kirim_mux *mux, const uint8_t *data, size_t bytes)
{
    if (bytes == 0) {
        return KIRIM_MUX_NONE;
    }
    const uint8_t protocol = mux->protocol[data[0]];
    if (protocol == KIRIM_MUX_RTP && bytes > 1 && data[1] >= RTCP_FIRST && data[1] <= RTCP_LAST) {
        return KIRIM_MUX_RTCP;
    }
    return protocol;
}
