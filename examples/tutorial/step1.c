/* SPDX-License-Identifier: MIT
 *
 * Step 1 of docs/tutorial.md: one message there, one back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tally.h"

static uint32_t total;

/* The collector: counts, and turns each ADD into its TOTAL where it lies. */
static void on_add(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    (void)user;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        struct tally_message m;
        if (tally_read(d->data, d->bytes, &m) && m.kind == TALLY_ADD) {
            total += m.count;
            m.kind = TALLY_TOTAL;
            m.count = total;
            tally_write(&m, d->data);
            (void)kirim_endpoint_reply(ep, d, 1, NULL);
        }
    }
}

/* The sensor: prints the answer, and that is all. */
static void on_total(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    const struct kirim_datagram *d = kirim_batch_at(batch, 0);
    struct tally_message m;
    (void)user;
    if (tally_read(d->data, d->bytes, &m) && m.kind == TALLY_TOTAL) {
        printf("the collector has counted %" PRIu32 "\n", m.count);
        kirim_loop_stop(kirim_endpoint_loop(ep));
    }
}

static void must(kirim_err err)
{
    if (err < 0) {
        fprintf(stderr, "%s\n", kirim_err_text(err));
        exit(1);
    }
}

int main(void)
{
    static const struct kirim_handler collector = { KIRIM_HANDLER_INIT, .received = on_add };
    static const struct kirim_handler sensor = { KIRIM_HANDLER_INIT, .received = on_total };
    const struct tally_message add = { TALLY_ADD, 1, 3 };
    uint8_t bytes[TALLY_BYTES];
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_endpoint *collector_ep, *sensor_ep;
    struct kirim_loop *loop;
    must(kirim_loop_open(NULL, &loop));

    must(kirim_addr_parse("127.0.0.1:0", &options.local)); /* port 0: the system chooses one */
    options.handler = &collector;
    must(kirim_endpoint_open(loop, &options, &collector_ep));

    options.handler = &sensor;
    options.peer = kirim_endpoint_local(collector_ep);
    must(kirim_endpoint_open(loop, &options, &sensor_ep));

    tally_write(&add, bytes);
    must(kirim_endpoint_send_to(sensor_ep, bytes, sizeof bytes, NULL));
    must(kirim_loop_run(loop));
    must(kirim_loop_close(loop));
    return 0;
}
