/* SPDX-License-Identifier: MIT
 *
 * Socket activation on systems that do not hand sockets to a process by the protocol of
 * sd_listen_fds(3): there are none. Owns nothing. Any thread.
 */
#include <kirim/activation.h>

size_t kirim_activation_count(void)
{
    return 0;
}

kirim_err kirim_activation_descriptor(size_t index, intptr_t *out)
{
    (void)index;
    return out == NULL ? KIRIM_EINVAL : KIRIM_ENOENT;
}

kirim_err kirim_activation_name(size_t index, char *name, size_t bytes)
{
    (void)index;
    (void)bytes;
    return name == NULL ? KIRIM_EINVAL : KIRIM_ENOENT;
}

kirim_err kirim_activation_find(const char *name, size_t first, size_t *index)
{
    (void)first;
    return name == NULL || index == NULL ? KIRIM_EINVAL : KIRIM_ENOENT;
}
