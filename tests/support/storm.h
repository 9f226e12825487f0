/* SPDX-License-Identifier: MIT
 *
 * Storms: claims about a protocol over a bad network, with many seeds, each of them run twice
 * (kirim/trial.h). The environment chooses the seeds and asks for a capture:
 *
 *     bin/test_X                                        seeds 1 .. STORM_SEEDS
 *     KIRIM_SEEDS=1000 bin/test_X                       seeds 1 .. 1000
 *     KIRIM_SEED=731 KIRIM_PCAP=731.pcapng bin/test_X   seed 731 alone, and what every host saw
 *
 * A seed that fails has the line that runs it again. It may fail by KIRIM_TRIAL_EXPECT(), which
 * goes on, and by an assertion of Check, here or in a callback, which ends this run of the seed,
 * not the claim; what was open then stays so. Of a program that dies Check names the seed. One
 * thread, and one storm at a time.
 */
#ifndef TEST_STORM_H
#define TEST_STORM_H

#include <kirim/trial.h>

#include "support/claims.h"

enum { STORM_SEEDS = 50 };

/* Runs the claims of a suite that has a storm; returns what main() returns. */
int storm_main(int argc, char **argv, const char *name, const struct kit_claim *claims);

/* Runs a scenario with all seeds, and checks that none has failed. Returns how many there were:
 * fewer than STORM_SEEDS say nothing about the sum of all. */
uint64_t storm_run(kirim_trial_fn run, void *user);

/* Makes a world the storm's: for its digest and its capture. Outside of a storm it is no one's. */
void storm_join(struct kirim_sim *sim);

/* Puts into the storm's digest what came out at an end, see kirim_trial_note(). */
void storm_note(uint64_t number, const void *data, size_t bytes);

#endif
