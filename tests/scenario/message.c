/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * CoAP messages between text and bytes (message.h). The one idea: a datagram is rendered as the same fields
 * that a line is parsed into, so an expectation is compared field by field, and what came can be printed as a
 * line that could stand in the script.
 */

#include "message.h"

#include <stdio.h>

#include "coap/block.h"

enum { FIELDS_MAX = 24, FIELD_TEXT = 400 };

struct field {
	char name[12];
	char text[FIELD_TEXT];
};

struct fields {
	struct field items[FIELDS_MAX];
	size_t count;
	bool open; /* "...": other options may be there */
	bool any_payload;
	const char *payload; /* the list of bytes, NULL: none */
};

enum option_kind { KIND_UINT, KIND_BLOCK, KIND_HEX, KIND_SEGMENTS };

static const struct option_name {
	const char *name;
	uint16_t number;
	enum option_kind kind;
} option_names[] = {
	{"observe", COAP_OPTION_OBSERVE, KIND_UINT},
	{"cf", COAP_OPTION_CONTENT_FORMAT, KIND_UINT},
	{"accept", COAP_OPTION_ACCEPT, KIND_UINT},
	{"max-age", COAP_OPTION_MAX_AGE, KIND_UINT},
	{"size1", COAP_OPTION_SIZE1, KIND_UINT},
	{"size2", COAP_OPTION_SIZE2, KIND_UINT},
	{"block1", COAP_OPTION_BLOCK1, KIND_BLOCK},
	{"block2", COAP_OPTION_BLOCK2, KIND_BLOCK},
	{"etag", COAP_OPTION_ETAG, KIND_HEX},
	{"host", COAP_OPTION_URI_HOST, KIND_HEX},
	{"location", COAP_OPTION_LOCATION_PATH, KIND_SEGMENTS},
};

static const char *const type_names[] = {"CON", "NON", "ACK", "RST"};

static struct field *field_find(struct fields *f, const char *name)
{
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->items[i].name, name) == 0)
			return &f->items[i];
	return NULL;
}

static bool field_add(struct fields *f, struct span name, struct span text)
{
	struct field *to = &f->items[f->count];

	if (f->count == FIELDS_MAX || name.len >= sizeof(to->name) || text.len >= FIELD_TEXT)
		return false;
	f->count++;
	snprintf(to->name, sizeof(to->name), "%.*s", (int)name.len, (const char *)name.data);
	snprintf(to->text, FIELD_TEXT, "%.*s", (int)text.len, text.len ? (const char *)text.data : "");
	return true;
}

/* ---- a line as fields ---- */

static bool is_code(struct span word)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (span_is(word, methods[i]))
			return true;
	return word.len == 4 && word.data[1] == '.';
}

static bool parse_word(struct fields *f, struct span word)
{
	const uint8_t *equals;

	if (f->count == 0)
		return field_add(f, span_str("type"), word);
	if (f->count == 1)
		return field_add(f, span_str("code"), is_code(word) ? word : span_str("0.00")) &&
		       (is_code(word) || parse_word(f, word));
	if (word.data[0] == '/')
		return field_add(f, span_str("uri"), word);
	if (span_is(word, "...")) {
		f->open = true;
		return true;
	}
	equals = memchr(word.data, '=', word.len);
	if (!equals)
		return false;
	return field_add(f, span_of(word.data, (size_t)(equals - word.data)),
			 span_from(word, (size_t)(equals + 1 - word.data)));
}

static bool parse_line(const char *line, struct fields *f, char error[200])
{
	const char *at = line;
	struct span word;

	memset(f, 0, sizeof(*f));
	while (word_next(&at, &word)) {
		if (span_is(word, "payload") || word.data[0] == '"') {
			f->payload = word.data[0] == '"' ? (const char *)word.data : at;
			f->any_payload = span_is(line_rest(f->payload), "*");
			break;
		}
		if (!parse_word(f, word)) {
			snprintf(error, 200, "not understood in a message: %.*s", (int)MIN(word.len, 120),
				 (const char *)word.data);
			return false;
		}
	}
	if (f->count == 1 && !field_add(f, span_str("code"), span_str("0.00")))
		return false;
	if (f->count >= 2)
		return true;
	snprintf(error, 200, "an empty message line");
	return false;
}

/* ---- a datagram as fields ---- */

static void add_text(struct fields *f, const char *name, const char *text)
{
	(void)field_add(f, span_str(name), span_str(text));
}

static void join_options(const struct coap_message *m, uint16_t number, const char *separator,
			 const char *first, struct buffer *out)
{
	const char *before = first;

	for (size_t i = 0; i < m->option_count; i++) {
		if (m->options[i].number != number)
			continue;
		buffer_str(out, before);
		buffer_bytes(out, coap_value(&m->options[i]));
		before = separator;
	}
}

static void render_option(const struct coap_message *m, const struct coap_option *o, struct buffer *out)
{
	struct coap_block b;
	uint32_t value = 0;

	for (size_t i = 0; i < ARRAY_SIZE(option_names); i++) {
		if (option_names[i].number != o->number)
			continue;
		if (option_names[i].kind == KIND_UINT && o->len <= 4) {
			for (unsigned j = 0; j < o->len; j++)
				value = value << 8 | o->value[j];
			buffer_printf(out, "%u", value);
			return;
		}
		if (option_names[i].kind == KIND_BLOCK &&
		    coap_find_block(m, o->number, &b) == COAP_BLOCK_FOUND) {
			buffer_printf(out, "%u/%d/%zu", b.num, b.more, coap_block_size(b.szx));
			return;
		}
	}
	for (unsigned j = 0; j < o->len; j++)
		buffer_printf(out, "%02x", o->value[j]);
}

static void render_options(const struct coap_message *m, struct fields *f)
{
	for (size_t i = 0; i < m->option_count; i++) {
		const struct coap_option *o = &m->options[i];
		_cleanup_buffer_ struct buffer text = buffer_of(FIELD_TEXT - 1);
		char name[12] = "";

		if (o->number == COAP_OPTION_URI_PATH || o->number == COAP_OPTION_URI_QUERY ||
		    o->number == COAP_OPTION_LOCATION_PATH)
			continue;
		snprintf(name, sizeof(name), "opt%u", o->number);
		for (size_t j = 0; j < ARRAY_SIZE(option_names); j++)
			if (option_names[j].number == o->number)
				snprintf(name, sizeof(name), "%s", option_names[j].name);
		render_option(m, o, &text);
		(void)field_add(f, span_str(name), buffer_span(&text));
	}
}

static void render(const struct coap_message *m, struct fields *f)
{
	_cleanup_buffer_ struct buffer uri = buffer_of(FIELD_TEXT - 1), location = buffer_of(FIELD_TEXT - 1);
	static const char *const methods[] = {"", "GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"};
	char text[32];
	size_t len = 0;

	memset(f, 0, sizeof(*f));
	add_text(f, "type", type_names[m->type]);
	add_text(f, "code",
		 m->code && m->code < ARRAY_SIZE(methods) ? methods[m->code] : coap_code_text(m->code, text));
	snprintf(text, sizeof(text), "%u", m->mid);
	add_text(f, "mid", text);
	for (unsigned i = 0; i < m->token.len; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%02x", m->token.bytes[i]);
	add_text(f, "token", len ? text : "-");
	join_options(m, COAP_OPTION_URI_PATH, "/", "/", &uri);
	join_options(m, COAP_OPTION_URI_QUERY, "&", uri.len ? "?" : "/?", &uri);
	if (uri.len || coap_is_request(m->code))
		(void)field_add(f, span_str("uri"), uri.len ? buffer_span(&uri) : span_str("/"));
	join_options(m, COAP_OPTION_LOCATION_PATH, "/", "/", &location);
	if (location.len)
		(void)field_add(f, span_str("location"), buffer_span(&location));
	render_options(m, f);
}

void message_describe(struct span datagram, struct buffer *out)
{
	struct coap_message m;
	struct fields f;

	if (coap_parse(datagram, &m) != COAP_PARSED) {
		buffer_str(out, "no CoAP message: ");
		for (size_t i = 0; i < datagram.len; i++)
			buffer_printf(out, "%02x ", datagram.data[i]);
		return;
	}
	render(&m, &f);
	for (size_t i = 0; i < f.count; i++) {
		bool bare = i < 2 || strcmp(f.items[i].name, "uri") == 0;

		if (i == 3 && m.code == COAP_EMPTY)
			continue;
		buffer_printf(out, "%s%s%s%s", i ? " " : "", bare ? "" : f.items[i].name, bare ? "" : "=",
			      f.items[i].text);
	}
	if (m.payload.len) {
		buffer_str(out, " payload ");
		bytes_describe(m.payload, out);
	}
}

bool message_asks(const struct coap_message *m, struct span method, struct span path)
{
	char text[64];
	const char *name = coap_code_name(m->code);

	snprintf(text, sizeof(text), "%.*s", (int)MIN(path.len, sizeof(text) - 1), (const char *)path.data);
	return coap_is_request(m->code) && span_is(method, name) && coap_path_is(m, text);
}

/* ---- comparing ---- */

static bool is_default_ok(const char *name, const struct coap_message *m, const struct message_defaults *d)
{
	if (strcmp(name, "mid") == 0)
		return !d->mid || *d->mid == m->mid;
	if (strcmp(name, "token") == 0)
		return !d->token || m->code == COAP_EMPTY || coap_token_equal(d->token, &m->token);
	return false;
}

static bool match_fields(struct variables *v, struct fields *expected, const struct message_defaults *d,
			 const struct coap_message *m, char error[200])
{
	struct fields came;
	struct field *f;

	render(m, &came);
	for (size_t i = 0; i < came.count; i++) {
		f = field_find(expected, came.items[i].name);
		if (f ? text_match(v, span_str(f->text), span_str(came.items[i].text))
		      : is_default_ok(came.items[i].name, m, d) ||
				    (expected->open && i >= 4 && strcmp(came.items[i].name, "uri") != 0))
			continue;
		snprintf(error, 200, "%s is %.60s%s%.60s", came.items[i].name, came.items[i].text,
			 f ? ", not " : ", not as in what it belongs to, or unexpected", f ? f->text : "");
		return false;
	}
	for (size_t i = 0; i < expected->count; i++) {
		if (field_find(&came, expected->items[i].name))
			continue;
		snprintf(error, 200, "there is no %s", expected->items[i].name);
		return false;
	}
	return true;
}

static bool match_payload(struct variables *v, const struct fields *expected, struct span payload,
			  char error[200])
{
	struct byte_pattern *p;
	bool same;

	if (expected->any_payload)
		return true;
	if (!expected->payload) {
		snprintf(error, 200, "there is a payload");
		return payload.len == 0;
	}
	p = malloc(sizeof(*p));
	if (!p)
		abort();
	snprintf(error, 200, "the payload is another");
	same = byte_pattern_parse(v, expected->payload, p, error) && byte_pattern_match(v, p, payload);
	free(p);
	return same;
}

static bool match_hex(struct variables *v, const char *list, struct span datagram, char error[200])
{
	struct byte_pattern *p = malloc(sizeof(*p));
	bool same;

	if (!p)
		abort();
	snprintf(error, 200, "the bytes differ");
	same = byte_pattern_parse(v, list, p, error) && byte_pattern_match(v, p, datagram);
	free(p);
	return same;
}

bool message_match(struct variables *v, const char *line, const struct message_defaults *d,
		   struct span datagram, char error[200])
{
	struct variables kept = *v;
	struct coap_message m;
	struct fields f;
	const char *at = line;
	struct span word;
	bool same;

	if (word_next(&at, &word) && span_is(word, "hex"))
		return match_hex(v, at, datagram, error);
	if (!parse_line(line, &f, error))
		return false;
	if (coap_parse(datagram, &m) != COAP_PARSED) {
		snprintf(error, 200, "this is no CoAP message");
		return false;
	}
	same = match_fields(v, &f, d, &m, error) && match_payload(v, &f, m.payload, error);
	if (!same)
		*v = kept;
	return same;
}

/* ---- building ---- */

/* What the options of a message under construction borrow from. */
struct build {
	char texts[FIELDS_MAX][FIELD_TEXT];
	struct byte_pattern bytes[2];
	size_t bytes_used;
};

static bool add_block(struct coap_message *m, uint16_t number, const char *text)
{
	unsigned num, more, size, szx = 0;

	if (sscanf(text, "%u/%u/%u", &num, &more, &size) != 3)
		return false;
	while (szx < COAP_SZX_MAX && coap_block_size((uint8_t)szx) != size)
		szx++;
	return coap_add_block(m, number, &(struct coap_block){num, more, (uint8_t)szx}) == 0;
}

static bool add_hex(const struct variables *v, struct coap_message *m, struct build *b, uint16_t number,
		    const char *text, char error[200])
{
	struct byte_pattern *p = &b->bytes[b->bytes_used];

	if (b->bytes_used == ARRAY_SIZE(b->bytes) || !byte_pattern_parse(v, text, p, error))
		return false;
	b->bytes_used++;
	return coap_add(m, number, span_of(p->value, p->len)) == 0;
}

static bool add_option(const struct variables *v, struct coap_message *m, struct build *b, const char *name,
		       const char *text, char error[200])
{
	unsigned number;

	for (size_t i = 0; i < ARRAY_SIZE(option_names); i++) {
		const struct option_name *o = &option_names[i];

		if (strcmp(o->name, name) != 0)
			continue;
		switch (o->kind) {
		case KIND_UINT:
			return coap_add_uint(m, o->number, (uint32_t)strtoul(text, NULL, 10)) == 0;
		case KIND_BLOCK:
			return add_block(m, o->number, text);
		case KIND_SEGMENTS:
			return coap_add_segments(m, o->number, span_str(text)) == 0;
		case KIND_HEX:
			return add_hex(v, m, b, o->number, text, error);
		}
	}
	return sscanf(name, "opt%u", &number) == 1 && add_hex(v, m, b, (uint16_t)number, text, error);
}

static bool add_uri(struct coap_message *m, const char *text)
{
	const char *query = strchr(text, '?');
	size_t len = query ? (size_t)(query - text) : strlen(text);

	return coap_add_segments(m, COAP_OPTION_URI_PATH, span_of(text, len)) == 0 &&
	       (!query || coap_add_segments(m, COAP_OPTION_URI_QUERY, span_str(query + 1)) == 0);
}

static bool set_token(struct coap_message *m, const char *text)
{
	m->token.len = 0;
	if (strcmp(text, "-") == 0)
		return true;
	for (; text[0] && text[1] && m->token.len < 8; text += 2) {
		unsigned byte;

		if (sscanf(text, "%2x", &byte) != 1)
			return false;
		m->token.bytes[m->token.len++] = (uint8_t)byte;
	}
	return !*text;
}

static bool set_field(const struct variables *v, struct coap_message *m, struct build *b, const char *name,
		      const char *text, char error[200])
{
	if (strcmp(name, "mid") == 0) {
		m->mid = (uint16_t)strtoul(text, NULL, 10);
		return true;
	}
	if (strcmp(name, "token") == 0)
		return set_token(m, text);
	if (strcmp(name, "uri") == 0)
		return add_uri(m, text);
	return add_option(v, m, b, name, text, error);
}

static bool parse_code(const char *text, uint8_t *code)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"};
	unsigned class_, detail;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(text, methods[i]) != 0)
			continue;
		*code = (uint8_t)(i + 1);
		return true;
	}
	if (sscanf(text, "%u.%u", &class_, &detail) != 2)
		return false;
	*code = COAP_CODE(class_, detail);
	return true;
}

static bool parse_type(const char *text, uint8_t *type)
{
	for (uint8_t i = 0; i < ARRAY_SIZE(type_names); i++) {
		if (strcmp(text, type_names[i]) != 0)
			continue;
		*type = i;
		return true;
	}
	return false;
}

static bool build(const struct variables *v, struct fields *f, struct coap_message *m, struct build *b,
		  char error[200])
{
	for (size_t i = 2; i < f->count; i++) {
		const char *name = f->items[i].name;

		if (text_expand(v, span_str(f->items[i].text), b->texts[i], FIELD_TEXT) &&
		    set_field(v, m, b, name, b->texts[i], error))
			continue;
		snprintf(error, 200, "cannot send %s=%.120s", name, f->items[i].text);
		return false;
	}
	if (f->payload) {
		struct byte_pattern *p = &b->bytes[b->bytes_used++];

		if (!byte_pattern_parse(v, f->payload, p, error))
			return false;
		m->payload = span_of(p->value, p->len);
	}
	return true;
}

static int build_hex(const struct variables *v, struct build *b, const char *list, uint8_t *out,
		     char error[200])
{
	struct byte_pattern *p = &b->bytes[0];

	if (!byte_pattern_parse(v, list, p, error))
		return -1;
	if (p->len > COAP_MESSAGE_MAX || p->capture_count || p->open) {
		snprintf(error, 200, "no datagram that could be sent");
		return -1;
	}
	memcpy(out, p->value, p->len);
	return (int)p->len;
}

static int build_line(const struct variables *v, struct build *b, const char *line,
		      const struct message_defaults *d, uint8_t *out, char error[200])
{
	struct coap_message m;
	struct fields f;
	uint8_t type, code;
	int len;

	if (!parse_line(line, &f, error))
		return -1;
	if (!parse_type(f.items[0].text, &type) || !parse_code(f.items[1].text, &code)) {
		snprintf(error, 200, "no type or no code: %.40s %.40s", f.items[0].text, f.items[1].text);
		return -1;
	}
	coap_message_init(&m, type, code, *d->mid, code ? *d->token : (struct coap_token){0});
	if (!build(v, &f, &m, b, error))
		return -1;
	len = coap_encode(&m, out, COAP_MESSAGE_MAX);
	if (len < 0)
		snprintf(error, 200, "this message cannot be encoded");
	return len;
}

int message_build(const struct variables *v, const char *line, const struct message_defaults *d,
		  uint8_t out[COAP_MESSAGE_MAX], char error[200])
{
	struct build *b = calloc(1, sizeof(*b));
	const char *at = line;
	struct span word;
	int len;

	if (!b)
		abort();
	if (word_next(&at, &word) && span_is(word, "hex"))
		len = build_hex(v, b, at, out, error);
	else
		len = build_line(v, b, line, d, out, error);
	free(b);
	return len;
}
