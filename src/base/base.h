/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * The few words that every file needs: cleanup attributes, container_of, sizes.
 *
 * Errors, everywhere: 0 is ok; < 0 is a negative errno value, fatal to this operation and forwarded
 * untouched; > 0 is an enumerated outcome of this one call that the caller switches on and never forwards.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define PRINTF_LIKE(position, args) __attribute__((__format__(__printf__, position, args)))
#define NODISCARD __attribute__((warn_unused_result))

/* Frees what a local owns when it goes out of scope: `_cleanup_free_ char *text = NULL;` */
static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}
#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _cleanup_free_ _cleanup_(cleanup_free)
