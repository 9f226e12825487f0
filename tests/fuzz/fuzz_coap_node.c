/* SPDX-License-Identifier: MIT
 *
 * A hostile peer: the bytes are a script of messages and of time that passes, for a node that
 * serves and asks at once. It keeps its bounds, never answers more than it may, sends nothing but
 * messages, its calls end, and nothing is left of its memory.
 *
 * The first byte chooses: 1: the peer is validated; 2: a call is started; 4: it observes; 8: it has
 * a long body. Then each step is a byte and what it says: 0: the deadline passes; 1: a second; 2:
 * the resource changes; 3: what was put off is answered; 4: the token and the id of the node's last
 * message are put into the next one; 5: the next one is sent to a group; else a message of so many
 * bytes less six.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/coap/client.h"
#include "protocols/coap/server.h"

enum { STEP_MAX = 4096, BODY_BYTES = 3000, MEMORY_BYTES_MAX = 512 << 10, ECHO_BYTES_MAX = 36 };

struct rig {
    struct kirim_coap_node node;
    struct kirim_coap_peer peer;
    struct kirim_coap_resource resource, slow, core;
    size_t blocks, bytes;
    uint64_t now_ns, random, deferral, received_bytes, sent_bytes;
    uint8_t last[8 + 4];
    uint8_t body[BODY_BYTES];
    bool has_last, has_ended;
};

static void *rig_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    struct rig *const rig = (struct rig *)user;
    rig->bytes += new_bytes - (old != NULL ? old_bytes : 0);
    FUZZ_CLAIM(rig->bytes <= MEMORY_BYTES_MAX);
    if (new_bytes == 0) {
        rig->blocks -= old != NULL ? 1 : 0;
        free(old);
        return NULL;
    }
    void *const block = realloc(old, new_bytes);
    rig->blocks += old == NULL ? 1 : 0;
    return block;
}

static kirim_err rig_random(void *user, void *out, size_t bytes)
{
    struct rig *const rig = (struct rig *)user;
    for (size_t i = 0; i < bytes; i++) {
        rig->random = rig->random * UINT64_C(6364136223846793005) + 1442695040888963407;
        ((uint8_t *)out)[i] = (uint8_t)(rig->random >> 56);
    }
    return KIRIM_OK;
}

static kirim_err rig_send(void *user, struct kirim_coap_peer *peer, const struct kirim_addr *to,
                          struct kirim_coap_span wire)
{
    struct rig *const rig = (struct rig *)user;
    struct kirim_coap_message message;
    FUZZ_CLAIM(kirim_coap_parse(wire, &message) == KIRIM_COAP_PARSED);
    FUZZ_CLAIM(wire.bytes <= KIRIM_COAP_MESSAGE_BYTES_MAX && kirim_addr_equal(to, &peer->addr));
    if (message.type == KIRIM_COAP_CON && kirim_coap_is_request(message.code)) {
        memcpy(rig->last, wire.data, 4);
        memcpy(rig->last + 4, message.token, 8);
        rig->has_last = true;
    } else {
        rig->sent_bytes += wire.bytes;
    }
    return KIRIM_OK;
}

static void rig_changed(void *user, struct kirim_coap_peer *peer)
{
    (void)user;
    (void)peer;
}

static void on_resource(struct kirim_coap_resource *resource,
                        const struct kirim_coap_request *request,
                        struct kirim_coap_response *response)
{
    struct rig *const rig = (struct rig *)resource->user;
    FUZZ_CLAIM(request->body.bytes <= rig->node.options.body_bytes_max);
    for (size_t i = 0; i < request->body.bytes; i++) {
        rig->body[i % BODY_BYTES] ^= request->body.data[i]; /* all of it can be read */
    }
    response->code = KIRIM_COAP_CONTENT;
    response->content_format = KIRIM_COAP_FORMAT_OCTETS;
    response->body = request->method == KIRIM_COAP_POST
                         ? request->body
                         : (struct kirim_coap_span){ rig->body, BODY_BYTES };
}

static void on_slow(struct kirim_coap_resource *resource, const struct kirim_coap_request *request,
                    struct kirim_coap_response *response)
{
    struct rig *const rig = (struct rig *)resource->user;
    rig->deferral = request->deferral;
    response->is_deferred = true;
}

static void on_answered(struct kirim_coap_call *call, const struct kirim_coap_answer *answer)
{
    FUZZ_CLAIM(answer->body.bytes <= call->peer->node->options.body_bytes_max);
}

static void on_ended(struct kirim_coap_call *call, kirim_err err)
{
    struct rig *const rig = (struct rig *)call->user;
    FUZZ_CLAIM(!rig->has_ended && err <= 0);
    rig->has_ended = true;
}

static bool open_rig(struct rig *rig, bool is_validated)
{
    struct kirim_coap_node_options options = KIRIM_COAP_NODE_OPTIONS_INIT;
    struct kirim_addr addr;
    memset(rig, 0, sizeof *rig);
    rig->now_ns = UINT64_C(1000000000);
    options.env =
        (struct kirim_coap_environment){ rig_alloc, rig_random, rig_send, rig_changed, rig };
    options.duplicate_count_max = 8;
    options.call_count_max = 4;
    options.observer_count_max = 4;
    options.deferral_count_max = 4;
    options.pending_count_max = 8;
    options.assembly_count_max = 4;
    options.body_bytes_max = 16384;
    options.assembled_bytes_max = 65536;
    if (kirim_coap_node_init(&rig->node, &options) < 0 ||
        kirim_addr_parse("192.0.2.1:5683", &addr) < 0) {
        return false;
    }
    kirim_coap_peer_init(&rig->peer, &rig->node, &addr);
    rig->peer.is_validated = is_validated;
    rig->resource = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT(
        "a", 0xfe, KIRIM_COAP_OBSERVABLE, on_resource, rig);
    rig->slow = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT("b", 0xfe, 0, on_slow, rig);
    rig->core = kirim_coap_core_resource();
    kirim_coap_peer_ready(&rig->peer, rig->now_ns);
    return kirim_coap_resource_add(&rig->node, &rig->resource) == KIRIM_OK &&
           kirim_coap_resource_add(&rig->node, &rig->slow) == KIRIM_OK &&
           kirim_coap_resource_add(&rig->node, &rig->core) == KIRIM_OK;
}

/* Hands over a message; with `is_fitted` one that seems to answer the node's last. */
static size_t give(struct rig *rig, const uint8_t *data, size_t bytes, bool is_fitted,
                   bool is_group)
{
    uint8_t wire[256];
    memcpy(wire, data, bytes);
    if (is_fitted && rig->has_last && bytes >= sizeof rig->last) {
        wire[0] = (uint8_t)((wire[0] & 0x30) | 0x48);
        wire[2] = rig->last[2];
        wire[3] = rig->last[3];
        memcpy(wire + 4, rig->last + 4, 8);
    }
    const struct kirim_coap_arrival arrival = { { wire, bytes }, rig->peer.addr, is_group };
    rig->received_bytes += bytes;
    kirim_coap_peer_input(&rig->peer, &arrival, rig->now_ns);
    return bytes;
}

static void respond(struct rig *rig)
{
    const struct kirim_coap_response response = { .code = KIRIM_COAP_CHANGED,
                                                  .content_format = KIRIM_COAP_FORMAT_NONE,
                                                  .max_age_s = KIRIM_COAP_MAX_AGE_S };
    (void)kirim_coap_respond(&rig->node, rig->deferral, &response, rig->now_ns);
}

static void run(struct rig *rig, const uint8_t *data, size_t bytes)
{
    bool is_fitted = false;
    bool is_group = false;
    size_t at = 0;
    for (size_t step = 0; step < STEP_MAX && at < bytes; step++) {
        const uint8_t word = data[at++];
        if (word == 0 && rig->peer.deadline_ns < KIRIM_NEVER) {
            rig->now_ns = rig->peer.deadline_ns > rig->now_ns ? rig->peer.deadline_ns : rig->now_ns;
            kirim_coap_peer_expire(&rig->peer, rig->now_ns);
        } else if (word == 1) {
            rig->now_ns += UINT64_C(1000000000);
        } else if (word == 2) {
            kirim_coap_notify(&rig->node, &rig->resource, rig->now_ns);
        } else if (word == 3) {
            respond(rig);
        } else if (word == 4) {
            is_fitted = true;
        } else if (word == 5) {
            is_group = true;
        } else if (word > 5) {
            const size_t wanted = (size_t)word - 6;
            at += give(rig, data + at, wanted < bytes - at ? wanted : bytes - at, is_fitted,
                       is_group);
            is_fitted = is_group = false;
        }
        /* The session below bounds retransmissions, and questions for an Echo that are long beside
         * a short request; all else is three times what came. */
        FUZZ_CLAIM(rig->peer.is_validated || rig->node.stats.resent > 0 ||
                   rig->sent_bytes <=
                       3 * rig->received_bytes + ECHO_BYTES_MAX * (rig->node.stats.echo_asked +
                                                                   rig->node.stats.repeated));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct rig rig;
    static const uint8_t body[BODY_BYTES] = { 1 };
    static const struct kirim_coap_option path = { KIRIM_COAP_URI_PATH,
                                                   { (const uint8_t *)"x", 1 } };
    if (bytes == 0 || !open_rig(&rig, (data[0] & 1) != 0)) {
        return 0;
    }
    struct kirim_coap_call call = KIRIM_COAP_CALL_INIT(KIRIM_COAP_GET, on_answered, on_ended, &rig);
    call.options = &path;
    call.option_count = 1;
    call.is_observing = (data[0] & 4) != 0;
    call.method = (data[0] & 8) != 0 && !call.is_observing ? KIRIM_COAP_PUT : KIRIM_COAP_GET;
    call.body = (struct kirim_coap_span){ body, call.method == KIRIM_COAP_PUT ? BODY_BYTES : 0 };
    const bool is_asking = (data[0] & 2) != 0;
    if (is_asking) {
        FUZZ_CLAIM(kirim_coap_call_start(&rig.peer, &call, rig.now_ns) == KIRIM_OK);
        kirim_coap_peer_expire(&rig.peer, rig.now_ns);
    }
    run(&rig, data + 1, bytes - 1);
    if (is_asking) {
        kirim_coap_call_cancel(&call, rig.now_ns);
    }
    for (size_t i = 0; i < STEP_MAX && is_asking && !rig.has_ended; i++) {
        rig.now_ns = rig.peer.deadline_ns > rig.now_ns ? rig.peer.deadline_ns : rig.now_ns;
        kirim_coap_peer_expire(&rig.peer, rig.now_ns);
    }
    FUZZ_CLAIM(rig.has_ended == is_asking);
    kirim_coap_peer_fini(&rig.peer, KIRIM_EABORTED);
    kirim_coap_node_fini(&rig.node);
    FUZZ_CLAIM(rig.blocks == 0 && rig.bytes == 0);
    return 0;
}
