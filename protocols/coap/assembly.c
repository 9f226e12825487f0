/* SPDX-License-Identifier: MIT
 *
 * Bodies in blocks on the server's side: requests that are put together, and answers to requests
 * that cannot be carried out again for each block. What belongs together is known by a digest of
 * the request; everything expires, and is bounded for a peer and for the node. Sources: RFC 7959
 * sections 2.3, 2.5, 2.9 and 3.3, RFC 9175 section 3.
 */
#include "parts.h"

#include <string.h>

static struct kirim_coap_assembly **find(struct kirim_coap_peer *peer, uint64_t digest)
{
    struct kirim_coap_assembly **at = &peer->assemblies;
    while (*at != NULL && (*at)->digest != digest) {
        at = &(*at)->next;
    }
    return at;
}

static void drop(struct kirim_coap_peer *peer, struct kirim_coap_assembly **at)
{
    struct kirim_coap_assembly *const a = *at;
    struct kirim_coap_node *const node = peer->node;
    *at = a->next;
    peer->assembly_count--;
    node->assembly_count--;
    node->assembled_bytes -= a->room;
    ki_coap_free(node, a->data, a->room);
    ki_coap_free(node, a, sizeof *a);
}

/* Whether a peer has no more than its share: one body, or a quarter of what all may have. */
static bool is_share(const struct kirim_coap_peer *peer, const struct kirim_coap_assembly *a,
                     size_t room)
{
    size_t others = 0;
    for (const struct kirim_coap_assembly *o = peer->assemblies; o != NULL; o = o->next) {
        others += o != a ? o->room : 0;
    }
    return others == 0 || others + room <= peer->node->options.assembled_bytes_max / 4;
}

/* Makes room for a body; false: there is none. */
static bool grow(struct kirim_coap_peer *peer, struct kirim_coap_assembly *a, size_t bytes)
{
    struct kirim_coap_node *const node = peer->node;
    const struct kirim_coap_environment *const env = &node->options.env;
    size_t room = a->room > 0 ? a->room : KIRIM_COAP_BLOCK_BYTES_MAX;
    while (room < bytes) {
        room *= 2;
    }
    if (room == a->room) {
        return true;
    }
    if (!is_share(peer, a, room) ||
        node->assembled_bytes - a->room + room > node->options.assembled_bytes_max) {
        node->stats.full++;
        return false;
    }
    uint8_t *const data = env->alloc(env->user, a->data, a->room, room);
    if (data == NULL) {
        node->stats.no_memory++;
        return false;
    }
    node->assembled_bytes += room - a->room;
    a->data = data;
    a->room = room;
    return true;
}

static struct kirim_coap_assembly *add(struct ki_coap_ask *ask)
{
    struct kirim_coap_peer *const peer = ask->peer;
    struct kirim_coap_node *const node = peer->node;
    if (node->assembly_count >= node->options.assembly_count_max ||
        peer->assembly_count >= node->options.peer_assembly_count_max) {
        node->stats.full++;
        return NULL;
    }
    struct kirim_coap_assembly *const a = ki_coap_alloc(node, sizeof *a);
    if (a == NULL) {
        return NULL;
    }
    a->digest = ask->digest;
    a->next = peer->assemblies;
    peer->assemblies = a;
    peer->assembly_count++;
    node->assembly_count++;
    return a;
}

static kirim_err refuse(struct kirim_coap_response *response, uint8_t code)
{
    response->code = code;
    return KIRIM_EINVAL;
}

static kirim_err refuse_large(struct ki_coap_ask *ask, struct kirim_coap_response *response)
{
    ask->size1 = (uint32_t)ask->peer->node->options.body_bytes_max;
    return refuse(response, KIRIM_COAP_TOO_LARGE);
}

/* A body's first block. NULL: refused. */
static struct kirim_coap_assembly *begin(struct ki_coap_ask *ask,
                                         struct kirim_coap_response *response)
{
    struct kirim_coap_assembly **const old = find(ask->peer, ask->digest);
    const size_t bytes_max = ask->peer->node->options.body_bytes_max;
    if (*old != NULL) {
        drop(ask->peer, old);
    }
    if ((ask->fields.has & KIRIM_COAP_HAS_SIZE1) != 0 && ask->fields.size1 > bytes_max) {
        (void)refuse_large(ask, response);
        return NULL;
    }
    struct kirim_coap_assembly *const a = add(ask);
    if (a == NULL) {
        response->max_age_s = 10;
        (void)refuse(response, KIRIM_COAP_UNAVAILABLE);
    }
    return a;
}

/* Appends a block at its place. */
static kirim_err append(struct ki_coap_ask *ask, struct kirim_coap_assembly *a, size_t offset,
                        struct kirim_coap_response *response)
{
    const struct kirim_coap_span block = ask->message->payload;
    if (offset + a->last_bytes == a->bytes && a->bytes > 0 && block.bytes == a->last_bytes &&
        memcmp(a->data + offset, block.data, block.bytes) == 0) {
        return KIRIM_OK; /* the last one once more, in a new message */
    }
    if (offset != a->bytes || a->is_serving) {
        return refuse(response, KIRIM_COAP_INCOMPLETE);
    }
    if (offset + block.bytes > ask->peer->node->options.body_bytes_max) {
        drop(ask->peer, find(ask->peer, ask->digest));
        return refuse_large(ask, response);
    }
    if (!grow(ask->peer, a, a->bytes + block.bytes)) {
        drop(ask->peer, find(ask->peer, ask->digest));
        response->max_age_s = 10;
        return refuse(response, KIRIM_COAP_UNAVAILABLE);
    }
    if (block.bytes > 0) {
        memcpy(a->data + a->bytes, block.data, block.bytes);
    }
    a->bytes += block.bytes;
    a->last_bytes = block.bytes;
    return KIRIM_OK;
}

kirim_err ki_coap_assembly_take(struct ki_coap_ask *ask, struct kirim_coap_span *body,
                                struct kirim_coap_response *response)
{
    const struct kirim_coap_block block = ask->fields.block1;
    const size_t size = kirim_coap_block_bytes(block.szx);
    const size_t offset = (size_t)block.number * size;
    const size_t bytes = ask->message->payload.bytes;
    const uint8_t szx = ki_coap_szx_max(ask->peer);
    ask->has_block1 = true;
    ask->block1 = block;
    if (bytes > size || (block.has_more && bytes != size)) {
        return refuse(response, KIRIM_COAP_BAD_REQUEST);
    }
    if (block.number == 0 && !block.has_more) {
        return KIRIM_OK; /* all of it */
    }
    if (!ask->peer->is_validated) {
        ask->asks_echo = true; /* what costs memory is for who is there */
        return KIRIM_EACCES;
    }
    struct kirim_coap_assembly *a = *find(ask->peer, ask->digest);
    if (block.number == 0) {
        a = begin(ask, response);
    } else if (a == NULL) {
        return refuse(response, KIRIM_COAP_INCOMPLETE);
    }
    if (a == NULL) {
        return KIRIM_EWOULDBLOCK;
    }
    const kirim_err err = append(ask, a, offset, response);
    if (err < 0) {
        return err;
    }
    a->expires_ns = ask->now_ns + KIRIM_COAP_EXCHANGE_LIFETIME_NS;
    if (block.has_more) {
        ask->block1.szx = block.szx < szx ? block.szx : szx;
        response->code = KIRIM_COAP_CONTINUE;
        return KIRIM_PENDING;
    }
    *body = (struct kirim_coap_span){ a->data, a->bytes };
    return KIRIM_OK;
}

void ki_coap_assembly_end(struct kirim_coap_peer *peer, uint64_t digest)
{
    struct kirim_coap_assembly **const at = find(peer, digest);
    if (*at != NULL && !(*at)->is_serving) {
        drop(peer, at);
    }
}

void ki_coap_assembly_keep(struct ki_coap_ask *ask, const struct kirim_coap_response *response)
{
    uint8_t szx = 0;
    (void)ki_coap_offset(ask, &szx);
    if (response->total_bytes != 0 || response->body.bytes <= kirim_coap_block_bytes(szx) ||
        !ask->peer->is_validated) {
        return;
    }
    struct kirim_coap_assembly *const old = *find(ask->peer, ask->digest);
    struct kirim_coap_assembly *const a = old != NULL ? old : add(ask);
    if (a == NULL) {
        return;
    }
    /* The answer may lie in what was put together; it is not longer then, and nothing moves. */
    if (!grow(ask->peer, a, response->body.bytes)) {
        drop(ask->peer, find(ask->peer, ask->digest));
        return;
    }
    memmove(a->data, response->body.data, response->body.bytes);
    a->bytes = response->body.bytes;
    a->code = response->code;
    a->format = response->content_format;
    a->etag_bytes = (uint8_t)(response->etag.bytes <= sizeof a->etag ? response->etag.bytes : 0);
    if (a->etag_bytes > 0) {
        memcpy(a->etag, response->etag.data, a->etag_bytes);
    }
    a->is_serving = true;
    a->expires_ns = ask->now_ns + KIRIM_COAP_EXCHANGE_LIFETIME_NS;
}

bool ki_coap_assembly_serve(struct ki_coap_ask *ask, struct kirim_coap_response *response)
{
    const struct kirim_coap_assembly *const a = *find(ask->peer, ask->digest);
    if (a == NULL || !a->is_serving) {
        return false;
    }
    response->code = a->code;
    response->content_format = a->format;
    response->body = (struct kirim_coap_span){ a->data, a->bytes };
    response->etag = (struct kirim_coap_span){ a->etag, a->etag_bytes };
    return true;
}

void ki_coap_assemblies_drop(struct kirim_coap_peer *peer)
{
    while (peer->assemblies != NULL) {
        drop(peer, &peer->assemblies);
    }
}

uint64_t ki_coap_assemblies_expire(struct kirim_coap_peer *peer, uint64_t now_ns)
{
    uint64_t deadline_ns = KIRIM_NEVER;
    struct kirim_coap_assembly **at = &peer->assemblies;
    while (*at != NULL) {
        if ((*at)->expires_ns <= now_ns) {
            drop(peer, at);
        } else {
            deadline_ns = ki_coap_min(deadline_ns, (*at)->expires_ns);
            at = &(*at)->next;
        }
    }
    return deadline_ns;
}
