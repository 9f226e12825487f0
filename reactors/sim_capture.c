/* SPDX-License-Identifier: MIT
 *
 * A world's capture: a pcapng file with one interface for each host that saw something.
 *
 * Written by the C library's streams, which every system has. An error is kept and told at the end.
 * Owns the file; belongs to its world while that lives. The world's thread.
 */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#include <kirim/pcapng.h>

enum { HOSTS_MIN = 64 };

static const uint32_t NO_INTERFACE = UINT32_MAX;

struct kirim_sim_capture {
    struct kirim_sim *sim; /* NULL: it has ended */
    FILE *file;
    bool has_failed;
    uint32_t *interface_of; /* by number of the host */
    size_t host_room;
    uint32_t interface_count;
    uint8_t block[KIRIM_PCAPNG_BLOCK_BYTES_MAX];
};

static void write_block(struct kirim_sim_capture *c, size_t bytes)
{
    if (bytes == 0 || fwrite(c->block, 1, bytes, c->file) != bytes) {
        c->has_failed = true;
    }
}

static bool make_room(struct kirim_sim_capture *c, size_t number)
{
    size_t room = c->host_room == 0 ? (size_t)HOSTS_MIN : c->host_room;
    while (room <= number) {
        room *= 2;
    }
    uint32_t *grown =
        ki_default_alloc(NULL, c->interface_of, c->host_room * sizeof *grown, room * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    for (size_t i = c->host_room; i < room; i++) {
        grown[i] = NO_INTERFACE;
    }
    c->interface_of = grown;
    c->host_room = room;
    return true;
}

static uint32_t interface_of(struct kirim_sim_capture *c, const struct kirim_sim_sight *sight)
{
    const size_t number = sight->host_number;
    if (number >= c->host_room && !make_room(c, number)) {
        return NO_INTERFACE;
    }
    if (c->interface_of[number] == NO_INTERFACE) {
        write_block(
            c, kirim_pcapng_interface(c->block, sizeof c->block, kirim_sim_host_name(sight->host)));
        c->interface_of[number] = c->interface_count++;
    }
    return c->interface_of[number];
}

static void on_seen(void *user, const struct kirim_sim_sight *sight)
{
    struct kirim_sim_capture *const c = user;
    const uint32_t number = interface_of(c, sight);
    if (number == NO_INTERFACE) {
        c->has_failed = true;
        return;
    }
    const struct kirim_pcapng_packet packet = {
        .time_ns = sight->time_ns,
        .data = sight->data,
        .bytes = sight->bytes,
        .interface_index = number,
        .source = sight->source,
        .dest = sight->dest,
        .comment = sight->remark,
        .ecn = (uint8_t)sight->ecn,
        .dscp = (uint8_t)sight->dscp,
        .ttl = (uint8_t)sight->ttl,
        .is_sent = sight->is_sent,
    };
    write_block(c, kirim_pcapng_packet(c->block, sizeof c->block, &packet));
}

static void on_ended(void *user, uint64_t digest)
{
    (void)digest;
    ((struct kirim_sim_capture *)user)->sim = NULL;
}

kirim_err ki_sim_capture_begin(const char *path, struct kirim_sim_capture **out)
{
    struct kirim_sim_capture *c = ki_default_alloc(NULL, NULL, 0, sizeof *c);
    if (c == NULL) {
        return KIRIM_ENOMEM;
    }
    memset(c, 0, sizeof *c);
    c->file = fopen(path, "wb");
    if (c->file == NULL) {
        (void)ki_default_alloc(NULL, c, sizeof *c, 0);
        return KIRIM_ESYSTEM;
    }
    write_block(c, kirim_pcapng_begin(c->block, sizeof c->block));
    *out = c;
    return KIRIM_OK;
}

void ki_sim_capture_see(struct kirim_sim_capture *c, const struct kirim_sim_sight *sight)
{
    on_seen(c, sight);
}

kirim_err kirim_sim_capture_open(struct kirim_sim *sim, const char *path,
                                 struct kirim_sim_capture **out)
{
    struct kirim_sim_watcher watcher = KIRIM_SIM_WATCHER_INIT;
    struct kirim_sim_capture *c = NULL;
    if (sim == NULL || path == NULL || out == NULL) {
        return KIRIM_EINVAL;
    }
    if (sim->watcher.seen != NULL || sim->watcher.ended != NULL) {
        return KIRIM_EBUSY;
    }
    const kirim_err err = ki_sim_capture_begin(path, &c);
    if (err < 0) {
        return err;
    }
    c->sim = sim;
    watcher.seen = on_seen;
    watcher.ended = on_ended;
    watcher.user = c;
    (void)kirim_sim_watch(sim, &watcher);
    *out = c;
    return KIRIM_OK;
}

kirim_err kirim_sim_capture_close(struct kirim_sim_capture *capture)
{
    if (capture == NULL) {
        return KIRIM_OK;
    }
    if (capture->sim != NULL) {
        (void)kirim_sim_watch(capture->sim, NULL);
    }
    const bool has_failed = fclose(capture->file) != 0 || capture->has_failed;
    (void)ki_default_alloc(NULL, capture->interface_of,
                           capture->host_room * sizeof *capture->interface_of, 0);
    (void)ki_default_alloc(NULL, capture, sizeof *capture, 0);
    return has_failed ? KIRIM_ESYSTEM : KIRIM_OK;
}
