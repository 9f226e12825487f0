/* SPDX-License-Identifier: MIT
 *
 * Claims about the DTLS layer between two ends of ours: handshakes, who is believed, what may be
 * sent, what is agreed on, and how it ends. In a simulated world, in virtual time.
 */
#include "kit.h"

static const struct kirim_dtls_options none = KIRIM_DTLS_OPTIONS_INIT;

/* Connects one client, and lets it send `count` messages. */
static struct kit_client *connect_and_say(struct kit_world *w, size_t count, size_t bytes)
{
    struct kit_client *const c = kit_connect(w);
    c->to_send = count;
    c->message_bytes = bytes;
    return c;
}

/* ---- the beginning --------------------------------------------------------------------------- */

START_TEST(messages_come_back)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_and_say(w, 5, 100);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->ready_count, 1);
    ck_assert_uint_eq(c->to_send, 0);
    ck_assert_uint_eq(c->wrong_count, 0);
    ck_assert_uint_eq(w->server_ready, 1);
    ck_assert_uint_eq(w->server_received, 5);
    const struct kirim_dtls_info info = kit_info(c->dtls);
    ck_assert(info.is_established && info.is_peer_certified && !info.is_resumed);
    ck_assert_str_eq(info.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
    ck_assert_str_eq(info.failure, "");
    ck_assert_int_eq(info.verify_code, 0);
    const struct kirim_dtls_stats stats = kit_server_stats(w);
    ck_assert_uint_eq(stats.open, 1);
    ck_assert_uint_eq(stats.begun, 1);
    ck_assert_uint_eq(stats.done, 1);
    ck_assert_uint_eq(stats.cookies_sent, 1);
    ck_assert_uint_eq(stats.rx_malformed + stats.rx_discarded + stats.retransmits, 0);
    ck_assert_uint_gt(clock_asked(), 0);
    kit_close(w);
}
END_TEST

/* A set that admits everybody: then the layer asks for the cookie. */
START_TEST(layer_asks_for_cookies_by_itself)
{
    const struct kit_setup setup = { .is_admitting_all = true };
    struct kit_world *const w = kit_open(&setup);
    struct kit_client *const c = connect_and_say(w, 1, 10);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->to_send, 0);
    ck_assert_uint_eq(kit_server_stats(w).cookies_sent, 1);
    kit_close(w);
}
END_TEST

/* Whoever does not answer leaves nothing, and gets less than it sent. */
START_TEST(strangers_cost_nothing)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = kit_connect(w);
    kit_run(w, SECOND);
    const struct kit_kept hello = *kit_kept(c, true, 0);
    const struct kit_kept verify = *kit_kept(c, false, 0);
    ck_assert_uint_lt(verify.bytes, hello.bytes);
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_endpoint *stranger = NULL;
    ck_assert_int_eq(kirim_addr_parse("10.0.0.2:999", &options.local), KIRIM_OK);
    options.peer = kirim_endpoint_peer(kirim_stack_endpoint(c->stack));
    ck_assert_int_eq(kirim_endpoint_open(w->client_loop, &options, &stranger), KIRIM_OK);
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t bytes[KIT_DATAGRAM_MAX];
        memcpy(bytes, hello.data, hello.bytes);
        memcpy(bytes + 27, &i, sizeof i); /* another random */
        ck_assert_int_eq(kirim_endpoint_send_to(stranger, bytes, hello.bytes, NULL), KIRIM_OK);
        kit_run(w, MS);
    }
    ck_assert_uint_eq(kit_set_stats(w).count, 1);
    ck_assert_uint_eq(kit_server_stats(w).cookies_sent, 1001);
    ck_assert_uint_eq(kit_server_stats(w).begun, 1);
    kit_close(w);
}
END_TEST

/* ---- who is believed ------------------------------------------------------------------------- */

START_TEST(name_of_the_server_is_checked)
{
    static const struct {
        const char *host;
        bool is_good;
    } rows[] = {
        { "server.test", true },    { "SERVER.TEST", true }, { "10.0.0.1", true },
        { "client.test", false },   { "server", false },     { "10.0.0.2", false },
        { "x.server.test", false },
    };
    struct kit_world *const w = kit_open_plain();
    const struct kit_client *const c = kit_connect_from(w, 0, rows[_i].host, NULL);
    kit_run(w, 3 * SECOND);
    ck_assert_uint_eq(c->ready_count, rows[_i].is_good);
    ck_assert_uint_eq(c->closed_count, !rows[_i].is_good);
    if (!rows[_i].is_good) {
        ck_assert_int_eq(c->why, KIRIM_EACCES);
        ck_assert_int_ne(c->info.verify_code, 0);
        ck_assert_str_eq(c->info.failure, "certificate verify failed");
        ck_assert_int_eq(w->server_why, KIRIM_ECONNRESET); /* it was told */
        ck_assert_uint_ne(w->server_info.alert, 0);
        ck_assert_uint_eq(kit_server_stats(w).failed, 1);
        ck_assert_uint_eq(kit_client_stats(w).failed, 1);
    }
    kit_close(w);
}
END_TEST

/* What an issuer has vouched for is among the alternative names, or it is not at all. */
START_TEST(subject_is_no_name_of_the_server)
{
    static const struct {
        const char *alternative;
        bool is_good;
    } rows[] = {
        { NULL, false },
        { "IP:10.0.0.1", false },
        { "URI:coaps://server.test", false },
        { "DNS:other.test", false },
        { "DNS:other.test,DNS:server.test", true },
    };
    struct kit_setup setup = { .server = kit_server_options() };
    struct identity shown;
    identity_make(&shown, "server.test", rows[_i].alternative, &kit_identities()->ca);
    setup.server.certificate = identity_text(shown.certificate);
    setup.server.private_key = identity_text(shown.key);
    struct kit_world *const w = kit_open(&setup);
    const struct kit_client *const c = kit_connect(w);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->ready_count, rows[_i].is_good);
    ck_assert_int_eq(c->why, rows[_i].is_good ? KIRIM_OK : KIRIM_EACCES);
    kit_close(w);
}
END_TEST

START_TEST(issuer_must_be_trusted)
{
    struct kit_setup setup = { .client = kit_client_options() };
    setup.client.trusted = identity_text(kit_identities()->other.certificate);
    struct kit_world *const w = kit_open(&setup);
    const struct kit_client *const c = kit_connect(w);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->ready_count, 0);
    ck_assert_int_eq(c->why, KIRIM_EACCES);
    kit_close(w);
}
END_TEST

START_TEST(nobody_is_asked_if_so_said)
{
    struct kit_setup setup = { .client = none };
    setup.client.verify = KIRIM_DTLS_VERIFY_NONE;
    struct kit_world *const w = kit_open(&setup);
    const struct kit_client *const c = kit_connect(w);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->ready_count, 1);
    ck_assert_int_ne(kit_info(c->dtls).verify_code, 0); /* but it was looked at */
    kit_close(w);
}
END_TEST

/* What a hook is asked, and what it says. */
struct pin {
    bool is_accepting;
    size_t asked_count;
    bool was_trusted;
    size_t certificate_bytes;
};

static bool on_verify(struct kirim_layer *layer, const struct kirim_dtls_peer *peer, void *user)
{
    struct pin *const pin = user;
    ck_assert_ptr_nonnull(layer);
    ck_assert_uint_ge(peer->size, sizeof *peer);
    ck_assert_int_eq(peer->code == 0, peer->is_trusted);
    pin->asked_count++;
    pin->was_trusted = peer->is_trusted;
    pin->certificate_bytes = peer->certificate_bytes;
    return pin->is_accepting;
}

START_TEST(hook_has_the_last_word)
{
    struct pin pin = { .is_accepting = (_i & 1) != 0 };
    struct kit_setup setup = { .client = (_i & 2) != 0 ? kit_client_options() : none };
    uint8_t der[2048];
    size_t bytes = 0;
    setup.client.verify_peer = on_verify;
    setup.client.user = &pin;
    struct kit_world *const w = kit_open(&setup);
    struct kit_client *const c = kit_connect(w);
    kit_run(w, SECOND);
    ck_assert_uint_eq(pin.asked_count, 1);
    ck_assert_int_eq(pin.was_trusted, (_i & 2) != 0);
    ck_assert_uint_eq(c->ready_count, pin.is_accepting);
    if (pin.is_accepting) {
        ck_assert_int_eq(kirim_dtls_peer_certificate(c->dtls, der, 10, &bytes), KIRIM_EMSGSIZE);
        ck_assert_uint_eq(bytes, pin.certificate_bytes);
        ck_assert_int_eq(kirim_dtls_peer_certificate(c->dtls, der, sizeof der, &bytes), KIRIM_OK);
    } else {
        ck_assert_int_eq(c->why, KIRIM_EACCES);
    }
    kit_close(w);
}
END_TEST

/* Server's demand; what the client shows: nothing, a good one, another's. */
START_TEST(clients_certificate_is_asked_for)
{
    static const struct {
        uint16_t verify;
        int shown;
        bool is_good, is_certified;
    } rows[] = {
        { KIRIM_DTLS_VERIFY_NONE, 0, true, false },
        { KIRIM_DTLS_VERIFY_NONE, 1, true, false },
        { KIRIM_DTLS_VERIFY_REQUEST, 0, true, false },
        { KIRIM_DTLS_VERIFY_REQUEST, 1, true, true },
        { KIRIM_DTLS_VERIFY_REQUEST, 2, false, false },
        { KIRIM_DTLS_VERIFY_REQUIRE, 0, false, false },
        { KIRIM_DTLS_VERIFY_REQUIRE, 1, true, true },
        { KIRIM_DTLS_VERIFY_REQUIRE, 2, false, false },
    };
    struct kit_setup setup = { .server = kit_server_options(), .client = kit_client_options() };
    const struct identity *const shown =
        rows[_i].shown == 1 ? &kit_identities()->client : &kit_identities()->other;
    setup.server.verify = rows[_i].verify;
    setup.server.trusted = identity_text(kit_identities()->ca.certificate);
    if (rows[_i].shown != 0) {
        setup.client.certificate = identity_text(shown->certificate);
        setup.client.private_key = identity_text(shown->key);
    }
    struct kit_world *const w = kit_open(&setup);
    const struct kit_client *const c = kit_connect(w);
    kit_run(w, 2 * SECOND);
    ck_assert_uint_eq(w->server_ready, rows[_i].is_good);
    if (rows[_i].is_good) {
        ck_assert_uint_eq(c->ready_count, 1);
        ck_assert_int_eq(kit_info(w->last_dtls).is_peer_certified, rows[_i].is_certified);
    } else {
        ck_assert_int_eq(w->server_why, KIRIM_EACCES);
        ck_assert_int_eq(c->why, KIRIM_ECONNRESET);
    }
    kit_close(w);
}
END_TEST

/* ---- pre-shared keys ------------------------------------------------------------------------- */

START_TEST(key_that_both_have_is_enough)
{
    const struct kit_setup setup = { .server = kit_psk_options(), .client = kit_psk_options() };
    struct kit_world *const w = kit_open(&setup);
    struct kit_client *const c = connect_and_say(w, 2, 30);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->to_send, 0);
    ck_assert_str_eq(kit_info(w->last_dtls).psk_identity, "device");
    ck_assert_str_eq(kit_info(c->dtls).cipher, "ECDHE-PSK-CHACHA20-POLY1305");
    ck_assert(!kit_info(c->dtls).is_peer_certified);
    kit_close(w);
}
END_TEST

static size_t on_psk(struct kirim_layer *layer, const char *identity, uint8_t *key,
                     size_t room_bytes, void *user)
{
    (void)layer;
    (void)user;
    ck_assert_uint_eq(room_bytes, KIRIM_DTLS_PSK_KEY_BYTES_MAX);
    memcpy(key, "0123456789abcdef", 16);
    return strcmp(identity, "device") == 0 ? 16 : 0;
}

START_TEST(keys_are_found_by_identity)
{
    struct kit_setup setup = { .server = none, .client = kit_psk_options() };
    setup.server.psk = on_psk;
    setup.client.psk_identity = _i == 0 ? "device" : "devil";
    struct kit_world *const w = kit_open(&setup);
    const struct kit_client *const c = kit_connect(w);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->ready_count, _i == 0);
    if (_i != 0) {
        ck_assert_int_eq(w->server_why, KIRIM_EACCES);
        ck_assert_int_eq(c->why, KIRIM_ECONNRESET);
    }
    kit_close(w);
}
END_TEST

/* Records under another key are dropped like any others: nobody is told, time passes. */
START_TEST(wrong_key_ends_by_time)
{
    struct kit_setup setup = { .server = kit_psk_options(), .client = kit_psk_options() };
    setup.client.psk_key.bytes--;
    struct kit_world *const w = kit_open(&setup);
    const struct kit_client *const c = kit_connect(w);
    kit_run(w, 29 * SECOND);
    ck_assert_uint_eq(c->closed_count + w->server_closed, 0);
    kit_run(w, 2 * SECOND);
    ck_assert_int_eq(c->why, KIRIM_ETIMEDOUT);
    ck_assert_int_eq(w->server_why, KIRIM_ETIMEDOUT);
    ck_assert_uint_eq(kit_server_stats(w).timed_out, 1);
    kit_close(w);
}
END_TEST

/* ---- agreements ------------------------------------------------------------------------------ */

START_TEST(application_protocol_is_agreed_on)
{
    static const char *const at_server[] = { "coap", "echo/1" };
    static const char *const at_client[][2] = { { "echo/1", "coap" },
                                                { "other", "echo/1" },
                                                { "other", "x" } };
    static const char *const agreed[] = { "coap", "echo/1", NULL };
    struct kit_setup setup = { .server = kit_server_options(), .client = kit_client_options() };
    setup.server.alpn = at_server;
    setup.server.alpn_count = 2;
    setup.client.alpn = at_client[_i];
    setup.client.alpn_count = 2;
    struct kit_world *const w = kit_open(&setup);
    const struct kit_client *const c = kit_connect(w);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->ready_count, agreed[_i] != NULL);
    if (agreed[_i] != NULL) {
        size_t bytes = 0;
        const char *name = kirim_dtls_alpn(c->dtls, &bytes);
        ck_assert_uint_eq(bytes, strlen(agreed[_i]));
        ck_assert_mem_eq(name, agreed[_i], bytes);
        name = kirim_dtls_alpn(w->last_dtls, &bytes);
        ck_assert_mem_eq(name, agreed[_i], bytes);
    }
    kit_close(w);
}
END_TEST

START_TEST(both_sides_derive_the_same_keys)
{
    struct kit_setup setup = { .server = kit_server_options(), .client = kit_client_options() };
    const struct kirim_buf context = { (void *)(uintptr_t) "x", 1 };
    uint8_t ours[60];
    uint8_t theirs[60];
    setup.server.srtp_profiles = "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80";
    setup.client.srtp_profiles = "SRTP_AES128_CM_SHA1_80";
    struct kit_world *const w = kit_open(&setup);
    struct kit_client *const c = kit_connect(w);
    const char label[] = "EXTRACTOR-dtls_srtp";
    ck_assert_int_eq(kirim_dtls_export(c->dtls, label, NULL, ours, sizeof ours), KIRIM_ENOTCONN);
    kit_run(w, SECOND);
    ck_assert_int_eq(kirim_dtls_export(c->dtls, label, NULL, ours, sizeof ours), KIRIM_OK);
    ck_assert_int_eq(kirim_dtls_export(w->last_dtls, label, NULL, theirs, sizeof theirs), KIRIM_OK);
    ck_assert_mem_eq(ours, theirs, sizeof ours);
    ck_assert_int_eq(kirim_dtls_export(w->last_dtls, label, &context, theirs, sizeof theirs),
                     KIRIM_OK);
    ck_assert_mem_ne(ours, theirs, sizeof ours);
    ck_assert_str_eq(kit_info(c->dtls).srtp, "SRTP_AES128_CM_SHA1_80");
    ck_assert_str_eq(kit_info(w->last_dtls).srtp, "SRTP_AES128_CM_SHA1_80");
    kit_close(w);
}
END_TEST

/* ---- resumption ------------------------------------------------------------------------------ */

enum { SESSION_ROOM = 2048 };

/* A first association's session; the client has closed it. */
static struct kirim_buf first_session(struct kit_world *w, uint8_t room[SESSION_ROOM])
{
    struct kit_client *const c = kit_connect(w);
    size_t bytes = 0;
    ck_assert_int_eq(kirim_dtls_session(c->dtls, room, SESSION_ROOM, &bytes), KIRIM_ENOTCONN);
    kit_run(w, SECOND);
    ck_assert_int_eq(kirim_dtls_session(c->dtls, NULL, 0, &bytes), KIRIM_EMSGSIZE);
    ck_assert_uint_le(bytes, SESSION_ROOM);
    ck_assert_int_eq(kirim_dtls_session(c->dtls, room, bytes, &bytes), KIRIM_OK);
    ck_assert_int_eq(kirim_stack_drain(c->stack, KIRIM_NEVER), KIRIM_OK);
    kit_run(w, SECOND);
    return (struct kirim_buf){ room, bytes };
}

START_TEST(session_is_resumed)
{
    uint8_t room[SESSION_ROOM];
    struct kit_setup setup = { 0 };
    if (_i == 1) {
        setup.server = kit_psk_options();
        setup.client = kit_psk_options();
    }
    struct kit_world *const w = kit_open(&setup);
    const struct kirim_buf session = first_session(w, room);
    struct kit_client *const c = kit_connect_from(w, 0, NULL, &session);
    c->to_send = 3;
    c->message_bytes = 50;
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->to_send, 0);
    ck_assert(kit_info(c->dtls).is_resumed);
    ck_assert(kit_info(w->last_dtls).is_resumed);
    ck_assert_int_eq(kit_info(c->dtls).is_peer_certified, _i == 0);
    ck_assert_uint_eq(kit_server_stats(w).resumed, 1);
    kit_close(w);
}
END_TEST

/* Of another host, spoiled, cut, of another version: then a whole handshake. */
START_TEST(other_session_is_not_resumed)
{
    uint8_t room[SESSION_ROOM];
    struct kit_world *const w = kit_open_plain();
    struct kirim_buf session = first_session(w, room);
    if (_i == 1) {
        room[0]++;
    } else if (_i == 2) {
        room[14] ^= 0xff; /* where OpenSSL's own form begins */
    } else if (_i == 3) {
        session.bytes = 14;
    } else if (_i == 4) {
        room[1] = 0; /* nobody had looked at the certificate */
    }
    struct kit_client *const c =
        kit_connect_from(w, 0, _i == 0 ? "10.0.0.1" : "server.test", &session);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->ready_count, 1);
    ck_assert(!kit_info(c->dtls).is_resumed);
    kit_close(w);
}
END_TEST

START_TEST(without_tickets_nobody_resumes)
{
    struct kit_setup setup = { .server = kit_server_options() };
    uint8_t room[SESSION_ROOM];
    size_t bytes = 0;
    setup.server.is_without_tickets = true;
    struct kit_world *const w = kit_open(&setup);
    struct kit_client *const c = kit_connect(w);
    kit_run(w, SECOND);
    ck_assert_int_eq(kirim_dtls_session(c->dtls, room, sizeof room, &bytes), KIRIM_ENOENT);
    kit_close(w);
}
END_TEST

/* Servers that share a key of tickets, of which the second asks more of its peers, or trusts
 * others: whoever was let in by the first shows a certificate to the second all the same. */
START_TEST(ticket_of_an_easier_server_is_not_taken)
{
    uint8_t room[SESSION_ROOM];
    uint8_t key[KIRIM_DTLS_TICKET_KEY_BYTES] = { 7 };
    struct kit_setup setup = { .server = kit_server_options(), .client = kit_client_options() };
    setup.server.ticket_key = (struct kirim_buf){ key, sizeof key };
    if (_i == 1) { /* let in as somebody whom the second does not trust */
        setup.client.certificate = identity_text(kit_identities()->client.certificate);
        setup.client.private_key = identity_text(kit_identities()->client.key);
        setup.server.verify = KIRIM_DTLS_VERIFY_REQUIRE;
        setup.server.trusted = identity_text(kit_identities()->ca.certificate);
    }
    struct kit_world *w = kit_open(&setup);
    const struct kirim_buf session = first_session(w, room);
    kit_close(w);
    if (_i == 0) {
        setup.server.verify = KIRIM_DTLS_VERIFY_REQUIRE;
        setup.server.trusted = identity_text(kit_identities()->ca.certificate);
    } else if (_i == 1) {
        setup.server.trusted = identity_text(kit_identities()->other.certificate);
    }
    w = kit_open(&setup);
    const struct kit_client *const c = kit_connect_from(w, 0, NULL, &session);
    kit_run(w, 2 * SECOND);
    ck_assert_uint_eq(w->server_ready, _i == 2);
    ck_assert_uint_eq(kit_server_stats(w).resumed, _i == 2); /* the same server once more */
    ck_assert_int_eq(c->why, _i == 2 ? KIRIM_OK : KIRIM_ECONNRESET);
    kit_close(w);
}
END_TEST

/* A client that trusted others then, or asked somebody else about the certificate. */
START_TEST(session_of_a_laxer_client_is_not_resumed)
{
    uint8_t room[SESSION_ROOM];
    uint8_t key[KIRIM_DTLS_TICKET_KEY_BYTES] = { 7 };
    struct pin pin = { .is_accepting = true };
    struct kit_setup setup = { .server = kit_server_options(), .client = kit_client_options() };
    setup.server.ticket_key = (struct kirim_buf){ key, sizeof key };
    if (_i == 0) {
        setup.client.verify_peer = on_verify;
        setup.client.user = &pin;
    }
    struct kit_world *w = kit_open(&setup);
    const struct kirim_buf session = first_session(w, room);
    kit_close(w);
    setup.client = kit_client_options();
    setup.client.trusted = identity_text(kit_identities()->other.certificate);
    w = kit_open(&setup);
    const struct kit_client *const c = kit_connect_from(w, 0, NULL, &session);
    kit_run(w, 2 * SECOND);
    ck_assert_uint_eq(c->ready_count, 0);
    ck_assert_int_eq(c->why, KIRIM_EACCES);
    kit_close(w);
}
END_TEST

/* ---- messages -------------------------------------------------------------------------------- */

START_TEST(message_over_the_limit_is_refused_whole)
{
    static const uint8_t bytes[KIT_DATAGRAM_MAX];
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = kit_connect(w);
    ck_assert_int_eq(kit_say(c, bytes, 1), KIRIM_ENOTCONN);
    kit_run(w, SECOND);
    const size_t most = kirim_layer_payload_bytes_max(c->top);
    ck_assert_uint_eq(most, 1200 - KIRIM_DTLS_OVERHEAD_BYTES);
    ck_assert_int_eq(kit_say(c, bytes, most + 1), KIRIM_EMSGSIZE);
    ck_assert_int_eq(kit_say(c, bytes, 0), KIRIM_EOPNOTSUPP);
    c->sent_bytes_max = 0;
    ck_assert_int_eq(kit_say(c, bytes, most), KIRIM_OK);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->sent_bytes_max, 1200); /* one record, one datagram */
    ck_assert_uint_eq(c->received_count, 1);
    ck_assert_uint_eq(c->last_bytes, most);
    kit_close(w);
}
END_TEST

START_TEST(message_in_pieces_is_one_record)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = kit_connect(w);
    const struct kirim_buf bufs[] = { { (void *)(uintptr_t) "ab", 2 },
                                      { NULL, 0 },
                                      { (void *)(uintptr_t) "cde", 3 } };
    const struct kirim_msg msg = { .buf = bufs, .buf_count = 3 };
    const struct kirim_addr elsewhere = kirim_addr_ipv4((const uint8_t[]){ 1, 2, 3, 4 }, 5);
    struct kirim_msg astray = msg;
    astray.peer = &elsewhere;
    kit_run(w, SECOND);
    ck_assert_int_eq(kirim_layer_send(c->top, &msg), KIRIM_OK);
    ck_assert_int_eq(kirim_layer_send(c->top, &astray), KIRIM_EINVAL);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->last_bytes, 5);
    ck_assert_mem_eq(c->last, "abcde", 5);
    kit_close(w);
}
END_TEST

/* No datagram of a handshake is longer either, and it works. */
START_TEST(path_of_500_bytes_is_enough)
{
    static const uint32_t sizes[] = { 500, 256, 9000 };
    const struct kit_setup setup = { .payload_bytes_max = sizes[_i] };
    struct kit_world *const w = kit_open(&setup);
    struct kit_client *const c = connect_and_say(w, 3, 256 - KIRIM_DTLS_OVERHEAD_BYTES);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->to_send, 0);
    ck_assert_uint_le(c->sent_bytes_max, sizes[_i]);
    for (size_t i = 0; kit_kept(c, false, i) != NULL; i++) {
        ck_assert_uint_le(kit_kept(c, false, i)->bytes, sizes[_i]);
    }
    kit_close(w);
}
END_TEST

/* OpenSSL's buffer is as long as the path was at the beginning: what is longer is refused, and the
 * association lives on. */
START_TEST(path_that_grows_ends_nothing)
{
    static const uint8_t bytes[9000];
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_and_say(w, 1, 10);
    kit_run(w, SECOND);
    ck_assert_int_eq(kirim_stack_set_payload_bytes_max(c->stack, sizeof bytes), KIRIM_OK);
    ck_assert_int_eq(kit_say(c, bytes, 4097), KIRIM_EMSGSIZE);
    ck_assert_int_eq(kit_say(c, bytes, 4096), KIRIM_OK);
    ck_assert_int_eq(kit_say(c, bytes, 10), KIRIM_OK);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->closed_count, 0);
    ck_assert_uint_eq(c->last_bytes, 10);
    kit_close(w);
}
END_TEST

/* ---- the end --------------------------------------------------------------------------------- */

START_TEST(close_notify_ends_both)
{
    struct kit_world *const w = kit_open_plain();
    struct kit_client *const c = connect_and_say(w, 1, 10);
    kit_run(w, SECOND);
    ck_assert_int_eq(kirim_stack_drain(_i == 0 ? c->stack : w->last_stack, KIRIM_NEVER), KIRIM_OK);
    kit_run(w, SECOND);
    ck_assert_uint_eq(c->closed_count, 1);
    ck_assert_uint_eq(w->server_closed, 1);
    ck_assert_int_eq(c->why, KIRIM_OK);
    ck_assert_int_eq(w->server_why, KIRIM_OK);
    ck_assert_uint_eq(kit_server_stats(w).rx_closed + kit_client_stats(w).rx_closed, 1);
    kit_close(w);
}
END_TEST

START_TEST(drain_before_the_handshake_ends_at_once)
{
    struct kit_world *const w = kit_open_plain();
    const struct kit_client *const c = kit_connect(w);
    ck_assert_int_eq(kirim_stack_drain(c->stack, KIRIM_NEVER), KIRIM_OK);
    kit_run(w, SECOND);
    ck_assert_int_eq(c->why, KIRIM_OK);
    ck_assert_uint_eq(c->ready_count, 0);
    kit_close(w);
}
END_TEST

START_TEST(silent_session_expires)
{
    const struct kit_setup setup = { .server_idle_ns = 5 * SECOND };
    struct kit_world *const w = kit_open(&setup);
    (void)connect_and_say(w, 1, 10);
    kit_run(w, 4 * SECOND);
    ck_assert_uint_eq(w->server_closed, 0);
    kit_run(w, 3 * SECOND);
    ck_assert_int_eq(w->server_why, KIRIM_ETIMEDOUT);
    ck_assert_uint_eq(kit_server_stats(w).open, 0);
    kit_close(w);
}
END_TEST

/* ---- misuse ---------------------------------------------------------------------------------- */

static void spoil(struct kirim_dtls_options *o, int row)
{
    static const char *const bad_names[] = { "" };
    switch (row) {
    case 0:
        o->size = 0;
        break;
    case 1:
        o->ciphers = "ECDHE-ECDSA-AES128-SHA";
        break; /* CBC */
    case 2:
        o->ciphers = "none";
        break;
    case 3:
        o->private_key = (struct kirim_buf){ NULL, 0 };
        break;
    case 4:
        o->private_key = identity_text(kit_identities()->other.key);
        break;
    case 5:
        o->certificate = identity_text("-----BEGIN CERTIFICATE-----\nx\n");
        break;
    case 6:
        o->trusted = identity_text("nothing");
        break;
    case 7:
        o->alpn = bad_names;
        o->alpn_count = 1;
        break;
    case 8:
        o->psk_key = identity_text("key");
        break; /* of nobody */
    case 9:
        o->psk_identity = "nobody";
        break; /* without a key */
    case 10:
        o->ticket_key = identity_text("short");
        break;
    case 11:
        o->verify = KIRIM_DTLS_VERIFY_REQUIRE + 1;
        break;
    case 12:
        o->srtp_profiles = "none";
        break;
    case 13:
        o->alpn_count = 1;
        break;
    case 14:
        o->cookie_lifetime_s = 86401;
        break;
    default:
        o->private_key = identity_text(kit_identities()->server.certificate);
        break;
    }
}

START_TEST(bad_options_are_refused)
{
    struct kit_world *const w = kit_open_plain();
    struct kirim_dtls_options o = kit_server_options();
    struct kirim_dtls *dtls = NULL;
    spoil(&o, _i);
    ck_assert_int_eq(kirim_dtls_open(w->server_loop, &o, &dtls), KIRIM_EINVAL);
    ck_assert_ptr_null(dtls);
    kit_close(w);
}
END_TEST

START_TEST(bad_configurations_are_refused)
{
    struct kit_world *const w = kit_open_plain();
    struct kirim_dtls_config config = KIRIM_DTLS_CONFIG_INIT(w->client_dtls, KIRIM_DTLS_CLIENT);
    const struct kirim_layer_plan layer = { kirim_dtls_layer_type(), _i == 0 ? NULL : &config };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_stack *stack = NULL;
    char name[300] = { 0 };
    memset(name, 'a', sizeof name - 1);
    plan.layers = &layer;
    plan.layer_count = 1;
    ck_assert_int_eq(kirim_addr_parse("10.0.0.2:0", &options.local), KIRIM_OK);
    ck_assert_int_eq(kirim_addr_parse("10.0.0.1:4433", &options.peer), KIRIM_OK);
    config.host = "server.test";
    switch (_i) {
    case 1:
        config.size = 1;
        break;
    case 2:
        config.dtls = NULL;
        break;
    case 3:
        config.dtls = w->server_dtls;
        break; /* of another loop */
    case 4:
        config.role = 0;
        break;
    case 5:
        config.host = NULL;
        break;
    case 6:
        config.host = "";
        break;
    case 7:
        config.host = name;
        break;
    default:
        plan.payload_bytes_max = KIRIM_DTLS_PAYLOAD_BYTES_MIN - 1;
        break;
    }
    ck_assert_int_eq(kirim_stack_on_endpoint(w->client_loop, &options, &plan, &stack),
                     KIRIM_EINVAL);
    ck_assert_ptr_null(stack);
    kit_close(w);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { messages_come_back, 0 },
        { layer_asks_for_cookies_by_itself, 0 },
        { strangers_cost_nothing, 0 },
        { name_of_the_server_is_checked, 7 },
        { subject_is_no_name_of_the_server, 5 },
        { issuer_must_be_trusted, 0 },
        { nobody_is_asked_if_so_said, 0 },
        { hook_has_the_last_word, 4 },
        { clients_certificate_is_asked_for, 8 },
        { key_that_both_have_is_enough, 0 },
        { keys_are_found_by_identity, 2 },
        { wrong_key_ends_by_time, 0 },
        { application_protocol_is_agreed_on, 3 },
        { both_sides_derive_the_same_keys, 0 },
        { session_is_resumed, 2 },
        { other_session_is_not_resumed, 5 },
        { without_tickets_nobody_resumes, 0 },
        { ticket_of_an_easier_server_is_not_taken, 3 },
        { session_of_a_laxer_client_is_not_resumed, 2 },
        { path_that_grows_ends_nothing, 0 },
        { message_over_the_limit_is_refused_whole, 0 },
        { message_in_pieces_is_one_record, 0 },
        { path_of_500_bytes_is_enough, 3 },
        { close_notify_ends_both, 2 },
        { drain_before_the_handshake_ends_at_once, 0 },
        { silent_session_expires, 0 },
        { bad_options_are_refused, 16 },
        { bad_configurations_are_refused, 9 },
        { NULL, 0 },
    };
    return kit_main("protocols_dtls_layer", claims);
}
