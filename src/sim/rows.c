/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A file of keys, kept as it was read: fields lose their quotes in place, and rows point into it.
 *
 * Leaves out what a simulated device cannot do with such a file: raw public keys and certificates, whose
 * private keys it does not have, and fields with line ends.
 */

#include "sim/rows.h"

#include "dtls/handshake.h"
#include "sim/names.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

enum { ROWS_FILE_MAX = 1 << 28, FIELDS_MAX = 16, ENDPOINT_MAX = 200 };
enum column { ENDPOINT, MODE, IDENTITY, KEY, COLUMNS };

static const char *const column_names[COLUMNS] = {"endpoint", "mode", "identity", "key"};

int file_read(const char *path, struct buffer *out)
{
	FILE *f = fopen(path, "re");
	char block[4096];
	size_t got;
	int rc = 0;

	if (!f)
		return -errno;
	while ((got = fread(block, 1, sizeof(block), f)) > 0)
		buffer_bytes(out, span_of(block, got));
	if (ferror(f))
		rc = -EIO;
	else if (out->failed)
		rc = -EFBIG;
	fclose(f);
	explicit_bzero(block, sizeof(block));
	return rc;
}

void file_wipe(struct buffer *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buffer_deinit(b);
}

struct table {
	char *at;    /* what is left of the text, with NUL */
	size_t line; /* of it, from 1 */
	int columns[COLUMNS];
	struct span fields[FIELDS_MAX];
	size_t count;
};

/* Takes a field in quotes, moved over its quotes. NULL: it does not end. */
static char *take_quoted(char *at, struct span *field)
{
	char *to = at;

	*field = span_of(at, 0);
	for (at++; *at && *at != '\n'; at++) {
		if (*at == '"' && *++at != '"') {
			field->len = (size_t)(to - (const char *)field->data);
			return at;
		}
		*to++ = *at;
	}
	return NULL;
}

/* The fields of the next line. What is wrong with it, or NULL. */
static const char *take_line(struct table *t)
{
	char *at = t->at, *end = strchrnul(at, '\n');
	bool more = true;

	t->at = *end ? end + 1 : end;
	t->line++;
	for (t->count = 0; more; t->count++) {
		if (t->count == FIELDS_MAX)
			return "has too many fields";
		if (*at == '"') {
			at = take_quoted(at, &t->fields[t->count]);
			if (!at)
				return "has a quote that does not end";
		} else {
			size_t len = strcspn(at, ",\r\n");

			t->fields[t->count] = span_of(at, len);
			at += len;
		}
		more = *at == ',';
		at += more;
	}
	at += *at == '\r';
	return at == end ? NULL : "has something behind a quote";
}

static bool is_empty(const struct table *t)
{
	return t->count == 1 && t->fields[0].len == 0;
}

static const char *take_head(struct table *t)
{
	const char *wrong = take_line(t);

	for (size_t c = 0; c < COLUMNS; c++) {
		t->columns[c] = -1;
		for (size_t i = 0; !wrong && i < t->count; i++) {
			struct span f = t->fields[i];

			if (f.len == strlen(column_names[c]) &&
			    strncasecmp((const char *)f.data, column_names[c], f.len) == 0)
				t->columns[c] = (int)i;
		}
		if (!wrong && t->columns[c] < 0)
			wrong = "does not name the columns endpoint, mode, identity and key";
	}
	return wrong;
}

static struct span field(const struct table *t, enum column c)
{
	size_t i = (size_t)t->columns[c];

	return i < t->count ? t->fields[i] : span_of(NULL, 0);
}

/* Endpoint names go into lines of the ledger. */
static bool is_name(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isgraph(s.data[i]))
			return false;
	return s.len && s.len <= ENDPOINT_MAX;
}

static const char *take_row(const struct table *t, struct credential_row *out)
{
	uint8_t key[DTLS_PSK_MAX];
	struct span mode = field(t, MODE);
	size_t len;
	bool good;

	*out = (struct credential_row){field(t, ENDPOINT), field(t, IDENTITY), field(t, KEY)};
	if (mode.len != 3 || strncasecmp((const char *)mode.data, "psk", 3) != 0)
		return "has another mode than psk";
	if (!is_name(out->endpoint))
		return "has no endpoint name, or one with spaces";
	if (!out->identity.len || out->identity.len > DTLS_IDENTITY_MAX)
		return "has no identity, or too long a one";
	good = name_hex(out->key, key, sizeof(key), &len);
	explicit_bzero(key, sizeof(key));
	return good ? NULL : "has a key that is not made of pairs of hexadecimal digits";
}

static size_t count_lines(const char *text)
{
	size_t lines = 1;

	for (; (text = strchr(text, '\n')); text++)
		lines++;
	return lines;
}

static const char *take_all(struct table *t, struct credential_rows *out)
{
	const char *wrong = take_head(t);

	while (!wrong && *t->at) {
		wrong = take_line(t);
		if (!wrong && !is_empty(t))
			wrong = take_row(t, &out->rows[out->count++]);
	}
	return wrong;
}

static int parse(struct credential_rows *out, const char *name, FILE *error)
{
	struct table t = {.at = (char *)out->file.data};
	const char *wrong;

	if (out->file.failed || !t.at)
		return out->file.failed ? -ENOMEM : -ENODATA;
	if (strlen(t.at) != out->file.len) {
		fprintf(error, "shoal-sim: --psk-file %s is no text\n", name);
		return -EINVAL;
	}
	out->rows = calloc(count_lines(t.at), sizeof(*out->rows));
	if (!out->rows)
		return -ENOMEM;
	wrong = take_all(&t, out);
	if (wrong)
		fprintf(error, "shoal-sim: --psk-file %s: line %zu %s\n", name, t.line, wrong);
	return wrong ? -EINVAL : 0;
}

int credential_rows_parse(struct span text, const char *name, struct credential_rows *out, FILE *error)
{
	*out = (struct credential_rows){.file = buffer_of(ROWS_FILE_MAX)};
	buffer_bytes(&out->file, text);
	return parse(out, name, error);
}

int credential_rows_read(const char *path, struct credential_rows *out, FILE *error)
{
	int rc;

	*out = (struct credential_rows){.file = buffer_of(ROWS_FILE_MAX)};
	rc = file_read(path, &out->file);
	if (rc == 0)
		rc = parse(out, path, error);
	if (rc < 0 && rc != -EINVAL)
		fprintf(error, "shoal-sim: --psk-file %s: %s\n", path, strerror(-rc));
	return rc;
}

void credential_rows_free(struct credential_rows *r)
{
	file_wipe(&r->file);
	free(r->rows);
	*r = (struct credential_rows){.count = 0};
}

void csv_write_field(struct span s, FILE *to)
{
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++)
		quoted |= strchr(",\"\r\n", s.data[i]) != NULL;
	if (quoted)
		fputc('"', to);
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '"')
			fputc('"', to);
		fputc(s.data[i], to);
	}
	if (quoted)
		fputc('"', to);
}
