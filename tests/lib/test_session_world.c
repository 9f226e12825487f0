/* SPDX-License-Identifier: MIT
 *
 * Sessions in the simulated network: a thousand peers ask one set through a network that loses,
 * repeats and disorders; half way each of them moves to another port, is challenged there, and
 * followed. Nobody is mistaken for another, silence ends them all, and the same seed gives the same
 * run. How seeds are chosen: support/storm.h.
 *
 * Datagrams: a letter, the peer's number, a sequence number. `Q` asks, `A` answers, `C` challenges,
 * `R` responds.
 */
#include "support/ks.h"
#include "support/storm.h"

#include <kirim/sim.h>
#include <stdlib.h>
#include <string.h>

enum {
    HOST_COUNT = 4,
    PEER_COUNT = 1000,
    QUESTION_COUNT = 8,
    MESSAGE_BYTES = 9,
    KEY_BYTES = 4,
    STORM_PPM = 80000
};

#define MS UINT64_C(1000000)

struct peer {
    struct world *w;
    struct kirim_endpoint *ep;
    struct kirim_loop *loop;
    struct kirim_timer retry;
    uint32_t id, next; /* the question that is open */
    bool has_moved;
};

struct world {
    struct kirim_trial *trial;
    struct kirim_sim *sim;
    struct kirim_loop *server, *hosts[HOST_COUNT];
    struct kirim_sessions *set;
    struct kirim_addr addr;
    struct peer *peers;
    uint64_t opened, closed, accepted;
    uint32_t answered[PEER_COUNT]; /* of the server's side: highest question */
};

static void write_message(uint8_t *out, char letter, uint32_t id, uint32_t number)
{
    out[0] = (uint8_t)letter;
    ks_number(out + 1, id);
    ks_number(out + 5, number);
}

static uint32_t read_number(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* ---- the server ------------------------------------------------------------------------------ */

static void classify(const struct kirim_datagram *d, struct kirim_class *out, void *user)
{
    (void)user;
    if (d->bytes == MESSAGE_BYTES) {
        out->verdict = d->data[0] == 'Q' ? KIRIM_CLASS_ADMIT : KIRIM_CLASS_KNOWN;
        out->key = d->data + 1;
        out->key_bytes = KEY_BYTES;
    }
}

static void send_letter(struct kirim_session *s, const struct kirim_addr *to, char letter,
                        uint32_t id, uint32_t number)
{
    uint8_t bytes[MESSAGE_BYTES];
    const struct kirim_buf buf = { bytes, sizeof bytes };
    const struct kirim_msg msg = { &buf, to, NULL, 1, 0 };
    write_message(bytes, letter, id, number);
    (void)kirim_session_send(s, &msg, 0, NULL, NULL);
}

static void on_received(struct kirim_session *s, const struct kirim_batch *batch, void *user)
{
    struct world *w = kirim_sessions_user(kirim_session_set(s));
    uint32_t *state = user;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        const uint32_t id = read_number(d->data + 1);
        const uint32_t number = read_number(d->data + 5);
        *state = *state != 0 ? *state : id + 1;
        KIRIM_TRIAL_EXPECT(w->trial, *state == id + 1); /* nobody else's ever */
        if (d->data[0] == 'R') {
            w->accepted += kirim_session_accept_path(s, &d->peer) == KIRIM_OK;
        } else {
            w->answered[id] = number > w->answered[id] ? number : w->answered[id];
            (void)kirim_session_validate(s);
            send_letter(s, &d->peer, 'A', id, number);
        }
    }
}

static void on_path(struct kirim_session *s, const struct kirim_addr *peer, void *user)
{
    const uint32_t *state = user;
    send_letter(s, peer, 'C', *state - 1, 0);
}

static void on_closed(struct kirim_session *s, int reason, void *user)
{
    struct world *w = kirim_sessions_user(kirim_session_set(s));
    (void)user;
    w->closed += reason == KIRIM_SESSION_IDLE;
}

static void on_opened(struct kirim_sessions *set, struct kirim_session *s, void *user)
{
    struct world *w = user;
    (void)set;
    (void)s;
    w->opened++;
}

/* ---- the peers ------------------------------------------------------------------------------- */

static void ask(struct kirim_timer *timer);
static void open_peer(struct peer *p);

static void peer_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct peer *p = user;
    for (size_t i = 0; i < batch->count && ep == p->ep; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        uint8_t bytes[MESSAGE_BYTES];
        KIRIM_TRIAL_EXPECT(p->w->trial, read_number(d->data + 1) == p->id);
        if (d->data[0] == 'C') {
            write_message(bytes, 'R', p->id, 0);
            KS_OK(kirim_endpoint_send_to(ep, bytes, sizeof bytes, NULL));
        } else if (read_number(d->data + 5) == p->next && p->next <= QUESTION_COUNT) {
            p->next++;
            if (p->next > QUESTION_COUNT / 2 && !p->has_moved) {
                p->has_moved = true;
                KS_OK(kirim_endpoint_close(ep));
                open_peer(p);
            }
            ask(&p->retry);
        }
    }
}

static void ask(struct kirim_timer *timer)
{
    struct peer *p = timer->user;
    uint8_t bytes[MESSAGE_BYTES];
    if (p->next <= QUESTION_COUNT) {
        write_message(bytes, 'Q', p->id, p->next);
        KS_OK(kirim_endpoint_send_to(p->ep, bytes, sizeof bytes, NULL));
        KS_OK(kirim_timer_arm_after(p->loop, &p->retry, 200 * MS));
    }
}

static void open_peer(struct peer *p)
{
    static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = peer_received };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.peer = p->w->addr;
    options.handler = &handler;
    options.user = p;
    KS_OK(kirim_endpoint_open(p->loop, &options, &p->ep));
}

/* ---- the world ------------------------------------------------------------------------------- */

static struct kirim_loop *add_host(struct world *w, const char *addr)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_sim_host *host;
    struct kirim_loop *loop;
    struct kirim_addr at;
    KS_OK(kirim_addr_parse(addr, &at));
    KS_OK(kirim_sim_host_add(w->sim, addr, &at, 1, &host));
    options.reactor = "sim";
    options.reactor_context = host;
    KS_OK(kirim_loop_open(&options, &loop));
    return loop;
}

static void open_set(struct world *w)
{
    static const struct kirim_sessions_handler set_handler = { KIRIM_SESSIONS_HANDLER_INIT,
                                                               .opened = on_opened };
    static const struct kirim_session_handler handler = {
        KIRIM_SESSION_HANDLER_INIT,
        .received = on_received,
        .path_seen = on_path,
        .closed = on_closed,
    };
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_sessions_options options = KIRIM_SESSIONS_OPTIONS_INIT;
    endpoint.local = w->addr;
    endpoint.receive_buffer_bytes = 1 << 22;
    options.endpoint = &endpoint;
    options.classify = classify;
    options.handler = &set_handler;
    options.session_handler = &handler;
    options.user = w;
    options.state_bytes = sizeof(uint32_t);
    KS_OK(kirim_sessions_open(w->server, &options, &w->set));
}

static void open_world(struct world *w, struct kirim_trial *trial)
{
    static const char *const addrs[HOST_COUNT] = { "10.0.0.2:0", "10.0.0.3:0", "10.0.0.4:0",
                                                   "10.0.0.5:0" };
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    memset(w, 0, sizeof *w);
    w->trial = trial;
    KS_OK(kirim_trial_open(trial, NULL, &w->sim));
    link.delay_ns = 20 * MS;
    link.jitter_ns = link.reorder_ns = 10 * MS;
    link.loss_ppm = link.duplicate_ppm = link.reorder_ppm = STORM_PPM;
    KS_OK(kirim_sim_link_set(w->sim, NULL, NULL, &link));
    w->server = add_host(w, "10.0.0.1:7");
    KS_OK(kirim_addr_parse("10.0.0.1:7", &w->addr));
    open_set(w);
    for (size_t i = 0; i < HOST_COUNT; i++) {
        w->hosts[i] = add_host(w, addrs[i]);
    }
    w->peers = calloc(PEER_COUNT, sizeof *w->peers);
    KS_CHECK(w->peers != NULL);
    for (uint32_t i = 0; i < PEER_COUNT; i++) {
        struct peer *p = &w->peers[i];
        *p = (struct peer){ .w = w, .loop = w->hosts[i % HOST_COUNT], .id = i, .next = 1 };
        p->retry = (struct kirim_timer)KIRIM_TIMER_INIT(ask, p);
        open_peer(p);
        KS_OK(kirim_timer_arm_after(p->loop, &p->retry, i % 97 * MS));
    }
}

/* Runs a world until nothing is left to happen but the end of silence. */
static void run_world(struct kirim_trial *trial, void *user)
{
    struct world *w = malloc(sizeof *w);
    (void)user;
    KS_CHECK(w != NULL);
    open_world(w, trial);
    KS_OK(kirim_sim_run(w->sim, UINT64_C(50000) * MS));
    for (uint32_t i = 0; i < PEER_COUNT; i++) {
        KIRIM_TRIAL_EXPECT(trial, w->peers[i].next == QUESTION_COUNT + 1);
        KIRIM_TRIAL_EXPECT(trial, w->answered[i] == QUESTION_COUNT);
    }
    KIRIM_TRIAL_EXPECT(trial, w->opened == PEER_COUNT);
    /* A challenge may be lost, and nobody repeats it. */
    KIRIM_TRIAL_EXPECT(trial, w->accepted > PEER_COUNT / 2);
    KS_OK(kirim_sim_run(w->sim, UINT64_C(200000) * MS));
    KIRIM_TRIAL_EXPECT(trial, w->closed == PEER_COUNT);
    for (size_t i = 0; i < HOST_COUNT; i++) {
        KS_OK(kirim_loop_close(w->hosts[i]));
    }
    KS_OK(kirim_loop_close(w->server));
    KS_OK(kirim_sim_close(w->sim));
    free(w->peers);
    free(w);
}

START_TEST(thousand_peers_are_told_apart)
{
    (void)storm_run(run_world, NULL);
}
END_TEST

int main(int argc, char **argv)
{
    const struct kit_claim claims[] = { { thousand_peers_are_told_apart, 0 }, { NULL, 0 } };
    return storm_main(argc, argv, "session world", claims);
}
