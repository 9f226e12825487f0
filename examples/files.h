/* SPDX-License-Identifier: MIT
 *
 * Files of a directory: those that tftp, tftpd and channel_copy read and write, as what
 * tftp/storage.h asks for; files_posix.c and files_windows.c.
 *
 * Nothing outside of the directory is reached through it: no component of a name may be a link. A
 * file that is written has a name of its own until it is whole, and is removed if it never is. One
 * thread.
 */
#ifndef EXAMPLES_FILES_H
#define EXAMPLES_FILES_H

#include <tftp/storage.h>

/* What the names of unfinished files begin with; such names are not served. */
#define FILES_UNFINISHED ".tftp-"

/* A directory. The caller's storage, put until it is closed. */
struct files {
    struct kirim_tftp_storage storage; /* to hand to a server or a client */
    intptr_t root;                     /* the directory's descriptor; Windows: not used */
    const char *path;                  /* as it was given */
    bool is_overwriting;               /* files that are there may be replaced */
    uint32_t file_number;              /* of the next unfinished file */
};

/* Opens a directory; false if there is none, or it may not be read. `path` must outlive it. */
bool files_open(struct files *files, const char *path);

/* Where the last component of a path of this system begins, less one; NULL: there is but one. */
const char *files_last_separator(const char *path);

/* Every file must have been ended. */
void files_close(struct files *files);

#endif
