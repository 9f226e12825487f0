/* SPDX-License-Identifier: MIT
 *
 * Prints what kirim-probe has found out: as text for people, as JSON for programs. The JSON is one
 * object on one line; its strings are names and texts of the library and of this program.
 */
#include "probe.h"

#include <inttypes.h>
#include <stdio.h>

static const uint64_t NS_PER_US = 1000;

static double to_us(uint64_t ns)
{
    return (double)ns / (double)NS_PER_US;
}

/* Text */

static void print_text_caps(const char *title, uint32_t caps)
{
    (void)printf("  %-15s", title);
    for (unsigned bit = 0; bit < 32; bit++) {
        if ((caps & (uint32_t)1 << bit) != 0) {
            (void)printf(" %s", kirim_cap_name((uint32_t)1 << bit));
        }
    }
    (void)printf("%s\n", caps == 0 ? " none" : "");
}

static void print_text_buffers(const char *title, const struct probe_buffers *b)
{
    if (b->err < 0) {
        (void)printf("    %-21s no: %s (%s)\n", title, kirim_err_text(b->err),
                     kirim_err_name(b->err));
    } else {
        (void)printf("    %-21s receive %" PRIu32 ", send %" PRIu32 " bytes\n", title,
                     b->receive_bytes, b->send_bytes);
    }
}

static void print_text_family(const struct probe_family *f)
{
    if (f->err < 0) {
        (void)printf("  IPv%d: no endpoint opens: %s (%s)\n", f->family, kirim_err_text(f->err),
                     kirim_err_name(f->err));
        return;
    }
    (void)printf("  IPv%d\n    %-21s %zu bytes, which %s on loopback\n", f->family,
                 "largest payload", f->payload_bytes_max,
                 f->has_largest_arrived ? "arrive" : "did not arrive");
    print_text_buffers("buffers by default", &f->by_default);
    print_text_buffers("4 MiB asked", &f->plain);
    print_text_buffers("4 MiB forced", &f->forced);
}

static void print_text_reactor(const struct probe_reactor *r)
{
    (void)printf("\nreactor %s\n", r->name);
    if (r->err < 0) {
        (void)printf("  does not open: %s (%s)\n", kirim_err_text(r->err), kirim_err_name(r->err));
        return;
    }
    print_text_caps("can", r->caps);
    print_text_caps("cannot", probe_caps_known() & ~r->caps);
    (void)printf("  %-15s resolution %.1f us", "timers", to_us(r->timer_resolution_ns));
    if (r->timer_count > 0) {
        (void)printf("; %zu of 1 ms were late by %.1f (least), %.1f (median), %.1f (most) us",
                     r->timer_count, to_us(r->late_ns[0]), to_us(r->late_ns[r->timer_count / 2]),
                     to_us(r->late_ns[r->timer_count - 1]));
    }
    (void)printf("\n");
    for (size_t i = 0; i < PROBE_FAMILY_COUNT; i++) {
        print_text_family(&r->family[i]);
    }
}

void probe_print_text(const struct probe *p)
{
    (void)printf("kirim %s, compiled against %d.%d.%d\n", kirim_version(), KIRIM_VERSION_MAJOR,
                 KIRIM_VERSION_MINOR, KIRIM_VERSION_PATCH);
    for (size_t i = 0; i < p->reactor_count; i++) {
        print_text_reactor(&p->reactor[i]);
    }
    (void)printf("\nBuffer sizes are the system's own figures; Linux says twice what it gives.\n"
                 "\nmissing:%s\n",
                 p->hint_count == 0 ? " nothing" : "");
    for (size_t i = 0; i < p->hint_count; i++) {
        (void)printf("  %s\n    %s\n", p->hint[i].what, p->hint[i].how);
    }
}

/* JSON */

static void print_string(const char *text)
{
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < 0x20) {
            (void)printf("\\u%04x", (unsigned)c);
        } else {
            (void)printf(c == '"' || c == '\\' ? "\\%c" : "%c", c);
        }
    }
    (void)putchar('"');
}

/* "opens": true, "error": null */
static void print_json_opens(kirim_err err)
{
    (void)printf("\"opens\":%s,\"error\":", err < 0 ? "false" : "true");
    if (err < 0) {
        print_string(kirim_err_name(err));
    } else {
        (void)printf("null");
    }
}

static void print_json_buffers(const char *name, const struct probe_buffers *b)
{
    (void)printf(",\"%s\":{", name);
    print_json_opens(b->err);
    if (b->err >= 0) {
        (void)printf(",\"receive_bytes\":%" PRIu32 ",\"send_bytes\":%" PRIu32, b->receive_bytes,
                     b->send_bytes);
    }
    (void)printf("}");
}

static void print_json_family(const struct probe_family *f)
{
    (void)printf("{\"family\":%d,", f->family);
    print_json_opens(f->err);
    if (f->err >= 0) {
        (void)printf(",\"payload_bytes_max\":%zu,\"has_largest_arrived\":%s,"
                     "\"buffer_bytes_asked\":%d",
                     f->payload_bytes_max, f->has_largest_arrived ? "true" : "false",
                     PROBE_BUFFER_BYTES);
        print_json_buffers("buffers_default", &f->by_default);
        print_json_buffers("buffers_plain", &f->plain);
        print_json_buffers("buffers_forced", &f->forced);
    }
    (void)printf("}");
}

static void print_json_caps(uint32_t caps)
{
    const char *separator = "";
    (void)printf(",\"capabilities\":{");
    for (unsigned bit = 0; bit < 32; bit++) {
        const uint32_t cap = (uint32_t)1 << bit;
        if ((probe_caps_known() & cap) != 0) {
            (void)printf("%s\"%s\":%s", separator, kirim_cap_name(cap),
                         (caps & cap) != 0 ? "true" : "false");
            separator = ",";
        }
    }
    (void)printf("}");
}

static void print_json_timers(const struct probe_reactor *r)
{
    (void)printf(",\"timer\":{\"resolution_ns\":%" PRIu64 ",\"measured_count\":%zu",
                 r->timer_resolution_ns, r->timer_count);
    if (r->timer_count > 0) {
        (void)printf(",\"late_min_ns\":%" PRIu64 ",\"late_median_ns\":%" PRIu64
                     ",\"late_max_ns\":%" PRIu64,
                     r->late_ns[0], r->late_ns[r->timer_count / 2], r->late_ns[r->timer_count - 1]);
    }
    (void)printf("}");
}

static void print_json_reactor(const struct probe_reactor *r)
{
    (void)printf("{\"name\":");
    print_string(r->name);
    (void)printf(",");
    print_json_opens(r->err);
    if (r->err >= 0) {
        print_json_caps(r->caps);
        print_json_timers(r);
        (void)printf(",\"families\":[");
        for (size_t i = 0; i < PROBE_FAMILY_COUNT; i++) {
            (void)printf("%s", i > 0 ? "," : "");
            print_json_family(&r->family[i]);
        }
        (void)printf("]");
    }
    (void)printf("}");
}

void probe_print_json(const struct probe *p)
{
    (void)printf("{\"version\":");
    print_string(kirim_version());
    (void)printf(",\"compiled_against\":\"%d.%d.%d\",\"buffer_count_max\":%d,\"reactors\":[",
                 KIRIM_VERSION_MAJOR, KIRIM_VERSION_MINOR, KIRIM_VERSION_PATCH,
                 KIRIM_BUF_COUNT_MAX);
    for (size_t i = 0; i < p->reactor_count; i++) {
        (void)printf("%s", i > 0 ? "," : "");
        print_json_reactor(&p->reactor[i]);
    }
    (void)printf("],\"missing\":[");
    for (size_t i = 0; i < p->hint_count; i++) {
        (void)printf("%s{\"what\":", i > 0 ? "," : "");
        print_string(p->hint[i].what);
        (void)printf(",\"how\":");
        print_string(p->hint[i].how);
        (void)printf("}");
    }
    (void)printf("]}\n");
}
