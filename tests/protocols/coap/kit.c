/* SPDX-License-Identifier: MIT
 *
 * What the suites of CoAP share: see kit.h.
 */
#include "kit.h"

static void *env_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    struct kit_side *const side = user;
    return kit_alloc(&side->memory, old, old_bytes, new_bytes);
}

static kirim_err env_random(void *user, void *out, size_t bytes)
{
    struct kit_side *const side = user;
    uint8_t *const to = out;
    for (size_t i = 0; i < bytes; i++) {
        side->random = side->random * UINT64_C(6364136223846793005) + 1442695040888963407;
        to[i] = (uint8_t)(side->random >> 56);
    }
    return side->random_err;
}

static kirim_err env_send(void *user, struct kirim_coap_peer *peer, const struct kirim_addr *to,
                          struct kirim_coap_span wire)
{
    struct kit_side *const side = user;
    ck_assert_ptr_eq(peer->node, &side->node); /* a suite may have added peers */
    if (side->send_err < 0) {
        return side->send_err;
    }
    ck_assert_uint_lt(side->count, KIT_QUEUE_MAX);
    ck_assert_uint_le(wire.bytes, KIT_WIRE_MAX);
    struct kit_wire *const w = &side->queue[side->count++];
    memcpy(w->data, wire.data, wire.bytes);
    w->bytes = wire.bytes;
    w->to = *to;
    return KIRIM_OK;
}

static void env_changed(void *user, struct kirim_coap_peer *peer)
{
    (void)user;
    (void)peer;
}

void kit_open(struct kit_side *side, const char *own, const char *other,
              const struct kirim_coap_node_options *options)
{
    static const struct kirim_coap_node_options defaults = KIRIM_COAP_NODE_OPTIONS_INIT;
    struct kirim_coap_node_options o = options != NULL ? *options : defaults;
    struct kirim_addr addr;
    memset(side, 0, sizeof *side);
    side->now_ns = SECOND;
    o.env = (struct kirim_coap_environment){ env_alloc, env_random, env_send, env_changed, side };
    ck_assert_int_eq(kirim_addr_parse(own, &side->addr), KIRIM_OK);
    ck_assert_int_eq(kirim_addr_parse(other, &addr), KIRIM_OK);
    side->random = kirim_addr_port(&side->addr);
    ck_assert_int_eq(kirim_coap_node_init(&side->node, &o), KIRIM_OK);
    kirim_coap_peer_init(&side->peer, &side->node, &addr);
    side->peer.is_validated = true;
    kirim_coap_peer_ready(&side->peer, side->now_ns);
}

void kit_close(struct kit_side *side)
{
    kirim_coap_peer_fini(&side->peer, KIRIM_EABORTED);
    ck_assert_uint_eq(side->node.observer_count, 0);
    ck_assert_uint_eq(side->node.deferral_count, 0);
    ck_assert_uint_eq(side->node.pending_count, 0);
    ck_assert_uint_eq(side->node.assembly_count, 0);
    ck_assert_uint_eq(side->node.assembled_bytes, 0);
    ck_assert_uint_eq(side->node.call_count, 0);
    kirim_coap_node_fini(&side->node);
    ck_assert_uint_eq(side->memory.blocks, 0);
    ck_assert_uint_eq(side->memory.bytes, 0);
}

size_t kit_write(const struct kit_message *message, uint8_t *out)
{
    struct kirim_coap_writer w = KIRIM_COAP_WRITER_INIT(out, KIT_WIRE_MAX);
    struct kirim_coap_message head = { .type = message->type,
                                       .code = message->code,
                                       .id = message->id };
    if (message->token != NULL) {
        head.token_bytes = (uint8_t)strlen(message->token);
        memcpy(head.token, message->token, head.token_bytes);
    }
    kirim_coap_write_header(&w, &head);
    for (size_t i = 0; i < KIT_OPTION_MAX && message->options[i].number != 0; i++) {
        const struct kit_option *const o = &message->options[i];
        if (o->text != NULL) {
            kirim_coap_write_option(&w, o->number, kirim_coap_span_text(o->text));
        } else {
            kirim_coap_write_number(&w, o->number, o->value);
        }
    }
    const size_t bytes = message->payload_bytes != 0 || message->payload == NULL
                             ? message->payload_bytes
                             : strlen(message->payload);
    kirim_coap_write_payload(&w, (struct kirim_coap_span){ message->payload, bytes });
    ck_assert(!w.has_failed);
    return w.bytes;
}

void kit_give(struct kit_side *side, const uint8_t *data, size_t bytes, bool is_group)
{
    const struct kirim_coap_arrival arrival = { .wire = { data, bytes },
                                                .from = side->peer.addr,
                                                .is_group = is_group };
    kirim_coap_peer_input(&side->peer, &arrival, side->now_ns);
}

void kit_say(struct kit_side *side, const struct kit_message *message)
{
    uint8_t wire[KIT_WIRE_MAX];
    kit_give(side, wire, kit_write(message, wire), false);
}

bool kit_take(struct kit_side *side, struct kirim_coap_message *out)
{
    static struct kit_wire taken;
    if (side->count == 0) {
        return false;
    }
    taken = side->queue[0];
    memmove(side->queue, side->queue + 1, --side->count * sizeof side->queue[0]);
    const struct kirim_coap_span wire = { taken.data, taken.bytes };
    ck_assert_int_eq(kirim_coap_parse(wire, out), KIRIM_COAP_PARSED);
    return true;
}

struct kirim_coap_message kit_expect(struct kit_side *side, uint8_t type, uint8_t code)
{
    struct kirim_coap_message m;
    ck_assert(kit_take(side, &m));
    ck_assert_uint_eq(m.type, type);
    ck_assert_uint_eq(m.code, code);
    return m;
}

void kit_expect_silence(const struct kit_side *side)
{
    ck_assert_uint_eq(side->count, 0);
}

bool kit_tick(struct kit_side *side, uint64_t until_ns)
{
    if (side->peer.deadline_ns > until_ns) {
        side->now_ns = until_ns;
        return false;
    }
    if (side->peer.deadline_ns > side->now_ns) {
        side->now_ns = side->peer.deadline_ns;
    }
    kirim_coap_peer_expire(&side->peer, side->now_ns);
    return true;
}

struct kirim_coap_fields kit_fields(const struct kirim_coap_message *message)
{
    struct kirim_coap_fields fields;
    kirim_coap_fields_read(message, &fields);
    return fields;
}

/* Hands over what `from` has sent. */
static bool deliver(struct kit_side *from, struct kit_side *to, kit_drop_fn drop, void *user)
{
    struct kit_wire wires[KIT_QUEUE_MAX];
    const size_t count = from->count;
    memcpy(wires, from->queue, count * sizeof wires[0]);
    from->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (drop == NULL || !drop(from, &wires[i], user)) {
            kit_give(to, wires[i].data, wires[i].bytes, false);
        }
    }
    return count > 0;
}

void kit_converse(struct kit_side *a, struct kit_side *b, uint64_t until_ns, kit_drop_fn drop,
                  void *user)
{
    for (;;) {
        const uint64_t next_ns =
            a->peer.deadline_ns < b->peer.deadline_ns ? a->peer.deadline_ns : b->peer.deadline_ns;
        if ((a->count > 0 || b->count > 0) && a->now_ns + 10 * MS > until_ns) {
            return; /* it goes on with the next call */
        }
        if (a->count > 0 || b->count > 0) {
            a->now_ns = b->now_ns = a->now_ns + 10 * MS;
            (void)deliver(a, b, drop, user);
            (void)deliver(b, a, drop, user);
        } else if (next_ns > until_ns) {
            a->now_ns = b->now_ns = until_ns;
            return;
        } else {
            a->now_ns = b->now_ns = next_ns > a->now_ns ? next_ns : a->now_ns;
        }
        if (a->peer.deadline_ns <= a->now_ns) {
            kirim_coap_peer_expire(&a->peer, a->now_ns);
        }
        if (b->peer.deadline_ns <= b->now_ns) {
            kirim_coap_peer_expire(&b->peer, b->now_ns);
        }
    }
}
