/* SPDX-License-Identifier: MIT
 *
 * The amplification limit: to an address that has not proven that it wants to hear from us, no more
 * than three times the bytes that came from it are sent, or another multiple. So nobody can turn a
 * server into a weapon by forging a source. 24 bytes per address, which belong into the session, or
 * onto the stack where nothing is kept. Owns nothing. Sources: RFC 9000 sections 8 and 9.3, RFC
 * 9175 section 2.4.
 */
#ifndef KIRIM_AMPLIFICATION_H
#define KIRIM_AMPLIFICATION_H

#include <kirim/config.h>

/** How many bytes may be sent for each byte received, unless the budget says otherwise. */
enum { KIRIM_AMPLIFICATION_FACTOR = 3 };

/** The budget of one address; zero-initialised (`{ 0 }`) before its first use. */
struct kirim_amplification {
    uint64_t received_bytes; /**< From the address. */
    uint64_t sent_bytes;     /**< To the address, while it was not validated. */
    uint32_t is_validated;   /**< Not 0: no limit any more. */
    uint32_t factor;         /**< Bytes that each byte received earns. 0: the constant above. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Counts a datagram from the address.
 *
 * Only what might be of this protocol should count: what is dropped unread gives no budget.
 *
 * @param budget  The budget.
 * @param bytes   Payload of the datagram.
 * @note One thread at a time.
 */
KIRIM_API void kirim_amplification_receive(struct kirim_amplification *budget, size_t bytes);

/**
 * @brief How much may be sent to the address now.
 *
 * @param budget  The budget.
 * @return Bytes of payload; UINT64_MAX if the address is validated.
 * @note One thread at a time.
 */
KIRIM_API uint64_t kirim_amplification_allowance(const struct kirim_amplification *budget);

/**
 * @brief Takes the bytes of a datagram that is to be sent out of the budget.
 *
 * @param budget  The budget.
 * @param bytes   Payload of the datagram.
 * @return Whether it may be sent; if not, nothing was taken: wait for more from the address.
 * @note One thread at a time.
 */
KIRIM_API bool kirim_amplification_send(struct kirim_amplification *budget, size_t bytes);

/**
 * @brief Lifts the limit: the address is validated, by a token, a challenge or a handshake.
 *
 * When the peer moves to another address, begin a new budget.
 *
 * @param budget  The budget.
 * @note One thread at a time.
 */
KIRIM_API void kirim_amplification_validate(struct kirim_amplification *budget);

KIRIM_END_DECLS

#endif
