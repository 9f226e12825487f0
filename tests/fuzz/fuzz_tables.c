/* SPDX-License-Identifier: MIT
 *
 * Any bytes as what happens to the tables that a peer can touch: answers with any id to a
 * transaction table, requests with any id to a duplicate cache, numbers to a replay window; and any
 * first bytes to a table of protocols. What the tables say agrees with lists that are searched from
 * end to end.
 */
#include <string.h>

#include "fuzz.h"

#include <kirim/duplicate.h>
#include <kirim/mux.h>
#include <kirim/replay.h>
#include <kirim/transaction.h>

enum { SLOT_COUNT = 6, OPEN_MAX = 4, WORD_COUNT = 2, WINDOW = 64, HISTORY_MAX = 4096 };

struct tables {
    struct kirim_transactions transactions;
    struct kirim_transaction_slot transaction_slots[SLOT_COUNT];
    uint64_t open[OPEN_MAX];
    size_t open_count;
    struct kirim_duplicates duplicates;
    struct kirim_duplicate_slot duplicate_slots[SLOT_COUNT];
    uint8_t answers[SLOT_COUNT * 2];
    struct kirim_replay replay;
    uint64_t words[WORD_COUNT];
    uint64_t history[HISTORY_MAX];
    size_t history_count;
    uint64_t now_ns;
};

static struct kirim_addr addr_of(uint8_t byte)
{
    const uint8_t host[4] = { 192, 0, 2, (uint8_t)(byte & 1) };
    return kirim_addr_ipv4(host, 7000);
}

static void open_tables(struct tables *t)
{
    struct kirim_transactions_options options = KIRIM_TRANSACTIONS_OPTIONS_INIT;
    const struct kirim_duplicates_options duplicates = { .slots = t->duplicate_slots,
                                                         .slot_count = SLOT_COUNT,
                                                         .answer_bytes_max = 2,
                                                         .answers = t->answers,
                                                         .peer_slot_max = 2 };
    memset(t, 0, sizeof *t);
    options.slots = t->transaction_slots;
    options.slot_count = SLOT_COUNT;
    options.open_max = OPEN_MAX;
    options.id_bits = 8;
    options.remember_ns = 100;
    FUZZ_CLAIM(kirim_transactions_init(&t->transactions, &options) == KIRIM_OK);
    FUZZ_CLAIM(kirim_duplicates_init(&t->duplicates, &duplicates) == KIRIM_OK);
    FUZZ_CLAIM(kirim_replay_init(&t->replay, t->words, WORD_COUNT) == KIRIM_OK);
}

static size_t find_open(const struct tables *t, uint64_t id)
{
    size_t i = 0;
    while (i < t->open_count && t->open[i] != id) {
        i++;
    }
    return i;
}

static void remove_open(struct tables *t, size_t i)
{
    t->open_count--;
    t->open[i] = t->open[t->open_count];
}

static void begin(struct tables *t, uint8_t byte)
{
    const struct kirim_addr peer = addr_of(0);
    uint64_t id = 0;
    const kirim_err err =
        kirim_transactions_begin(&t->transactions, &peer, t->now_ns + byte, t, &id);
    FUZZ_CLAIM(err == (t->open_count < OPEN_MAX ? KIRIM_OK : KIRIM_EWOULDBLOCK));
    if (err == KIRIM_OK) {
        FUZZ_CLAIM(find_open(t, id) == t->open_count);
        t->open[t->open_count++] = id;
    }
}

static void answer(struct tables *t, uint8_t from, uint64_t id)
{
    const struct kirim_addr peer = addr_of(from);
    void *user = NULL;
    const size_t i = find_open(t, id);
    const int verdict = kirim_transactions_judge(&t->transactions, &peer, id, &user);
    FUZZ_CLAIM((verdict == KIRIM_ANSWER_AWAITED) == (i < t->open_count && (from & 1) == 0));
    FUZZ_CLAIM((user != NULL) == (verdict == KIRIM_ANSWER_AWAITED));
    if (verdict == KIRIM_ANSWER_AWAITED) {
        FUZZ_CLAIM(kirim_transactions_answer(&t->transactions, id, t->now_ns) == KIRIM_OK);
        remove_open(t, i);
    }
}

static void pass_time(struct tables *t, uint8_t byte)
{
    uint64_t id = 0;
    void *user = NULL;
    t->now_ns += byte;
    while (kirim_transactions_expire(&t->transactions, t->now_ns, &user, &id)) {
        const size_t i = find_open(t, id);
        FUZZ_CLAIM(i < t->open_count);
        remove_open(t, i);
    }
    FUZZ_CLAIM(kirim_transactions_deadline(&t->transactions) > t->now_ns);
    FUZZ_CLAIM(t->transactions.open_count == t->open_count);
}

static void request(struct tables *t, uint8_t what, uint8_t id)
{
    const struct kirim_request r = { .peer = addr_of(what), .id = id, .lifetime_ns = 50 };
    const uint8_t *kept = NULL;
    size_t bytes = 0;
    const int verdict = kirim_duplicates_see(&t->duplicates, &r, t->now_ns, &kept, &bytes);
    FUZZ_CLAIM(verdict >= KIRIM_REQUEST_NEW && verdict <= KIRIM_REQUEST_UNKEPT);
    if (verdict == KIRIM_REQUEST_ANSWERED) {
        FUZZ_CLAIM(bytes == 2 && kept[0] == id && kept[1] == (what & 1));
    } else if (verdict == KIRIM_REQUEST_NEW) {
        const uint8_t data[3] = { id, (uint8_t)(what & 1), 0 };
        const size_t length = id % 5 == 0 ? 3 : 2;
        FUZZ_CLAIM(kirim_duplicates_answer(&t->duplicates, &r, data, length) ==
                   (length == 2 ? KIRIM_OK : KIRIM_EMSGSIZE));
        FUZZ_CLAIM(kirim_duplicates_see(&t->duplicates, &r, t->now_ns, &kept, &bytes) ==
                   (length == 2 ? KIRIM_REQUEST_ANSWERED : KIRIM_REQUEST_UNKEPT));
    }
}

static void accept(struct tables *t, uint8_t high, uint8_t low)
{
    const uint64_t number = ((uint64_t)high << 8 | low) << (high % 3 * 20);
    int expected = KIRIM_REPLAY_NEW;
    uint64_t next = 0;
    for (size_t i = 0; i < t->history_count; i++) {
        next = t->history[i] >= next ? t->history[i] + 1 : next;
        expected = t->history[i] == number ? KIRIM_REPLAY_DUPLICATE : expected;
    }
    expected = number < next && next - number > WINDOW ? KIRIM_REPLAY_TOO_OLD : expected;
    FUZZ_CLAIM(kirim_replay_accept(&t->replay, number) == expected);
    if (expected == KIRIM_REPLAY_NEW) {
        t->history[t->history_count++] = number;
    }
}

/* Ranges of first bytes, three bytes each, given out one after the other; then whose each is. */
static void sort_by_mux(const uint8_t *data, size_t bytes)
{
    struct kirim_mux mux = { { 0 } };
    uint8_t wanted[256] = { 0 };
    for (size_t i = 0; i + 2 < bytes; i += 3) {
        const uint8_t first = data[i], last = data[i + 1], protocol = data[i + 2];
        kirim_err err = first > last || protocol == KIRIM_MUX_NONE ? KIRIM_EINVAL : KIRIM_OK;
        for (unsigned byte = first; err != KIRIM_EINVAL && byte <= last; byte++) {
            const bool is_taken = wanted[byte] != KIRIM_MUX_NONE && wanted[byte] != protocol;
            err = is_taken ? KIRIM_EEXIST : err;
        }
        FUZZ_CLAIM(kirim_mux_add(&mux, first, last, protocol) == err);
        for (unsigned byte = first; err == KIRIM_OK && byte <= last; byte++) {
            wanted[byte] = protocol;
        }
    }
    FUZZ_CLAIM(memcmp(mux.protocol, wanted, sizeof wanted) == 0);
    for (size_t i = 0; i < bytes; i++) {
        const uint8_t own = wanted[data[i]];
        const bool is_rtcp = own == KIRIM_MUX_RTP && i + 1 < bytes && data[i + 1] >> 5 == 6;
        FUZZ_CLAIM(kirim_mux_find(&mux, data + i, bytes - i) == (is_rtcp ? KIRIM_MUX_RTCP : own));
    }
    FUZZ_CLAIM(kirim_mux_find(&mux, data, 0) == KIRIM_MUX_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct tables t;
    open_tables(&t);
    sort_by_mux(data, bytes);
    for (size_t i = 0; i + 2 < bytes && t.history_count < HISTORY_MAX; i += 3) {
        switch (data[i] % 6) {
        case 0:
            begin(&t, data[i + 1]);
            break;
        case 1:
            answer(&t, data[i + 1], data[i + 2]);
            break;
        case 2:
            answer(&t, data[i + 1], t.open_count > 0 ? t.open[data[i + 2] % t.open_count] : 0);
            break;
        case 3:
            pass_time(&t, data[i + 1]);
            break;
        case 4:
            request(&t, data[i + 1], data[i + 2]);
            break;
        default:
            accept(&t, data[i + 1], data[i + 2]);
            break;
        }
    }
    return 0;
}
