/* SPDX-License-Identifier: MIT
 *
 * Many TFTP clients at once in one loop: each gets the same file, which all must get alike. Prints
 * one JSON object.
 *
 *     bench-tftp ADDR:PORT NAME COUNT [BLKSIZE [WINDOWSIZE]]     default: 1428, 16
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tftp/tftp_endpoint.h>

enum { USAGE = 2, COUNT_MAX = 16384 };

/* A file that is only counted and digested. */
struct sink {
    uint64_t digest;
    uint64_t bytes;
};

struct bench {
    struct kirim_loop *loop;
    struct kirim_tftp_client *clients;
    uint64_t count, left, done, duplicates, gaps, bytes;
    struct sink first; /* what the first one got */
    bool has_first;
    uint64_t differing;
};

static kirim_err open_write(void *user, const char *name, uint64_t bytes, void **file)
{
    struct sink *const sink = calloc(1, sizeof *sink);
    (void)user;
    (void)name;
    (void)bytes;
    *file = sink;
    return sink != NULL ? KIRIM_OK : KIRIM_ENOMEM;
}

static kirim_err write_sink(void *user, void *file, const void *data, size_t bytes)
{
    struct sink *const sink = file;
    const uint8_t *const byte = data;
    (void)user;
    for (size_t i = 0; i < bytes; i++) {
        sink->digest = (sink->digest ^ byte[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    }
    sink->bytes += bytes;
    return KIRIM_OK;
}

static void discard(void *user, void *file)
{
    (void)user;
    free(file);
}

static kirim_err commit(void *user, void *file)
{
    struct bench *const bench = user;
    const struct sink *const sink = file;
    if (!bench->has_first) {
        bench->has_first = true;
        bench->first = *sink;
    }
    bench->differing +=
        sink->digest != bench->first.digest || sink->bytes != bench->first.bytes ? 1 : 0;
    free(file);
    return KIRIM_OK;
}

static void on_done(struct kirim_tftp_client *client)
{
    struct bench *const bench = client->user;
    const struct kirim_tftp_transfer *const t = &client->link.transfer;
    bench->done += t->state == KIRIM_TFTP_DONE ? 1 : 0;
    bench->duplicates += t->stats.duplicates;
    bench->gaps += t->stats.gaps;
    bench->bytes += t->moved_bytes;
    if (--bench->left == 0) {
        kirim_loop_stop(bench->loop);
    }
}

static int get_all(struct bench *bench, const struct kirim_addr *server,
                   const struct kirim_tftp_client_options *options)
{
    for (uint64_t i = 0; i < bench->count; i++) {
        bench->clients[i] = (struct kirim_tftp_client)KIRIM_TFTP_CLIENT_INIT(on_done, bench);
        const kirim_err err =
            kirim_tftp_client_start(&bench->clients[i], bench->loop, server, options);
        if (err < 0) {
            (void)fprintf(stderr, "bench-tftp: client %" PRIu64 ": %s\n", i, kirim_err_name(err));
            return EXIT_FAILURE;
        }
        bench->left++;
    }
    const kirim_err err = kirim_loop_run(bench->loop);
    uint64_t last_ns = 0;
    for (uint64_t i = 0; i < bench->count; i++) {
        const uint64_t moved_ns = bench->clients[i].moved_ns;
        last_ns = moved_ns > last_ns ? moved_ns : last_ns;
    }
    const uint64_t took_ns =
        bench->done > 0 && bench->count > 0 ? last_ns - bench->clients[0].started_ns : 0;
    (void)printf("{\"clients\": %" PRIu64 ", \"done\": %" PRIu64 ", \"differing\": %" PRIu64
                 ", \"bytes\": %" PRIu64 ", \"took_us\": %" PRIu64 ", \"duplicates\": %" PRIu64
                 ", \"gaps\": %" PRIu64 "}\n",
                 bench->count, bench->done, bench->differing, bench->bytes, took_ns / 1000,
                 bench->duplicates, bench->gaps);
    return err == KIRIM_OK && bench->done == bench->count && bench->differing == 0 ? EXIT_SUCCESS
                                                                                   : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    const struct kirim_loop_options loop_options = KIRIM_LOOP_OPTIONS_INIT;
    const struct kirim_tftp_storage storage = { .user = &bench,
                                                .open_write = open_write,
                                                .write = write_sink,
                                                .commit = commit,
                                                .discard = discard };
    struct kirim_tftp_client_options options = KIRIM_TFTP_CLIENT_OPTIONS_INIT;
    struct kirim_addr server;
    bench.count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (bench.count == 0 || bench.count > COUNT_MAX || kirim_addr_parse(argv[1], &server) < 0) {
        (void)fputs("usage: bench-tftp ADDR:PORT NAME COUNT [BLKSIZE [WINDOWSIZE]]\n", stderr);
        return USAGE;
    }
    options.storage = &storage;
    options.local_name = "file";
    options.request.name = argv[2];
    options.request.options.blksize = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 1428;
    options.request.options.windowsize = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 16;
    bench.clients = calloc(bench.count, sizeof *bench.clients);
    if (bench.clients == NULL || kirim_loop_open(&loop_options, &bench.loop) < 0) {
        (void)fputs("bench-tftp: no loop\n", stderr);
        return EXIT_FAILURE;
    }
    const int status = get_all(&bench, &server, &options);
    (void)kirim_loop_close(bench.loop);
    free(bench.clients);
    return status;
}
