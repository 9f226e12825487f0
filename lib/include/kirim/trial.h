/* SPDX-License-Identifier: MIT
 *
 * Trials: one scenario in the simulated network, with many seeds.
 *
 * A scenario opens a world with the seed it is given (kirim/sim.h), runs it, and says what it did
 * not find as it should be. kirim_trials_run() runs it with one seed after the other, each twice if
 * asked, for equal seeds must give equal runs; a seed that fails gets one line, which is the
 * command that runs it again:
 *
 *     KIRIM_SEED=19 build/bin/sim_storm  # 11 answers of 20 (digest 4e1f..., 1731 ms)
 *
 * Four variables of the environment choose what is run, without a word of the program: KIRIM_SEED
 * (this seed alone), KIRIM_SEEDS (so many, from the first on), KIRIM_TRIAL (the trials of this name
 * alone, for programs that have several), KIRIM_PCAP (a file: what every host saw of the first seed
 * that fails, or of the only one). Uses the C library's environment and streams; no framework for
 * tests is needed, and any will do. Described in docs/simulator.md. One thread at a time.
 */
#ifndef KIRIM_TRIAL_H
#define KIRIM_TRIAL_H

#include <kirim/config.h>
#include <kirim/error.h>
#include <kirim/sim.h>

/** The run of one seed, as the scenario knows it. */
struct kirim_trial;

/**
 * @brief A scenario: opens its world, runs it, says what is wrong, closes all that it opened.
 *
 * What it does may depend on the seed and on what is the same each time, and on nothing else.
 */
typedef void (*kirim_trial_fn)(struct kirim_trial *trial, void *user);

/** Takes a line, without its end. */
typedef void (*kirim_trial_print_fn)(void *user, const char *line);

/** What to run; start from KIRIM_TRIALS_OPTIONS_INIT. */
struct kirim_trials_options {
    size_t size;         /**< sizeof, set by the INIT macro. */
    const char *name;    /**< Of these trials, for KIRIM_TRIAL; NULL: they have none. */
    const char *command; /**< How this program was called: argv joined by spaces, say. NULL: it is
                              left out of the lines. */
    uint64_t first_seed; /**< The seeds are this one and those behind it. */
    uint64_t seed_count; /**< How many, unless the environment says other ones. */
    bool is_twin;        /**< Runs each seed twice and compares the digests. */
    kirim_trial_print_fn print; /**< Gets the lines; NULL: they go to stderr. */
    void *print_user;           /**< First argument of `print`. */
    const char *capture;        /**< As KIRIM_PCAP, which goes before it; NULL: no capture. */
};

/** Initialises options: seeds 1 to 50, each twice. */
#define KIRIM_TRIALS_OPTIONS_INIT                                                      \
    {                                                                                  \
        sizeof(struct kirim_trials_options), NULL, NULL, 1, 50, true, NULL, NULL, NULL \
    }

/** What came of them. */
struct kirim_trials_result {
    size_t size;           /**< sizeof, set by KIRIM_TRIALS_RESULT_INIT. */
    uint64_t run_count;    /**< Seeds that were run. */
    uint64_t failed_count; /**< Of them, those that failed. */
    uint64_t first_failed; /**< The first of these; 0 if there is none. */
    uint64_t digest;       /**< Of the digests of all seeds. */
};

/** Initialises the structure for kirim_trials_run(). */
#define KIRIM_TRIALS_RESULT_INIT                       \
    {                                                  \
        sizeof(struct kirim_trials_result), 0, 0, 0, 0 \
    }

/** What a scenario expects; what is not so fails the trial, which goes on. */
#define KIRIM_TRIAL_EXPECT(trial, claim) \
    ((claim) ? (void)0 : kirim_trial_fail((trial), #claim, __FILE__, __LINE__))

KIRIM_BEGIN_DECLS

/**
 * @brief Runs a scenario with its seeds.
 *
 * @param options  Read during the call; NULL for defaults.
 * @param run      The scenario.
 * @param user     Its second argument.
 * @param out      Initialised with KIRIM_TRIALS_RESULT_INIT, or NULL.
 * @retval KIRIM_OK        All seeds were run and none failed, or the environment asks for trials of
 *                         another name, and none was run.
 * @retval KIRIM_EABORTED  Seeds have failed; each has its line.
 * @retval KIRIM_EINVAL    NULL, a size that no version had, or a variable of the environment that
 *                         is no number; it has a line. Nothing was run.
 * @note Any thread.
 */
KIRIM_API kirim_err kirim_trials_run(const struct kirim_trials_options *options, kirim_trial_fn run,
                                     void *user, struct kirim_trials_result *out);

/** @brief The seed of this trial. The thread that runs it. */
KIRIM_API uint64_t kirim_trial_seed(const struct kirim_trial *trial);

/**
 * @brief Makes a world that of the trial: its digest is compared, and it is captured if that was
 *        asked for. To be called before anything happens there; the scenario closes the world.
 *
 * @param trial  The trial.
 * @param sim    The world. A trial may have several, one after the other or at one time; the
 *               capture is of the first.
 * @retval KIRIM_OK      It is; without a capture too, if the file cannot be written: that fails the
 *                       trial.
 * @retval KIRIM_EINVAL  NULL.
 * @retval KIRIM_EBUSY   The world is watched already.
 * @note The thread that runs the trial.
 */
KIRIM_API kirim_err kirim_trial_join(struct kirim_trial *trial, struct kirim_sim *sim);

/**
 * @brief Opens a world with the trial's seed and makes it the trial's.
 *
 * @param trial    The trial.
 * @param options  As of kirim_sim_open(), but for the seed; NULL for defaults.
 * @param out      The world; written on success only. The scenario closes it.
 * @return As kirim_sim_open().
 * @note The thread that runs the trial.
 */
KIRIM_API kirim_err kirim_trial_open(struct kirim_trial *trial,
                                     const struct kirim_sim_options *options,
                                     struct kirim_sim **out);

/**
 * @brief Says that something is not as it should be: the trial has failed. The first word counts.
 *
 * @param trial  The trial.
 * @param text   What is wrong; copied, up to 200 bytes.
 * @param file   Where that was found, or NULL.
 * @param line   The line there.
 * @note The thread that runs the trial. See KIRIM_TRIAL_EXPECT().
 */
KIRIM_API void kirim_trial_fail(struct kirim_trial *trial, const char *text, const char *file,
                                int line);

/**
 * @brief Puts into the trial's digest what was found at an end of the protocol: a message that it
 *        handed over, how a transfer ended. The digest of a world covers the network alone.
 *
 * @param trial   The trial.
 * @param number  What it is, or all there is to say: a stream, an error.
 * @param data    More of it, read during the call; NULL if there is none. Its bytes count, so it
 *                must be the same on every machine: no structure of the compiler's, no address.
 * @param bytes   So many.
 * @note The thread that runs the trial.
 */
KIRIM_API void kirim_trial_note(struct kirim_trial *trial, uint64_t number, const void *data,
                                size_t bytes);

/** @brief Whether the trial has failed so far. The thread that runs it. */
KIRIM_API bool kirim_trial_has_failed(const struct kirim_trial *trial);

KIRIM_END_DECLS

#endif
