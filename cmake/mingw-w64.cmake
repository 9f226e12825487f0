# SPDX-License-Identifier: MIT
#
# Toolchain: Windows programs for x86-64, made by mingw-w64. The preset `windows` uses it.
#
# What was cross-built for them, as cmake/check-mingw builds Check, is found in KIRIM_MINGW_PREFIX.
# The C runtime's helpers are linked in, so that a program needs the system's DLLs alone.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)

set(mingw_triplet x86_64-w64-mingw32)
# With the thread model of Windows: kirim starts no thread, and needs no libwinpthread then.
find_program(mingw_gcc NAMES ${mingw_triplet}-gcc-win32 ${mingw_triplet}-gcc REQUIRED)
set(CMAKE_C_COMPILER "${mingw_gcc}")
set(CMAKE_RC_COMPILER ${mingw_triplet}-windres)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-static")

# What the compiler tries out is configured apart, and has to look in the same place.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES KIRIM_MINGW_PREFIX)
set(CMAKE_FIND_ROOT_PATH "/usr/${mingw_triplet}")
if(KIRIM_MINGW_PREFIX)
    list(PREPEND CMAKE_FIND_ROOT_PATH "${KIRIM_MINGW_PREFIX}")
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
