/* SPDX-License-Identifier: MIT
 *
 * Sockets of the POSIX reactors: made or adopted, set up, bound, connected, measured, closed.
 *
 * A reactor opens a port in two steps, with its own registration between them, so that what cannot
 * be undone (a bind) comes last: ki_posix_socket_open()  the descriptor, made or adopted
 *     ... the reactor begins to watch it ...
 *     ki_posix_socket_bind()  options, bind, connect, names
 * and calls ki_posix_socket_undo() if anything behind the first step failed. Owns the descriptor,
 * an adopted one from the moment that port_open() succeeds. Loop thread. Sources: socket(7),
 * udp(7), ip(7), ipv6(7), raw(7), sock_diag(7).
 */
#ifndef KI_POSIX_SOCKET_H
#define KI_POSIX_SOCKET_H

#include "posix.h"

/* What must be put back if an adopted socket goes back to the caller. */
struct ki_posix_saved_option {
    int level;
    int name;
    int value;
};

enum { KI_SAVED_OPTIONS_MAX = 24 };

/* A port that is being opened. Lives until the open has succeeded or was undone. */
struct ki_posix_setup {
    const struct kirim_endpoint_options *options;
    int fd;
    bool is_adopted;
    bool is_bound; /* an adopted socket that has its address */
    int status_flags;
    int descriptor_flags;
    uint32_t saved_count;
    struct ki_posix_saved_option saved[KI_SAVED_OPTIONS_MAX];
};

/* Reads an option: 0, or -1 and errno; `*value` is 0 then. */
int ki_posix_get_option(const struct ki_posix *r, int fd, int level, int name, int *value);

/* Sets an option of a port that is being opened; what it was before is noted if the socket is
 * adopted. 0, or -1 and errno. */
int ki_posix_set_option(const struct ki_posix *r, struct ki_posix_setup *setup, int level, int name,
                        int value);

kirim_err ki_posix_socket_open(struct ki_posix *r, struct ki_posix_port *p,
                               const struct kirim_endpoint_options *options,
                               struct ki_posix_setup *setup);
kirim_err ki_posix_socket_bind(struct ki_posix *r, struct ki_posix_port *p,
                               struct ki_posix_setup *setup);

/* Closes a socket of our own; gives an adopted one back as it was, but for a bind or a connect that
 * had succeeded already: POSIX cannot undo the one, and would change the address by undoing the
 * other. */
void ki_posix_socket_undo(struct ki_posix *r, struct ki_posix_port *p,
                          struct ki_posix_setup *setup);
void ki_posix_socket_close(struct ki_posix *r, struct ki_posix_port *p);

/* Members of struct ki_reactor_ops. */
kirim_err ki_posix_port_buffers(struct ki_reactor *reactor, struct ki_port *port,
                                uint32_t *receive_bytes, uint32_t *send_bytes);
uint64_t ki_posix_port_drops(struct ki_reactor *reactor, struct ki_port *port);

#endif
