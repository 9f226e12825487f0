/* SPDX-License-Identifier: MIT
 *
 * A client's transfer: see tftp_endpoint.h.
 */
#include "endpoint_parts.h"

static void note_moved(struct kirim_tftp_client *client)
{
    const int state = client->link.transfer.state;
    if (client->moved_ns == 0 && (state == KIRIM_TFTP_LINGERING || state == KIRIM_TFTP_DONE)) {
        client->moved_ns = kirim_loop_now(client->link.loop);
    }
}

static struct kirim_tftp_client *client_of(struct kirim_tftp_link *link)
{
    return (struct kirim_tftp_client *)(void *)((char *)link -
                                                offsetof(struct kirim_tftp_client, link));
}

static void on_answers(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    ki_tftp_link_received(ep, batch, user);
    note_moved(client_of(user));
}

static void on_client_closed(struct kirim_endpoint *ep, void *user)
{
    struct kirim_tftp_link *const link = user;
    struct kirim_tftp_client *const client = client_of(link);
    (void)ep;
    link->endpoint = NULL;
    kirim_tftp_transfer_fail(&link->transfer, KIRIM_EABORTED, false);
    note_moved(client);
    client->done(client);
}

static const struct kirim_handler client_handler = {
    KIRIM_HANDLER_INIT,
    .received = on_answers,
    .writable = ki_tftp_link_writable,
    .failed = ki_tftp_link_failed,
    .closed = on_client_closed,
};

kirim_err kirim_tftp_client_start(struct kirim_tftp_client *client, struct kirim_loop *loop,
                                  const struct kirim_addr *server,
                                  const struct kirim_tftp_client_options *options)
{
    static const uint8_t zeros[16] = { 0 };
    if (client == NULL || loop == NULL || server == NULL || options == NULL ||
        client->done == NULL || kirim_addr_port(server) == 0) {
        return KIRIM_EINVAL;
    }
    struct kirim_tftp_link *const link = &client->link;
    *link = (struct kirim_tftp_link){ .peer = *server, .ask_port = kirim_addr_port(server) };
    kirim_addr_set_port(&link->peer, 0);
    kirim_err err = kirim_tftp_transfer_ask(&link->transfer, options, kirim_loop_now(loop));
    if (err < 0) {
        return err;
    }
    const struct kirim_tftp_options *const wanted = &options->request.options;
    const uint32_t blksize = (wanted->has & KIRIM_TFTP_HAS_BLKSIZE) != 0
                                 ? wanted->blksize
                                 : (uint32_t)KIRIM_TFTP_BLOCK_BYTES;
    const bool is_get = options->request.kind == KIRIM_TFTP_RRQ;
    const bool has_window = is_get && (wanted->has & KIRIM_TFTP_HAS_WINDOWSIZE) != 0;
    const struct kirim_addr local = kirim_addr_family(server) == KIRIM_IPV4
                                        ? kirim_addr_ipv4(zeros, 0)
                                        : kirim_addr_ipv6(zeros, 0, 0);
    err = ki_tftp_link_open(link, loop, &local, blksize, has_window ? wanted->windowsize : 1,
                            &client_handler);
    if (err < 0) {
        kirim_tftp_transfer_fail(&link->transfer, err, false);
        return err;
    }
    if (has_window) {
        ki_tftp_link_fit_window(link, blksize);
    }
    client->started_ns = kirim_loop_now(loop);
    client->moved_ns = 0;
    ki_tftp_link_pump(link);
    return KIRIM_OK;
}

void kirim_tftp_client_cancel(struct kirim_tftp_client *client)
{
    if (client->link.endpoint != NULL) {
        kirim_tftp_transfer_fail(&client->link.transfer, KIRIM_EABORTED, true);
        ki_tftp_link_pump(&client->link);
    }
}
