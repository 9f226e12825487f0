/* SPDX-License-Identifier: MIT
 *
 * A hostile peer: the bytes are a script of messages and of time that passes, for either end of a
 * transfer in either direction. It ends, keeps its bounds, opens and closes its file once, and
 * never sends what it has not got.
 *
 * The first byte chooses the end, direction, mode and options; then each step is a byte and what it
 * says: 0: the deadline passes; 1: a little time; else a message of so many bytes less two.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/tftp/server.h"

enum { FILE_BYTES = 3000, ROOM_BYTES = 2048, STEP_MAX = 4096, OUTPUT_MAX = 64 };

struct disk {
    size_t open_count;
    size_t written;
};

static kirim_err open_read(void *user, const char *name, void **file, uint64_t *bytes)
{
    struct disk *const disk = (struct disk *)user;
    FUZZ_CLAIM(name[0] != '\0');
    disk->open_count++;
    *file = disk;
    *bytes = FILE_BYTES;
    return KIRIM_OK;
}

static kirim_err open_write(void *user, const char *name, uint64_t bytes, void **file)
{
    uint64_t unused;
    (void)bytes;
    return open_read(user, name, file, &unused);
}

static kirim_err read_disk(void *user, void *file, uint64_t offset, void *data, size_t bytes,
                           size_t *got)
{
    FUZZ_CLAIM(file == user && offset <= FILE_BYTES && bytes <= FILE_BYTES - offset);
    memset(data, offset % 7 == 0 ? '\n' : 'x', bytes);
    *got = bytes;
    return KIRIM_OK;
}

static kirim_err write_disk(void *user, void *file, const void *data, size_t bytes)
{
    struct disk *const disk = (struct disk *)user;
    FUZZ_CLAIM(file == disk && disk->open_count == 1 && (data != NULL || bytes == 0));
    disk->written += bytes;
    return disk->written > 4 * (size_t)FILE_BYTES ? KIRIM_TFTP_EFULL : KIRIM_OK;
}

static void discard(void *user, void *file)
{
    struct disk *const disk = (struct disk *)user;
    FUZZ_CLAIM(file == disk && disk->open_count == 1);
    disk->open_count--;
}

static kirim_err commit(void *user, void *file)
{
    discard(user, file);
    return KIRIM_OK;
}

static bool start(struct kirim_tftp_transfer *t, const struct kirim_tftp_storage *storage,
                  uint8_t choice)
{
    struct kirim_tftp_request request = {
        .kind = (choice & 1) != 0 ? KIRIM_TFTP_RRQ : KIRIM_TFTP_WRQ,
        .mode = (choice & 2) != 0 ? KIRIM_TFTP_OCTET : KIRIM_TFTP_NETASCII,
        .name = "f"
    };
    request.options = (struct kirim_tftp_options){ (choice >> 3) & 15, 64, 1, 4, 0 };
    if ((choice & 4) != 0) {
        struct kirim_tftp_client_options options = { request, storage, "f", 0, 0 };
        return kirim_tftp_transfer_ask(t, &options, 1) == KIRIM_OK;
    }
    struct kirim_tftp_server server;
    struct kirim_tftp_packet packet = { 0 };
    kirim_tftp_server_init(&server, storage);
    server.is_writable = true;
    packet.kind = request.kind;
    packet.mode = request.mode;
    packet.name = (struct kirim_tftp_span){ (const uint8_t *)"f", 1 };
    packet.options = request.options;
    return kirim_tftp_server_accept(&server, &packet, 64, t, 1) == KIRIM_OK;
}

/* Takes all that is to be sent, which is a window at most and some words. */
static void drain(struct kirim_tftp_transfer *t, uint64_t now_ns)
{
    static uint8_t data[ROOM_BYTES];
    size_t count = 0;
    size_t bytes = kirim_tftp_transfer_output_bytes(t);
    while (bytes > 0) {
        struct kirim_tftp_room room = { data, bytes, 0 };
        struct kirim_tftp_packet packet;
        FUZZ_CLAIM(bytes <= sizeof data && ++count <= OUTPUT_MAX);
        kirim_tftp_transfer_output(t, &room, now_ns);
        const struct kirim_tftp_span span = { data, room.bytes };
        FUZZ_CLAIM(room.bytes > 0 && room.bytes <= bytes);
        FUZZ_CLAIM(kirim_tftp_packet_read(span, &packet) == KIRIM_OK);
        FUZZ_CLAIM(packet.kind != KIRIM_TFTP_DATA || packet.data.bytes <= t->agreed.blksize);
        bytes = kirim_tftp_transfer_output_bytes(t);
    }
    FUZZ_CLAIM(kirim_tftp_transfer_has_ended(t) || t->deadline_ns < KIRIM_NEVER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct disk disk = { 0, 0 };
    const struct kirim_tftp_storage storage = { &disk,      open_read, open_write, read_disk,
                                                write_disk, commit,    discard };
    struct kirim_tftp_transfer t;
    uint64_t now_ns = 1;
    if (bytes == 0 || !start(&t, &storage, data[0])) {
        return 0;
    }
    drain(&t, now_ns);
    size_t at = 1;
    for (size_t step = 0; step < STEP_MAX && at < bytes; step++) {
        const uint8_t word = data[at++];
        if (word == 0) {
            now_ns = t.deadline_ns < KIRIM_NEVER ? t.deadline_ns : now_ns;
            kirim_tftp_transfer_expire(&t, now_ns);
        } else if (word == 1) {
            now_ns += 1000000;
        } else {
            const size_t wanted = (size_t)word - 2;
            const struct kirim_tftp_span span = { data + at,
                                                  wanted < bytes - at ? wanted : bytes - at };
            kirim_tftp_transfer_input(&t, span, now_ns);
            at += span.bytes;
        }
        drain(&t, now_ns);
    }
    for (size_t i = 0; i < STEP_MAX && !kirim_tftp_transfer_has_ended(&t); i++) {
        now_ns = t.deadline_ns;
        kirim_tftp_transfer_expire(&t, now_ns);
        drain(&t, now_ns);
    }
    FUZZ_CLAIM(kirim_tftp_transfer_has_ended(&t) && disk.open_count == 0);
    return 0;
}
