/* SPDX-License-Identifier: MIT
 *
 * Claims about the DTLS layer and those who mean it no good: other bytes, spoiled and repeated
 * records, peers that begin and do not go on, and peers that begin anew. In virtual time.
 */
#include "kit.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

enum { GARBAGE_COUNT = 1000, RAW_MAX = 16, COOKIE_AT = 13 + 12 + 3 };

static uint32_t draw_state = 1;

static uint32_t draw(uint32_t most)
{
    draw_state ^= draw_state << 13;
    draw_state ^= draw_state >> 17;
    draw_state ^= draw_state << 5;
    return draw_state % most;
}

/* An open association. */
static struct kit_client *connect_open(struct kit_world *w)
{
    struct kit_client *const c = kit_connect(w);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->ready_count, 1);
    return c;
}

static void check_echo(struct kit_world *w, struct kit_client *c)
{
    const size_t before = c->received_count;
    ck_assert_int_eq(kit_say(c, "still there", 11), KIRIM_OK);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->received_count, before + 1);
    ck_assert_uint_eq(c->last_bytes, 11);
}

static uint64_t dropped(const struct kirim_dtls_stats *stats)
{
    return stats->rx_malformed + stats->rx_discarded + stats->hellos_dropped;
}

/* ---- other bytes ----------------------------------------------------------------------------- */

/* Random bytes; or a record of random bytes, of every type and of the first epochs. */
static size_t make_garbage(uint8_t *out)
{
    const size_t bytes = 1 + draw(draw(2) == 0 ? 50 : 200);
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)draw(256);
    }
    if (bytes > 13 && draw(3) != 0) {
        out[0] = (uint8_t)(20 + draw(4));
        out[1] = 0xfe;
        out[2] = 0xfd;
        out[3] = 0;
        out[4] = (uint8_t)draw(3);
        out[11] = 0;
        out[12] = (uint8_t)(bytes - 13);
    }
    return bytes;
}

/* With keys of every kind: their records are not of one length. */
START_TEST(other_bytes_are_dropped_without_a_word)
{
    static const char *const ciphers[] = { "PSK-AES128-GCM-SHA256", "PSK-CHACHA20-POLY1305",
                                           "PSK-AES128-CCM", "PSK-AES128-CCM8" };
    struct kit_setup setup = { .server = kit_psk_options(), .client = kit_psk_options() };
    setup.client.ciphers = ciphers[_i];
    struct kit_world *const w = kit_open(&setup);
    struct kit_client *const c = connect_open(w);
    const size_t passed = c->kept_count;
    uint8_t garbage[256];
    for (int i = 0; i < GARBAGE_COUNT; i++) {
        const size_t bytes = make_garbage(garbage);
        kit_inject(c, garbage, bytes);
        kit_inject_to(c, garbage, bytes);
        kit_run(w, MS);
        ck_assert_msg(c->closed_count == 0,
                      "%d %s %d / %d: %02x %02x%02x %02x%02x len %02x%02x of %zu", c->why,
                      c->info.failure, w->server_why, i, garbage[0], garbage[1], garbage[2],
                      garbage[3], garbage[4], garbage[11], garbage[12], bytes);
    }
    const struct kirim_dtls_stats server = kit_server_stats(w);
    const struct kirim_dtls_stats client = kit_client_stats(w);
    ck_assert_uint_eq(dropped(&server), GARBAGE_COUNT);
    ck_assert_uint_eq(dropped(&client), GARBAGE_COUNT);
    ck_assert_uint_eq(c->kept_count, passed + GARBAGE_COUNT); /* what was injected, and no more */
    ck_assert_uint_eq(c->sent_count, passed - 3);
    check_echo(w, c);
    kit_close(w);
}
END_TEST

START_TEST(empty_datagram_is_dropped)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_open(w);
    kit_inject(c, "", 0);
    kit_run(w, SECOND);
    ck_assert_uint_eq(kit_server_stats(w).rx_malformed, 1);
    check_echo(w, c);
    kit_close(w);
}
END_TEST

/* While the handshake is under way, too. What is sound and in the clear can end it: anybody could
 * have said that, but not everybody can be heard in time. */
START_TEST(handshake_survives_other_bytes)
{
    struct kit_world *const w = kit_open_plain();
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    uint8_t garbage[256];
    link.delay_ns = 100 * MS;
    kit_set_links(w, &link);
    struct kit_client *const c = kit_connect(w);
    for (int i = 0; i < 200; i++) {
        size_t bytes = make_garbage(garbage);
        garbage[4] = 1; /* encrypted, as it says */
        kit_inject(c, garbage, bytes);
        if (w->server_opened > 0) {
            kit_inject_to(c, garbage, bytes);
        }
        kit_run(w, 10 * MS);
    }
    ck_assert_uint_eq(c->ready_count, 1);
    ck_assert_uint_eq(w->server_ready, 1);
    check_echo(w, c);
    kit_close(w);
}
END_TEST

/* ---- spoiled and repeated records ------------------------------------------------------------ */

/* The last datagram that the client sent. */
static struct kit_kept last_sent(const struct kit_client *c)
{
    size_t n = 0;
    while (kit_kept(c, true, n + 1) != NULL) {
        n++;
    }
    return *kit_kept(c, true, n);
}

START_TEST(spoiled_record_is_dropped)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_open(w);
    ck_assert_int_eq(kit_say(c, "x", 1), KIRIM_OK);
    kit_run(w, SECOND);
    const struct kit_kept record = last_sent(c);
    uint64_t count = 0;
    for (size_t bit = 0; bit < record.bytes * 8; bit++) {
        struct kit_kept spoiled = record;
        spoiled.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        kit_inject(c, spoiled.data, spoiled.bytes);
        kit_run(w, MS);
        count++;
        const struct kirim_dtls_stats stats = kit_server_stats(w);
        ck_assert_uint_ge(dropped(&stats),
                          count); /* one that is shorter now has others behind it */
    }
    ck_assert_uint_eq(w->server_received, 1);
    check_echo(w, c);
    kit_close(w);
}
END_TEST

START_TEST(repeated_record_is_dropped)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_open(w);
    ck_assert_int_eq(kit_say(c, "once", 4), KIRIM_OK);
    kit_run(w, SECOND);
    const struct kit_kept record = last_sent(c);
    for (int i = 0; i < 5; i++) {
        kit_inject(c, record.data, record.bytes);
    }
    kit_run(w, SECOND);
    ck_assert_uint_eq(w->server_received, 1);
    ck_assert_uint_eq(kit_server_stats(w).rx_discarded, 5);
    kit_close(w);
}
END_TEST

/* A record that is late by 63 counts, by 64 not. */
START_TEST(replay_window_is_64)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_open(w);
    c->drop_sent = UINT64_C(1) << c->sent_count;
    ck_assert_int_eq(kit_say(c, "late", 4), KIRIM_OK);
    const struct kit_kept record = last_sent(c);
    for (int i = 0; i < 63 + _i; i++) {
        ck_assert_int_eq(kit_say(c, "x", 1), KIRIM_OK);
    }
    kit_run(w, SECOND);
    kit_inject(c, record.data, record.bytes);
    kit_run(w, SECOND);
    ck_assert_uint_eq(w->server_received, 64);
    ck_assert_uint_eq(kit_server_stats(w).rx_discarded, (uint64_t)_i);
    kit_close(w);
}
END_TEST

/* In the clear, where there are keys: a fatal alert, a close_notify, a change of keys, application
 * data, a handshake message. */
START_TEST(nothing_in_the_clear_ends_an_association)
{
    static const uint8_t records[][32] = {
        { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40 },
        { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0 },
        { 20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1 },
        { 23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 7, 7 },
        { 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 12, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0 },
    };
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_open(w);
    const size_t bytes = 13 + (size_t)records[_i][12];
    kit_inject(c, records[_i], bytes);
    kit_inject_to(c, records[_i], bytes);
    kit_run(w, SECOND);
    ck_assert_uint_eq(kit_server_stats(w).rx_malformed, 1);
    ck_assert_uint_eq(kit_client_stats(w).rx_malformed, 1);
    check_echo(w, c);
    kit_close(w);
}
END_TEST

START_TEST(renegotiation_is_refused)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_open(w);
    SSL *const ssl = kirim_dtls_ssl(c->dtls);
    (void)SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
    ck_assert_int_eq(SSL_renegotiate(ssl), 1);
    (void)SSL_do_handshake(ssl); /* sends the hello, encrypted */
    kit_run(w, SECOND);
    ck_assert_uint_eq(kit_server_stats(w).begun, 1);
    ck_assert_str_eq(c->info.failure, "no renegotiation"); /* OpenSSL's client takes that ill */
    ck_assert_int_eq(w->server_why, KIRIM_ECONNRESET);
    kit_close(w);
}
END_TEST

/* ---- those who begin and do not go on -------------------------------------------------------- */

/* Somebody without DTLS. */
struct raw {
    struct kirim_endpoint *ep;
    uint8_t data[KIT_DATAGRAM_MAX];
    size_t bytes, count;
};

static void raw_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct raw *const r = user;
    const struct kirim_datagram *const d = kirim_batch_at(batch, batch->count - 1);
    (void)ep;
    memcpy(r->data, d->data, d->bytes);
    r->bytes = d->bytes;
    r->count += batch->count;
}

static void raw_open_at(struct raw *r, struct kit_world *w, const char *local)
{
    static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = raw_received };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    memset(r, 0, sizeof *r);
    ck_assert_int_eq(kirim_addr_parse(local, &options.local), KIRIM_OK);
    ck_assert_int_eq(kirim_addr_parse("10.0.0.1:4433", &options.peer), KIRIM_OK);
    options.handler = &handler;
    options.user = r;
    ck_assert_int_eq(kirim_endpoint_open(w->client_loop, &options, &r->ep), KIRIM_OK);
}

static void raw_open(struct raw *r, struct kit_world *w)
{
    raw_open_at(r, w, "10.0.0.2:0");
}

/* The hello, with its second number and a cookie of a HelloVerifyRequest, as of another client. */
static size_t with_cookie(const struct kit_kept *hello, const uint8_t *cookie, uint8_t number,
                          uint8_t *out)
{
    const size_t cookie_at = 13 + 12 + 2 + 32 + 1;
    const size_t cookie_bytes = cookie[0];
    ck_assert_uint_eq(hello->data[cookie_at], 0);
    memcpy(out, hello->data, cookie_at);
    memcpy(out + cookie_at, cookie, 1 + cookie_bytes);
    memcpy(out + cookie_at + 1 + cookie_bytes, hello->data + cookie_at + 1,
           hello->bytes - cookie_at - 1);
    out[10]++;        /* of the record */
    out[18] = 1;      /* of the message */
    out[40] = number; /* in its random */
    const size_t body_bytes = hello->bytes + cookie_bytes - 13 - 12;
    for (size_t at = 0; at < 2; at++) { /* lengths: message and fragment */
        out[at == 0 ? 15 : 23] = (uint8_t)(body_bytes >> 8);
        out[at == 0 ? 16 : 24] = (uint8_t)body_bytes;
    }
    out[11] = (uint8_t)((body_bytes + 12) >> 8);
    out[12] = (uint8_t)(body_bytes + 12);
    return hello->bytes + cookie_bytes;
}

/* Takes the first step, gets the cookie, takes the second, and is silent. */
static void begin_and_stop(struct kit_world *w, struct raw *r, const struct kit_kept *hello,
                           uint8_t number)
{
    uint8_t bytes[KIT_DATAGRAM_MAX];
    struct kit_kept own = *hello;
    own.data[40] = number;
    ck_assert_int_eq(kirim_endpoint_send_to(r->ep, own.data, own.bytes, NULL), KIRIM_OK);
    kit_run(w, 10 * MS);
    ck_assert_uint_eq(r->data[13], 3);
    const size_t count = with_cookie(&own, r->data + 27, number, bytes);
    ck_assert_int_eq(kirim_endpoint_send_to(r->ep, bytes, count, NULL), KIRIM_OK);
    kit_run(w, 10 * MS);
}

START_TEST(half_open_handshakes_are_bounded)
{
    struct kit_setup setup = { .server = kit_server_options() };
    struct raw raw[6];
    setup.server.half_open_count_max = 3;
    struct kit_world *const w = kit_open(&setup);
    struct kit_client *const c = connect_open(w);
    for (uint8_t i = 0; i < COUNT_OF(raw); i++) {
        raw_open(&raw[i], w);
        begin_and_stop(w, &raw[i], kit_kept(c, true, 0), i);
        ck_assert_uint_gt(raw[i].count, 1); /* a flight came */
    }
    ck_assert_uint_eq(kit_server_stats(w).half_open, 3);
    ck_assert_uint_eq(kit_server_stats(w).evicted, 3);
    ck_assert_uint_eq(kit_set_stats(w).count, 4);
    ck_assert_int_eq(w->server_why, KIRIM_EBUSY);
    kit_run(w, 31 * SECOND);
    ck_assert_uint_eq(kit_server_stats(w).half_open, 0);
    ck_assert_uint_eq(kit_server_stats(w).timed_out, 3);
    ck_assert_int_eq(w->server_why, KIRIM_ETIMEDOUT);
    check_echo(w, c);
    kit_close(w);
}
END_TEST

/* One network has all handshakes that there may be, and goes on beginning more. */
START_TEST(crowd_leaves_room_for_others)
{
    enum { MAX = 4, OTHER = MAX };
    struct kit_setup setup = { .server = kit_server_options() };
    struct raw raw[2 * MAX + 1];
    setup.server.half_open_count_max = MAX;
    struct kit_world *const w = kit_open(&setup);
    struct kit_client *const c = connect_open(w);
    for (uint8_t i = 0; i < COUNT_OF(raw); i++) {
        raw_open_at(&raw[i], w, i == OTHER ? "10.0.7.2:0" : "10.0.0.2:0");
        begin_and_stop(w, &raw[i], kit_kept(c, true, 0), i);
        ck_assert_uint_gt(raw[i].count, 1); /* a flight came */
    }
    ck_assert_uint_eq(kit_server_stats(w).half_open, MAX);
    ck_assert_uint_eq(kit_server_stats(w).evicted, COUNT_OF(raw) - MAX);
    ck_assert_uint_eq(kit_server_stats(w).evicted_crowd, 1);
    for (size_t i = 0; i < COUNT_OF(raw); i++) {
        raw[i].count = 0;
    }
    kit_run(w, 2 * SECOND); /* whoever is still there is told again */
    for (size_t i = 0; i < COUNT_OF(raw); i++) {
        ck_assert_int_eq(raw[i].count > 0, i == OTHER || i > COUNT_OF(raw) - MAX);
    }
    check_echo(w, c);
    kit_close(w);
}
END_TEST

/* A flight is sent again after 1, 2, 4, 8 s; the whole takes 30 s at most. */
START_TEST(flights_are_sent_again_in_time)
{
    static const uint64_t seconds[] = { 0, 1, 3, 7, 15 };
    struct kit_world *const w = kit_open_plain();
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.is_down = true;
    kit_set_links(w, &link);
    const struct kit_client *const c = kit_connect(w);
    const uint64_t start_ns = kirim_sim_now(w->sim);
    kit_run(w, 29 * SECOND);
    ck_assert_uint_eq(c->closed_count, 0);
    kit_run(w, 2 * SECOND);
    ck_assert_int_eq(c->why, KIRIM_ETIMEDOUT);
    ck_assert_uint_eq(c->sent_count, COUNT_OF(seconds));
    for (size_t i = 0; i < COUNT_OF(seconds); i++) {
        const uint64_t at_ns = kit_kept(c, true, i)->at_ns - start_ns;
        ck_assert_uint_ge(at_ns + 16 * MS, seconds[i] * SECOND); /* OpenSSL's clock is coarse */
        ck_assert_uint_le(at_ns, seconds[i] * SECOND + 16 * MS);
    }
    ck_assert_uint_eq(kit_client_stats(w).retransmits, 4);
    ck_assert_uint_eq(kit_client_stats(w).timed_out, 1);
    kit_close(w);
}
END_TEST

/* Whatever single datagram of the client's is lost, the handshake gets there. */
START_TEST(lost_datagram_is_made_up_for)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = kit_connect(w);
    c->drop_sent = UINT64_C(1) << _i;
    c->to_send = 1;
    c->message_bytes = 20;
    kit_run(w, 5 * SECOND);
    ck_assert_uint_eq(c->ready_count, 1);
    ck_assert_uint_eq(c->to_send, 0);
    kit_close(w);
}
END_TEST

/* ---- those who begin anew -------------------------------------------------------------------- */

START_TEST(peer_that_begins_anew_replaces_itself)
{
    struct kit_world *const w = kit_open_plain();
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kit_client *const old = kit_connect_from(w, 5000, NULL, NULL);
    old->to_send = 1;
    old->message_bytes = 10;
    kit_run(w, SECOND);
    ck_assert_uint_eq(old->to_send, 0);
    ck_assert_int_eq(kirim_stack_close(old->stack, KIRIM_OK), KIRIM_OK); /* without a word */
    link.delay_ns = 20 * MS;
    kit_set_links(w, &link);
    kit_run(w, MS);
    struct kit_client *const c = kit_connect_from(w, 5000, NULL, NULL);
    c->to_send = 3;
    c->message_bytes = 10;
    kit_run(w, 85 * MS); /* hello, cookie, hello, flight: not done */
    ck_assert_uint_eq(kit_server_stats(w).half_open, 1);
    ck_assert_uint_eq(w->server_closed, 0);
    ck_assert_uint_eq(w->server_opened, 1);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->to_send, 0);
    ck_assert_uint_eq(w->server_opened, 2);
    ck_assert_uint_eq(w->server_ready, 2);
    ck_assert_uint_eq(w->server_closed, 1);
    ck_assert_int_eq(w->server_why, KIRIM_EEXIST);
    ck_assert_uint_eq(kit_server_stats(w).replaced, 1);
    ck_assert_uint_eq(kit_server_stats(w).open, 1);
    ck_assert_uint_eq(kit_set_stats(w).count, 1);
    kit_close(w);
}
END_TEST

/* Whoever only begins so, or forges that, changes nothing. */
START_TEST(hello_of_a_live_peer_changes_nothing)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_open(w);
    uint8_t bytes[KIT_DATAGRAM_MAX];
    struct kit_kept hello = *kit_kept(c, true, 0);
    kit_inject(c, kit_kept(c, true, 1)->data, kit_kept(c, true, 1)->bytes); /* again */
    kit_run(w, SECOND);
    ck_assert_uint_eq(kit_server_stats(w).cookies_sent, 1);
    hello.data[40] ^= 1;
    kit_inject(c, hello.data, hello.bytes);
    kit_run(w, SECOND);
    ck_assert_uint_eq(kit_server_stats(w).cookies_sent, 2);
    const size_t last = c->kept_count - 1; /* the second HelloVerifyRequest */
    const size_t count = with_cookie(&hello, c->kept[last].data + 27, hello.data[40], bytes);
    kit_inject(c, bytes, count);
    kit_run(w, SECOND);
    ck_assert_uint_eq(kit_server_stats(w).half_open, 1);
    check_echo(w, c);
    kit_run(w, 30 * SECOND);
    ck_assert_uint_eq(kit_server_stats(w).half_open, 0);
    ck_assert_uint_eq(kit_server_stats(w).timed_out, 1);
    check_echo(w, c);
    ck_assert_uint_eq(w->server_opened, 1);
    kit_close(w);
}
END_TEST

/* One that begins anew before its first handshake is done. */
START_TEST(second_beginning_takes_the_place_of_the_first)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const first = kit_connect_from(w, 5000, NULL, NULL);
    first->drop_sent = ~UINT64_C(3); /* two hellos, and no more */
    kit_run(w, SECOND / 2);
    ck_assert_uint_eq(kit_server_stats(w).half_open, 1);
    ck_assert_int_eq(kirim_stack_close(first->stack, KIRIM_OK), KIRIM_OK);
    kit_run(w, MS);
    struct kit_client *const c = kit_connect_from(w, 5000, NULL, NULL);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->ready_count, 1);
    ck_assert_uint_eq(w->server_opened, 1); /* in the session that it has */
    ck_assert_uint_eq(w->server_ready, 1);
    ck_assert_uint_eq(kit_server_stats(w).failed, 1);
    kit_close(w);
}
END_TEST

/* ---- what is left of all that ---------------------------------------------------------------- */

static size_t block_count; /* of OpenSSL's memory */
static size_t taken_bytes; /* all that it has ever asked for */

static void *counted_malloc(size_t bytes, const char *file, int line)
{
    void *const block = malloc(bytes);
    (void)file;
    (void)line;
    block_count += block != NULL;
    taken_bytes += bytes;
    return block;
}

static void *counted_realloc(void *old, size_t bytes, const char *file, int line)
{
    if (old == NULL) {
        return counted_malloc(bytes, file, line);
    }
    block_count -= bytes == 0;
    if (bytes == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, bytes);
}

static void counted_free(void *old, const char *file, int line)
{
    (void)file;
    (void)line;
    block_count -= old != NULL;
    free(old);
}

/* First bytes of the messages that would follow, each of which is said to be as long as those of a
 * certificate may be; OpenSSL makes room for each at once. */
START_TEST(announced_messages_take_no_memory)
{
    enum { MESSAGE_COUNT = 10, MESSAGE_BYTES = 32768 };
    static const uint16_t verify[] = { KIRIM_DTLS_VERIFY_DEFAULT, KIRIM_DTLS_VERIFY_REQUEST };
    struct kit_setup setup = { .server = kit_server_options() };
    struct raw raw;
    setup.server.verify = verify[_i];
    struct kit_world *const w = kit_open(&setup);
    struct kit_client *const c = connect_open(w);
    raw_open(&raw, w);
    begin_and_stop(w, &raw, kit_kept(c, true, 0), 1);
    const struct kirim_dtls_stats stats = kit_server_stats(w);
    const size_t before = taken_bytes;
    for (uint8_t i = 0; i < MESSAGE_COUNT; i++) {
        const uint8_t record[] = { 22,
                                   0xfe,
                                   0xfd,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   (uint8_t)(10 + i),
                                   0,
                                   13,
                                   11,
                                   0,
                                   MESSAGE_BYTES >> 8,
                                   0,
                                   0,
                                   (uint8_t)(2 + i),
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   1,
                                   1 };
        ck_assert_int_eq(kirim_endpoint_send_to(raw.ep, record, sizeof record, NULL), KIRIM_OK);
    }
    kit_run(w, 10 * MS);
    /* The certificate is the first message, where one was asked for. */
    ck_assert_uint_lt(taken_bytes - before, (size_t)(_i + 1) * MESSAGE_BYTES);
    ck_assert_uint_eq(kit_server_stats(w).rx_discarded - stats.rx_discarded,
                      MESSAGE_COUNT - (size_t)_i);
    ck_assert_uint_eq(kit_server_stats(w).half_open, 1);
    kit_close(w);
}
END_TEST

/* Nor is a handshake ended by one that is too long for anything, at either end. */
START_TEST(message_too_long_for_anything_is_dropped)
{
    static const uint8_t record[] = { 22, 0xfe, 0xfd, 0,    0, 0, 0, 0, 0, 0, 10, 0, 13,
                                      11, 0xff, 0xff, 0xff, 0, 2, 0, 0, 0, 0, 0,  1, 1 };
    struct kit_world *const w = kit_open_plain();
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 100 * MS;
    kit_set_links(w, &link);
    struct kit_client *const c = kit_connect(w);
    for (int i = 0; i < 80; i++) {
        if (w->server_opened > 0) {
            kit_inject(c, record, sizeof record);
        }
        ck_assert_ptr_nonnull(c->stack);
        kit_inject_to(c, record, sizeof record);
        kit_run(w, 10 * MS);
    }
    ck_assert_uint_eq(c->ready_count, 1);
    ck_assert_uint_eq(w->server_ready, 1);
    kit_close(w);
}
END_TEST

/* Breaks off at every step, from either side, for every reason. */
static void break_one(struct kit_world *w, int n)
{
    static const char *const hosts[] = { "server.test", "10.0.0.2", "x.test" };
    struct kit_client *const c = kit_connect_from(w, 0, hosts[n % 5 == 0 ? 1 + n % 2 : 0], NULL);
    if (n % 3 == 0) {
        c->drop_sent = ~UINT64_C(0) << n % 4;
    } else if (n % 3 == 1) {
        c->drop_sent = UINT64_C(4); /* once */
    }
    kit_run(w, 10 * MS);
    if (n % 7 == 0 && c->stack != NULL) {
        (void)kirim_stack_close(c->stack, KIRIM_EABORTED);
    }
    if (n % 11 == 0 && w->last_stack != NULL) {
        (void)kirim_stack_close(w->last_stack, KIRIM_EABORTED);
    }
}

static void break_some(int first, int count)
{
    struct kit_world *const w = kit_open_plain();
    for (int i = 0; i < count; i++) {
        break_one(w, first + i);
    }
    if (first % 2 == 0) {
        kit_run(w, 40 * SECOND);
    }
    kit_close(w);
}

START_TEST(thousand_broken_handshakes_leave_nothing)
{
    enum { WORLDS = 25, EACH = 40 };
    break_some(0, EACH); /* what OpenSSL keeps for ever, it keeps now */
    const size_t before = block_count;
    for (int i = 0; i < WORLDS; i++) {
        break_some(i * EACH + i, EACH);
    }
    ck_assert_uint_gt(before, 0);
    ck_assert_uint_eq(block_count, before);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

/* Errors of one, and of others in this thread, are nobody else's. */
START_TEST(errors_do_not_mix)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const good = connect_open(w);
    for (int i = 0; i < 10; i++) {
        const struct kit_client *const bad = kit_connect_from(w, 0, "wrong.test", NULL);
        ERR_raise(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED);
        check_echo(w, good);
        ck_assert_int_eq(bad->why, KIRIM_EACCES);
        ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
        ck_assert_int_eq(kit_say(good, "x", 1), KIRIM_OK);
        kit_run(w, SECOND);
    }
    ck_assert_uint_eq(good->closed_count, 0);
    kit_close(w);
}
END_TEST

START_TEST(shorter_path_is_told)
{
    static const uint8_t bytes[600];
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_open(w);
    ck_assert_int_eq(kit_say(c, bytes, 600), KIRIM_OK);
    ck_assert_int_eq(kirim_stack_set_payload_bytes_max(c->stack, 500), KIRIM_OK);
    ck_assert_int_eq(kit_say(c, bytes, 600), KIRIM_EMSGSIZE);
    ck_assert_int_eq(kit_say(c, bytes, 500 - KIRIM_DTLS_OVERHEAD_BYTES), KIRIM_OK);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->received_count, 2);
    kit_close(w);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { other_bytes_are_dropped_without_a_word, 4 },
        { empty_datagram_is_dropped, 0 },
        { handshake_survives_other_bytes, 0 },
        { spoiled_record_is_dropped, 0 },
        { repeated_record_is_dropped, 0 },
        { replay_window_is_64, 2 },
        { nothing_in_the_clear_ends_an_association, 5 },
        { renegotiation_is_refused, 0 },
        { half_open_handshakes_are_bounded, 0 },
        { crowd_leaves_room_for_others, 0 },
        { flights_are_sent_again_in_time, 0 },
        { lost_datagram_is_made_up_for, 4 },
        { peer_that_begins_anew_replaces_itself, 0 },
        { hello_of_a_live_peer_changes_nothing, 0 },
        { second_beginning_takes_the_place_of_the_first, 0 },
        { announced_messages_take_no_memory, 2 },
        { message_too_long_for_anything_is_dropped, 0 },
        { thousand_broken_handshakes_leave_nothing, 0 },
        { errors_do_not_mix, 0 },
        { shorter_path_is_told, 0 },
        { NULL, 0 },
    };
    /* Before OpenSSL has any. */
    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1) {
        return EXIT_FAILURE;
    }
    return kit_main("protocols_dtls_hostile", claims);
}
