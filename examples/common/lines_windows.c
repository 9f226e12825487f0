/* SPDX-License-Identifier: MIT
 *
 * The thread of lines.h, for Windows. Source: CreateThread.
 */
#include "lines.h"

#include <windows.h>

static DWORD WINAPI run(void *reader)
{
    lines_read(reader);
    return 0;
}

bool lines_start_thread(void *reader)
{
    const HANDLE thread = CreateThread(NULL, 0, run, reader, 0, NULL);
    return thread != NULL && CloseHandle(thread) != 0;
}
