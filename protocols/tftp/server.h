/* SPDX-License-Identifier: MIT
 *
 * What a server does with a request: takes it, and there is a transfer, or refuses it with an
 * error. Owns nothing; the storage is lent. One thread. Sources: RFC 1350 section 4, RFC 2347,
 * RFC 2348, RFC 2349, RFC 7440.
 */
#ifndef KIRIM_TFTP_SERVER_H
#define KIRIM_TFTP_SERVER_H

#include "path.h"
#include "transfer.h"

/** A server; the caller's storage, its members set after kirim_tftp_server_init(). */
struct kirim_tftp_server {
    const struct kirim_tftp_storage *storage; /**< Lent. */
    bool is_writable;                         /**< Whether files may be sent to it. Default: no. */
    uint32_t blksize_max;      /**< Largest block that is agreed to. Default: 65,464. */
    uint32_t windowsize_max;   /**< Largest window, up to 32,767. Default: 64. */
    uint32_t timeout_s_max;    /**< Longest wait between two sendings that a client may ask for;
                                    a longer one is left out of the OACK. Default: 30. */
    uint64_t upload_bytes_max; /**< Longest file that is taken; default: no limit. */
    uint64_t give_up_ns;       /**< Longest time without progress; 0: 30 s. */
};

/** @brief Makes a server that only gives, with the defaults above. Any thread. */
void kirim_tftp_server_init(struct kirim_tftp_server *server,
                            const struct kirim_tftp_storage *storage);

/**
 * @brief Takes a request, or says why not.
 *
 * @param server       The server.
 * @param packet       A request as kirim_tftp_packet_read() gave it.
 * @param blksize_max  What the path to this client allows; the server's own limit holds too.
 * @param t            Caller's storage; of no use if the answer is an error.
 * @param now_ns       Present time.
 * @retval KIRIM_OK          There is a transfer, with its file open, and it has something to send.
 * @retval KIRIM_EACCES      A name that is refused, or a file for a server that takes none.
 * @retval KIRIM_TFTP_EFULL  More is announced than `upload_bytes_max`.
 * @retval KIRIM_TFTP_EFORM  No request.
 * @return Also what the storage answers. Each has its code by kirim_tftp_err_code().
 * @note The server's thread.
 */
kirim_err kirim_tftp_server_accept(struct kirim_tftp_server *server,
                                   const struct kirim_tftp_packet *packet, uint32_t blksize_max,
                                   struct kirim_tftp_transfer *t, uint64_t now_ns);

#endif
