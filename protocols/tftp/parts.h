/* SPDX-License-Identifier: MIT
 *
 * What transfer.c, sender.c, receiver.c and server.c share: the steps of a transfer. One thread.
 */
#ifndef KI_TFTP_PARTS_H
#define KI_TFTP_PARTS_H

#include "transfer.h"

/* Messages that wait to be sent before any DATA. */
enum { KI_TFTP_NOTHING = 0, KI_TFTP_REQUEST, KI_TFTP_OFFER, KI_TFTP_ACKNOWLEDGE, KI_TFTP_FAILURE };

/* Both ends begin here: nothing agreed on yet, nothing moved. */
void ki_tftp_init(struct kirim_tftp_transfer *t, const struct kirim_tftp_storage *storage,
                  uint64_t give_up_ns, uint64_t now_ns);

/* The options that hold from now on. */
void ki_tftp_agree(struct kirim_tftp_transfer *t, const struct kirim_tftp_options *options);

/* Something new came, or went through. */
void ki_tftp_note_progress(struct kirim_tftp_transfer *t, uint64_t now_ns);

/* From now on the next answer is awaited. */
void ki_tftp_await(struct kirim_tftp_transfer *t, uint64_t now_ns);

/* Closes the file of a transfer; one that was written vanishes. */
void ki_tftp_drop_file(struct kirim_tftp_transfer *t);

/* Nothing more will happen. */
void ki_tftp_finish(struct kirim_tftp_transfer *t);

/* sender.c: blocks go out. */
void ki_tftp_sender_start(struct kirim_tftp_transfer *t);
bool ki_tftp_sender_has_data(const struct kirim_tftp_transfer *t);
kirim_err ki_tftp_sender_write(struct kirim_tftp_transfer *t, struct kirim_tftp_room *out,
                               uint64_t now_ns);
void ki_tftp_sender_ack(struct kirim_tftp_transfer *t, uint16_t block, uint64_t now_ns);
void ki_tftp_sender_expire(struct kirim_tftp_transfer *t, uint64_t now_ns);

/* receiver.c: blocks come in. */
void ki_tftp_receiver_start(struct kirim_tftp_transfer *t, bool owes_ack, uint64_t now_ns);
void ki_tftp_receiver_data(struct kirim_tftp_transfer *t, const struct kirim_tftp_packet *packet,
                           uint64_t now_ns);
void ki_tftp_receiver_note_ack(struct kirim_tftp_transfer *t, uint64_t now_ns);
void ki_tftp_receiver_expire(struct kirim_tftp_transfer *t);

#endif
