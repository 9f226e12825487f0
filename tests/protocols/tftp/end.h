/* SPDX-License-Identifier: MIT
 *
 * One end of a transfer, driven by hand: a test says what arrives and how late it is, and looks at
 * what is sent. The file is always "f", the mode octet. One thread.
 */
#ifndef TFTP_END_H
#define TFTP_END_H

#include "kit.h"

enum { END_ROOM_BYTES = 65536 };

/* One end, driven by hand. */
struct end {
    struct kit_store store;
    struct kirim_tftp_server server;
    struct kirim_tftp_transfer t;
    uint8_t out[END_ROOM_BYTES];
    size_t out_bytes;
    uint64_t now;
};

extern const struct kirim_tftp_options end_no_options, end_window4;

/* An end that is neither yet, with an empty storage, at one second. */
void end_init(struct end *e);

/* A server that was asked, also for netascii, or a client that asks. */
void end_serve(struct end *e, uint16_t kind, struct kirim_tftp_options options);
void end_serve_text(struct end *e, uint16_t kind, struct kirim_tftp_options options);
void end_ask(struct end *e, uint16_t kind, struct kirim_tftp_options options);

/* Takes the next message into `out`; false: there is none. */
bool end_take(struct end *e);

/* The next message is of this kind and has this number, or there is none. */
void end_expect(struct end *e, unsigned kind, unsigned number);
void end_expect_silence(struct end *e);

/* A message arrives: of this kind and number with so many bytes behind, these bytes, or an ACK. */
void end_give(struct end *e, unsigned kind, unsigned number, size_t bytes);
void end_give_text(struct end *e, const char *data, size_t bytes);
void end_ack(struct end *e, unsigned block);

/* The deadline passes. */
void end_expire(struct end *e);

#endif
