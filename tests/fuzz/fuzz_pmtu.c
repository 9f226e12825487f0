/* SPDX-License-Identifier: MIT
 *
 * Any bytes as what happens to a search for the path MTU: probes lost and acknowledged, "packet too
 * big" of any size, black holes, time. The size in use stays within its range, probes are within
 * it, and what was acknowledged last in a search is in use.
 */
#include "fuzz.h"

#include <kirim/pmtu.h>

#define SECOND UINT64_C(1000000000)

static void check_state(const struct kirim_pmtu *pmtu)
{
    const struct kirim_pmtu_options *const o = pmtu->options;
    FUZZ_CLAIM(pmtu->state <= KIRIM_PMTU_ERROR);
    FUZZ_CLAIM(pmtu->plpmtu_bytes >= o->min_bytes && pmtu->plpmtu_bytes <= o->max_bytes);
    FUZZ_CLAIM(pmtu->probed_bytes <= o->max_bytes);
    FUZZ_CLAIM(pmtu->probe_count <= o->probe_count_max);
    FUZZ_CLAIM(pmtu->deadline_ns != KIRIM_NEVER || pmtu->state == KIRIM_PMTU_DISABLED);
    if (pmtu->state == KIRIM_PMTU_BASE) {
        FUZZ_CLAIM(pmtu->plpmtu_bytes == o->base_bytes);
    } else if (pmtu->state == KIRIM_PMTU_ERROR) {
        FUZZ_CLAIM(pmtu->plpmtu_bytes == o->min_bytes);
    } else if (pmtu->state != KIRIM_PMTU_DISABLED) {
        FUZZ_CLAIM(pmtu->plpmtu_bytes >= o->base_bytes);
    }
}

/* One event, by one byte, with another for its size. */
static void step(struct kirim_pmtu *pmtu, uint64_t *now_ns, uint8_t what, uint8_t size)
{
    const uint32_t under_way = pmtu->probed_bytes;
    const uint32_t bytes = 900 + (uint32_t)size * 3;
    switch (what % 8) {
    case 0:
        *now_ns += size * SECOND;
        break;
    case 1:
        *now_ns = pmtu->deadline_ns != KIRIM_NEVER && pmtu->deadline_ns > *now_ns
                      ? pmtu->deadline_ns
                      : *now_ns;
        break;
    case 2:
        kirim_pmtu_acknowledge(pmtu, under_way, *now_ns);
        FUZZ_CLAIM(under_way == 0 || pmtu->plpmtu_bytes == under_way);
        break;
    case 3:
        kirim_pmtu_lose(pmtu, (size & 1) != 0 ? under_way : bytes, *now_ns);
        break;
    case 4:
        if (kirim_pmtu_too_big(pmtu, bytes, *now_ns)) {
            FUZZ_CLAIM(pmtu->plpmtu_bytes <= bytes);
        }
        break;
    case 5:
        kirim_pmtu_black_hole(pmtu, *now_ns);
        break;
    case 6:
        kirim_pmtu_confirm(pmtu, *now_ns);
        break;
    default:
        kirim_pmtu_start(pmtu, *now_ns);
        break;
    }
    check_state(pmtu);
    const uint32_t probe = kirim_pmtu_probe(pmtu, *now_ns);
    FUZZ_CLAIM(probe == 0 || probe == pmtu->probed_bytes);
    FUZZ_CLAIM(probe == 0 || pmtu->deadline_ns > *now_ns);
    check_state(pmtu);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct kirim_pmtu_options options = KIRIM_PMTU_OPTIONS_INIT;
    struct kirim_pmtu pmtu;
    uint64_t now_ns = 0;
    options.min_bytes = 1000;
    if (bytes > 0) {
        options.granularity_bytes = 1 + data[0] % 64U;
        options.confirm_ns = (data[0] & 0x80) != 0 ? 60 * SECOND : 0;
        options.probe_count_max = 1 + data[0] % 3U;
    }
    FUZZ_CLAIM(kirim_pmtu_init(&pmtu, &options) == KIRIM_OK);
    for (size_t i = 1; i + 1 < bytes; i += 2) {
        step(&pmtu, &now_ns, data[i], data[i + 1]);
    }
    return 0;
}
