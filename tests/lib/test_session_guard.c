/* SPDX-License-Identifier: MIT
 *
 * Claims about the guard of a set: who has to bring a token, whose prefix asks too often, and what
 * is counted. On the scripted reactor.
 */
#include "core.h"
#include "session_kit.h"

#include <stdlib.h>
#include <string.h>

enum { HELLO_BYTES = 32, TOKEN_BYTES = KIRIM_TOKEN_BYTES(0), HEAD_BYTES = 2 };

#define SECOND_NS UINT64_C(1000000000)

static const uint8_t head[HEAD_BYTES] = { 'R', '!' };

/* The last answer that keep_answer() wrote. */
static uint8_t answer[KIRIM_GUARD_ANSWER_BYTES_MAX];

static struct kirim_guard_options guard;

static struct kit *guarded_kit(void)
{
    struct kit *k = kit_new();
    guard = (struct kirim_guard_options)KIRIM_GUARD_OPTIONS_INIT;
    guard.retry_head = head;
    guard.retry_head_bytes = HEAD_BYTES;
    k->options.guard = &guard;
    return k;
}

/* Writes what the guard would write by itself, and keeps it. */
static size_t keep_answer(const struct kirim_datagram *d, const uint8_t *token, size_t token_bytes,
                          uint8_t *out, void *user)
{
    (void)d;
    (void)user;
    memcpy(out, head, HEAD_BYTES);
    memcpy(out + HEAD_BYTES, token, token_bytes);
    memcpy(answer, out, HEAD_BYTES + token_bytes);
    return HEAD_BYTES + token_bytes;
}

static void arrive(struct kit *k, unsigned n, const uint8_t *token)
{
    uint8_t hello[HELLO_BYTES] = { 'H' };
    const struct kirim_addr from = kit_addr(n);
    if (token != NULL) {
        memcpy(hello + HELLO_BYTES - TOKEN_BYTES, token, TOKEN_BYTES);
    }
    script_arrive(k->p, hello, sizeof hello, 0, &from);
    ks_turn(&k->t);
}

/* A set whose guard is as `guard` says, and which has sent a token to address 1. */
static struct kit *asked_kit(struct kit *k)
{
    guard.write_retry = keep_answer;
    kit_open(k);
    arrive(k, 1, NULL);
    KS_EQ(0, k->peer_count);
    KS_EQ(1, kit_stats(k).refused_token);
    return k;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

START_TEST(stranger_is_asked_for_a_token_and_nothing_is_kept)
{
    struct kit *k = guarded_kit();
    kit_open(k);
    arrive(k, 1, NULL);
    KS_EQ(0, k->peer_count);
    KS_EQ(1, k->p->sent_count);
    KS_EQ(HEAD_BYTES + TOKEN_BYTES, k->p->sent[0].bytes);
    KS_EQ(0x5221, k->p->sent[0].value >> 16); /* "R!" */
    KS_EQ(1, kit_stats(k).refused_token);
    KS_EQ(0, kit_stats(k).refused);
    KS_TRACE(&k->t, ""); /* `admit` was not asked */
    kit_close(k);
}
END_TEST

START_TEST(token_makes_a_peer_validated)
{
    struct kit *k = asked_kit(guarded_kit());
    k->is_validating = true; /* else the kit's `admit` takes back what the guard found */
    arrive(k, 1, answer + HEAD_BYTES);
    KS_EQ(1, k->peer_count);
    KS_EQ(1, kit_stats(k).tokens_good);
    KS_CHECK(kirim_session_is_validated(k->peers[0].session));
    arrive(k, 1, NULL); /* whoever has a session is not asked again */
    KS_EQ(2, k->peers[0].batch_count);
    KS_EQ(1, kit_stats(k).refused_token);
    kit_close(k);
}
END_TEST

static uint32_t told_validated;

static kirim_err look(struct kirim_sessions *set, const struct kirim_datagram *d,
                      struct kirim_admission *out, void *user)
{
    (void)set;
    (void)d;
    (void)user;
    told_validated = out->is_validated;
    return KIRIM_OK;
}

START_TEST(admit_finds_what_the_guard_has_found_out)
{
    struct kit *k = guarded_kit();
    k->handler.admit = look;
    (void)asked_kit(k);
    arrive(k, 1, answer + HEAD_BYTES);
    KS_EQ(1, told_validated);
    KS_CHECK(kirim_session_is_validated(k->peers[0].session));
    kit_close(k);
}
END_TEST

START_TEST(token_is_good_for_its_address_alone)
{
    struct kit *k = asked_kit(guarded_kit());
    arrive(k, 2, answer + HEAD_BYTES);
    KS_EQ(0, k->peer_count);
    KS_EQ(1, kit_stats(k).tokens_bad);
    KS_EQ(2, kit_stats(k).refused_token);
    kit_close(k);
}
END_TEST

START_TEST(token_has_its_time)
{
    struct kit *k = asked_kit(guarded_kit());
    k->s->now_ns += 32 * SECOND_NS; /* it lives 30 s, counted in whole ones */
    ks_turn(&k->t);
    arrive(k, 1, answer + HEAD_BYTES);
    KS_EQ(0, k->peer_count);
    KS_EQ(1, kit_stats(k).tokens_late);
    KS_EQ(2, kit_stats(k).refused_token);
    arrive(k, 1, answer + HEAD_BYTES);
    KS_EQ(1, k->peer_count);
    kit_close(k);
}
END_TEST

START_TEST(token_outlives_its_key_by_one)
{
    struct kit *k = guarded_kit();
    uint8_t old[TOKEN_BYTES];
    guard.token_lifetime_s = 100;
    guard.key_lifetime_s = 100;
    (void)asked_kit(k);
    memcpy(old, answer + HEAD_BYTES, sizeof old);
    k->s->now_ns += 90 * SECOND_NS;
    ks_turn(&k->t);
    arrive(k, 2, NULL);
    k->s->now_ns += 20 * SECOND_NS;
    k->s->random_seed++;
    ks_turn(&k->t);
    arrive(k, 2, answer + HEAD_BYTES); /* the next key is the present one now */
    KS_EQ(1, k->peer_count);
    arrive(k, 1, old);
    KS_EQ(1, kit_stats(k).tokens_late);
    k->s->now_ns += 101 * SECOND_NS;
    k->s->random_seed++;
    ks_turn(&k->t);
    arrive(k, 1, old);
    KS_EQ(1, kit_stats(k).tokens_bad); /* nobody knows that key any more */
    KS_EQ(1, k->peer_count);
    kit_close(k);
}
END_TEST

START_TEST(key_stays_where_there_is_no_random)
{
    struct kit *k = asked_kit(guarded_kit());
    k->s->now_ns += 4000 * SECOND_NS;
    k->s->random_err = KIRIM_ESYSTEM;
    ks_turn(&k->t);
    arrive(k, 1, NULL);
    arrive(k, 1, answer + HEAD_BYTES);
    KS_EQ(1, k->peer_count);
    kit_close(k);
}
END_TEST

START_TEST(answer_with_a_token_is_bounded_too)
{
    struct kit *k = guarded_kit();
    kit_open(k);
    kit_arrive(k, 1, 1); /* 4 bytes, which earn 12 */
    ks_turn(&k->t);
    KS_EQ(0, k->p->sent_count);
    KS_EQ(1, kit_stats(k).refused_short);
    KS_EQ(0, kit_stats(k).refused_token);
    kit_close(k);
}
END_TEST

START_TEST(tokens_may_wait_until_many_are_half_open)
{
    struct kit *k = guarded_kit();
    guard.token_from_count = 2;
    kit_open(k);
    arrive(k, 1, NULL);
    arrive(k, 2, NULL);
    arrive(k, 3, NULL);
    KS_EQ(2, k->peer_count);
    KS_EQ(1, kit_stats(k).refused_token);
    KS_OK(kirim_session_validate(k->peers[0].session));
    arrive(k, 3, NULL);
    KS_EQ(3, k->peer_count);
    kit_close(k);
}
END_TEST

/* The token stands behind a letter, which it is bound to. */
static void find_behind_letter(const struct kirim_datagram *d, struct kirim_token_place *out,
                               void *user)
{
    (void)user;
    out->context = d->data;
    out->context_bytes = 1;
    if (d->bytes > TOKEN_BYTES && d->data[1] != 0) {
        out->token = d->data + 1;
        out->token_bytes = TOKEN_BYTES;
    }
}

START_TEST(protocol_says_where_its_token_is_and_what_it_is_bound_to)
{
    struct kit *k = guarded_kit();
    guard.find_token = find_behind_letter;
    (void)asked_kit(k);
    uint8_t hello[1 + TOKEN_BYTES] = { 'X' };
    const struct kirim_addr from = kit_addr(1);
    memcpy(hello + 1, answer + HEAD_BYTES, TOKEN_BYTES);
    script_arrive(k->p, hello, sizeof hello, 0, &from);
    ks_turn(&k->t);
    KS_EQ(1, kit_stats(k).tokens_bad); /* it was given for an 'H' */
    hello[0] = 'H';
    memcpy(hello + 1, answer + HEAD_BYTES, TOKEN_BYTES);
    script_arrive(k->p, hello, sizeof hello, 0, &from);
    ks_turn(&k->t);
    KS_EQ(2, kit_stats(k).tokens_bad); /* and the last one for an 'X' */
    memcpy(hello + 1, answer + HEAD_BYTES, TOKEN_BYTES);
    script_arrive(k->p, hello, sizeof hello, 0, &from);
    ks_turn(&k->t);
    KS_EQ(1, kit_stats(k).tokens_good);
    KS_EQ(1, k->peer_count);
    kit_close(k);
}
END_TEST

static size_t write_nothing(const struct kirim_datagram *d, const uint8_t *token,
                            size_t token_bytes, uint8_t *out, void *user)
{
    (void)d;
    (void)token;
    (void)token_bytes;
    (void)out;
    (void)user;
    return 0;
}

START_TEST(protocol_may_keep_silent)
{
    struct kit *k = guarded_kit();
    guard.write_retry = write_nothing;
    kit_open(k);
    arrive(k, 1, NULL);
    KS_EQ(0, k->p->sent_count);
    KS_EQ(1, kit_stats(k).refused_short);
    kit_close(k);
}
END_TEST

/* ---- rates ----------------------------------------------------------------------------------- */

START_TEST(prefix_may_not_ask_too_often)
{
    struct kit *k = guarded_kit();
    guard.flags = KIRIM_GUARD_RATE;
    guard.rate = (struct kirim_rate){ 1, 3 };
    kit_open(k);
    for (unsigned i = 0; i < 5; i++) {
        arrive(k, 1 + i, NULL);
    }
    KS_EQ(3, k->peer_count);
    KS_EQ(2, kit_stats(k).refused_rate);
    KS_EQ(0, k->p->sent_count);
    arrive(k, 256, NULL); /* another /24 */
    KS_EQ(4, k->peer_count);
    KS_CHECK(!kirim_session_is_validated(k->peers[3].session));
    k->s->now_ns += SECOND_NS;
    ks_turn(&k->t);
    arrive(k, 5, NULL);
    KS_EQ(5, k->peer_count);
    kit_close(k);
}
END_TEST

START_TEST(flood_of_a_prefix_does_not_shut_out_who_has_a_token)
{
    struct kit *k = guarded_kit();
    guard.rate = (struct kirim_rate){ 1, 1 };
    (void)asked_kit(k);
    for (unsigned i = 0; i < 6; i++) {
        arrive(k, 10 + i, NULL);
    }
    KS_EQ(3, kit_stats(k).refused_rate); /* each second one slips, and gets its token */
    KS_EQ(4, kit_stats(k).refused_token);
    memset(answer, 0, sizeof answer);
    arrive(k, 1, NULL);
    arrive(k, 1, NULL);
    KS_CHECK(answer[0] == head[0]);
    arrive(k, 1, answer + HEAD_BYTES);
    KS_EQ(1, k->peer_count);
    kit_close(k);
}
END_TEST

/* ---- opening --------------------------------------------------------------------------------- */

START_TEST(options_of_a_guard_are_checked)
{
    struct kit *k = guarded_kit();
    const struct kirim_guard_options good = guard;
    struct kirim_sessions *set = NULL;
    script_open(k->s);
#define BAD(member, value)                                                       \
    do {                                                                         \
        guard = good;                                                            \
        guard.member = (value);                                                  \
        KS_ERR(KIRIM_EINVAL, kirim_sessions_open(k->t.loop, &k->options, &set)); \
    } while (0)
    BAD(size, 8);
    BAD(flags, 4);
    BAD(retry_head, NULL);
    BAD(retry_head_bytes, KIRIM_GUARD_HEAD_BYTES_MAX + 1);
    BAD(slot_count, KIRIM_LIMITER_WAYS + 1);
    BAD(slot_count, (1U << 24) + KIRIM_LIMITER_WAYS);
    BAD(key_lifetime_s, 29);
    BAD(token_lifetime_s, (1U << 30) + 1);
#undef BAD
    guard = good;
    k->s->random_err = KIRIM_ESYSTEM;
    KS_ERR(KIRIM_ESYSTEM, kirim_sessions_open(k->t.loop, &k->options, &set));
    k->s->random_err = KIRIM_OK;
    for (size_t i = 1; i <= 2; i++) {
        k->t.memory.fail_at = k->t.memory.calls + i;
        KS_ERR(KIRIM_ENOMEM, kirim_sessions_open(k->t.loop, &k->options, &set));
    }
    k->t.memory.fail_at = 0;
    KS_OK(kirim_sessions_open(k->t.loop, &k->options, &k->set));
    k->p = script_port_of(k->s, kirim_sessions_endpoint(k->set));
    kit_close(k);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session guard");
    TCase *tcase = tcase_create("guard");
    tcase_add_test(tcase, stranger_is_asked_for_a_token_and_nothing_is_kept);
    tcase_add_test(tcase, token_makes_a_peer_validated);
    tcase_add_test(tcase, admit_finds_what_the_guard_has_found_out);
    tcase_add_test(tcase, token_is_good_for_its_address_alone);
    tcase_add_test(tcase, token_has_its_time);
    tcase_add_test(tcase, token_outlives_its_key_by_one);
    tcase_add_test(tcase, key_stays_where_there_is_no_random);
    tcase_add_test(tcase, answer_with_a_token_is_bounded_too);
    tcase_add_test(tcase, tokens_may_wait_until_many_are_half_open);
    tcase_add_test(tcase, protocol_says_where_its_token_is_and_what_it_is_bound_to);
    tcase_add_test(tcase, protocol_may_keep_silent);
    tcase_add_test(tcase, prefix_may_not_ask_too_often);
    tcase_add_test(tcase, flood_of_a_prefix_does_not_shut_out_who_has_a_token);
    tcase_add_test(tcase, options_of_a_guard_are_checked);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
