/* SPDX-License-Identifier: MIT
 *
 * The sensor's end of Tally, as a layer: one ADD at a time, said until it is answered. What is
 * counted meanwhile goes into the next one.
 */
#include "tally.h"

struct sensor {
    const struct tally_sensor_config *config;
    struct tally_patience patience;
    uint32_t pulses; /* counted here, and not sent yet */
    uint32_t asked;  /* those of the ADD that is under way; 0: none is */
    uint16_t number; /* of that ADD */
    bool is_ready;
    bool is_draining;
};

/* Says the ADD that is under way. */
static void say(struct kirim_layer *layer)
{
    const struct sensor *s = kirim_layer_state(layer);
    const struct tally_message m = { TALLY_ADD, s->number, s->asked };
    uint8_t bytes[TALLY_BYTES];
    const struct kirim_buf buf = { bytes, sizeof bytes };
    const struct kirim_msg msg = { .buf = &buf, .buf_count = 1 };
    tally_write(&m, bytes);
    (void)kirim_layer_send(layer, &msg);
}

/* Begins the next ADD, if there is something to say and nothing under way. */
static void go_on(struct kirim_layer *layer)
{
    struct sensor *s = kirim_layer_state(layer);
    if (!s->is_ready || s->asked != 0) {
        return;
    }
    if (s->pulses != 0) {
        s->number++;
        s->asked = s->pulses;
        s->pulses = 0;
        tally_patience_begin(&s->patience);
    } else if (s->is_draining) {
        kirim_layer_finish_drain(layer);
    }
}

void tally_sensor_add(struct kirim_layer *layer, uint32_t count)
{
    struct sensor *s = kirim_layer_state(layer);
    s->pulses += count;
    go_on(layer);
}

/* ---- what the layer is told ------------------------------------------------------------------ */

static kirim_err open(struct kirim_layer *layer, const void *config)
{
    struct sensor *s = kirim_layer_state(layer);
    s->config = config;
    tally_patience_init(&s->patience, layer, say);
    return KIRIM_OK;
}

static void ready(struct kirim_layer *layer)
{
    struct sensor *s = kirim_layer_state(layer);
    s->is_ready = true;
    go_on(layer);
}

static void received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct sensor *s = kirim_layer_state(layer);
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        struct tally_message m;
        if (tally_read(d->data, d->bytes, &m) && m.kind == TALLY_TOTAL && s->asked != 0 &&
            m.number == s->number) {
            s->asked = 0;
            tally_patience_end(&s->patience);
            s->config->told(s->config->user, m.count);
            go_on(layer);
        }
    }
}

static void drain(struct kirim_layer *layer)
{
    struct sensor *s = kirim_layer_state(layer);
    s->is_draining = true;
    go_on(layer);
}

static void closed(struct kirim_layer *layer, kirim_err why)
{
    const struct sensor *s = kirim_layer_state(layer);
    s->config->ended(s->config->user, why);
}

const struct kirim_layer_type *tally_sensor(void)
{
    static const struct kirim_layer_type type = {
        .size = KIRIM_LAYER_TYPE_INIT,
        .name = "sensor",
        .state_bytes = sizeof(struct sensor),
        .open = open,
        .ready = ready,
        .received = received,
        .drain = drain,
        .closed = closed,
    };
    return &type;
}
