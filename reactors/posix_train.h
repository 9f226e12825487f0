/* SPDX-License-Identifier: MIT
 *
 * Segmentation and receive offload of the POSIX reactors: what the system can do, and switching it
 * on for a port. What makes trains is in posix_tx.c, what cuts them in posix_rx.c. Loop thread.
 * Sources: udp(7) (UDP_SEGMENT, UDP_GRO), cmsg(3).
 */
#ifndef KI_POSIX_TRAIN_H
#define KI_POSIX_TRAIN_H

#include "posix_socket.h"

/* Finds out what the system and the environment (KIRIM_GSO, KIRIM_GRO) permit. What cannot be found
 * out is not used; never fails. */
void ki_posix_train_probe(struct ki_posix *r, uint32_t *caps);

/* Sets a port up for trains both ways, as far as it wants them. */
void ki_posix_train_open(const struct ki_posix *r, struct ki_posix_port *p,
                         struct ki_posix_setup *setup);

#endif
