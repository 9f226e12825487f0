/* SPDX-License-Identifier: MIT
 *
 * Requests at a server: see server.h.
 */
#include "server.h"

#include "parts.h"

enum { WINDOW_BLOCKS_DEFAULT = 64, TIMEOUT_SECONDS_DEFAULT = 30 };

void kirim_tftp_server_init(struct kirim_tftp_server *server,
                            const struct kirim_tftp_storage *storage)
{
    *server = (struct kirim_tftp_server){
        .storage = storage,
        .blksize_max = KIRIM_TFTP_BLOCK_BYTES_MAX,
        .windowsize_max = WINDOW_BLOCKS_DEFAULT,
        .timeout_s_max = TIMEOUT_SECONDS_DEFAULT,
        .upload_bytes_max = KIRIM_NEVER,
    };
}

static uint32_t min32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What of the options that were asked for will hold, and be said in an OACK. */
static struct kirim_tftp_options choose_options(const struct kirim_tftp_server *server,
                                                const struct kirim_tftp_packet *packet,
                                                uint32_t blksize_max, uint64_t file_bytes)
{
    struct kirim_tftp_options chosen = packet->options;
    const bool is_read = packet->kind == KIRIM_TFTP_RRQ;
    const uint32_t block_max = min32(blksize_max, server->blksize_max);
    const uint32_t window_max = min32(server->windowsize_max, KIRIM_TFTP_OWN_WINDOW_BLOCKS_MAX);
    chosen.blksize = min32(chosen.blksize, block_max);
    chosen.windowsize = min32(chosen.windowsize, window_max > 0 ? window_max : 1);
    if (chosen.blksize < KIRIM_TFTP_BLOCK_BYTES_MIN) {
        chosen.has &= ~(uint32_t)KIRIM_TFTP_HAS_BLKSIZE;
    }
    if (chosen.timeout_s > server->timeout_s_max) {
        chosen.has &= ~(uint32_t)KIRIM_TFTP_HAS_TIMEOUT;
    }
    if (is_read) {
        chosen.tsize = file_bytes;
    }
    if (packet->mode == KIRIM_TFTP_NETASCII && is_read) {
        chosen.has &= ~(uint32_t)KIRIM_TFTP_HAS_TSIZE; /* known only when it has been sent */
    }
    return chosen;
}

static kirim_err open_file(struct kirim_tftp_server *server, const struct kirim_tftp_packet *packet,
                           struct kirim_tftp_transfer *t)
{
    const struct kirim_tftp_storage *const storage = server->storage;
    char path[KIRIM_TFTP_PATH_BYTES_MAX];
    const kirim_err err = kirim_tftp_path_check(packet->name, path);
    if (err < 0) {
        return err;
    }
    if (packet->kind == KIRIM_TFTP_RRQ) {
        return storage->open_read(storage->user, path, &t->file, &t->file_bytes);
    }
    if (!server->is_writable || storage->open_write == NULL) {
        return KIRIM_EACCES;
    }
    if ((packet->options.has & KIRIM_TFTP_HAS_TSIZE) != 0) {
        if (packet->options.tsize > server->upload_bytes_max) {
            return KIRIM_TFTP_EFULL;
        }
        t->file_bytes = packet->options.tsize;
    }
    return storage->open_write(storage->user, path, t->file_bytes, &t->file);
}

kirim_err kirim_tftp_server_accept(struct kirim_tftp_server *server,
                                   const struct kirim_tftp_packet *packet, uint32_t blksize_max,
                                   struct kirim_tftp_transfer *t, uint64_t now_ns)
{
    if (packet->kind != KIRIM_TFTP_RRQ && packet->kind != KIRIM_TFTP_WRQ) {
        return KIRIM_TFTP_EFORM;
    }
    ki_tftp_init(t, server->storage, server->give_up_ns, now_ns);
    t->request.kind = packet->kind;
    t->request.mode = packet->mode;
    t->bytes_max = server->upload_bytes_max;
    const kirim_err err = open_file(server, packet, t);
    if (err < 0) {
        return err;
    }
    const struct kirim_tftp_options chosen =
        choose_options(server, packet, blksize_max, t->file_bytes);
    ki_tftp_agree(t, &chosen);
    if (chosen.has != 0) {
        t->state = KIRIM_TFTP_OFFERING;
        t->pending = KI_TFTP_OFFER;
        ki_tftp_await(t, now_ns);
    } else if (packet->kind == KIRIM_TFTP_RRQ) {
        ki_tftp_sender_start(t);
        ki_tftp_await(t, now_ns);
    } else {
        ki_tftp_receiver_start(t, true, now_ns);
    }
    return KIRIM_OK;
}
