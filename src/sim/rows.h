/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

#include <stdio.h>

/* Pre-shared keys of a CSV file (RFC 4180) as `shoalctl security import` takes it: a head that names the
 * columns endpoint, mode, identity and key, in any order and among others, and a row per device. */

struct credential_row {
	struct span endpoint, identity, key; /* borrowed from the file; the key as hexadecimal digits */
};

struct credential_rows {
	struct buffer file;
	struct credential_row *rows;
	size_t count;
};

/* Says on `error` what is wrong, and in which line: -EINVAL, -ENOMEM, or the errno of the file. Harmless to
 * free then. */
int credential_rows_read(const char *path, struct credential_rows *out, FILE *error) NODISCARD;
/* From text, which is copied; `name` is that of messages. */
int credential_rows_parse(struct span text, const char *name, struct credential_rows *out,
			  FILE *error) NODISCARD;
void credential_rows_free(struct credential_rows *r);

/* All of a file, behind what `out` has. The errno of open and read, -EFBIG. */
int file_read(const char *path, struct buffer *out) NODISCARD;
/* Overwrites and frees what may be secret. */
void file_wipe(struct buffer *b);

/* With quotes where they are needed. */
void csv_write_field(struct span field, FILE *to);
