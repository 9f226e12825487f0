/* SPDX-License-Identifier: MIT
 *
 * Claims about ends that come at the worst time: each callback closes each thing there is, and then
 * everybody is told once, and nothing is touched that is gone. On the scripted reactor.
 */
#include "session_kit.h"

#include <stdlib.h>

enum place {
    IN_CLASSIFY,
    IN_ADMIT,
    IN_STATELESS,
    IN_OPENED,
    IN_RECEIVED,
    IN_PATH,
    IN_WRITABLE,
    IN_CLOSED,
    PLACE_COUNT
};

enum deed { END_ALL_SESSIONS, END_SET, DRAIN_SET, END_ENDPOINT, END_LOOP, REPLACE, DEED_COUNT };

static struct kit *kit;
static enum place place;
static enum deed deed;
static bool is_done;
static bool must_end; /* nobody is left, so the set is to go by itself */

static void end_all_sessions(void)
{
    struct kirim_session *s = NULL;
    while ((s = kirim_sessions_next(kit->set, s)) != NULL) {
        KS_OK(kirim_session_close(s));
        KS_ERR(KIRIM_ECLOSED, kirim_session_send_bytes(s, "x", 1));
        KS_ERR(KIRIM_ECLOSED, kirim_session_add_key(s, "x", 1));
        KS_ERR(KIRIM_ECLOSED, kirim_session_validate(s));
    }
}

/* All sessions end, and others begin in their stead. */
static void replace(void)
{
    struct kirim_session *s = NULL;
    end_all_sessions();
    for (unsigned n = 100; n < 104; n++) {
        const struct kirim_addr peer = kit_addr(n);
        (void)kirim_session_open(kit->set, &peer, NULL, 0, NULL, &s);
    }
}

static void act(enum place here)
{
    if (here != place || is_done) {
        return;
    }
    is_done = true;
    switch (deed) {
    case END_ALL_SESSIONS:
        end_all_sessions();
        break;
    case END_SET:
        KS_OK(kirim_sessions_close(kit->set));
        KS_ERR(KIRIM_ECLOSED, kirim_sessions_close(kit->set));
        break;
    case DRAIN_SET:
        KS_OK(kirim_sessions_drain(kit->set, KIRIM_NEVER));
        KS_ERR(KIRIM_ECLOSED, kirim_sessions_drain(kit->set, KIRIM_NEVER));
        must_end = true;
        break;
    case END_ENDPOINT:
        KS_OK(kirim_endpoint_close(kirim_sessions_endpoint(kit->set)));
        break;
    case END_LOOP:
        KS_ERR(KIRIM_EINVAL, kirim_loop_close(kit->t.loop));
        break;
    default:
        replace();
        break;
    }
}

static void classify(const struct kirim_datagram *d, struct kirim_class *out, void *user)
{
    kit_by_first_byte(d, out, user);
    act(IN_CLASSIFY);
}

static kirim_err admit(struct kirim_sessions *set, const struct kirim_datagram *d,
                       struct kirim_admission *out, void *user)
{
    (void)set;
    (void)d;
    (void)out;
    (void)user;
    act(IN_ADMIT);
    return KIRIM_OK;
}

static void stateless(struct kirim_sessions *set, const struct kirim_datagram *d, void *user)
{
    (void)user;
    act(IN_STATELESS);
    (void)kirim_sessions_answer(set, d, "no", 2);
}

static void on_opened(struct kit_peer *peer)
{
    (void)kirim_session_send_bytes(peer->session, "more than it has earned", 23);
    act(IN_OPENED);
}

static void on_received(struct kit_peer *peer, const struct kirim_batch *batch)
{
    (void)peer;
    (void)batch;
    act(IN_RECEIVED);
}

static void on_path(struct kit_peer *peer, const struct kirim_addr *addr)
{
    (void)peer;
    (void)addr;
    act(IN_PATH);
}

static void on_writable(struct kit_peer *peer)
{
    (void)peer;
    act(IN_WRITABLE);
}

static void on_closed(struct kit_peer *peer)
{
    (void)peer;
    act(IN_CLOSED);
}

/* A batch in which everything happens; from the second on somebody has to go. */
static void arrive_all(unsigned number)
{
    if (number != 0) {
        kit_arrive_keyed(kit, 30 + number, (uint8_t)('E' + number), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        kit_arrive_keyed(kit, 1 + i, (uint8_t)('A' + i), i);
        kit_arrive_keyed(kit, 1 + i, 1, i);
        kit_arrive_keyed(kit, 9 + i, 'A', i);
        kit_arrive_keyed(kit, 1 + i, 'B', i);
    }
}

static void run(void)
{
    kit = kit_new();
    kit->options.classify = classify;
    kit->options.count_max = 4;
    kit->options.eviction = KIRIM_EVICT_IDLE;
    kit->options.prefix_count_max = 100;
    kit->handler.admit = admit;
    kit->handler.stateless = stateless;
    kit->on_opened = on_opened;
    kit->on_received = on_received;
    kit->on_path = on_path;
    kit->on_writable = on_writable;
    kit->on_closed = on_closed;
    is_done = false;
    must_end = false;
    kit_open(kit);
    for (unsigned i = 0; i < 4 && kit->set != NULL; i++) {
        if (!is_done) {
            arrive_all(i);
        }
        ks_turn(&kit->t);
    }
    KS_CHECK(is_done);
    for (unsigned i = 0; must_end && kit->set != NULL && i < 4; i++) {
        ks_turn(&kit->t);
    }
    KS_CHECK(!must_end || kit->set == NULL);
    kit_close(kit);
}

START_TEST(everything_may_end_in_every_callback)
{
    for (int p = 0; p < PLACE_COUNT; p++) {
        for (int d = 0; d < DEED_COUNT; d++) {
            place = (enum place)p;
            deed = (enum deed)d;
            run();
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ends of sessions");
    TCase *tcase = tcase_create("ends");
    tcase_add_test(tcase, everything_may_end_in_every_callback);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
