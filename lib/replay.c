/* SPDX-License-Identifier: MIT
 *
 * The replay window: a ring of words, in which number n has bit n % 64 of word n / 64 % count. The
 * words from that of the highest number back to the first of the window are valid; one more may be
 * half in use. Owns nothing. One thread at a time. Source: RFC 6479.
 */
#include <kirim/replay.h>

#include <string.h>

enum { WORD_BITS = 64 };

kirim_err kirim_replay_init(struct kirim_replay *replay, uint64_t *words, uint32_t word_count)
{
    if (words == NULL || word_count < KIRIM_REPLAY_WORDS_MIN ||
        word_count > KIRIM_REPLAY_WORDS_MAX) {
        return KIRIM_EINVAL;
    }
    *replay = (struct kirim_replay){ .ki_word = words, .ki_word_count = word_count };
    memset(words, 0, word_count * sizeof *words);
    return KIRIM_OK;
}

static uint64_t *word_of(const struct kirim_replay *replay, uint64_t number)
{
    return &replay->ki_word[number / WORD_BITS % replay->ki_word_count];
}

static uint64_t bit_of(uint64_t number)
{
    return UINT64_C(1) << (number % WORD_BITS);
}

int kirim_replay_judge(const struct kirim_replay *replay, uint64_t number)
{
    const uint64_t window = (uint64_t)(replay->ki_word_count - 1) * WORD_BITS;
    if (number == UINT64_MAX) {
        return KIRIM_REPLAY_TOO_OLD;
    }
    if (number >= replay->next) {
        return KIRIM_REPLAY_NEW;
    }
    if (replay->next - number > window) {
        return KIRIM_REPLAY_TOO_OLD;
    }
    return (*word_of(replay, number) & bit_of(number)) != 0 ? KIRIM_REPLAY_DUPLICATE
                                                            : KIRIM_REPLAY_NEW;
}

/* Empties the words that the window enters; the one of the number before `next` is in use. */
static void move_window(struct kirim_replay *replay, uint64_t number)
{
    const uint64_t first = replay->next == 0 ? 0 : (replay->next - 1) / WORD_BITS;
    const uint64_t passed = number / WORD_BITS - first;
    const uint64_t count = passed < replay->ki_word_count ? passed : replay->ki_word_count;
    for (uint64_t i = 1; i <= count; i++) {
        replay->ki_word[(first + i) % replay->ki_word_count] = 0;
    }
    replay->next = number + 1;
}

int kirim_replay_accept(struct kirim_replay *replay, uint64_t number)
{
    const int verdict = kirim_replay_judge(replay, number);
    if (verdict != KIRIM_REPLAY_NEW) {
        return verdict;
    }
    if (number >= replay->next) {
        move_window(replay, number);
    }
    *word_of(replay, number) |= bit_of(number);
    return KIRIM_REPLAY_NEW;
}
