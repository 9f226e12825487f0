/* SPDX-License-Identifier: MIT
 *
 * What link.c, table.c, service.c and client.c share. A link is a transfer with its endpoint and
 * timer; sessions of a service and clients are links. Loop thread only.
 */
#ifndef KI_TFTP_ENDPOINT_PARTS_H
#define KI_TFTP_ENDPOINT_PARTS_H

#include "tftp_endpoint.h"

/* Room for a datagram of an endpoint that expects no DATA. */
enum { KI_TFTP_SERVICE_DATAGRAM_BYTES = 1024 };

/* The transfers of one prefix. */
struct kirim_tftp_prefix {
    struct kirim_tftp_prefix *next; /* of its bucket */
    uint64_t word;
    uint32_t count;
};

/* A transfer of a service. */
struct kirim_tftp_session {
    struct kirim_tftp_link link;
    struct kirim_tftp_service *service;
    struct kirim_tftp_session *next; /* of its bucket */
    struct kirim_tftp_prefix *prefix;
    uint64_t request_digest;
    bool is_listed;
};

/* link.c. The callbacks are those of a link's endpoint, whose `user` it is. */
kirim_err ki_tftp_link_open(struct kirim_tftp_link *link, struct kirim_loop *loop,
                            const struct kirim_addr *local, uint32_t blksize, uint32_t window,
                            const struct kirim_handler *handler);
void ki_tftp_link_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user);
void ki_tftp_link_writable(struct kirim_endpoint *ep, void *user);
void ki_tftp_link_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user);

/* A window no larger than the buffer that the system gave. */
void ki_tftp_link_fit_window(struct kirim_tftp_link *link, uint32_t blksize);

/* Does what the transfer wants: send, wait, or end. */
void ki_tftp_link_pump(struct kirim_tftp_link *link);

/* Writes an ERROR that answers a datagram of at least 2 bytes from whoever says that he is there:
 * its text is cut, so that three times what came is not exceeded. */
void ki_tftp_write_answer(uint16_t code, const char *text, size_t asked_bytes,
                          struct kirim_tftp_room *out);

/* table.c: the sessions of a service by their peers. */

/* The transfer of this peer that is under way, or NULL. */
struct kirim_tftp_session *ki_tftp_find_session(const struct kirim_tftp_service *service,
                                                const struct kirim_addr *peer);
void ki_tftp_list_session(struct kirim_tftp_session *s);
void ki_tftp_unlist_session(struct kirim_tftp_session *s);

/* Transfers of the prefix of this peer. */
uint32_t ki_tftp_prefix_count(const struct kirim_tftp_service *service,
                              const struct kirim_addr *peer);

/* Counts a session for its peer's prefix; KIRIM_ENOMEM: there is no room to. */
kirim_err ki_tftp_count_prefix(struct kirim_tftp_session *s);
void ki_tftp_uncount_prefix(struct kirim_tftp_session *s);

#endif
