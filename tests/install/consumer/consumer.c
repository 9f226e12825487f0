/* SPDX-License-Identifier: MIT
 *
 * A small program on the installed library: says which version it was compiled with and which
 * reactors it has, and sends itself one datagram. Fails if the library is another version.
 */
#include <stdio.h>
#include <string.h>

#include <kirim/kirim.h>

static void stop(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    *(size_t *)user += batch->count;
    kirim_loop_stop(kirim_endpoint_loop(ep));
}

static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = stop };

static kirim_err exchange(struct kirim_loop *loop, size_t *received)
{
    struct kirim_endpoint *ep;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    kirim_err err = kirim_addr_parse("127.0.0.1:0", &options.local);
    if (err < 0) {
        return err;
    }
    options.handler = &handler;
    options.user = received;
    err = kirim_endpoint_open(loop, &options, &ep);
    if (err < 0) {
        return err;
    }
    const struct kirim_addr here = kirim_endpoint_local(ep);
    err = kirim_endpoint_send_to(ep, "hello", 5, &here);
    return err < 0 ? err : kirim_loop_run(loop);
}

int main(void)
{
    char compiled[32];
    (void)snprintf(compiled, sizeof compiled, "%d.%d.%d", KIRIM_VERSION_MAJOR, KIRIM_VERSION_MINOR,
                   KIRIM_VERSION_PATCH);
    (void)printf("kirim %s, reactors:", compiled);
    for (size_t i = 0; kirim_reactor_name(i) != NULL; i++) {
        (void)printf(" %s", kirim_reactor_name(i));
    }
    struct kirim_loop *loop;
    size_t received = 0;
    kirim_err err = kirim_loop_open(NULL, &loop);
    if (err == KIRIM_OK) {
        err = exchange(loop, &received);
        kirim_loop_close(loop);
    }
    (void)printf("\nreceived %zu: %s\n", received, kirim_err_text(err));
    return strcmp(compiled, kirim_version()) == 0 && received == 1 ? 0 : 1;
}
