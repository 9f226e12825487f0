/* SPDX-License-Identifier: MIT
 *
 * The collector's end of Tally, which counts every pulse once. In place of tally_collector.c.
 */
#include "tally.h"

struct collector {
    uint32_t total;
    uint16_t last; /* number of the newest ADD that was counted; 0: none yet */
};

static void answer(struct kirim_layer *layer, uint16_t number)
{
    const struct collector *c = kirim_layer_state(layer);
    const struct tally_message m = { TALLY_TOTAL, number, c->total };
    uint8_t bytes[TALLY_BYTES];
    const struct kirim_buf buf = { bytes, sizeof bytes };
    const struct kirim_msg msg = { .buf = &buf, .buf_count = 1 };
    tally_write(&m, bytes);
    (void)kirim_layer_send(layer, &msg);
}

static void received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct collector *c = kirim_layer_state(layer);
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        struct tally_message m;
        if (!tally_read(d->data, d->bytes, &m) || m.kind != TALLY_ADD) {
            continue;
        }
        const int16_t step = (int16_t)(uint16_t)(m.number - c->last);
        if (step > 0) {
            c->last = m.number;
            c->total += m.count;
        }
        if (step >= 0) { /* what is older was answered, or its sensor would not have gone on */
            answer(layer, m.number);
        }
    }
}

const struct kirim_layer_type *tally_collector(void)
{
    static const struct kirim_layer_type type = {
        .size = KIRIM_LAYER_TYPE_INIT,
        .name = "collector",
        .state_bytes = sizeof(struct collector),
        .received = received,
    };
    return &type;
}

uint32_t tally_collector_total(struct kirim_layer *layer)
{
    return ((struct collector *)kirim_layer_state(layer))->total;
}
