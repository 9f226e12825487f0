/* SPDX-License-Identifier: MIT
 *
 * Messages: read as a whole with every bound checked, and built with name compression.
 *
 * Reading copies nothing but the question's name; records are taken one by one through a cursor.
 * Building writes into the caller's room and never past its limit; what does not fit leaves the
 * message as it was. Owns nothing. Any thread. Sources: RFC 1035 section 4, RFC 6891.
 */
#ifndef KIRIM_DNS_MESSAGE_H
#define KIRIM_DNS_MESSAGE_H

#include "name.h"
#include "record.h"

/** What is asked. */
struct kirim_dns_question {
    struct kirim_dns_name name; /**< Whose records. */
    uint16_t type;              /**< KIRIM_DNS_A and so on, or another number. */
    uint16_t dns_class;         /**< KIRIM_DNS_CLASS_IN, or another number. */
};

/** What the OPT record of a message says (RFC 6891 section 6.1). */
struct kirim_dns_edns {
    uint16_t udp_bytes;     /**< Largest datagram that its sender takes, as it stands there. */
    uint8_t rcode_high;     /**< Upper 8 bits of the result. */
    uint8_t version;        /**< 0 is the only one that exists. */
    bool is_dnssec_ok;      /**< DO, RFC 3225. */
    uint16_t option_bytes;  /**< Of `options`. */
    const uint8_t *options; /**< As they stand in the message; their lengths add up. */
};

/** A message that was read. */
struct kirim_dns_message {
    struct kirim_dns_span wire; /**< Its bytes; lent by the caller. */
    uint16_t id;                /**< Identifier. */
    uint16_t flags;             /**< KIRIM_DNS_FLAG_..., opcode and the lower bits of the result. */
    uint16_t question_count;    /**< As the header says, and so the others. */
    uint16_t record_count[4];   /**< By KIRIM_DNS_SECTION_...; the first is not used. */
    bool has_question;          /**< `question` is set. */
    bool has_edns;              /**< `edns` is set. */
    struct kirim_dns_question question; /**< The first one. */
    struct kirim_dns_edns edns;         /**< Its OPT record. */
    size_t question_bytes; /**< From the header to the end of the questions that were read. */
    size_t tail_at;        /**< Where records begin. */
};

/** Walks over the records of a message; start from kirim_dns_message_walk(). */
struct kirim_dns_walk {
    const struct kirim_dns_message *message; /**< What is walked over. */
    size_t at;                               /**< Where the next record begins. */
    int section;         /**< KIRIM_DNS_SECTION_... of the record that was given last. */
    uint32_t left_count; /**< Records of it that are left. */
};

/** @brief Kind of request, 0..15. */
static inline unsigned kirim_dns_message_opcode(const struct kirim_dns_message *message)
{
    return (unsigned)(message->flags & KIRIM_DNS_FLAGS_OPCODE) >> KIRIM_DNS_OPCODE_SHIFT;
}

/** @brief The whole result, 0..4095: that of the header, and above it that of EDNS. */
static inline uint16_t kirim_dns_message_rcode(const struct kirim_dns_message *message)
{
    const unsigned high = message->has_edns ? message->edns.rcode_high : 0;
    return (uint16_t)(high << 4 | (unsigned)(message->flags & KIRIM_DNS_FLAGS_RCODE));
}

/**
 * @brief Reads a message to its last byte: header, questions, every record, EDNS.
 *
 * On failure, but for that of a header, `out` holds what was read before it: so that a server can
 * answer FORMERR with the question and to the right id.
 *
 * @param wire  The bytes; must outlive `out`.
 * @param out   The message.
 * @retval KIRIM_OK          All of it is well-formed. The data of records but OPT were not looked
 * at.
 * @retval KIRIM_DNS_ESHORT  It ends too early; with fewer than 12 bytes `out` holds nothing.
 * @retval KIRIM_DNS_EFORM   Bytes are left over, a bad label, or bad lengths of EDNS options.
 * @retval KIRIM_DNS_EOPT    A second OPT record, one elsewhere than in the additional section, or
 *                           one that belongs to another name than the root.
 * @return Also what kirim_dns_name_read() answers.
 */
kirim_err kirim_dns_message_read(struct kirim_dns_span wire, struct kirim_dns_message *out);

/** @brief Begins a walk over all records of a message that kirim_dns_message_read() took. */
struct kirim_dns_walk kirim_dns_message_walk(const struct kirim_dns_message *message);

/**
 * @brief The next record.
 *
 * @param walk    `walk->section` says where the record stands.
 * @param owner   Gets its owner.
 * @param record  Gets the rest; its data are as they stand in the message, see
 *                kirim_dns_rdata_read().
 * @return Whether there was one.
 */
bool kirim_dns_walk_next(struct kirim_dns_walk *walk, struct kirim_dns_name *owner,
                         struct kirim_dns_record *record);

/** One option of EDNS. */
struct kirim_dns_option {
    uint16_t code;       /**< Which one, from the IANA registry. */
    uint16_t bytes;      /**< Of `data`. */
    const uint8_t *data; /**< Lies in the message. */
};

/**
 * @brief The next option of EDNS.
 *
 * @param edns  Of a message that was read.
 * @param at    0 to begin; moved on.
 * @param out   Gets the option.
 * @return Whether there was one.
 */
bool kirim_dns_edns_next(const struct kirim_dns_edns *edns, size_t *at,
                         struct kirim_dns_option *out);

/**
 * @brief The first option of a code: of those that stand there once, the one that counts.
 *
 * @param edns  Of a message that was read.
 * @param code  From the IANA registry.
 * @param out   Gets the option.
 * @return Whether there is one.
 */
bool kirim_dns_edns_find(const struct kirim_dns_edns *edns, uint16_t code,
                         struct kirim_dns_option *out);

/** Places of names that a builder remembers, to point to; later names are written out. */
enum { KIRIM_DNS_PLACE_COUNT_MAX = 64 };

/** Where a name, or the end of one, stands in a message that is being built. */
struct kirim_dns_place {
    uint16_t at;   /**< Where it begins. */
    uint16_t hash; /**< Of its labels. */
};

/** A message that is being built; the caller's storage. */
struct kirim_dns_builder {
    uint8_t *data;        /**< Where it goes; the caller's. */
    size_t limit;         /**< Largest size of the message. */
    size_t bytes;         /**< Written so far. */
    uint16_t count[4];    /**< Questions, and records by KIRIM_DNS_SECTION_... */
    uint16_t place_count; /**< Of `place`. */
    struct kirim_dns_place place[KIRIM_DNS_PLACE_COUNT_MAX]; /**< To point to. */
};

/** A moment of a builder to go back to; its members are the builder's at that moment. */
struct kirim_dns_mark {
    size_t bytes;         /**< Written so far. */
    uint16_t count[4];    /**< Questions and records. */
    uint16_t place_count; /**< Places of names. */
};

/**
 * @brief Begins a message: a header of zeros.
 *
 * @param b      The builder.
 * @param data   Where the message goes; must outlive the builder.
 * @param limit  Largest size, at least 12; more than 65,535 counts as that.
 */
void kirim_dns_builder_init(struct kirim_dns_builder *b, uint8_t *data, size_t limit);

/**
 * @brief Adds a question, with the name's letters in the case they have.
 *
 * @param b         The builder; no record was added yet.
 * @param question  The question.
 * @retval KIRIM_OK        Added.
 * @retval KIRIM_EMSGSIZE  It does not fit; nothing was added.
 */
kirim_err kirim_dns_builder_question(struct kirim_dns_builder *b,
                                     const struct kirim_dns_question *question);

/**
 * @brief Adds a record; its owner, and the names in the data of the types that permit it, are
 * compressed.
 *
 * @param b        The builder.
 * @param section  KIRIM_DNS_SECTION_..., not below that of the record before.
 * @param owner    The owner.
 * @param record   The rest; its data uncompressed and as kirim_dns_rdata_check() wants them.
 * @retval KIRIM_OK        Added.
 * @retval KIRIM_EMSGSIZE  It does not fit; nothing was added.
 * @retval KIRIM_EINVAL    No such section, or one that is past; nothing was added.
 */
kirim_err kirim_dns_builder_record(struct kirim_dns_builder *b, int section,
                                   const struct kirim_dns_name *owner,
                                   const struct kirim_dns_record *record);

/** Bytes of an OPT record without options. */
enum { KIRIM_DNS_OPT_BYTES = 11 };

/**
 * @brief Adds an OPT record to the additional section.
 *
 * @param b     The builder.
 * @param edns  What it says.
 * @retval KIRIM_OK        Added.
 * @retval KIRIM_EMSGSIZE  It does not fit; nothing was added.
 */
kirim_err kirim_dns_builder_edns(struct kirim_dns_builder *b, const struct kirim_dns_edns *edns);

/** @brief The present moment, for kirim_dns_builder_undo(). */
struct kirim_dns_mark kirim_dns_builder_mark(const struct kirim_dns_builder *b);

/** @brief Takes away what was added since `mark`. */
void kirim_dns_builder_undo(struct kirim_dns_builder *b, const struct kirim_dns_mark *mark);

/**
 * @brief Writes the header; the message is whole then.
 *
 * @param b      The builder.
 * @param id     Identifier.
 * @param flags  KIRIM_DNS_FLAG_..., opcode and lower bits of the result.
 * @return Bytes of the message.
 */
size_t kirim_dns_builder_end(struct kirim_dns_builder *b, uint16_t id, uint16_t flags);

#endif
