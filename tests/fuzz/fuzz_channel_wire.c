/* SPDX-License-Identifier: MIT
 *
 * Packets and frames of the channel: whatever is read stays within its bytes, and what can be read
 * is written and read again as the same.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/channel/frame.h"
#include "protocols/channel/gate.h"

enum { ROOM_BYTES = 70000 };

static void check_inside(const uint8_t *data, size_t bytes, struct kirim_channel_span span)
{
    FUZZ_CLAIM(span.bytes <= bytes);
    FUZZ_CLAIM(span.bytes == 0 || (span.data >= data && span.data + span.bytes <= data + bytes));
}

static void try_frames(struct kirim_channel_span rest)
{
    static uint8_t room[ROOM_BYTES];
    const uint8_t *const data = rest.data;
    const size_t bytes = rest.bytes;
    struct kirim_channel_frame f;
    while (rest.bytes > 0 && kirim_channel_frame_read(&rest, &f) == KIRIM_OK) {
        struct kirim_channel_frame again;
        check_inside(data, bytes, f.data);
        check_inside(data, bytes, rest);
        const size_t written = kirim_channel_frame_write(&f, room, sizeof room);
        FUZZ_CLAIM(written > 0);
        struct kirim_channel_span span = { room, written };
        FUZZ_CLAIM(kirim_channel_frame_read(&span, &again) == KIRIM_OK && span.bytes == 0);
        FUZZ_CLAIM(again.type == f.type && again.stream == f.stream && again.number == f.number &&
                   again.offset == f.offset && again.total_bytes == f.total_bytes &&
                   again.data.bytes == f.data.bytes && again.limit == f.limit);
        FUZZ_CLAIM(
            again.ack.range_count == f.ack.range_count &&
            memcmp(again.ack.range, f.ack.range, f.ack.range_count * sizeof f.ack.range[0]) == 0);
    }
}

/* A gate answers shortly, and believes nothing that it has not given. */
static void try_gate(const uint8_t *data, size_t bytes)
{
    static const struct kirim_channel_params params = { 1452, 4096, 2048, 1024, 16, 25, 30000 };
    static const uint8_t keys[2][KIRIM_SIPHASH_KEY_BYTES] = { "of tokens", "of resets" };
    const struct kirim_addr peer = { { 1, 0, (uint64_t)KIRIM_IPV4 << 48 | (uint64_t)9 << 32 } };
    const struct kirim_channel_visit visit = { data, bytes, &peer, 1000000000, "offered" };
    uint8_t room[KIRIM_CHANNEL_ANSWER_BYTES_MAX];
    struct kirim_channel_gate gate;
    struct kirim_channel_packet p;
    FUZZ_CLAIM(kirim_channel_gate_init(&gate, &params, keys[0], keys[1]) == KIRIM_OK);
    const size_t answer = kirim_channel_gate_answer(&gate, &visit, room);
    FUZZ_CLAIM(answer == 0 || answer < bytes);
    FUZZ_CLAIM(kirim_channel_gate_check(&gate, &visit, &p) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct kirim_channel_packet p;
    memset(&p, 0, sizeof p);
    if (bytes > ROOM_BYTES / 2) {
        return 0;
    }
    if (kirim_channel_packet_read(data, bytes, &p) == KIRIM_OK) {
        uint8_t room[512];
        check_inside(data, bytes, p.token);
        check_inside(data, bytes, p.rest);
        const size_t written = kirim_channel_packet_write(&p, room, sizeof room);
        FUZZ_CLAIM(written > 0);
        FUZZ_CLAIM(p.kind == KIRIM_CHANNEL_HELLO || p.kind == KIRIM_CHANNEL_VERSIONS ||
                   memcmp(room, data, written) == 0);
        try_frames(p.rest);
    }
    try_frames((struct kirim_channel_span){ data, bytes });
    try_gate(data, bytes);
    return 0;
}
