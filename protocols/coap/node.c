/* SPDX-License-Identifier: MIT
 *
 * A node: its memory, and its resources. Sources: RFC 7252 section 4.8.
 */
#include "parts.h"

#include <string.h>

enum { COUNT_MAX = 1 << 20, TOKEN_BITS = 64 };

static bool is_count(uint32_t count)
{
    return count >= 1 && count <= COUNT_MAX;
}

static bool is_valid(const struct kirim_coap_node_options *o)
{
    return o->env.alloc != NULL && o->env.random != NULL && o->env.send != NULL &&
           o->env.changed != NULL && is_count(o->duplicate_count_max) &&
           o->duplicate_count_max >= 2 && is_count(o->call_count_max) &&
           is_count(o->observer_count_max) && is_count(o->deferral_count_max) &&
           is_count(o->pending_count_max) && is_count(o->assembly_count_max) &&
           is_count(o->resource_count_max) && o->body_bytes_max >= 1 && o->szx <= 6 &&
           o->amplification >= 1 && o->confirm_every >= 1 && o->confirm_ns >= 1 &&
           o->echo_lifetime_s >= 1;
}

static size_t transaction_count(const struct kirim_coap_node *node)
{
    return (size_t)node->options.call_count_max * 4; /* those that have ended are remembered */
}

static kirim_err open_duplicates(struct kirim_coap_node *node, struct kirim_duplicates *cache,
                                 size_t count)
{
    struct kirim_duplicates_options options = { .slot_count = (uint32_t)count,
                                                .answer_bytes_max = KIRIM_COAP_MESSAGE_BYTES_MAX };
    options.peer_slot_max = (uint32_t)(count < 4 ? 1 : count / 4);
    options.slots = ki_coap_alloc(node, count * sizeof *options.slots);
    options.answers = ki_coap_alloc(node, count * KIRIM_COAP_MESSAGE_BYTES_MAX);
    memcpy(options.key, node->key, sizeof options.key);
    cache->options = options; /* for kirim_coap_node_fini() */
    if (options.slots == NULL || options.answers == NULL) {
        return KIRIM_ENOMEM;
    }
    return kirim_duplicates_init(cache, &options);
}

static void close_duplicates(struct kirim_coap_node *node, const struct kirim_duplicates *cache)
{
    const struct kirim_duplicates_options *const o = &cache->options;
    ki_coap_free(node, o->slots, o->slot_count * sizeof *o->slots);
    ki_coap_free(node, o->answers, (size_t)o->slot_count * KIRIM_COAP_MESSAGE_BYTES_MAX);
}

static kirim_err open_transactions(struct kirim_coap_node *node)
{
    struct kirim_transactions_options options = KIRIM_TRANSACTIONS_OPTIONS_INIT;
    options.slot_count = (uint32_t)transaction_count(node);
    options.open_max = node->options.call_count_max * 2; /* an observation and a fetch each */
    options.id_bits = TOKEN_BITS;
    options.remember_ns = KIRIM_COAP_EXCHANGE_LIFETIME_NS;
    options.slots = ki_coap_alloc(node, transaction_count(node) * sizeof *options.slots);
    node->transactions.options = options; /* for kirim_coap_node_fini() */
    if (options.slots == NULL) {
        return KIRIM_ENOMEM;
    }
    const struct kirim_coap_environment *const env = &node->options.env;
    const kirim_err err = env->random(env->user, options.key, sizeof options.key);
    if (err < 0) {
        return err;
    }
    return kirim_transactions_init(&node->transactions, &options);
}

kirim_err kirim_coap_node_init(struct kirim_coap_node *node,
                               const struct kirim_coap_node_options *options)
{
    memset(node, 0, sizeof *node);
    if (!is_valid(options)) {
        return KIRIM_EINVAL;
    }
    node->options = *options;
    kirim_err err = options->env.random(options->env.user, node->key, sizeof node->key);
    if (err < 0) {
        return err;
    }
    const size_t strangers = options->duplicate_count_max / 2;
    err = open_duplicates(node, &node->strangers, strangers);
    if (err >= 0) {
        err = open_duplicates(node, &node->duplicates, options->duplicate_count_max - strangers);
    }
    if (err >= 0) {
        err = open_transactions(node);
    }
    if (err < 0) {
        kirim_coap_node_fini(node);
    }
    return err;
}

void kirim_coap_node_fini(struct kirim_coap_node *node)
{
    struct kirim_transactions_options *const t = &node->transactions.options;
    close_duplicates(node, &node->duplicates);
    close_duplicates(node, &node->strangers);
    ki_coap_free(node, t->slots, transaction_count(node) * sizeof *t->slots);
    kirim_token_keys_fini(&node->keys);
    memset(node, 0, sizeof *node);
}

/* ---- resources ------------------------------------------------------------------------------- */

struct kirim_coap_resource *kirim_coap_resource_find(const struct kirim_coap_node *node,
                                                     const char *path)
{
    struct kirim_coap_resource *r = node->resources;
    while (r != NULL && (r->is_prefix || strcmp(r->path, path) != 0)) {
        r = r->next;
    }
    return r;
}

bool ki_coap_is_added(const struct kirim_coap_node *node,
                      const struct kirim_coap_resource *resource)
{
    const struct kirim_coap_resource *r = node->resources;
    while (r != NULL && r != resource) {
        r = r->next;
    }
    return r != NULL;
}

static kirim_err add_resource(struct kirim_coap_node *node, struct kirim_coap_resource *resource)
{
    if (resource->handle == NULL) {
        return KIRIM_EINVAL;
    }
    if (node->resource_count >= node->options.resource_count_max) {
        node->stats.full++;
        return KIRIM_EWOULDBLOCK;
    }
    struct kirim_coap_resource **at = &node->resources;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    resource->next = NULL;
    resource->observers = NULL;
    *at = resource;
    node->resource_count++;
    return KIRIM_OK;
}

kirim_err kirim_coap_resource_add(struct kirim_coap_node *node,
                                  struct kirim_coap_resource *resource)
{
    /* A link to "//x" would lead to a host. */
    if (resource->path == NULL || resource->path[0] == '/' ||
        strlen(resource->path) >= KIRIM_COAP_PATH_BYTES) {
        return KIRIM_EINVAL;
    }
    if (kirim_coap_resource_find(node, resource->path) != NULL) {
        return KIRIM_EEXIST;
    }
    resource->is_prefix = false;
    return add_resource(node, resource);
}

kirim_err kirim_coap_resource_add_default(struct kirim_coap_node *node,
                                          struct kirim_coap_resource *resource)
{
    for (const struct kirim_coap_resource *r = node->resources; r != NULL; r = r->next) {
        if (r->is_prefix) {
            return KIRIM_EEXIST;
        }
    }
    resource->is_prefix = true;
    return add_resource(node, resource);
}

void kirim_coap_resource_remove(struct kirim_coap_node *node, struct kirim_coap_resource *resource,
                                uint64_t now_ns)
{
    struct kirim_coap_resource **at = &node->resources;
    while (*at != NULL && *at != resource) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = resource->next;
        resource->next = NULL;
        node->resource_count--;
        node->observer_changes++;
        ki_coap_observers_orphan(resource, now_ns);
    }
}
