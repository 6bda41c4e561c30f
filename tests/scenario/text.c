/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Words, variables and byte strings of scripts (text.h). Scripts are our own files, not input: what is too
 * long for the fixed sizes here is an error of the script, which is told its author.
 */

#include "text.h"

#include <ctype.h>
#include <stdio.h>

#include "base/span.h"

void variables_deinit(struct variables *v)
{
	for (size_t i = 0; i < v->bytes_count; i++)
		free(v->bytes[i].data);
}

static struct variable *find_variable(const struct variables *v, struct span name)
{
	for (size_t i = 0; i < v->text_count; i++)
		if (span_is(name, v->texts[i].name))
			return (struct variable *)&v->texts[i];
	return NULL;
}

const char *variable_get(const struct variables *v, struct span name)
{
	const struct variable *found = find_variable(v, name);

	return found ? found->text : NULL;
}

bool variable_set(struct variables *v, struct span name, struct span text)
{
	struct variable *to = find_variable(v, name);

	if (!to && v->text_count == VARIABLES_MAX)
		return false;
	if (name.len == 0 || name.len > NAME_MAX_LEN || text.len >= VARIABLE_TEXT)
		return false;
	if (!to)
		to = &v->texts[v->text_count++];
	snprintf(to->name, sizeof(to->name), "%.*s", (int)name.len, (const char *)name.data);
	snprintf(to->text, sizeof(to->text), "%.*s", (int)text.len, text.len ? (const char *)text.data : "");
	return true;
}

static struct byte_string *find_bytes(const struct variables *v, struct span name)
{
	for (size_t i = 0; i < v->bytes_count; i++)
		if (span_is(name, v->bytes[i].name))
			return (struct byte_string *)&v->bytes[i];
	return NULL;
}

bool byte_string_set(struct variables *v, struct span name, struct span value)
{
	struct byte_string *to = find_bytes(v, name);

	if ((!to && v->bytes_count == VARIABLES_MAX) || name.len == 0 || name.len > NAME_MAX_LEN)
		return false;
	if (!to) {
		to = &v->bytes[v->bytes_count++];
		memcpy(to->name, name.data, name.len);
	}
	free(to->data);
	to->data = malloc(value.len + 1);
	if (!to->data)
		abort();
	if (value.len)
		memcpy(to->data, value.data, value.len);
	to->len = value.len;
	return true;
}

/* ---- words ---- */

bool word_next(const char **at, struct span *word)
{
	const char *p = *at, *start;
	bool quoted = false;

	while (*p == ' ' || *p == '\t')
		p++;
	start = p;
	for (; *p && (quoted || (*p != ' ' && *p != '\t')); p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (quoted && *p == '\\' && p[1])
			p++;
	}
	*at = p;
	*word = span_of(start, (size_t)(p - start));
	return word->len > 0;
}

struct span line_rest(const char *at)
{
	size_t len;

	while (*at == ' ' || *at == '\t')
		at++;
	len = strlen(at);
	while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t'))
		len--;
	return span_of(at, len);
}

bool word_value(struct span word, const char *name, struct span *value)
{
	size_t len = strlen(name);

	if (word.len <= len || memcmp(word.data, name, len) != 0 || word.data[len] != '=')
		return false;
	*value = span_from(word, len + 1);
	return true;
}

bool duration_parse(struct span word, uint64_t *ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1}};
	size_t digits = 0;

	while (digits < word.len && isdigit(word.data[digits]))
		digits++;
	if (!span_to_uint(span_of(word.data, digits), UINT32_MAX, ms))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (!span_is(span_from(word, digits), units[i].unit))
			continue;
		*ms *= units[i].ms;
		return true;
	}
	return false;
}

/* ---- texts with variables ---- */

static bool is_name_char(uint8_t c)
{
	return isalnum(c) || c == '_';
}

static bool is_capture_char(uint8_t c)
{
	return isalnum(c) || c == '_' || c == '-';
}

/* The name behind the sign at `s`. */
static struct span name_at(struct span s)
{
	size_t len = 1;

	while (len < s.len && is_name_char(s.data[len]))
		len++;
	return span_of(s.data + 1, len - 1);
}

bool text_expand(const struct variables *v, struct span in, char *out, size_t size)
{
	struct writer w = writer_of(out, size);

	while (in.len > 0) {
		struct span name = in.data[0] == '$' ? name_at(in) : span_of(NULL, 0);
		const char *text = name.len ? variable_get(v, name) : NULL;

		if (name.len && !text)
			return false;
		if (name.len)
			writer_str(&w, text);
		else
			writer_u8(&w, in.data[0]);
		in = span_from(in, 1 + name.len);
	}
	writer_u8(&w, 0);
	return !w.failed;
}

/* A mismatch goes back to the last `*`, which then takes one character more. */
bool text_match(struct variables *v, struct span template, struct span text)
{
	struct variables kept = *v;
	struct span star = {0}, star_text = {0};
	bool has_star = false;

	for (;;) {
		struct span name =
			template.len && template.data[0] == '$' ? name_at(template) : span_of(NULL, 0);
		const char *known = name.len ? variable_get(v, name) : NULL;
		size_t take = known ? strlen(known) : 1;
		bool fits;

		if (template.len && template.data[0] == '*') {
			has_star = true;
			star = template = span_from(template, 1);
			star_text = text;
			continue;
		}
		if (template.len == 0 && text.len == 0)
			return true;
		if (name.len && !known)
			for (take = 0; take < text.len && is_capture_char(text.data[take]);)
				take++;
		fits = template.len > 0 && take <= text.len &&
		       (known	   ? take == 0 || memcmp(text.data, known, take) == 0
			: name.len ? take > 0 && variable_set(v, name, span_of(text.data, take))
				   : text.len > 0 &&
					     (template.data[0] == '?' || template.data[0] == text.data[0]));
		if (fits) {
			template = span_from(template, 1 + name.len);
			text = span_from(text, take);
		} else if (has_star && star_text.len > 0) {
			star_text = span_from(star_text, 1);
			template = star;
			text = star_text;
		} else {
			*v = kept;
			return false;
		}
	}
}

/* ---- byte strings ---- */

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (uint8_t)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool push(struct byte_pattern *p, uint8_t value, uint8_t any)
{
	if (p->len == BYTES_MAX)
		return false;
	p->value[p->len] = value;
	p->any[p->len++] = any;
	return true;
}

static bool push_bytes(struct byte_pattern *p, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!push(p, s.data[i], 0))
			return false;
	return true;
}

/* Hex digits up to something else; returns how many, 0 if they are odd. */
static size_t push_hex(struct byte_pattern *p, struct span s)
{
	size_t i = 0;

	for (; i + 1 < s.len && hex_digit(s.data[i]) >= 0 && hex_digit(s.data[i + 1]) >= 0; i += 2)
		if (!push(p, (uint8_t)(hex_digit(s.data[i]) << 4 | hex_digit(s.data[i + 1])), 0))
			return 0;
	return i;
}

/* A string in quotes; returns its length with them, 0 if it does not end. */
static size_t push_string(struct byte_pattern *p, struct span s)
{
	static const char names[] = "nrt", values[] = "\n\r\t";

	for (size_t i = 1; i < s.len; i++) {
		const char *name;

		if (s.data[i] == '"')
			return i + 1;
		if (s.data[i] != '\\' || i + 1 == s.len) {
			if (!push(p, s.data[i], 0))
				return 0;
			continue;
		}
		i++;
		name = strchr(names, s.data[i]);
		if (s.data[i] == 'x' && i + 2 < s.len) {
			(void)push_hex(p, span_of(s.data + i + 1, 2));
			i += 2;
		} else if (!push(p, name ? (uint8_t)values[name - names] : s.data[i], 0)) {
			return 0;
		}
	}
	return 0;
}

/* *N behind what was just pushed from `from` on. */
static bool repeat(struct byte_pattern *p, size_t from, struct span count)
{
	size_t len = p->len - from;
	uint64_t times;

	if (!span_to_uint(count, BYTES_MAX, &times))
		return false;
	for (uint64_t i = 1; i < times; i++)
		for (size_t j = 0; j < len; j++)
			if (!push(p, p->value[from + j], 0))
				return false;
	return true;
}

/* @name or @name[from:to] */
static bool push_slice(const struct variables *v, struct byte_pattern *p, struct span word)
{
	struct span name = name_at(word), range = span_from(word, 1 + name.len);
	const struct byte_string *b = find_bytes(v, name);
	const uint8_t *colon = range.len ? memchr(range.data, ':', range.len) : NULL;
	uint64_t from = 0, to;

	if (!b)
		return false;
	to = b->len;
	if (range.len) {
		if (!colon || range.data[0] != '[' || range.data[range.len - 1] != ']')
			return false;
		if (!span_to_uint(span_of(range.data + 1, (size_t)(colon - range.data - 1)), b->len, &from))
			return false;
		if (colon[1] != ']' &&
		    !span_to_uint(span_of(colon + 1, (size_t)(range.data + range.len - 2 - colon)), b->len,
				  &to))
			return false;
	}
	return from <= to && push_bytes(p, span_of(b->data + from, (size_t)(to - from)));
}

/* $name (hex) or &name (text), or with :N a capture. */
static bool push_variable(const struct variables *v, struct byte_pattern *p, struct span word)
{
	struct span name = name_at(word), behind = span_from(word, 1 + name.len);
	const char *text = variable_get(v, name);
	bool hex = word.data[0] == '$';
	uint64_t count;

	if (text && hex)
		return push_hex(p, span_str(text)) == strlen(text);
	if (text)
		return push_bytes(p, span_str(text));
	if (behind.len < 2 || behind.data[0] != ':' || !span_to_uint(span_from(behind, 1), 255, &count) ||
	    p->capture_count == ARRAY_SIZE(p->captures) || name.len == 0 || name.len > NAME_MAX_LEN)
		return false;
	memcpy(p->captures[p->capture_count].name, name.data, name.len);
	p->captures[p->capture_count].hex = hex;
	for (uint64_t i = 0; i < count; i++)
		if (!push(p, 0, (uint8_t)(2 + p->capture_count)))
			return false;
	p->capture_count++;
	return true;
}

static bool push_word(const struct variables *v, struct byte_pattern *p, struct span word)
{
	size_t before = p->len, used;

	if (span_is(word, "??"))
		return push(p, 0, 1);
	if (span_is(word, "**"))
		return p->open = true;
	if (word.data[0] == '@')
		return push_slice(v, p, word);
	if (word.data[0] == '$' || word.data[0] == '&')
		return push_variable(v, p, word);
	used = word.data[0] == '"' ? push_string(p, word) : push_hex(p, word);
	if (used == 0)
		return false;
	word = span_from(word, used);
	if (word.len > 1 && word.data[0] == '*')
		return repeat(p, before, span_from(word, 1));
	return word.len == 0;
}

bool byte_pattern_parse(const struct variables *v, const char *list, struct byte_pattern *out,
			char error[200])
{
	struct span word;

	memset(out, 0, sizeof(*out));
	while (word_next(&list, &word)) {
		if (push_word(v, out, word))
			continue;
		snprintf(error, 200, "no bytes, or too many, or unknown: %.*s", (int)MIN(word.len, 120),
			 (const char *)word.data);
		return false;
	}
	return true;
}

static bool keep_capture(struct variables *v, const struct byte_pattern *p, size_t index, struct span bytes)
{
	char text[VARIABLE_TEXT];
	size_t at = 0;

	for (size_t i = 0; i < p->len; i++) {
		if (p->any[i] != 2 + index || at + 3 > sizeof(text))
			continue;
		if (p->captures[index].hex)
			at += (size_t)snprintf(text + at, 3, "%02x", bytes.data[i]);
		else
			text[at++] = (char)bytes.data[i];
	}
	return variable_set(v, span_str(p->captures[index].name), span_of(text, at));
}

bool byte_pattern_match(struct variables *v, const struct byte_pattern *p, struct span bytes)
{
	if (bytes.len < p->len || (!p->open && bytes.len > p->len))
		return false;
	for (size_t i = 0; i < p->len; i++)
		if (!p->any[i] && p->value[i] != bytes.data[i])
			return false;
	for (size_t i = 0; i < p->capture_count; i++)
		if (!keep_capture(v, p, i, bytes))
			return false;
	return true;
}

void bytes_describe(struct span bytes, struct buffer *out)
{
	size_t printable = 0;

	for (size_t i = 0; i < bytes.len; i++)
		printable += isprint(bytes.data[i]) != 0;
	if (printable * 4 < bytes.len * 3) {
		for (size_t i = 0; i < bytes.len; i++)
			buffer_printf(out, "%s%02x", i ? " " : "", bytes.data[i]);
		return;
	}
	buffer_u8(out, '"');
	for (size_t i = 0; i < bytes.len; i++) {
		if (bytes.data[i] == '"' || bytes.data[i] == '\\')
			buffer_u8(out, '\\');
		if (isprint(bytes.data[i]))
			buffer_u8(out, bytes.data[i]);
		else
			buffer_printf(out, "\\x%02x", bytes.data[i]);
	}
	buffer_u8(out, '"');
}
