/* SPDX-License-Identifier: MIT
 *
 * Tally: sensors count pulses, a collector keeps the sum of each. The protocol of docs/tutorial.md.
 *
 * A message has seven bytes, numbers are big-endian:
 *
 *     0      1: ADD, from a sensor; 2: TOTAL, from the collector
 *     1..2   the number of the ADD, which its TOTAL repeats
 *     3..6   how many pulses were counted; in a TOTAL all that the collector has
 */
#ifndef TALLY_H
#define TALLY_H

#include <kirim/kirim.h>
#include <kirim/layer.h>
#include <kirim/retransmit.h>

/* ---- messages (tally_wire.c) ----------------------------------------------------------------- */

enum { TALLY_ADD = 1, TALLY_TOTAL = 2, TALLY_BYTES = 7 };

struct tally_message {
    uint8_t kind;
    uint16_t number;
    uint32_t count;
};

void tally_write(const struct tally_message *m, uint8_t out[TALLY_BYTES]);

/* False: these bytes are no message. */
bool tally_read(const uint8_t *data, size_t bytes, struct tally_message *out);

/* ---- the collector's end (tally_collector.c) ------------------------------------------------- */

/* A layer that adds up what one sensor sends. */
const struct kirim_layer_type *tally_collector(void);
uint32_t tally_collector_total(struct kirim_layer *layer);

/* ---- patience (tally_patience.c) ------------------------------------------------------------- */

/* Says something until it is answered, or closes the stack. */
struct tally_patience {
    struct kirim_layer *layer;
    void (*say)(struct kirim_layer *layer);
    struct kirim_path path;
    struct kirim_retransmit message;
    struct kirim_timer timer;
};

void tally_patience_init(struct tally_patience *p, struct kirim_layer *layer,
                         void (*say)(struct kirim_layer *layer));
void tally_patience_begin(struct tally_patience *p);
void tally_patience_end(struct tally_patience *p);

/* ---- the sensor's end (tally_sensor.c) ------------------------------------------------------- */

/* What a sensor tells its program. */
struct tally_sensor_config {
    void (*told)(void *user, uint32_t total); /* the collector has counted so much */
    void (*ended)(void *user, kirim_err why); /* the last call */
    void *user;
};

/* A layer that sends pulses until they are counted; its configuration is the above. */
const struct kirim_layer_type *tally_sensor(void);
void tally_sensor_add(struct kirim_layer *layer, uint32_t count);

/* ---- the cookie (tally_door.c) --------------------------------------------------------------- */

/* What the collector's answer to a stranger begins with; the token is behind it. */
extern const uint8_t tally_retry[1];

/* The layers below the sensor and below the collector. */
const struct kirim_layer_type *tally_knock(void);
const struct kirim_layer_type *tally_door(void);

#endif
