/* SPDX-License-Identifier: MIT
 *
 * What differs between compilers and systems, for the public headers: the one place with a platform
 * #if. Owns nothing.
 */
#ifndef KIRIM_CONFIG_H
#define KIRIM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Marks a symbol that programs may link to; all others are hidden. */
#if defined(KIRIM_STATIC)
#define KIRIM_API
#elif defined(_WIN32)
#ifdef KIRIM_BUILDING
#define KIRIM_API __declspec(dllexport)
#else
#define KIRIM_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define KIRIM_API __attribute__((visibility("default")))
#else
#define KIRIM_API
#endif

/** Opens C linkage in C++ programs. */
#ifdef __cplusplus
#define KIRIM_BEGIN_DECLS extern "C" {
/** Closes what KIRIM_BEGIN_DECLS opened. */
#define KIRIM_END_DECLS }
#else
#define KIRIM_BEGIN_DECLS
#define KIRIM_END_DECLS
#endif

/** Version of the headers, as numbers for the preprocessor. */
#define KIRIM_VERSION_MAJOR 0
#define KIRIM_VERSION_MINOR 1
#define KIRIM_VERSION_PATCH 0

/** No limit, no deadline: the largest point in time. */
#define KIRIM_NEVER UINT64_MAX

/** What a handler begins with: its size, and in the upper byte of 32 bits what kind of handler it
 * is, so that two kinds of one size are not taken for each other. For the INIT macros. */
#define KIRIM_SIZE_OF_KIND(kind, type) (((size_t)(kind) << 24) + sizeof(type))

KIRIM_BEGIN_DECLS

/**
 * @brief Version of the library that is running.
 *
 * @return "major.minor.patch"; static, never NULL. KIRIM_VERSION_MAJOR and its siblings are those
 *         that the program was compiled with.
 * @note Any thread.
 */
KIRIM_API const char *kirim_version(void);

KIRIM_END_DECLS

#endif
