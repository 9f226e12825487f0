/* SPDX-License-Identifier: MIT
 *
 * Claims about transfers in storms: links that delay, lose, duplicate, reorder and corrupt.
 * Whatever happens, a file that is there is the right one, what was begun ends, memory is bounded,
 * and a seed gives one run.
 *
 *     test_protocols_tftp_world            seeds 1 .. 50
 *     test_protocols_tftp_world 1000       seeds 1 .. 1000
 *     test_protocols_tftp_world 1 731      seed 731 alone
 *
 * A storm that fails is named with its number, from 0; the seed is one more.
 */
#include "world.h"

#include <stdio.h>

enum { SEED_COUNT = 50, STORM_CLIENTS = 6, STORM_SECONDS = 3600, MEMORY_BYTES_MAX = 4 << 20 };

static uint64_t first_seed = 1;
static uint64_t seed_count = SEED_COUNT;

/* Text with many ends of lines. */
static void put_text(struct kit_store *store, const char *name, size_t bytes)
{
    static const char letters[] = "ab\n\rc";
    struct kit_file *const file = kit_put_pattern(store, name, bytes);
    for (size_t i = 0; i < bytes; i++) {
        file->data[i] = (uint8_t)letters[file->data[i] % 5];
    }
}

static void start_drawn(struct world *w)
{
    static const uint32_t blksize[] = { 8, 64, 512, 1024, 1428, 8192 };
    const uint16_t kind = world_draw(w, 2) == 0 ? KIRIM_TFTP_RRQ : KIRIM_TFTP_WRQ;
    struct kirim_tftp_client_options options = world_options(w, kind);
    struct kirim_tftp_options *const wanted = &options.request.options;
    struct kit_store *const from = kind == KIRIM_TFTP_RRQ ? &w->there : &w->here;
    char *const name = w->name[w->started];
    (void)snprintf(name, sizeof w->name[0], "f%zu", w->started);
    wanted->blksize = blksize[world_draw(w, COUNT_OF(blksize))];
    wanted->windowsize = 1 + world_draw(w, 32);
    wanted->has = world_draw(w, 8) == 0 ? 0 : 1 + world_draw(w, 15);
    wanted->has &= ~(uint32_t)KIRIM_TFTP_HAS_TIMEOUT;
    const uint32_t block = (wanted->has & KIRIM_TFTP_HAS_BLKSIZE) != 0 ? wanted->blksize : 512;
    const size_t bytes =
        world_draw(w, 4) == 0 ? (size_t)block * world_draw(w, 60) : world_draw(w, block * 60);
    if (world_draw(w, 3) == 0) {
        options.request.mode = KIRIM_TFTP_NETASCII;
        put_text(from, name, bytes);
    } else {
        (void)kit_put_pattern(from, name, bytes);
    }
    (void)world_start(w, &options, world_draw(w, 2) == 0 ? "10.0.0.1:69" : "10.0.0.9:69");
}

static struct kirim_sim_link drawn_link(struct world *w)
{
    struct kirim_sim_link link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = (1 + world_draw(w, 60)) * MS;
    link.jitter_ns = world_draw(w, 30) * MS;
    link.loss_ppm = world_draw(w, 150000);
    link.duplicate_ppm = world_draw(w, 150000);
    link.reorder_ppm = world_draw(w, 150000);
    link.reorder_ns = world_draw(w, 200) * MS;
    link.corrupt_ppm = world_draw(w, 10000);
    return link;
}

/* Who says that it went well has, or gave, the right bytes; who does not has left nothing. */
static void check_client(struct world *w, size_t index)
{
    const struct kirim_tftp_transfer *const t = &w->client[index].link.transfer;
    const bool is_get = t->request.kind == KIRIM_TFTP_RRQ;
    if (t->state == KIRIM_TFTP_DONE) {
        kit_check_same(&w->there, w->name[index], &w->here, w->name[index]);
        return;
    }
    ck_assert(t->err == KIRIM_ETIMEDOUT || t->err == KIRIM_TFTP_EREMOTE ||
              t->err == KIRIM_ECONNRESET);
    if (is_get) {
        ck_assert_ptr_null(kit_find(&w->here, w->name[index]));
    } else if (kit_find(&w->there, w->name[index]) != NULL) {
        kit_check_same(&w->there, w->name[index], &w->here, w->name[index]);
    }
}

static uint64_t run_storm(uint64_t seed, size_t *done)
{
    struct world *const w = world_open(seed);
    const struct kirim_sim_link link = drawn_link(w);
    world_set_links(w, &link);
    for (size_t i = 0; i < STORM_CLIENTS; i++) {
        start_drawn(w);
    }
    world_run(w, STORM_SECONDS * SECOND);
    ck_assert_uint_eq(w->ended, w->started);
    ck_assert_uint_eq(w->service.transfer_count, 0);
    ck_assert_uint_eq(w->here.open_count + w->there.open_count, 0);
    for (size_t i = 0; i < w->started; i++) {
        check_client(w, i);
    }
    ck_assert_uint_le(w->memory[1].bytes_peak, MEMORY_BYTES_MAX);
    ck_assert_uint_le(w->memory[2].bytes_peak, MEMORY_BYTES_MAX);
    *done += w->done;
    const uint64_t digest = kirim_sim_digest(w->sim);
    world_close(w);
    return digest;
}

START_TEST(files_arrive_whole_or_not_at_all)
{
    const uint64_t seed = first_seed + (uint64_t)_i;
    size_t done = 0;
    const uint64_t digest = run_storm(seed, &done);
    ck_assert_uint_eq(run_storm(seed, &done), digest); /* twins */
    ck_assert_uint_ge(done, STORM_CLIENTS);            /* of twice as many */
}
END_TEST

START_TEST(nearly_all_arrive_over_all_seeds)
{
    size_t done = 0;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        (void)run_storm(seed, &done);
    }
    ck_assert_uint_ge(done, SEED_COUNT * STORM_CLIENTS * 98 / 100);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1) {
        seed_count = strtoull(argv[1], NULL, 10);
    }
    if (argc > 2) {
        first_seed = strtoull(argv[2], NULL, 10);
    }
    const struct kit_claim claims[] = {
        { files_arrive_whole_or_not_at_all, (int)seed_count },
        { nearly_all_arrive_over_all_seeds, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp world", claims);
}
