/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Words to credentials, and rows of a CSV file. Every refusal has a reason that names what to mend, since a
 * file of ten thousand lines comes from somebody's spreadsheet; none repeats a key.
 */

#include "security/credential_text.h"

#include "security/certificate.h"
#include "security/hex.h"

#include <strings.h>

static const struct {
	const char *name;
	enum credential_mode mode;
} modes[] = {{"psk", CREDENTIAL_PSK}, {"rpk", CREDENTIAL_RAW_KEY}, {"x509", CREDENTIAL_X509}};

const char *credential_mode_name(unsigned mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (modes[i].mode == mode)
			return modes[i].name;
	}
	return "unknown";
}

static bool span_is_nocase(struct span s, const char *text)
{
	return s.len == strlen(text) && (!s.len || strncasecmp((const char *)s.data, text, s.len) == 0);
}

static bool find_mode(struct span name, enum credential_mode *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (span_is_nocase(name, modes[i].name)) {
			*out = modes[i].mode;
			return true;
		}
	}
	return false;
}

static const char *take_identity(const struct credential_text *t, struct credential_input *out)
{
	struct span identity = t->identity;

	if (identity.len && t->identity_hex.len)
		return "the identity is given twice, as text and in hexadecimal digits";
	if (t->identity_hex.len) {
		if (t->identity_hex.len / 2 > sizeof(out->identity) ||
		    !hex_decode(t->identity_hex, out->identity, t->identity_hex.len / 2))
			return "the hexadecimal identity is not 1 to 128 bytes in pairs of digits";
		identity = span_of(out->identity, t->identity_hex.len / 2);
	} else if (identity.len <= sizeof(out->identity) && identity.len) {
		memcpy(out->identity, identity.data, identity.len);
		identity.data = out->identity;
	}
	out->credential.identity = identity;
	return NULL;
}

static const char *take_key(const struct credential_text *t, struct credential_input *out)
{
	size_t len = t->key.len / 2;
	struct public_key point;

	if (len > sizeof(out->key) || !hex_decode(t->key, out->key, len))
		return "the key is no row of pairs of hexadecimal digits";
	out->credential.key = span_of(out->key, len);
	if (out->credential.mode == CREDENTIAL_RAW_KEY && public_key_parse(out->credential.key, &point))
		return "the key is no SubjectPublicKeyInfo (DER) of an elliptic curve";
	return NULL;
}

const char *credential_from_text(const struct credential_text *t, struct credential_input *out)
{
	const char *wrong = NULL;

	*out = (struct credential_input){.credential = {.endpoint = t->endpoint, .rotate = t->rotate}};
	if (t->endpoint.len && t->endpoint.len <= sizeof(out->endpoint)) {
		memcpy(out->endpoint, t->endpoint.data, t->endpoint.len);
		out->credential.endpoint.data = out->endpoint;
	}
	if (!find_mode(t->mode, &out->credential.mode))
		return "the mode is none of psk, rpk, x509";
	if (out->credential.mode != CREDENTIAL_PSK && (t->identity.len || t->identity_hex.len))
		return "only psk has an identity";
	if (out->credential.mode == CREDENTIAL_X509 && t->key.len)
		return "x509 has no key: the certificate names the endpoint";
	wrong = take_identity(t, out);
	if (!wrong && out->credential.mode != CREDENTIAL_X509)
		wrong = take_key(t, out);
	return wrong ? wrong : credential_check(&out->credential);
}

void credential_input_deinit(struct credential_input *in)
{
	explicit_bzero(in, sizeof(*in));
}

/* ---- CSV ---- */

void csv_init(struct csv *c, struct span text)
{
	if (text.len >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0)
		text = span_from(text, 3);
	c->left = text;
	c->line = 1;
}

static bool at(const struct csv *c, uint8_t byte)
{
	return c->left.len && c->left.data[0] == byte;
}

static void step(struct csv *c)
{
	c->line += c->left.data[0] == '\n';
	c->left = span_from(c->left, 1);
}

static void skip_line(struct csv *c)
{
	while (c->left.len && !at(c, '\n'))
		step(c);
	if (c->left.len)
		step(c);
}

/* At the end of a line, which is then stepped over. */
static bool take_line_end(struct csv *c)
{
	if (c->left.len >= 2 && c->left.data[0] == '\r' && c->left.data[1] == '\n')
		step(c);
	if (at(c, '\n'))
		step(c);
	else if (c->left.len)
		return false;
	return true;
}

static bool is_line_end(const struct csv *c)
{
	return !c->left.len || at(c, '\n') ||
	       (c->left.len >= 2 && c->left.data[0] == '\r' && c->left.data[1] == '\n');
}

static const char *quoted_field(struct csv *c, uint8_t **to)
{
	uint8_t *end = c->row + sizeof(c->row);

	step(c);
	for (; c->left.len; step(c)) {
		if (at(c, '"')) {
			if (c->left.len < 2 || c->left.data[1] != '"')
				break;
			step(c);
		}
		if (*to == end)
			return "the row is too long";
		*(*to)++ = c->left.data[0];
	}
	if (!c->left.len)
		return "a quote is not closed";
	step(c);
	return at(c, ',') || is_line_end(c) ? NULL : "something stands behind a closing quote";
}

static const char *plain_field(struct csv *c, uint8_t **to)
{
	uint8_t *end = c->row + sizeof(c->row);

	for (; !at(c, ',') && !is_line_end(c); step(c)) {
		if (at(c, '"'))
			return "a quote stands within a field";
		if (*to == end)
			return "the row is too long";
		*(*to)++ = c->left.data[0];
	}
	return NULL;
}

static const char *take_row(struct csv *c, struct csv_row *row)
{
	uint8_t *to = c->row;
	const char *wrong = NULL;

	for (;;) {
		uint8_t *start = to;

		if (row->count == CSV_FIELDS_MAX)
			return "the row has too many fields";
		wrong = at(c, '"') ? quoted_field(c, &to) : plain_field(c, &to);
		if (wrong)
			return wrong;
		row->fields[row->count++] = span_of(start, (size_t)(to - start));
		if (take_line_end(c))
			return NULL;
		step(c); /* the comma */
	}
}

enum csv_result csv_next(struct csv *c, struct csv_row *row, const char **why)
{
	*row = (struct csv_row){0};
	while (c->left.len && is_line_end(c))
		take_line_end(c);
	row->line = c->line;
	if (!c->left.len)
		return CSV_END;
	*why = take_row(c, row);
	if (!*why)
		return CSV_ROW;
	skip_line(c);
	return CSV_BAD;
}

/* ---- columns ---- */

enum { COLUMN_ENDPOINT, COLUMN_MODE, COLUMN_IDENTITY, COLUMN_IDENTITY_HEX, COLUMN_KEY, COLUMNS };

static const char *const column_names[COLUMNS] = {"endpoint", "mode", "identity", "identityhex", "key"};

static size_t find_column(struct span name)
{
	size_t i = 0;

	while (i < COLUMNS && !span_is_nocase(name, column_names[i]))
		i++;
	return i;
}

const char *credential_columns_read(const struct csv_row *head, struct credential_columns *out)
{
	memset(out->at, UINT8_MAX, sizeof(out->at));
	for (size_t i = 0; i < head->count; i++) {
		size_t column = find_column(head->fields[i]);

		if (column == COLUMNS)
			return "the first line names the columns: endpoint,mode,identity,key (identityHex "
			       "may "
			       "stand besides), and this one has another";
		if (out->at[column] != UINT8_MAX)
			return "the first line names a column twice";
		out->at[column] = (uint8_t)i;
	}
	if (out->at[COLUMN_ENDPOINT] == UINT8_MAX || out->at[COLUMN_MODE] == UINT8_MAX)
		return "the first line has to name the columns endpoint and mode";
	return NULL;
}

static struct span field(const struct credential_columns *c, const struct csv_row *row, size_t column)
{
	return c->at[column] < row->count ? row->fields[c->at[column]] : span_of(NULL, 0);
}

struct credential_text credential_columns_take(const struct credential_columns *c, const struct csv_row *row)
{
	return (struct credential_text){.endpoint = field(c, row, COLUMN_ENDPOINT),
					.mode = field(c, row, COLUMN_MODE),
					.identity = field(c, row, COLUMN_IDENTITY),
					.identity_hex = field(c, row, COLUMN_IDENTITY_HEX),
					.key = field(c, row, COLUMN_KEY)};
}
