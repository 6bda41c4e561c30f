/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "security/credentials.h"

/* Credentials as people and programs write them: words and hexadecimal digits, in JSON or in a CSV file. */

/* What is not given is empty. */
struct credential_text {
	struct span endpoint;
	struct span mode;	  /* psk, rpk, x509 */
	struct span identity;	  /* of a PSK, as text ... */
	struct span identity_hex; /* ... or as hexadecimal digits, for one that is no text */
	struct span key;	  /* hexadecimal: the PSK, or the SubjectPublicKeyInfo */
	bool rotate;
};

/* The credential, and the bytes that it points to: wiped by credential_input_deinit. */
struct credential_input {
	struct credential credential;
	uint8_t endpoint[CREDENTIAL_ENDPOINT_MAX];
	uint8_t identity[CREDENTIAL_IDENTITY_MAX];
	uint8_t key[CREDENTIAL_SPKI_MAX];
};
/* What is wrong, in words; NULL: nothing, and `out` is what it says. */
const char *credential_from_text(const struct credential_text *text, struct credential_input *out);
void credential_input_deinit(struct credential_input *in);
#define _cleanup_credential_ _cleanup_(credential_input_deinit)

/* "psk", "rpk", "x509"; "unknown" */
const char *credential_mode_name(unsigned mode);

/* ---- CSV (RFC 4180) ---- */

enum { CSV_FIELDS_MAX = 16, CSV_ROW_MAX = 8192 };

struct csv {
	struct span left;
	size_t line;		  /* of what is left, from 1 */
	uint8_t row[CSV_ROW_MAX]; /* fields without their quotes */
};

struct csv_row {
	size_t line; /* where it begins */
	size_t count;
	struct span fields[CSV_FIELDS_MAX]; /* borrowed from the csv until the next row */
};

enum csv_result { CSV_ROW, CSV_END, CSV_BAD };

/* `text` is borrowed. A byte order mark is stepped over. */
void csv_init(struct csv *c, struct span text);
/*
 * The next row that is not empty. Lines end with LF or CRLF; a field in quotes may have separators, doubled
 * quotes and line ends. CSV_BAD: the row at row->line makes no sense (`why`, a literal, says it); the next
 * call goes on behind its line.
 */
enum csv_result csv_next(struct csv *c, struct csv_row *row, const char **why);

/* Which field is what, by the names in the first row: endpoint, mode, identity, identityhex, key. */
struct credential_columns {
	uint8_t at[5]; /* field of each; UINT8_MAX: there is none */
};
/* What is wrong with a head, in words; NULL: nothing. */
const char *credential_columns_read(const struct csv_row *head, struct credential_columns *out);
struct credential_text credential_columns_take(const struct credential_columns *c, const struct csv_row *row);
