/* SPDX-License-Identifier: MIT
 *
 * The messages of Tally, as bytes. Knows nothing of sockets, so a test can call it, or a fuzzer.
 */
#include "tally.h"

void tally_write(const struct tally_message *m, uint8_t out[TALLY_BYTES])
{
    out[0] = m->kind;
    out[1] = (uint8_t)(m->number >> 8);
    out[2] = (uint8_t)m->number;
    out[3] = (uint8_t)(m->count >> 24);
    out[4] = (uint8_t)(m->count >> 16);
    out[5] = (uint8_t)(m->count >> 8);
    out[6] = (uint8_t)m->count;
}

bool tally_read(const uint8_t *data, size_t bytes, struct tally_message *out)
{
    if (bytes != TALLY_BYTES || (data[0] != TALLY_ADD && data[0] != TALLY_TOTAL)) {
        return false;
    }
    out->kind = data[0];
    out->number = (uint16_t)(data[1] << 8 | data[2]);
    out->count = (uint32_t)data[3] << 24 | (uint32_t)data[4] << 16 | (uint32_t)data[5] << 8 |
                 (uint32_t)data[6];
    return true;
}
