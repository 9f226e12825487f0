/* SPDX-License-Identifier: MIT
 *
 * One end of a transfer, driven by hand: see end.h.
 */
#include "end.h"

const struct kirim_tftp_options end_no_options = { 0, 0, 0, 0, 0 };
const struct kirim_tftp_options end_window4 = { KIRIM_TFTP_HAS_WINDOWSIZE, 0, 0, 4, 0 };

void end_init(struct end *e)
{
    memset(e, 0, sizeof *e);
    kit_store_init(&e->store);
    kirim_tftp_server_init(&e->server, &e->store.storage);
    e->server.is_writable = true;
    e->now = SECOND;
}

static kirim_err accept_request(struct end *e, const struct kirim_tftp_request *request)
{
    uint8_t wire[KIRIM_TFTP_CONTROL_BYTES_MAX];
    struct kirim_tftp_room room = { wire, sizeof wire, 0 };
    struct kirim_tftp_packet packet;
    ck_assert_int_eq(kirim_tftp_write_request(request, &room), KIRIM_OK);
    const struct kirim_tftp_span span = { wire, room.bytes };
    ck_assert_int_eq(kirim_tftp_packet_read(span, &packet), KIRIM_OK);
    return kirim_tftp_server_accept(&e->server, &packet, KIRIM_TFTP_BLOCK_BYTES_MAX, &e->t, e->now);
}

void end_serve(struct end *e, uint16_t kind, struct kirim_tftp_options options)
{
    const struct kirim_tftp_request request = { kind, KIRIM_TFTP_OCTET, "f", options };
    ck_assert_int_eq(accept_request(e, &request), KIRIM_OK);
}

void end_serve_text(struct end *e, uint16_t kind, struct kirim_tftp_options options)
{
    const struct kirim_tftp_request request = { kind, KIRIM_TFTP_NETASCII, "f", options };
    ck_assert_int_eq(accept_request(e, &request), KIRIM_OK);
}

void end_ask(struct end *e, uint16_t kind, struct kirim_tftp_options options)
{
    struct kirim_tftp_client_options o = KIRIM_TFTP_CLIENT_OPTIONS_INIT;
    o.request = (struct kirim_tftp_request){ kind, KIRIM_TFTP_OCTET, "f", options };
    o.storage = &e->store.storage;
    o.local_name = "f";
    ck_assert_int_eq(kirim_tftp_transfer_ask(&e->t, &o, e->now), KIRIM_OK);
}

bool end_take(struct end *e)
{
    struct kirim_tftp_room room = { e->out, sizeof e->out, 0 };
    if (kirim_tftp_transfer_output_bytes(&e->t) == 0) {
        return false;
    }
    kirim_tftp_transfer_output(&e->t, &room, e->now);
    e->out_bytes = room.bytes;
    return room.bytes > 0;
}

static unsigned number_at(const struct end *e, size_t at)
{
    return (unsigned)e->out[at] << 8 | e->out[at + 1];
}

void end_expect(struct end *e, unsigned kind, unsigned number)
{
    ck_assert(end_take(e));
    ck_assert_uint_eq(number_at(e, 0), kind);
    if (kind != KIRIM_TFTP_OACK && kind != KIRIM_TFTP_RRQ && kind != KIRIM_TFTP_WRQ) {
        ck_assert_uint_eq(number_at(e, 2), number);
    }
}

void end_expect_silence(struct end *e)
{
    ck_assert(!end_take(e));
}

void end_give(struct end *e, unsigned kind, unsigned number, size_t bytes)
{
    static uint8_t wire[END_ROOM_BYTES];
    wire[0] = 0;
    wire[1] = (uint8_t)kind;
    wire[2] = (uint8_t)(number >> 8);
    wire[3] = (uint8_t)number;
    memset(wire + 4, 'd', bytes);
    kirim_tftp_transfer_input(&e->t, (struct kirim_tftp_span){ wire, bytes + 4 }, e->now);
}

void end_give_text(struct end *e, const char *data, size_t bytes)
{
    const struct kirim_tftp_span span = { (const uint8_t *)data, bytes };
    kirim_tftp_transfer_input(&e->t, span, e->now);
}

void end_ack(struct end *e, unsigned block)
{
    end_give(e, KIRIM_TFTP_ACK, block, 0);
}

void end_expire(struct end *e)
{
    e->now = e->t.deadline_ns;
    kirim_tftp_transfer_expire(&e->t, e->now);
}
