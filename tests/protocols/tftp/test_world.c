/* SPDX-License-Identifier: MIT
 *
 * Claims about transfers in storms: links that delay, lose, duplicate, reorder and corrupt.
 * Whatever happens, a file that is there is the right one, what was begun ends, memory is bounded,
 * and a seed gives one run. How seeds are chosen: support/storm.h.
 */
#include "world.h"

#include <stdio.h>

#include "support/storm.h"

enum { STORM_CLIENTS = 6, STORM_SECONDS = 3600, MEMORY_BYTES_MAX = 4 << 20, MTU = 1460 };

/* Text with many ends of lines. */
static void put_text(struct kit_store *store, const char *name, size_t bytes)
{
    static const char letters[] = "ab\n\rc";
    struct kit_file *const file = kit_put_pattern(store, name, bytes);
    for (size_t i = 0; i < bytes; i++) {
        file->data[i] = (uint8_t)letters[file->data[i] % 5];
    }
}

/* Those that the links carry. */
static void start_drawn(struct world *w, const struct kirim_link_rules *link)
{
    static const uint32_t blksize[] = { 8, 64, 512, 1024, 1428, 8192 };
    const uint32_t size_count = COUNT_OF(blksize) - (link->mtu != 0 ? 1 : 0);
    const uint16_t kind = world_draw(w, 2) == 0 ? KIRIM_TFTP_RRQ : KIRIM_TFTP_WRQ;
    struct kirim_tftp_client_options options = world_options(w, kind);
    struct kirim_tftp_options *const wanted = &options.request.options;
    struct kit_store *const from = kind == KIRIM_TFTP_RRQ ? &w->there : &w->here;
    char *const name = w->name[w->started];
    (void)snprintf(name, sizeof w->name[0], "f%zu", w->started);
    wanted->blksize = blksize[world_draw(w, size_count)];
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

static struct kirim_link_rules drawn_link(struct world *w)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = (1 + world_draw(w, 60)) * MS;
    link.jitter_ns = world_draw(w, 30) * MS;
    link.loss_ppm = world_draw(w, 150000);
    link.duplicate_ppm = world_draw(w, 150000);
    link.reorder_ppm = world_draw(w, 150000);
    link.reorder_ns = world_draw(w, 200) * MS;
    link.corrupt_ppm = world_draw(w, 10000);
    if (world_draw(w, 2) == 0) {
        link.mtu = MTU;
        link.mtu_action = KIRIM_SIM_MTU_BLACK_HOLE;
    }
    return link;
}

/* Who says that it went well has, or gave, the right bytes; who does not has left nothing. */
static void check_client(struct world *w, size_t index, struct kirim_trial *trial)
{
    const struct kirim_tftp_transfer *const t = &w->client[index].link.transfer;
    const char *const name = w->name[index];
    const bool is_get = t->request.kind == KIRIM_TFTP_RRQ;
    const struct kit_file *const got = kit_find(is_get ? &w->here : &w->there, name);
    storm_note((uint64_t) - (int64_t)t->err, got != NULL ? got->data : NULL,
               got != NULL ? got->bytes : 0);
    if (t->state == KIRIM_TFTP_DONE) {
        KIRIM_TRIAL_EXPECT(trial, kit_is_same(&w->there, name, &w->here, name));
        return;
    }
    KIRIM_TRIAL_EXPECT(trial, t->err == KIRIM_ETIMEDOUT || t->err == KIRIM_TFTP_EREMOTE ||
                                  t->err == KIRIM_ECONNRESET);
    if (is_get) {
        KIRIM_TRIAL_EXPECT(trial, got == NULL);
    } else if (got != NULL) {
        KIRIM_TRIAL_EXPECT(trial, kit_is_same(&w->there, name, &w->here, name));
    }
}

static void run_storm(struct kirim_trial *trial, void *user)
{
    uint64_t *const done = user;
    struct world *const w = world_open(kirim_trial_seed(trial));
    const struct kirim_link_rules link = drawn_link(w);
    world_set_links(w, &link);
    for (size_t i = 0; i < STORM_CLIENTS; i++) {
        start_drawn(w, &link);
    }
    world_run(w, STORM_SECONDS * SECOND);
    KIRIM_TRIAL_EXPECT(trial, w->ended == w->started);
    KIRIM_TRIAL_EXPECT(trial, w->service.transfer_count == 0);
    KIRIM_TRIAL_EXPECT(trial, w->here.open_count + w->there.open_count == 0);
    for (size_t i = 0; i < w->started; i++) {
        check_client(w, i, trial);
    }
    KIRIM_TRIAL_EXPECT(trial, w->memory[1].bytes_peak <= MEMORY_BYTES_MAX);
    KIRIM_TRIAL_EXPECT(trial, w->memory[2].bytes_peak <= MEMORY_BYTES_MAX);
    KIRIM_TRIAL_EXPECT(trial, w->done >= STORM_CLIENTS / 2);
    *done += w->done;
    world_close(w);
}

START_TEST(files_arrive_whole_or_not_at_all)
{
    uint64_t done = 0;
    const uint64_t count = storm_run(run_storm, &done);
    if (count >= STORM_SEEDS) { /* nearly all, over all, each twice */
        ck_assert_uint_ge(done, 2 * count * STORM_CLIENTS * 98 / 100);
    }
}
END_TEST

int main(int argc, char **argv)
{
    const struct kit_claim claims[] = {
        { files_arrive_whole_or_not_at_all, 0 },
        { NULL, 0 },
    };
    return storm_main(argc, argv, "protocols/tftp world", claims);
}
