/* SPDX-License-Identifier: MIT
 *
 * A forwarder on a loop: see forward_endpoint.h.
 */
#include "forward_endpoint.h"

#include "arrival.h"

/* A question that is being asked. */
struct kirim_dns_forward_job {
    struct kirim_dns_lookup lookup;
    struct kirim_dns_forward *forward;
    struct kirim_dns_pending *pending; /* NULL: it gave way, and nobody waits for it */
    size_t first; /* of the forwarder's servers, the one that is the lookup's first */
};

/* ---- answers --------------------------------------------------------------------------------- */

static void send_answer(struct kirim_dns_forward *forward, const struct kirim_dns_asker *asker,
                        const struct kirim_dns_room *reply)
{
    const struct kirim_dns_forward_port *const port = asker->via;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kirim_msg msg = KIRIM_MSG_INIT;
    if (reply->bytes == 0) {
        return;
    }
    if (kirim_addr_family(&asker->local) != KIRIM_FAMILY_NONE) {
        control.source = asker->local;
        msg.control = &control;
    }
    msg.peer = &asker->peer;
    const kirim_err err = kirim_endpoint_commit(port->endpoint, reply->bytes, &msg);
    forward->stats.unanswered += err < 0 ? 1 : 0;
}

/* Room in the queue where the answer leaves; none: it is not counted as sent. */
static bool reserve_answer(struct kirim_dns_forward *forward,
                           const struct kirim_dns_forward_port *port, struct kirim_dns_room *reply)
{
    void *data = NULL;
    const kirim_err err = port->endpoint == NULL
                              ? KIRIM_ECLOSED
                              : kirim_endpoint_reserve(port->endpoint, KIRIM_DNS_UDP_BYTES, &data);
    *reply = (struct kirim_dns_room){ data, KIRIM_DNS_UDP_BYTES, 0 };
    forward->stats.unanswered += err < 0 ? 1 : 0;
    return err == KIRIM_OK;
}

/* Answers those who wait no longer. */
static void tell_waiters(struct kirim_dns_forward *forward)
{
    const struct kirim_dns_asker *asker;
    while ((asker = kirim_dns_forwarder_next(forward->forwarder)) != NULL) {
        struct kirim_dns_room reply;
        if (reserve_answer(forward, asker->via, &reply)) {
            kirim_dns_forwarder_write(forward->forwarder, &reply);
            send_answer(forward, asker, &reply);
        }
    }
}

static void end_question(struct kirim_dns_forward *forward, struct kirim_dns_pending *pending,
                         const struct kirim_dns_message *answer)
{
    kirim_dns_forwarder_end(forward->forwarder, pending, answer, kirim_loop_now(forward->loop));
    tell_waiters(forward);
}

/* ---- questions to servers -------------------------------------------------------------------- */

/* Keeps what the servers said of cookies; a client's part is for one address of ours only. */
static void keep_cookies(struct kirim_dns_forward *forward, const struct kirim_dns_forward_job *job)
{
    const struct kirim_dns_query *const query = &job->lookup.query;
    const size_t index = (job->first + query->server_index) % forward->options.server_count;
    const struct kirim_addr *const local = &job->lookup.local;
    const bool is_moved =
        forward->jar[index].has_client && !kirim_addr_equal(local, &forward->jar_local[index]);
    forward->jar[index] = query->jar[query->server_index];
    forward->jar[index].has_client = !is_moved; /* else the next question begins with a new one */
    forward->jar_local[index] = *local;
}

/* What has just ended leaves its place in this turn anyway. */
static void give_way(struct kirim_dns_forward *forward, struct kirim_dns_pending *pending)
{
    struct kirim_dns_forward_job *const job = pending != NULL ? pending->user : NULL;
    if (job == NULL || job->lookup.query.state != KIRIM_DNS_QUERY_ASKING) {
        return;
    }
    job->pending = NULL;
    forward->stats.gave_way++;
    end_question(forward, pending, NULL);
    kirim_dns_lookup_cancel(&job->lookup); /* on_done() follows */
}

static void on_done(struct kirim_dns_lookup *lookup)
{
    struct kirim_dns_forward_job *const job = lookup->user;
    struct kirim_dns_forward *const forward = job->forward;
    const struct kirim_dns_query *const query = &lookup->query;
    const bool is_answered = query->state == KIRIM_DNS_QUERY_ANSWERED;
    forward->stats.asked += query->sent_count;
    forward->stats.answered += is_answered ? 1 : 0;
    forward->stats.ignored.peer += query->ignored.peer;
    forward->stats.ignored.id += query->ignored.id;
    forward->stats.ignored.malformed += query->ignored.malformed;
    forward->stats.ignored.question += query->ignored.question;
    forward->stats.ignored.cookie += query->ignored.cookie;
    if (is_answered) {
        forward->first = (job->first + query->server_index) % forward->options.server_count;
        keep_cookies(forward, job);
    }
    if (job->pending != NULL) {
        end_question(forward, job->pending, is_answered ? &query->answer : NULL);
    }
    (void)forward->options.forwarder.alloc(forward->options.forwarder.alloc_user, job, sizeof *job,
                                           0);
}

static kirim_err start_job(struct kirim_dns_forward *forward, struct kirim_dns_forward_job *job)
{
    struct kirim_dns_query_options options = KIRIM_DNS_QUERY_OPTIONS_INIT;
    const struct kirim_dns_forward_options *const wanted = &forward->options;
    options.name = job->pending->question.name;
    options.type = job->pending->question.type;
    options.dns_class = job->pending->question.dns_class;
    options.server_count = wanted->server_count;
    options.timeout_ns = wanted->timeout_ns;
    options.try_count = wanted->try_count;
    options.is_without_cookies = wanted->is_without_cookies;
    options.is_dnssec_ok = job->pending->is_dnssec_ok;
    options.is_checking_disabled = job->pending->is_checking_disabled;
    for (size_t i = 0; i < wanted->server_count; i++) {
        const size_t index = (job->first + i) % wanted->server_count;
        options.server[i] = wanted->server[index];
        options.jar[i] = forward->jar[index];
    }
    return kirim_dns_lookup_start(&job->lookup, forward->loop, &options);
}

/* Asks a question; one that cannot be asked has no answer. */
static void ask_servers(struct kirim_dns_forward *forward, struct kirim_dns_pending *pending)
{
    const struct kirim_dns_forwarder_options *const options = &forward->options.forwarder;
    struct kirim_dns_forward_job *const job =
        options->alloc(options->alloc_user, NULL, 0, sizeof *job);
    if (job != NULL) {
        job->lookup = (struct kirim_dns_lookup)KIRIM_DNS_LOOKUP_INIT(on_done, job);
        job->forward = forward;
        job->pending = pending;
        job->first = forward->first;
        if (start_job(forward, job) == KIRIM_OK) {
            pending->user = job;
            return;
        }
        (void)options->alloc(options->alloc_user, job, sizeof *job, 0);
    }
    end_question(forward, pending, NULL);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void answer_datagram(struct kirim_dns_forward_port *port, const struct kirim_datagram *d,
                            uint64_t now_ns)
{
    struct kirim_dns_forward *const forward = port->forward;
    const struct kirim_dns_request request = { { d->data, d->bytes }, &d->peer, now_ns };
    struct kirim_dns_asker asker = { .peer = d->peer, .via = port };
    struct kirim_dns_room reply;
    if (!reserve_answer(forward, port, &reply)) {
        return;
    }
    (void)ki_dns_source(port->names_source, d, &asker.local);
    struct kirim_dns_pending *const pending =
        kirim_dns_forwarder_ask(forward->forwarder, &request, &asker, &reply);
    send_answer(forward, &asker, &reply);
    tell_waiters(forward);
    if (pending != NULL) {
        give_way(forward, kirim_dns_forwarder_surplus(forward->forwarder));
        ask_servers(forward, pending);
    }
}

static void on_requests(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct kirim_dns_forward_port *const port = user;
    struct kirim_dns_forward_stats *const stats = &port->forward->stats;
    const uint64_t now_ns = kirim_loop_now(port->forward->loop);
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        if ((d->flags & KIRIM_RX_TRUNCATED) != 0) {
            stats->too_long++;
        } else if (!kirim_endpoint_may_answer(ep, d)) {
            stats->forged++;
        } else {
            answer_datagram(port, d, now_ns);
        }
    }
}

static void on_port_closed(struct kirim_endpoint *ep, void *user)
{
    struct kirim_dns_forward_port *const port = user;
    (void)ep;
    port->endpoint = NULL;
}

static const struct kirim_handler port_handler = {
    KIRIM_HANDLER_INIT,
    .received = on_requests,
    .closed = on_port_closed,
};

/* ---- opening and closing --------------------------------------------------------------------- */

kirim_err kirim_dns_forward_open(struct kirim_dns_forward *forward, struct kirim_loop *loop,
                                 const struct kirim_dns_forward_options *options)
{
    if (forward == NULL || loop == NULL || options == NULL || options->server_count == 0 ||
        options->server_count > KIRIM_DNS_QUERY_SERVER_COUNT_MAX) {
        return KIRIM_EINVAL;
    }
    *forward = (struct kirim_dns_forward){ .loop = loop, .options = *options };
    struct kirim_dns_forwarder_options *const wanted = &forward->options.forwarder;
    const kirim_err err = kirim_loop_random(loop, wanted->key, sizeof wanted->key);
    return err < 0 ? err : kirim_dns_forwarder_open(wanted, &forward->forwarder);
}

kirim_err kirim_dns_forward_listen(struct kirim_dns_forward_port *port,
                                   struct kirim_dns_forward *forward,
                                   const struct kirim_endpoint_options *options)
{
    if (port == NULL || forward == NULL || options == NULL) {
        return KIRIM_EINVAL;
    }
    struct kirim_endpoint_options wanted = *options;
    *port = (struct kirim_dns_forward_port){ .forward = forward };
    port->names_source = (kirim_loop_caps(forward->loop) & KIRIM_CAP_SOURCE) != 0 &&
                         kirim_addr_is_wildcard(&options->local);
    wanted.handler = &port_handler;
    wanted.user = port;
    if (wanted.datagram_bytes_max == 0) {
        wanted.datagram_bytes_max = KIRIM_DNS_REQUEST_BYTES_MAX;
    }
    return kirim_endpoint_open(forward->loop, &wanted, &port->endpoint);
}

void kirim_dns_forward_close(struct kirim_dns_forward *forward)
{
    kirim_dns_forwarder_close(forward->forwarder);
    forward->forwarder = NULL;
}
