/* SPDX-License-Identifier: MIT
 *
 * A hostile peer on a live connection: the bytes are a script of packets and of time that passes,
 * for a server, or for a client that has a token. It ends or goes on, never holds more memory than
 * its windows permit, hands each reliable message over once, keeps to its congestion window, and
 * leaves nothing behind.
 *
 * The first byte chooses the end; then each step is a byte and what it says: 0: the deadline
 * passes; 1: some ms; 2: a message is sent; 3: a stream is held, or let go; else the frames of a
 * packet of so many bytes less four, with the next number, and behind it as much as that said.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/channel/parts.h"

enum { STEP_MAX = 2048, OUTPUT_MAX = 4096, STREAMS = 4, ROOM_BYTES = 1500, MEMORY_MAX = 4 << 20 };

struct scene {
    struct kirim_channel *ch;
    size_t blocks;
    size_t closed;
    uint64_t next[STREAMS]; /* of ordered streams */
    uint64_t random;
    uint64_t now_ns;
    uint64_t number;
};

static void give_random(void *user, void *out, size_t bytes)
{
    struct scene *const s = (struct scene *)user;
    for (size_t i = 0; i < bytes; i++) {
        s->random = s->random * UINT64_C(6364136223846793005) + 1442695040888963407U;
        ((uint8_t *)out)[i] = (uint8_t)(s->random >> 56);
    }
}

static void on_received(struct kirim_channel *ch, const struct kirim_channel_message *m, void *user)
{
    struct scene *const s = (struct scene *)user;
    uint64_t sum = 0;
    FUZZ_CLAIM(s->closed == 0 && m->stream < STREAMS && ch != NULL);
    for (size_t i = 0; i < m->bytes; i++) {
        sum += m->data[i]; /* so that a sanitizer sees each */
    }
    FUZZ_CLAIM(sum <= 255 * m->bytes);
    if (m->mode != KIRIM_CHANNEL_UNORDERED) {
        FUZZ_CLAIM(m->number >= s->next[m->stream]);
        FUZZ_CLAIM(m->mode != KIRIM_CHANNEL_ORDERED || m->number == s->next[m->stream]);
        s->next[m->stream] = m->number + 1;
    }
    if (m->bytes == 13) {
        (void)kirim_channel_hold(ch, m->stream, true);
    }
    if (m->bytes == 14) {
        (void)kirim_channel_send(ch, 0, KIRIM_CHANNEL_ORDERED, m->data, m->bytes);
    }
}

static void on_closed(struct kirim_channel *ch, const struct kirim_channel_end *end, void *user)
{
    struct scene *const s = (struct scene *)user;
    (void)ch;
    FUZZ_CLAIM(s->closed == 0 && strlen(end->text) <= KIRIM_CHANNEL_TEXT_BYTES_MAX);
    s->closed++;
}

static void output(struct scene *s)
{
    uint8_t room[ROOM_BYTES];
    for (size_t i = 0; i < OUTPUT_MAX; i++) {
        struct kirim_channel_departure d;
        const struct ki_channel_recovery *const r = &s->ch->recovery;
        const uint64_t before = r->flight_bytes;
        const uint32_t probes = r->probe_count;
        memset(&d, 0, sizeof d);
        d.data = room;
        d.room_bytes = sizeof room;
        if (!kirim_channel_output(s->ch, &d, s->now_ns)) {
            return;
        }
        FUZZ_CLAIM(d.bytes > 0 && d.bytes <= sizeof room);
        FUZZ_CLAIM(r->flight_bytes <= before || probes > 0 ||
                   r->flight_bytes <= s->ch->congestion.window_bytes);
    }
    FUZZ_CLAIM(false); /* output without an end */
}

static const struct kirim_addr here = { { 2, 0, (uint64_t)KIRIM_IPV4 << 48 | (uint64_t)9 << 32 } };

static void input(struct scene *s, const struct kirim_channel_packet *p, const uint8_t *frames,
                  size_t bytes)
{
    uint8_t room[2048];
    const size_t at = kirim_channel_packet_write(p, room, sizeof room);
    FUZZ_CLAIM(at > 0 && bytes <= sizeof room - at);
    if (bytes > 0) {
        memcpy(room + at, frames, bytes);
    }
    const struct kirim_channel_arrival a = { room, at + bytes, &here, (uint8_t)(bytes & 3) };
    kirim_channel_input(s->ch, &a, s->now_ns);
    output(s);
}

static const struct kirim_channel_handler handler = {
    KIRIM_CHANNEL_HANDLER_INIT, NULL, on_received, NULL, NULL, on_closed
};

static void begin(struct scene *s, bool is_server)
{
    static const struct kirim_channel_params params = { 1452,    65536, 32768, 16384,
                                                        STREAMS, 25,    30000 };
    struct kirim_channel_options o = KIRIM_CHANNEL_OPTIONS_INIT;
    struct kirim_channel_packet p;
    memset(&p, 0, sizeof p);
    o.handler = &handler;
    o.user = s;
    o.alloc = fuzz_alloc;
    o.alloc_user = &s->blocks;
    o.random = give_random;
    o.random_user = s;
    o.params = params;
    p.version = KIRIM_CHANNEL_VERSION;
    p.params = params;
    p.kind = KIRIM_CHANNEL_BEGIN;
    if (is_server) {
        FUZZ_CLAIM(kirim_channel_accept(&o, &p, p.reset, &here, s->now_ns, &s->ch) == KIRIM_OK);
        return;
    }
    FUZZ_CLAIM(kirim_channel_connect(&o, &here, s->now_ns, &s->ch) == KIRIM_OK);
    output(s);
    p.kind = KIRIM_CHANNEL_TOKEN;
    memcpy(p.to, kirim_channel_id(s->ch), sizeof p.to);
    input(s, &p, NULL, 0);
}

static size_t step(struct scene *s, const uint8_t *data, size_t bytes)
{
    struct kirim_channel_packet p;
    const uint8_t word = data[0];
    if (word == 0) {
        const uint64_t deadline_ns = kirim_channel_deadline(s->ch);
        s->now_ns = deadline_ns < KIRIM_NEVER && deadline_ns > s->now_ns ? deadline_ns : s->now_ns;
        kirim_channel_expire(s->ch, s->now_ns);
    } else if (word == 1) {
        s->now_ns += 3000000;
    } else if (word == 2) {
        (void)kirim_channel_send(s->ch, 3, KIRIM_CHANNEL_UNORDERED, data,
                                 bytes < 5000 ? bytes : 5000);
    } else if (word == 3) {
        (void)kirim_channel_hold(s->ch, bytes > 1 ? data[1] % STREAMS : 0, (bytes & 1) != 0);
    } else {
        const size_t wanted = (size_t)word - 4;
        const size_t there = wanted < bytes - 1 ? wanted : bytes - 1;
        memset(&p, 0, sizeof p);
        p.kind = KIRIM_CHANNEL_DATA;
        p.number = s->number++;
        memcpy(p.to, kirim_channel_id(s->ch), sizeof p.to);
        input(s, &p, data + 1, there);
        return 1 + there;
    }
    output(s);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct scene s;
    memset(&s, 0, sizeof s);
    s.now_ns = 1000000000;
    if (bytes == 0) {
        return 0;
    }
    begin(&s, (data[0] & 1) != 0);
    size_t at = 1;
    for (size_t i = 0; i < STEP_MAX && at < bytes; i++) {
        at += step(&s, data + at, bytes - at);
        FUZZ_CLAIM(s.ch->in_bytes <= MEMORY_MAX);
    }
    /* Nobody answers any more: it ends by itself. */
    for (size_t i = 0; i < STEP_MAX && !kirim_channel_has_ended(s.ch); i++) {
        const uint64_t deadline_ns = kirim_channel_deadline(s.ch);
        FUZZ_CLAIM(deadline_ns < KIRIM_NEVER);
        s.now_ns = deadline_ns > s.now_ns ? deadline_ns : s.now_ns;
        kirim_channel_expire(s.ch, s.now_ns);
        output(&s);
    }
    FUZZ_CLAIM(kirim_channel_has_ended(s.ch) && s.closed == 1);
    kirim_channel_free(s.ch);
    FUZZ_CLAIM(s.blocks == 0);
    return 0;
}
