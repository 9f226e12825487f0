/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a message of TFTP: read, written anew, and read again; and as the name of a file.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/tftp/packet.h"
#include "protocols/tftp/path.h"

static void check_request(const struct kirim_tftp_packet *packet)
{
    uint8_t data[KIRIM_TFTP_REQUEST_BYTES_MAX];
    struct kirim_tftp_room room = { data, sizeof data, 0 };
    struct kirim_tftp_packet again;
    const struct kirim_tftp_request request = { packet->kind, packet->mode,
                                                (const char *)packet->name.data, packet->options };
    if (kirim_tftp_write_request(&request, &room) < 0) {
        return; /* a value was made longer: it was at its bound, or had a sign of it */
    }
    const struct kirim_tftp_span span = { data, room.bytes };
    FUZZ_CLAIM(kirim_tftp_packet_read(span, &again) == KIRIM_OK);
    FUZZ_CLAIM(again.kind == packet->kind && again.mode == packet->mode);
    FUZZ_CLAIM(again.name.bytes == packet->name.bytes);
    FUZZ_CLAIM(memcmp(again.name.data, packet->name.data, again.name.bytes) == 0);
    FUZZ_CLAIM(again.options.has == packet->options.has && !again.has_bad_option);
    FUZZ_CLAIM((again.options.has & KIRIM_TFTP_HAS_BLKSIZE) == 0 ||
               again.options.blksize == packet->options.blksize);
    FUZZ_CLAIM((again.options.has & KIRIM_TFTP_HAS_TSIZE) == 0 ||
               again.options.tsize == packet->options.tsize);
}

/* What passed has no way out and passes again as it is. */
static void check_path(struct kirim_tftp_span name)
{
    char path[KIRIM_TFTP_PATH_BYTES_MAX];
    char again[KIRIM_TFTP_PATH_BYTES_MAX];
    if (name.bytes > 0 && memchr(name.data, 0, name.bytes) == NULL &&
        kirim_tftp_path_check(name, path) == KIRIM_OK) {
        const struct kirim_tftp_span span = { (const uint8_t *)path, strlen(path) };
        FUZZ_CLAIM(path[0] != '/' && path[0] != '\0' && span.bytes <= name.bytes);
        FUZZ_CLAIM(strstr(path, "..") == NULL ||
                   (strstr(path, "../") == NULL && strcmp(path + span.bytes - 2, "..") != 0));
        FUZZ_CLAIM(strpbrk(path, "\\:") == NULL && strstr(path, "//") == NULL);
        FUZZ_CLAIM(kirim_tftp_path_check(span, again) == KIRIM_OK && strcmp(path, again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct kirim_tftp_span span = { data, bytes };
    struct kirim_tftp_packet packet;
    if (bytes > 65536) {
        return 0;
    }
    if (kirim_tftp_packet_read(span, &packet) == KIRIM_OK &&
        (packet.kind == KIRIM_TFTP_RRQ || packet.kind == KIRIM_TFTP_WRQ)) {
        check_request(&packet);
        check_path(packet.name);
    }
    check_path(span);
    return 0;
}
