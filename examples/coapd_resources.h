/* SPDX-License-Identifier: MIT
 *
 * What coapd offers: some resources that are always there, and those that clients create. Memory
 * and number are bounded by the options. Everything runs in the loop's thread.
 */
#ifndef EXAMPLES_COAPD_RESOURCES_H
#define EXAMPLES_COAPD_RESOURCES_H

#include <coap/coap_endpoint.h>

enum {
    COAPD_ASYNC_COUNT_MAX = 32, /* requests for /async at a time */
    COAPD_ASYNC_SECONDS = 3,    /* unless the request says */
    COAPD_ASYNC_SECONDS_MAX = 60,
    COAPD_FIXED_COUNT = 7,
    COAPD_CREATED_COUNT_MAX = 1024
};

struct coapd_item;

/* A request for /async that is not answered yet. */
struct coapd_async {
    struct coapd_resources *all;
    struct kirim_timer timer;
    uint64_t deferral;
    bool is_used;
};

/* The caller's storage, zeroed, its options set; put until coapd_resources_close(). */
struct coapd_resources {
    uint64_t large_bytes;       /* of /large */
    uint64_t created_count_max; /* resources that clients create, */
    uint64_t created_bytes_max; /* and all their bytes */
    bool is_writable;           /* they may */
    uint32_t created_count;     /* read only, as is the next */
    uint64_t created_bytes;
    struct kirim_loop *loop;
    struct kirim_coap_node *node;
    struct kirim_coap_resource fixed[COAPD_FIXED_COUNT];
    struct kirim_coap_resource creator;
    struct coapd_item *items;
    uint64_t version;
    struct kirim_timer tick;
    struct coapd_async async[COAPD_ASYNC_COUNT_MAX];
    char text[64];
    uint64_t pressed_count; /* of /button */
};

/* Adds them to a node. */
kirim_err coapd_resources_open(struct coapd_resources *all, struct kirim_loop *loop,
                               struct kirim_coap_node *node);

/* Gives back what clients have created; the node must have no peers any more. */
void coapd_resources_close(struct coapd_resources *all);

#endif
