/* SPDX-License-Identifier: MIT
 *
 * Files of a directory as the storage of TFTP: tftp_files_posix.c and tftp_files_windows.c.
 *
 * Nothing outside of the directory is reached through it: no component of a name may be a link. A
 * file that is written has a name of its own until it is whole, and is removed if it never is. One
 * thread.
 */
#ifndef EXAMPLES_TFTP_FILES_H
#define EXAMPLES_TFTP_FILES_H

#include <tftp/storage.h>

/* What the names of unfinished files begin with; such names are not served. */
#define TFTP_FILES_UNFINISHED ".tftp-"

/* A directory. The caller's storage, put until it is closed. */
struct tftp_files {
    struct kirim_tftp_storage storage; /* to hand to a server or a client */
    intptr_t root;                     /* the directory's descriptor; Windows: not used */
    const char *path;                  /* as it was given */
    bool is_overwriting;               /* files that are there may be replaced */
    uint32_t file_number;              /* of the next unfinished file */
};

/* Opens a directory; false if there is none, or it may not be read. `path` must outlive it. */
bool tftp_files_open(struct tftp_files *files, const char *path);

/* Where the last component of a path of this system begins, less one; NULL: there is but one. */
const char *tftp_files_last_separator(const char *path);

/* Every file must have been ended. */
void tftp_files_close(struct tftp_files *files);

#endif
