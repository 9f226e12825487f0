/* SPDX-License-Identifier: MIT
 *
 * channel_copy: sends files over a channel (docs/channel.md), or receives them into a directory.
 * Their hashes are compared at the other side, and the sender says how fast it was.
 */
#include "channel_copy.h"

#include <string.h>

#include "common/stop.h"

enum {
    MESSAGE_BYTES = 65536,
    MESSAGE_BYTES_TAKEN = 1 << 20,      /* without a word of the user's */
    MESSAGE_BYTES_MAX = (16 << 20) - 1, /* a letter goes before them */
    MESSAGE_COST = 64,                  /* what each counts beside its bytes */
    WINDOW_BYTES = 16 << 20
};

struct program {
    struct cli cli;
    struct copy_setup setup;
    const char *to, *root;
    const char *paths[COPY_FILE_MAX];
    struct cli_list files;
    uint64_t generated_bytes;
    bool is_overwriting;
};

void copy_hash_begin(struct kirim_siphash *hash)
{
    static const uint8_t key[KIRIM_SIPHASH_KEY_BYTES]; /* zeros */
    kirim_siphash_begin(hash, key, KIRIM_SIPHASH_LONG_TAG_BYTES);
}

struct kirim_channel_options copy_options(const struct copy_setup *setup)
{
    struct kirim_channel_options o = KIRIM_CHANNEL_OPTIONS_INIT;
    o.params.message_bytes_max = 1 + (uint32_t)setup->message_bytes;
    if (setup->message_bytes < MESSAGE_BYTES_TAKEN) {
        o.params.message_bytes_max = MESSAGE_BYTES_TAKEN + COPY_NAME_BYTES_MAX;
    }
    const uint32_t least = o.params.message_bytes_max + MESSAGE_COST;
    o.params.stream_window_bytes = least > WINDOW_BYTES / 2 ? least : WINDOW_BYTES / 2;
    o.params.window_bytes = least > WINDOW_BYTES ? least : WINDOW_BYTES;
    o.params.datagram_bytes_max = (uint32_t)setup->datagram_bytes;
    o.payload_bytes_max = (uint32_t)setup->datagram_bytes;
    o.send_bytes_max = WINDOW_BYTES / 4;
    return o;
}

static void parse_options(struct program *p, int argc, char **argv)
{
    const struct cli_option options[] = {
        { .name = "--connect",
          .value = "ADDR:PORT",
          .text = &p->to,
          .help = "send to this receiver" },
        { .name = "--send",
          .value = "FILE",
          .list = &p->files,
          .help = "with --connect: send this file; repeatable" },
        { .name = "--generate",
          .value = "N",
          .number = &p->generated_bytes,
          .number_min = 1,
          .number_max = UINT64_C(1) << 50,
          .help = "with --connect: send so many bytes that were read nowhere" },
        { .name = "--root",
          .value = "DIR",
          .text = &p->root,
          .help = "with --listen: write files into this directory" },
        { .name = "--overwrite",
          .is_given = &p->is_overwriting,
          .help = "with --root: files that are there may be replaced" },
        { .name = "--discard",
          .is_given = &p->setup.is_discarding,
          .help = "with --listen: check files, and keep none" },
        { .name = "--message",
          .value = "BYTES",
          .number = &p->setup.message_bytes,
          .number_min = 64,
          .number_max = MESSAGE_BYTES_MAX,
          .help = "bytes of file in a message; default: 65536; above 1048576 on both sides" },
        { .name = "--datagram-max",
          .value = "BYTES",
          .number = &p->setup.datagram_bytes,
          .number_min = 1200,
          .number_max = KIRIM_CHANNEL_LAYER_BYTES_MAX,
          .help = "longest datagram, if the path carries it; default: 1452" },
        { .name = "--json", .is_given = &p->setup.is_json, .help = "print one JSON object" },
    };
    const struct cli_program program = {
        .name = "channel_copy",
        .summary = "Sends files over a channel, a stream for each, or receives them:\n"
                   "    channel_copy --listen 127.0.0.1:4567 --root DIR\n"
                   "    channel_copy --connect 127.0.0.1:4567 --send FILE --send FILE",
        .listen_help = "receive at this address; repeatable",
        .listen_max = CLI_LISTEN_MAX,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    p->files.item = p->paths;
    p->files.max = COPY_FILE_MAX - 1;
    p->setup.message_bytes = MESSAGE_BYTES;
    p->setup.datagram_bytes = 1452;
    p->setup.cli = &p->cli;
    cli_parse(&p->cli, &program, argc, argv);
    const bool is_sending = p->to != NULL;
    if (is_sending == (p->cli.listen_count > 0)) {
        cli_fail_usage(&p->cli, "give --listen or --connect");
    }
    if (is_sending && p->cli.has_stats) {
        cli_fail_usage(&p->cli, "--stats is for --listen; --connect has --json");
    }
    if (is_sending && p->files.count == 0 && p->generated_bytes == 0) {
        cli_fail_usage(&p->cli, "--send is missing");
    }
    if (!is_sending && (p->root != NULL) == p->setup.is_discarding) {
        cli_fail_usage(&p->cli, "give --root or --discard");
    }
}

static int receive(struct program *p)
{
    struct files files;
    if (p->setup.is_discarding) {
        return copy_receive(&p->setup, NULL);
    }
    memset(&files, 0, sizeof files);
    if (!files_open(&files, p->root)) {
        cli_say(&p->cli, "%s: not a directory that can be read", p->root);
        return CLI_FAILURE;
    }
    files.is_overwriting = p->is_overwriting;
    const int status = copy_receive(&p->setup, &files);
    stop_release();
    (void)kirim_loop_close(p->setup.loop);
    p->setup.loop = NULL;
    files_close(&files);
    return status;
}

int main(int argc, char **argv)
{
    static struct program program;
    struct program *const p = &program;
    struct kirim_addr to;
    parse_options(p, argc, argv);
    if (p->to != NULL && !cli_parse_peer(p->to, &to)) {
        cli_fail_usage(&p->cli, "'%s' is not a numeric address with a port", p->to);
    }
    const struct kirim_loop_options options = cli_loop_options(&p->cli);
    const kirim_err err = kirim_loop_open(&options, &p->setup.loop);
    if (err < 0) {
        return cli_fail(&p->cli, err, "cannot open a loop");
    }
    int status = CLI_FAILURE;
    if (!stop_catch(p->setup.loop)) {
        status = cli_fail(&p->cli, KIRIM_ESYSTEM, "signals");
    } else if (p->to != NULL) {
        status = copy_send(&p->setup, &to, p->paths, p->files.count, p->generated_bytes);
    } else {
        status = receive(p);
    }
    stop_release();
    (void)kirim_loop_close(p->setup.loop);
    return status;
}
