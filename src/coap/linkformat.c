/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Link-format (RFC 6690), as devices really write it. The hard part is where a part ends: a comma or
 * semicolon inside a quoted string is text, and a backslash inside one takes the next character along. So
 * there is one scanner that knows quotes, and everything else cuts at what it finds. Leaves out what targets
 * and parameters mean.
 */

#include "coap/linkformat.h"

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span s)
{
	while (s.len && is_blank(s.data[0]))
		s = span_from(s, 1);
	while (s.len && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

/* Length up to the first `stop` outside quotes, or of everything. False if a quoted string does not end. */
static bool scan(struct span s, uint8_t stop, size_t *len)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < s.len && (quoted || s.data[i] != stop); i++) {
		if (s.data[i] == '"')
			quoted = !quoted;
		else if (quoted && s.data[i] == '\\')
			i++;
	}
	*len = i;
	return !quoted;
}

/* Skips blanks and any number of `separator`. */
static struct span skip(struct span s, uint8_t separator)
{
	while (s.len && (is_blank(s.data[0]) || s.data[0] == separator))
		s = span_from(s, 1);
	return s;
}

/* Takes <target>, if there is one. False if it does not end. */
static bool take_target(struct span *left, struct span *target)
{
	const uint8_t *end;

	*target = (struct span){NULL, 0};
	if (left->data[0] != '<')
		return true;
	end = memchr(left->data, '>', left->len);
	if (!end)
		return false;
	*target = trim(span_of(left->data + 1, (size_t)(end - left->data) - 1));
	*left = span_from(*left, (size_t)(end - left->data) + 1);
	return true;
}

/* `raw` with its quotes off; false if a quote stands anywhere but around all of it. */
static bool unquote(struct span raw, struct span *value)
{
	size_t i = 1;

	*value = raw;
	if (raw.len == 0 || raw.data[0] != '"')
		return raw.len == 0 || !memchr(raw.data, '"', raw.len);
	while (i < raw.len && raw.data[i] != '"')
		i += raw.data[i] == '\\' ? 2 : 1;
	*value = span_of(raw.data + 1, i - 1);
	return i + 1 == raw.len;
}

enum link_next link_param_next(struct span *left, struct link_param *out)
{
	struct span s = skip(*left, ';');
	const uint8_t *equals;
	struct span param;
	size_t len;

	*left = s;
	if (s.len == 0)
		return LINK_END;
	if (!scan(s, ';', &len))
		return LINK_ERROR;
	param = trim(span_of(s.data, len));
	*out = (struct link_param){.name = param};
	equals = memchr(param.data, '=', param.len);
	if (equals) {
		out->has_value = true;
		out->name = trim(span_of(param.data, (size_t)(equals - param.data)));
		out->raw = trim(span_from(param, (size_t)(equals - param.data) + 1));
	}
	if (out->name.len == 0 || memchr(out->name.data, '"', out->name.len) ||
	    !unquote(out->raw, &out->value))
		return LINK_ERROR;
	*left = span_from(s, len);
	return LINK_OK;
}

/* Behind a target there is nothing or a semicolon; without a target there is name=value. */
static bool params_fit(const struct link *l)
{
	struct span params = l->params;
	struct link_param first;

	if (l->target.data)
		return params.len == 0 || params.data[0] == ';';
	return link_param_next(&params, &first) == LINK_OK && first.has_value;
}

enum link_next link_next(struct link_reader *r, struct link *out)
{
	struct span left = skip(r->left, ',');
	size_t len;

	r->left = left;
	if (left.len == 0)
		return LINK_END;
	if (!take_target(&left, &out->target) || !scan(left, ',', &len))
		return LINK_ERROR;
	out->params = trim(span_of(left.data, len));
	if (!params_fit(out))
		return LINK_ERROR;
	r->left = span_from(left, len);
	return LINK_OK;
}

bool link_param_find(const struct link *l, const char *name, struct link_param *out)
{
	struct span left = l->params;

	while (link_param_next(&left, out) == LINK_OK) {
		if (span_is(out->name, name))
			return true;
	}
	return false;
}
