/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

#include <stdio.h>

/* Aligned columns. Cells are safe text (text.h). */

enum { TABLE_COLUMNS_MAX = 10 };

struct table {
	const char *const *titles; /* borrowed; NULL: a table without a head */
	unsigned columns;
	char **cells; /* row by row; owned */
	size_t count, capacity;
	bool failed; /* memory is out: what is missing is missing at the end */
};

void table_init(struct table *t, unsigned columns, const char *const *titles);
void table_deinit(struct table *t);
#define _cleanup_table_ _cleanup_(table_deinit)
/* Adds the next cell. `text` is a peer's or ours: made safe here. */
void table_add(struct table *t, const char *text);
void table_printf(struct table *t, const char *format, ...) PRINTF_LIKE(2, 3);
/* `width` 0: as wide as it gets; else the last column is cut to fit, with "..." */
void table_print(const struct table *t, FILE *to, size_t width);
/* Columns of the terminal that `to` is, 0 if it is none. */
size_t table_terminal_width(FILE *to);
