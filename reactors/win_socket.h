/* SPDX-License-Identifier: MIT
 *
 * Sockets of the Windows reactors: made or adopted, set up, bound, connected, closed.
 *
 * A reactor opens a port in two steps, with its own registration between them, so that what cannot
 * be undone (a bind) comes last:
 *     ki_win_socket_open()  the socket, made or adopted
 *     ... the reactor makes room for it ...
 *     ki_win_socket_bind()  options, bind, connect, names
 * and calls ki_win_socket_undo() if anything behind the first step failed. Owns the socket, an
 * adopted one from the moment that port_open() succeeds. Loop thread. Sources: WSASocketW, "Using
 * SO_REUSEADDR and SO_EXCLUSIVEADDRUSE", "SOL_SOCKET socket options", "Winsock IOCTLs".
 */
#ifndef KI_WIN_SOCKET_H
#define KI_WIN_SOCKET_H

#include "win.h"

enum { KI_WIN_SAVED_OPTIONS_MAX = 24 };

/* What must be put back if an adopted socket goes back to the caller. */
struct ki_win_saved_option {
    int level;
    int name;
    DWORD value;
};

/* A port that is being opened. Lives until the open has succeeded or was undone. */
struct ki_win_setup {
    const struct kirim_endpoint_options *options;
    SOCKET s;
    bool is_adopted;
    bool is_bound; /* an adopted socket that has its address */
    bool is_connecting;
    DWORD handle_flags;
    uint32_t saved_count;
    struct ki_win_saved_option saved[KI_WIN_SAVED_OPTIONS_MAX];
};

/* Makes a datagram socket that no child process inherits, for use inside the reactor;
 * INVALID_SOCKET, and the last error says why. */
SOCKET ki_win_socket_make(const struct ki_win *r, int family);

/* Reads an option: 0, or -1 and the last error. Some are told as a single byte: the others are zero
 * then. */
int ki_win_option_get(const struct ki_win *r, SOCKET s, int level, int name, DWORD *value);

/* Sets an option of a port that is being opened, and notes what it was if the socket is adopted: 0,
 * or -1 and the last error. */
int ki_win_option_set(const struct ki_win *r, struct ki_win_setup *setup, int level, int name,
                      DWORD value);

/* Has no call of the socket wait: 0, or -1 and the last error. It cannot be asked whether they did.
 */
int ki_win_socket_unblock(const struct ki_win *r, SOCKET s);

kirim_err ki_win_socket_open(struct ki_win *r, struct ki_win_port *p,
                             const struct kirim_endpoint_options *options,
                             struct ki_win_setup *setup);
kirim_err ki_win_socket_bind(struct ki_win *r, struct ki_win_port *p, struct ki_win_setup *setup);

/* Closes a socket of our own; gives an adopted one back as it was, but for a bind or a connect that
 * had succeeded already. */
void ki_win_socket_undo(struct ki_win *r, struct ki_win_port *p, struct ki_win_setup *setup);
void ki_win_socket_close(struct ki_win *r, struct ki_win_port *p);

#endif
