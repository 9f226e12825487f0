/* SPDX-License-Identifier: MIT
 *
 * Encoding of messages; see win_msg.h. Keeps true: what is not there is NULL with length 0, and no
 * flag is ever set in the message itself (S10, S32). Owns nothing. Loop thread.
 */
#include "win_msg.h"

#include "win.h"

/* Appends the buffers of an entry. Returns the new count. */
static DWORD append_bufs(WSABUF *bufs, DWORD count, const struct ki_entry *e)
{
    if (e->buf_count == 1) {
        bufs[count] = (WSABUF){ .len = e->bytes, .buf = e->data };
        return count + 1;
    }
    const struct kirim_buf *from = e->data;
    for (uint32_t i = 0; i < e->buf_count; i++) {
        bufs[count + i] = (WSABUF){ .len = (ULONG)from[i].bytes, .buf = from[i].data };
    }
    return count + e->buf_count;
}

/* Makes an entry's bytes part of the last buffer, if they lie behind it. */
static bool prolong(WSABUF *last, const struct ki_entry *e)
{
    if (e->buf_count != 1 || (uintptr_t)e->data != (uintptr_t)last->buf + last->len) {
        return false;
    }
    last->len += e->bytes;
    return true;
}

/* Appends the entries that may follow e[0] in a train. Returns how many there are, e[0] included.
 */
static uint32_t append_train(WSABUF *bufs, DWORD *count, const struct ki_entry *e, uint32_t n,
                             uint64_t segments_max)
{
    const uint32_t most = ki_train_max(e, segments_max);
    const uint32_t limit = most < n ? most : n;
    uint32_t length = 1;
    bool is_last = false;
    while (length < limit && !is_last && ki_train_joins(e, &e[length])) {
        const struct ki_entry *next = &e[length];
        if (!prolong(&bufs[*count - 1], next)) {
            if (next->buf_count > KI_WIN_BUFS_MAX - *count) {
                break;
            }
            *count = append_bufs(bufs, *count, next);
        }
        is_last = next->bytes < e->bytes;
        length++;
    }
    return length;
}

void ki_win_encode(struct ki_win_out *out, WSABUF *bufs, const struct ki_win_port *p,
                   const struct ki_entry *e, uint32_t n)
{
    DWORD count = append_bufs(bufs, 0, e);
    ULONG control_bytes = 0;
    uint32_t segment_bytes = e->bytes > e->segment_bytes ? e->segment_bytes : 0;
    out->entries = 1;
    if (n > 1 && p->port.tx_segments_max > 1) {
        out->entries = append_train(bufs, &count, e, n, p->port.tx_segments_max);
        segment_bytes = out->entries > 1 ? e->bytes : segment_bytes;
    }
    if (e->control != NULL) {
        const int family = kirim_addr_family(&e->peer);
        control_bytes = ki_win_control_write(
            &out->control, e->control,
            family != KIRIM_FAMILY_NONE ? family : kirim_addr_family(&p->port.remote));
    }
    /* Never said of a single segment: some drivers refuse that (L7). */
    if (segment_bytes != 0) {
        control_bytes = ki_win_control_add_segment(&out->control, control_bytes, segment_bytes);
    }
    out->is_train = segment_bytes != 0;
    out->flags = (e->status & KI_DONTROUTE) != 0 ? MSG_DONTROUTE : 0;
    const int name_bytes = ki_win_name_write(&out->name, &e->peer, p->is_ipv6 != 0);
    out->msg = (WSAMSG){
        .name = name_bytes != 0 ? &out->name.any : NULL,
        .namelen = name_bytes,
        .lpBuffers = bufs,
        .dwBufferCount = count,
        .Control = {
            .len = control_bytes,
            .buf = control_bytes != 0 ? (char *)out->control.words : NULL,
        },
    };
}
