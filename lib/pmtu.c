/* SPDX-License-Identifier: MIT
 *
 * The search for the path MTU: see kirim/pmtu.h. What is known is a pair of sizes, the PLPMTU that
 * gets through and the ceiling that does not; a search ends when they are close. Owns nothing. One
 * thread at a time. Source: RFC 8899.
 */
#include <kirim/pmtu.h>

#include "pack.h"

#define LIMIT_NS (UINT64_C(1) << 53)
#define SECOND   UINT64_C(1000000000)

enum { PROBE_COUNT_LIMIT = 255, BYTES_LIMIT = INT32_MAX, ERROR_SHIFT_MAX = 10 };

static bool are_options_valid(const struct kirim_pmtu_options *o)
{
    return o->min_bytes > 0 && o->base_bytes >= o->min_bytes && o->max_bytes >= o->base_bytes &&
           o->max_bytes <= BYTES_LIMIT && o->probe_count_max > 0 &&
           o->probe_count_max <= PROBE_COUNT_LIMIT && o->granularity_bytes > 0 &&
           o->probe_ns >= SECOND && o->probe_ns <= LIMIT_NS && o->raise_ns > 0 &&
           o->raise_ns <= LIMIT_NS && o->confirm_ns <= LIMIT_NS;
}

kirim_err kirim_pmtu_init(struct kirim_pmtu *pmtu, const struct kirim_pmtu_options *options)
{
    if (!are_options_valid(options)) {
        return KIRIM_EINVAL;
    }
    *pmtu = (struct kirim_pmtu){ .options = options,
                                 .deadline_ns = KIRIM_NEVER,
                                 .plpmtu_bytes = options->base_bytes,
                                 .state = KIRIM_PMTU_DISABLED };
    return KIRIM_OK;
}

/* ---- states ---------------------------------------------------------------------------------- */

/* Everything above the PLPMTU is open again, and tried from above. */
static void open_range(struct kirim_pmtu *pmtu)
{
    pmtu->ki_ceiling = pmtu->options->max_bytes + 1;
    pmtu->ki_hint = pmtu->options->max_bytes;
}

/* A new state, in which a probe is due at `deadline_ns`. */
static void enter(struct kirim_pmtu *pmtu, uint32_t state, uint64_t deadline_ns)
{
    pmtu->state = state;
    pmtu->probed_bytes = 0;
    pmtu->probe_count = 0;
    pmtu->ki_error_count = 0;
    pmtu->deadline_ns = deadline_ns;
}

static void enter_base(struct kirim_pmtu *pmtu, uint64_t now_ns)
{
    pmtu->plpmtu_bytes = pmtu->options->base_bytes;
    enter(pmtu, KIRIM_PMTU_BASE, now_ns);
}

static void enter_error(struct kirim_pmtu *pmtu, uint64_t now_ns)
{
    pmtu->plpmtu_bytes = pmtu->options->min_bytes;
    open_range(pmtu);
    enter(pmtu, KIRIM_PMTU_ERROR, ki_after(now_ns, pmtu->options->probe_ns));
}

static void rest(struct kirim_pmtu *pmtu)
{
    pmtu->deadline_ns =
        pmtu->ki_raise_ns < pmtu->ki_confirm_ns ? pmtu->ki_raise_ns : pmtu->ki_confirm_ns;
}

static void set_confirmation(struct kirim_pmtu *pmtu, uint64_t now_ns)
{
    const uint64_t confirm_ns = pmtu->options->confirm_ns;
    pmtu->ki_confirm_ns = confirm_ns > 0 ? ki_after(now_ns, confirm_ns) : KIRIM_NEVER;
}

static void enter_complete(struct kirim_pmtu *pmtu, uint64_t now_ns)
{
    enter(pmtu, KIRIM_PMTU_COMPLETE, now_ns);
    pmtu->ki_raise_ns = ki_after(now_ns, pmtu->options->raise_ns);
    set_confirmation(pmtu, now_ns);
    rest(pmtu);
}

void kirim_pmtu_start(struct kirim_pmtu *pmtu, uint64_t now_ns)
{
    open_range(pmtu);
    enter_base(pmtu, now_ns);
}

/* ---- probes ---------------------------------------------------------------------------------- */

/* The size that the search tries next; 0: it is over. */
static uint32_t choose_size(const struct kirim_pmtu *pmtu)
{
    const uint32_t low = pmtu->plpmtu_bytes;
    const uint32_t high = pmtu->ki_ceiling;
    if (pmtu->ki_hint > low && pmtu->ki_hint < high) {
        return pmtu->ki_hint;
    }
    if (high <= low || high - low <= pmtu->options->granularity_bytes) {
        return 0;
    }
    return low + (high - low) / 2;
}

/* As many probes of one size were lost as it takes. */
static void give_up_size(struct kirim_pmtu *pmtu, uint32_t bytes, uint64_t now_ns)
{
    const struct kirim_pmtu_options *const o = pmtu->options;
    pmtu->probe_count = 0;
    if (pmtu->state == KIRIM_PMTU_BASE) {
        enter_error(pmtu, now_ns);
    } else if (pmtu->state == KIRIM_PMTU_SEARCHING) {
        pmtu->ki_ceiling = bytes;
    } else if (pmtu->state == KIRIM_PMTU_COMPLETE) {
        kirim_pmtu_black_hole(pmtu, now_ns);
    } else {
        const unsigned shift =
            pmtu->ki_error_count < ERROR_SHIFT_MAX ? ++pmtu->ki_error_count : ERROR_SHIFT_MAX;
        const uint64_t wait_ns =
            o->probe_ns < o->raise_ns >> shift ? o->probe_ns << shift : o->raise_ns;
        pmtu->deadline_ns = ki_after(now_ns, wait_ns);
    }
}

static void lose(struct kirim_pmtu *pmtu, uint64_t now_ns)
{
    const uint32_t bytes = pmtu->probed_bytes;
    pmtu->probed_bytes = 0;
    pmtu->deadline_ns = now_ns;
    if (pmtu->probe_count >= pmtu->options->probe_count_max) {
        give_up_size(pmtu, bytes, now_ns);
    }
}

/* The size of the probe that is due in this state; 0: none. */
static uint32_t choose_probe(struct kirim_pmtu *pmtu, uint64_t now_ns)
{
    if (pmtu->state == KIRIM_PMTU_BASE || pmtu->state == KIRIM_PMTU_ERROR) {
        return pmtu->options->base_bytes;
    }
    if (pmtu->state == KIRIM_PMTU_COMPLETE) {
        /* A round of confirmation that has begun is still due: it is ended before anything else. */
        if (now_ns >= pmtu->ki_confirm_ns) {
            return pmtu->plpmtu_bytes;
        }
        open_range(pmtu);
        enter(pmtu, KIRIM_PMTU_SEARCHING, now_ns);
    }
    const uint32_t bytes = choose_size(pmtu);
    if (bytes == 0) {
        enter_complete(pmtu, now_ns);
    }
    return bytes;
}

uint32_t kirim_pmtu_probe(struct kirim_pmtu *pmtu, uint64_t now_ns)
{
    if (pmtu->state == KIRIM_PMTU_DISABLED || now_ns < pmtu->deadline_ns) {
        return 0;
    }
    if (pmtu->probed_bytes != 0) {
        lose(pmtu, now_ns);
        if (now_ns < pmtu->deadline_ns) {
            return 0;
        }
    }
    const uint32_t bytes = choose_probe(pmtu, now_ns);
    if (bytes != 0) {
        pmtu->probed_bytes = bytes;
        pmtu->probe_count++;
        pmtu->deadline_ns = ki_after(now_ns, pmtu->options->probe_ns);
    }
    return bytes;
}

void kirim_pmtu_acknowledge(struct kirim_pmtu *pmtu, uint32_t bytes, uint64_t now_ns)
{
    if (bytes == 0 || bytes != pmtu->probed_bytes) {
        return;
    }
    pmtu->plpmtu_bytes = bytes;
    if (pmtu->state == KIRIM_PMTU_COMPLETE) {
        pmtu->probed_bytes = 0;
        pmtu->probe_count = 0;
        set_confirmation(pmtu, now_ns);
        rest(pmtu);
    } else {
        enter(pmtu, KIRIM_PMTU_SEARCHING, now_ns);
    }
}

void kirim_pmtu_lose(struct kirim_pmtu *pmtu, uint32_t bytes, uint64_t now_ns)
{
    if (bytes != 0 && bytes == pmtu->probed_bytes) {
        lose(pmtu, now_ns);
    }
}

/* ---- what else is heard of the path ---------------------------------------------------------- */

bool kirim_pmtu_too_big(struct kirim_pmtu *pmtu, uint32_t bytes, uint64_t now_ns)
{
    const struct kirim_pmtu_options *const o = pmtu->options;
    const uint32_t sent_bytes =
        pmtu->probed_bytes > pmtu->plpmtu_bytes ? pmtu->probed_bytes : pmtu->plpmtu_bytes;
    if (pmtu->state == KIRIM_PMTU_DISABLED || bytes < o->min_bytes || bytes >= sent_bytes) {
        return false;
    }
    if (bytes < o->base_bytes) {
        if (pmtu->state != KIRIM_PMTU_ERROR) {
            enter_error(pmtu, now_ns);
        }
        return true;
    }
    pmtu->ki_ceiling = bytes + 1;
    pmtu->ki_hint = bytes;
    if (bytes < pmtu->plpmtu_bytes) {
        enter_base(pmtu, now_ns);
    } else {
        enter(pmtu, KIRIM_PMTU_SEARCHING, now_ns);
    }
    return true;
}

void kirim_pmtu_black_hole(struct kirim_pmtu *pmtu, uint64_t now_ns)
{
    if (pmtu->state == KIRIM_PMTU_SEARCHING || pmtu->state == KIRIM_PMTU_COMPLETE) {
        pmtu->ki_ceiling = pmtu->plpmtu_bytes;
        pmtu->ki_hint = 0;
        enter_base(pmtu, now_ns);
    }
}

void kirim_pmtu_confirm(struct kirim_pmtu *pmtu, uint64_t now_ns)
{
    if (pmtu->state == KIRIM_PMTU_COMPLETE && pmtu->probed_bytes == 0 && pmtu->probe_count == 0) {
        set_confirmation(pmtu, now_ns);
        rest(pmtu);
    }
}
