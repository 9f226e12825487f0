/* SPDX-License-Identifier: MIT
 *
 * The cookie of Tally: a layer below the sensor that knocks, and one below the collector that
 * opens. Between the two of them:
 *
 *     'H', 22 bytes   HELLO: the token, or zeros from who has none
 *     'R', 22 bytes   RETRY: a token, from the guard of the collector's sessions
 *     'W'             WELCOME
 *     'D', a message  DATA of the layers above
 */
#include "tally.h"

#include <string.h>

enum { HELLO = 'H', RETRY = 'R', WELCOME = 'W', DATA = 'D', TOKEN_BYTES = KIRIM_TOKEN_BYTES(0) };

const uint8_t tally_retry[1] = { RETRY };

/* ---- DATA, which both of them pass on -------------------------------------------------------- */

static kirim_err send(struct kirim_layer *layer, const struct kirim_msg *msg)
{
    static const uint8_t header[1] = { DATA };
    return kirim_layer_send_behind(layer, header, sizeof header, msg);
}

static void pass_data(struct kirim_layer *layer, const struct kirim_datagram *d)
{
    struct kirim_datagram view = *d;
    const struct kirim_batch batch = { &view, 1, sizeof view };
    view.data++;
    view.bytes--;
    kirim_layer_pass_received(layer, &batch);
}

static void send_bytes(struct kirim_layer *layer, const uint8_t *data, size_t bytes)
{
    const struct kirim_buf buf = { (void *)(uintptr_t)data, bytes };
    const struct kirim_msg msg = { .buf = &buf, .buf_count = 1 };
    (void)kirim_layer_send(layer, &msg);
}

/* ---- the collector's side -------------------------------------------------------------------- */

static void door_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    static const uint8_t welcome[1] = { WELCOME };
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        if (d->bytes > 0 && d->data[0] == HELLO) {
            send_bytes(layer, welcome, sizeof welcome);
        } else if (d->bytes > 0 && d->data[0] == DATA) {
            pass_data(layer, d);
        }
    }
}

const struct kirim_layer_type *tally_door(void)
{
    static const struct kirim_layer_type type = {
        .size = KIRIM_LAYER_TYPE_INIT,
        .name = "door",
        .overhead_bytes = 1,
        .received = door_received,
        .send = send,
    };
    return &type;
}

/* ---- the sensor's side ----------------------------------------------------------------------- */

struct knock {
    struct tally_patience patience;
    uint8_t hello[1 + TOKEN_BYTES];
    bool is_welcome;
};

static void say_hello(struct kirim_layer *layer)
{
    const struct knock *k = kirim_layer_state(layer);
    send_bytes(layer, k->hello, sizeof k->hello);
}

static kirim_err knock_open(struct kirim_layer *layer, const void *config)
{
    struct knock *k = kirim_layer_state(layer);
    (void)config;
    k->hello[0] = HELLO;
    tally_patience_init(&k->patience, layer, say_hello);
    return KIRIM_OK;
}

/* Whoever is below can send; the sensor above has to wait. */
static void knock_ready(struct kirim_layer *layer)
{
    struct knock *k = kirim_layer_state(layer);
    tally_patience_begin(&k->patience);
}

static void knock_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct knock *k = kirim_layer_state(layer);
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        if (k->is_welcome && d->bytes > 0 && d->data[0] == DATA) {
            pass_data(layer, d);
        } else if (!k->is_welcome && d->bytes == sizeof k->hello && d->data[0] == RETRY) {
            memcpy(k->hello + 1, d->data + 1, TOKEN_BYTES);
            tally_patience_end(&k->patience);
            tally_patience_begin(&k->patience);
        } else if (!k->is_welcome && d->bytes == 1 && d->data[0] == WELCOME) {
            k->is_welcome = true;
            tally_patience_end(&k->patience);
            kirim_layer_pass_ready(layer);
        }
    }
}

const struct kirim_layer_type *tally_knock(void)
{
    static const struct kirim_layer_type type = {
        .size = KIRIM_LAYER_TYPE_INIT,
        .name = "knock",
        .overhead_bytes = 1,
        .state_bytes = sizeof(struct knock),
        .open = knock_open,
        .ready = knock_ready,
        .received = knock_received,
        .send = send,
    };
    return &type;
}
