/* SPDX-License-Identifier: MIT
 *
 * OpenSSL's clock and random bytes, as a simulated world has them.
 *
 * OpenSSL asks the C library for the time. This program has its own gettimeofday() and time(),
 * which the dynamic linker finds before the C library's, so that OpenSSL lives in the virtual time
 * of the world; and its random bytes are a stream that depends on the seed alone. That makes runs
 * of one seed equal, byte for byte. One thread.
 */
#ifndef DTLS_CLOCK_H
#define DTLS_CLOCK_H

#include <kirim/sim.h>

/* From here on it is 2025-01-01, and as much later as the world's clock says. NULL: the system's
 * time again. */
void clock_follow(struct kirim_sim *sim);

/* How often OpenSSL has asked. */
uint64_t clock_asked(void);

/* Begins the stream of random bytes of a seed. */
void random_begin(uint64_t seed);

#endif
