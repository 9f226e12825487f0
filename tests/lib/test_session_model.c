/* SPDX-License-Identifier: MIT
 *
 * Sessions against a model: which of some few keys has a session, and which number it has.
 *
 * Strangers arrive at random, with the keys of others too; sessions are closed, validated, given
 * keys and robbed of them, followed to other addresses, and left in silence, inside callbacks and
 * outside; sets are small, so that many are evicted. After every turn the set and the model agree
 * on who is there, and in the end everybody was told `closed` once.
 */
#include "session_kit.h"
#include "support/random.h"

#include <stdlib.h>
#include <string.h>

enum { ADDRESS_COUNT = 24, KEY_COUNT = 26, TURN_COUNT = 40000, COUNT_MAX = 12 };

struct model {
    struct kit *k;
    struct test_random random;
    uint64_t id[KEY_COUNT]; /* of the session that was opened last with that key; 0: closed */
    uint64_t opened, closed, received;
    uint64_t sent;
};

/* Behind each session. */
struct mine {
    struct model *m;
    uint64_t id;
    uint8_t key;
};

static uint64_t below(struct model *m, uint64_t bound)
{
    return test_random_below(&m->random, bound);
}

static struct mine *mine_of(struct kirim_session *s)
{
    return kirim_session_state(s);
}

/* One of those that are open, or NULL. */
static struct kirim_session *any(struct model *m)
{
    const uint64_t id = m->id[below(m, KEY_COUNT)];
    return id != 0 ? kirim_sessions_find(m->k->set, id) : NULL;
}

/* Does something to some session. */
static void meddle(struct model *m)
{
    struct kirim_session *s = any(m);
    const uint8_t extra[2] = { 'x', (uint8_t)below(m, 4) };
    static const uint8_t bytes[32];
    if (s == NULL) {
        return;
    }
    switch (below(m, 7)) {
    case 0:
        KS_OK(kirim_session_close(s));
        break;
    case 1:
        KS_OK(kirim_session_validate(s));
        break;
    case 2:
        (void)kirim_session_add_key(s, extra, sizeof extra);
        break;
    case 3:
        (void)kirim_session_remove_key(s, extra, sizeof extra);
        break;
    case 4: {
        const struct kirim_addr to = kit_addr((unsigned)below(m, ADDRESS_COUNT));
        (void)kirim_session_accept_path(s, &to);
        break;
    }
    default:
        m->sent += kirim_session_send_bytes(s, bytes, below(m, sizeof bytes)) == KIRIM_OK;
        break;
    }
}

static void model_received(struct kirim_session *s, const struct kirim_batch *batch, void *user)
{
    struct mine *mine = mine_of(s);
    struct model *m = mine->m;
    (void)user;
    KS_EQ(mine->id, kirim_session_id(s));
    KS_CHECK(kirim_sessions_find(m->k->set, mine->id) == s);
    for (size_t i = 0; i < batch->count; i++) {
        KS_EQ(mine->key, kirim_batch_at(batch, i)->data[0]);
    }
    m->received += batch->count;
    if (below(m, 4) == 0) {
        meddle(m);
    }
}

static void model_closed(struct kirim_session *s, int reason, void *user)
{
    struct mine *mine = mine_of(s);
    (void)user;
    KS_CHECK(mine->id == kirim_session_id(s) && reason != 0);
    mine->m->closed++;
    mine->id = 0; /* a second time would be seen */
}

static void model_opened(struct kirim_sessions *set, struct kirim_session *s, void *user)
{
    struct kit *k = user;
    struct model *m = k->ctx;
    struct mine *mine = mine_of(s);
    (void)set;
    *mine = (struct mine){ m, kirim_session_id(s), 0 };
    m->opened++;
}

static const struct kirim_session_handler model_handler = {
    .size = KIRIM_SESSION_HANDLER_INIT,
    .received = model_received,
    .closed = model_closed,
};

static kirim_err model_admit(struct kirim_sessions *set, const struct kirim_datagram *d,
                             struct kirim_admission *out, void *user)
{
    struct kit *k = user;
    struct model *m = k->ctx;
    (void)set;
    (void)d;
    out->is_validated = below(m, 3) == 0;
    if (below(m, 8) == 0) {
        meddle(m);
    }
    return below(m, 10) == 0 ? KIRIM_EACCES : KIRIM_OK;
}

/* Writes down who has which key, and checks what can be checked. */
static void compare(struct model *m)
{
    uint64_t count = 0;
    uint64_t unvalidated_count = 0;
    struct kirim_session *s = NULL;
    memset(m->id, 0, sizeof m->id);
    while ((s = kirim_sessions_next(m->k->set, s)) != NULL) {
        count++;
        unvalidated_count += !kirim_session_is_validated(s);
    }
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const uint8_t key = (uint8_t)('A' + i);
        s = kirim_sessions_find_key(m->k->set, NULL, &key, 1);
        if (s != NULL) {
            mine_of(s)->key = key;
            m->id[i] = kirim_session_id(s);
            count--;
        }
    }
    KS_EQ(0, count);
    const struct kirim_sessions_stats stats = kit_stats(m->k);
    KS_EQ(unvalidated_count, stats.unvalidated_count);
    KS_EQ(m->opened, stats.opened);
    KS_EQ(stats.opened - stats.closed, stats.count);
    KS_CHECK(stats.count <= COUNT_MAX);
}

static void run_turn(struct model *m)
{
    /* One arrival of each key at most, so that the first batch of a session has its key noted. */
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (below(m, 6) == 0) {
            kit_arrive_keyed(m->k, (unsigned)below(m, ADDRESS_COUNT), (uint8_t)('A' + i), 0);
        }
    }
    ks_turn(&m->k->t);
    compare(m);
    if (below(m, 3) == 0) {
        meddle(m);
    }
    m->k->s->now_ns += below(m, 12);
}

/* The key of a session is told by the first datagram. */
static void first_received(struct kirim_session *s, const struct kirim_batch *batch, void *user)
{
    struct mine *mine = mine_of(s);
    mine->key = mine->key != 0 ? mine->key : kirim_batch_at(batch, 0)->data[0];
    model_received(s, batch, user);
}

START_TEST(sessions_are_what_the_model_is)
{
    struct model *m = calloc(1, sizeof *m);
    KS_CHECK(m != NULL);
    m->random = test_random_start("session_model");
    m->k = kit_new();
    m->k->ctx = m;
    struct kirim_session_handler handler = model_handler;
    handler.received = first_received;
    m->k->options.classify = kit_by_first_byte;
    m->k->options.session_handler = &handler;
    m->k->options.state_bytes = sizeof(struct mine);
    m->k->options.count_max = COUNT_MAX;
    m->k->options.unvalidated_count_max = COUNT_MAX / 2;
    m->k->options.prefix_count_max = COUNT_MAX - 2;
    m->k->options.prefix_ipv4_bits = 28;
    m->k->options.eviction = (uint16_t)_i;
    m->k->options.idle_ns = 60;
    m->k->options.unvalidated_idle_ns = 30;
    m->k->handler.admit = model_admit;
    m->k->handler.opened = model_opened;
    kit_open(m->k);
    for (int i = 0; i < TURN_COUNT; i++) {
        run_turn(m);
    }
    const struct kirim_sessions_stats stats = kit_stats(m->k);
    KS_CHECK(stats.opened > TURN_COUNT / 10 && stats.idle > 0 && m->received > m->opened);
    KS_CHECK(stats.refused > 0 && m->sent > 0);
    KS_CHECK((_i == KIRIM_EVICT_NONE) == (stats.evicted == 0));
    KS_CHECK(_i != KIRIM_EVICT_NONE || stats.refused_full > 0);
    kit_close(m->k);
    KS_EQ(m->opened, m->closed);
    free(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session model");
    TCase *tcase = tcase_create("model");
    tcase_add_loop_test(tcase, sessions_are_what_the_model_is, 0, KIRIM_EVICT_IDLE + 1);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
