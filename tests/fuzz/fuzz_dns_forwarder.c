/* SPDX-License-Identifier: MIT
 *
 * A forwarder, hostile clients, hostile servers and time. What it answers is well-formed and no
 * longer than asked for, memory keeps to its bounds and is all given back, and everybody who waits
 * is answered once.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/dns/forwarder.h"

#define SECOND UINT64_C(1000000000)

enum {
    PENDING_MAX = 4,
    WAITER_MAX = 8,
    /* What is done next, by a byte. */
    ASK_RAW = 0,
    ASK_KNOWN,
    END_RAW,
    END_ANSWER,
    END_NONE,
    GIVE_TIME,
    STEP_COUNT
};

struct run {
    struct kirim_dns_forwarder *forwarder;
    struct kirim_dns_pending *pending[PENDING_MAX];
    uint64_t now_ns;
    size_t answered;
};

static void check_reply(struct run *r, const struct kirim_dns_room *reply)
{
    struct kirim_dns_message message;
    const struct kirim_dns_span span = { reply->data, reply->bytes };
    if (reply->bytes > 0) {
        r->answered++;
        FUZZ_CLAIM(reply->bytes <= KIRIM_DNS_UDP_BYTES);
        FUZZ_CLAIM(kirim_dns_message_read(span, &message) == KIRIM_OK);
        FUZZ_CLAIM((message.flags & KIRIM_DNS_FLAG_QR) != 0);
        FUZZ_CLAIM((message.flags & (KIRIM_DNS_FLAG_AA | KIRIM_DNS_FLAG_AD)) == 0);
    }
}

/* Answers those who wait no longer. */
static void tell(struct run *r)
{
    while (kirim_dns_forwarder_next(r->forwarder) != NULL) {
        uint8_t data[KIRIM_DNS_UDP_BYTES];
        struct kirim_dns_room reply = { data, sizeof data, 0 };
        kirim_dns_forwarder_write(r->forwarder, &reply);
        FUZZ_CLAIM(reply.bytes > 0);
        check_reply(r, &reply);
    }
}

static void end(struct run *r, size_t index, const struct kirim_dns_message *message)
{
    kirim_dns_forwarder_end(r->forwarder, r->pending[index], message, r->now_ns);
    r->pending[index] = NULL;
    tell(r);
}

/* Ends the question that has to give way, if there is one. */
static void give_way(struct run *r)
{
    const struct kirim_dns_pending *const surplus = kirim_dns_forwarder_surplus(r->forwarder);
    for (size_t i = 0; surplus != NULL && i < PENDING_MAX; i++) {
        if (r->pending[i] == surplus) {
            end(r, i, NULL);
        }
    }
    FUZZ_CLAIM(kirim_dns_forwarder_surplus(r->forwarder) == NULL);
}

static void ask(struct run *r, struct kirim_dns_span wire, uint8_t port)
{
    const uint8_t addr[4] = { 192, 0, (uint8_t)(port >> 2 & 1), 1 };
    const struct kirim_dns_asker asker = { .peer =
                                               kirim_addr_ipv4(addr, (uint16_t)(1 + port % 3)) };
    const struct kirim_dns_request request = { wire, &asker.peer, r->now_ns };
    uint8_t data[KIRIM_DNS_UDP_BYTES];
    struct kirim_dns_room reply = { data, sizeof data, 0 };
    struct kirim_dns_pending *const begun =
        kirim_dns_forwarder_ask(r->forwarder, &request, &asker, &reply);
    check_reply(r, &reply);
    FUZZ_CLAIM(begun == NULL || reply.bytes == 0);
    tell(r);
    give_way(r);
    for (size_t i = 0; begun != NULL && i < PENDING_MAX; i++) {
        if (r->pending[i] == NULL) {
            r->pending[i] = begun;
            return;
        }
    }
    FUZZ_CLAIM(begun == NULL); /* no more than it may */
}

/* One of a few questions, in letters of any case. */
static void ask_known(struct run *r, uint8_t bits)
{
    uint8_t wire[] = { 0, bits >> 6, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 1, 'b', 0, 0, 1, 0, 1 };
    wire[13] = (uint8_t)('a' + (bits & 7));
    wire[13] ^= (uint8_t)((bits & 8U) << 2);
    ask(r, (struct kirim_dns_span){ wire, sizeof wire }, bits >> 4);
}

/* Ends a question with bytes, as they are or behind its header and question. */
static void end_with(struct run *r, int kind, size_t index, struct kirim_dns_span bytes)
{
    uint8_t wire[KIRIM_DNS_UDP_BYTES];
    struct kirim_dns_message message;
    struct kirim_dns_builder b;
    size_t used = 0;
    if (r->pending[index] == NULL || kind == END_NONE || bytes.bytes < 4) {
        if (r->pending[index] != NULL) {
            end(r, index, NULL);
        }
        return;
    }
    if (kind == END_ANSWER) {
        kirim_dns_builder_init(&b, wire, sizeof wire);
        (void)kirim_dns_builder_question(&b, &r->pending[index]->question);
        b.count[1] = bytes.data[0] & 3;
        b.count[2] = bytes.data[1] & 3;
        b.count[3] = bytes.data[2] & 3;
        used = kirim_dns_builder_end(&b, 1, (uint16_t)(0x8000 | bytes.data[3]));
        bytes.data += 4;
        bytes.bytes -= 4;
    }
    const size_t kept = bytes.bytes < sizeof wire - used ? bytes.bytes : sizeof wire - used;
    memcpy(wire + used, bytes.data, kept);
    const struct kirim_dns_span span = { wire, used + kept };
    const bool is_sound = kirim_dns_message_read(span, &message) == KIRIM_OK;
    /* A client of servers takes answers to its very question alone. */
    const bool is_ours =
        is_sound && message.has_question &&
        kirim_dns_name_equal(&message.question.name, &r->pending[index]->question.name);
    end(r, index, is_ours ? &message : NULL);
}

static void open_run(struct run *r, size_t *blocks)
{
    struct kirim_dns_forwarder_options options = KIRIM_DNS_FORWARDER_OPTIONS_INIT;
    options.alloc = fuzz_alloc;
    options.alloc_user = blocks;
    options.cache_bytes = KIRIM_DNS_CACHE_BYTES_MIN;
    options.pending_max = PENDING_MAX;
    options.waiter_max = WAITER_MAX;
    FUZZ_CLAIM(kirim_dns_forwarder_open(&options, &r->forwarder) == KIRIM_OK);
    r->now_ns = SECOND;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct run run = { .forwarder = NULL };
    size_t blocks = 0;
    size_t at = 0;
    open_run(&run, &blocks);
    const struct kirim_dns_forwarder_stats *const stats = kirim_dns_forwarder_stats(run.forwarder);
    while (at + 2 < bytes) {
        const int kind = data[at] % STEP_COUNT;
        const uint8_t bits = data[at + 1];
        const size_t wanted = data[at + 2];
        at += 3;
        const size_t kept = wanted < bytes - at ? wanted : bytes - at;
        const struct kirim_dns_span span = { data + at, kept };
        if (kind == ASK_KNOWN) {
            ask_known(&run, bits);
        } else if (kind == GIVE_TIME) {
            run.now_ns += bits * SECOND / 4;
        } else if (kind == ASK_RAW) {
            ask(&run, span, bits);
            at += kept;
        } else {
            end_with(&run, kind, bits % PENDING_MAX, span);
            at += kept;
        }
        FUZZ_CLAIM(stats->pending_count <= PENDING_MAX && stats->waiter_count <= WAITER_MAX);
        FUZZ_CLAIM(kirim_dns_forwarder_cache_stats(run.forwarder)->bytes <=
                   KIRIM_DNS_CACHE_BYTES_MIN);
        FUZZ_CLAIM(stats->answered == run.answered);
        FUZZ_CLAIM(stats->received ==
                   run.answered + stats->dropped + stats->repeated + stats->waiter_count);
    }
    kirim_dns_forwarder_close(run.forwarder);
    FUZZ_CLAIM(blocks == 0);
    return 0;
}
