/* SPDX-License-Identifier: MIT
 *
 * Goodput of the channel, in one reliable-ordered stream: see goodput.h. Whoever sends prints at
 * its end what the channel has counted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <channel/channel_endpoint.h>
#include <kirim/kirim.h>

#include "goodput.h"

/* Half of what may wait is more than the path holds: a channel asks for more when half is free. */
enum { LOOK_MS = 20, BUFFER_BYTES = 1 << 20, SEND_BYTES = 4 << 20 };

static const uint64_t NS_PER_SECOND = 1000000000;
static const uint64_t NS_PER_MS = 1000000;

struct bench {
    struct goodput g;
    struct kirim_loop *loop;
    struct kirim_channel *channel; /* of who sends; NULL: it has ended */
    struct kirim_timer timer;
    uint64_t end_ns;
};

static void on_message(struct kirim_channel *channel, const struct kirim_channel_message *message,
                       void *user)
{
    struct bench *const b = user;
    (void)channel;
    goodput_add(&b->g, message->bytes);
}

static void fill(struct kirim_channel *channel, void *user)
{
    static char message[GOODPUT_MESSAGE_BYTES];
    kirim_err err = KIRIM_OK;
    (void)user;
    while (err == KIRIM_OK) {
        err = kirim_channel_send(channel, 0, KIRIM_CHANNEL_ORDERED, message, sizeof message);
    }
}

static void print_stats(const struct kirim_channel *channel)
{
    struct kirim_channel_stats s;
    kirim_channel_read_stats(channel, &s);
    (void)fprintf(stderr,
                  "channel packets=%" PRIu64 " lost=%" PRIu64 " resent_bytes=%" PRIu64
                  " timeouts=%" PRIu64 " congestion=%" PRIu64 " persistent=%" PRIu64
                  " black_holes=%" PRIu64 " window=%" PRIu64 " payload=%" PRIu64 "\n",
                  s.tx_packets, s.tx_lost, s.tx_resent_bytes, s.timeouts, s.congestion,
                  s.congestion_persistent, s.black_holes, s.window_bytes, s.payload_bytes);
}

static void on_closed(struct kirim_channel *channel, const struct kirim_channel_end *end,
                      void *user)
{
    struct bench *const b = user;
    (void)channel;
    b->channel = NULL;
    if (!b->g.is_server) {
        (void)fprintf(stderr, "channel ended: %s\n", kirim_err_name(end->err));
        kirim_loop_stop(b->loop);
    }
}

/* The end of the time, or SIGTERM. */
static void look(struct kirim_timer *timer)
{
    struct bench *const b = timer->user;
    if (b->g.is_server ? goodput_is_over() : kirim_loop_now(b->loop) >= b->end_ns) {
        if (b->channel != NULL) {
            print_stats(b->channel);
        }
        kirim_loop_stop(b->loop);
        return;
    }
    (void)kirim_timer_arm(b->loop, timer, kirim_loop_now(b->loop) + LOOK_MS * NS_PER_MS);
}

static kirim_err serve(struct bench *b, struct kirim_channel_listener *listener,
                       const struct kirim_channel_handler *handler)
{
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_listen_options options = KIRIM_CHANNEL_LISTEN_OPTIONS_INIT;
    kirim_err err = kirim_addr_parse(b->g.addr, &endpoint.local);
    kirim_addr_set_port(&endpoint.local, b->g.port);
    endpoint.receive_buffer_bytes = BUFFER_BYTES;
    options.endpoint = &endpoint;
    options.channel.handler = handler;
    options.user = b;
    if (err == KIRIM_OK) {
        err = kirim_channel_listen(listener, b->loop, &options);
    }
    if (err == KIRIM_OK) {
        goodput_say_ready(&b->g);
    }
    return err;
}

static kirim_err send_all(struct bench *b, const struct kirim_channel_handler *handler)
{
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_channel_open_options options = KIRIM_CHANNEL_OPEN_OPTIONS_INIT;
    kirim_err err = kirim_addr_parse(b->g.addr, &endpoint.peer);
    kirim_addr_set_port(&endpoint.peer, b->g.port);
    endpoint.receive_buffer_bytes = BUFFER_BYTES;
    options.endpoint = &endpoint;
    options.channel.handler = handler;
    options.channel.user = b;
    options.channel.send_bytes_max = SEND_BYTES;
    b->end_ns = kirim_loop_now(b->loop) + (b->g.seconds + GOODPUT_TAIL_SECONDS) * NS_PER_SECOND;
    if (err == KIRIM_OK) {
        err = kirim_channel_open(b->loop, &options, &b->channel);
    }
    return err;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    static struct kirim_channel_listener listener;
    const struct kirim_channel_handler handler = { KIRIM_CHANNEL_HANDLER_INIT, .ready = fill,
                                                   .received = on_message, .writable = fill,
                                                   .closed = on_closed };
    const struct kirim_channel_handler server_handler = { KIRIM_CHANNEL_HANDLER_INIT,
                                                          .received = on_message,
                                                          .closed = on_closed };
    const struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct bench *const b = &bench;
    goodput_parse(&b->g, argc, argv);
    kirim_err err = kirim_loop_open(&options, &b->loop);
    if (err == KIRIM_OK) {
        b->timer = (struct kirim_timer)KIRIM_TIMER_INIT(look, b);
        err = b->g.is_server ? serve(b, &listener, &server_handler) : send_all(b, &handler);
    }
    if (err == KIRIM_OK) {
        look(&b->timer);
        err = kirim_loop_run(b->loop);
    }
    if (err < 0) {
        goodput_fail(&b->g, kirim_err_name(err));
    }
    if (b->g.is_server) {
        goodput_print(&b->g);
    }
    (void)kirim_loop_close(b->loop);
    return EXIT_SUCCESS;
}
