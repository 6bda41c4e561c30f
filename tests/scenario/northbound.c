/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The northbound side of a script: operations are asked for as the HTTP interface does, answers and events
 * are rendered as one line of text each, and expectations are templates of such lines. The content is decoded
 * with the model of the device, because that is what a backend gets to see.
 */

#include <stdarg.h>
#include <stdio.h>

#include "lwm2m/policy.h"
#include "script.h"

struct request_note {
	struct request_note *next;
	struct script *script;
	char endpoint[128];
	enum lwm2m_operation operation;
	struct path path;
};

static const struct operation_name {
	const char *name;
	enum lwm2m_operation operation;
} operation_names[] = {
	{"read", LWM2M_READ},
	{"discover", LWM2M_DISCOVER},
	{"write", LWM2M_WRITE},
	{"update", LWM2M_WRITE_PARTIAL},
	{"attributes", LWM2M_WRITE_ATTRIBUTES},
	{"execute", LWM2M_EXECUTE},
	{"create", LWM2M_CREATE},
	{"delete", LWM2M_DELETE},
	{"observe", LWM2M_OBSERVE},
	{"cancel", LWM2M_CANCEL_OBSERVE},
	{"composite-read", LWM2M_READ_COMPOSITE},
	{"composite-write", LWM2M_WRITE_COMPOSITE},
	{"composite-observe", LWM2M_OBSERVE_COMPOSITE},
	{"composite-cancel", LWM2M_CANCEL_COMPOSITE},
};

static void hear(struct script *s, const char *format, ...) PRINTF_LIKE(2, 3);
static void hear(struct script *s, const char *format, ...)
{
	struct heard *h = calloc(1, sizeof(*h)), **at = &s->answers;
	va_list args;

	if (!h)
		abort();
	va_start(args, format);
	vsnprintf(h->text, sizeof(h->text), format, args);
	va_end(args);
	while (*at)
		at = &(*at)->next;
	*at = h;
}

/* ---- content as text ---- */

static void render_value(const struct value *v, struct buffer *out)
{
	char text[VALUE_TEXT];

	switch (v->type) {
	case VALUE_NONE:
		buffer_str(out, "none");
		return;
	case VALUE_STRING:
	case VALUE_CORELNK:
		buffer_printf(out, "\"%.*s\"", (int)v->bytes.len,
			      v->bytes.len ? (const char *)v->bytes.data : "");
		return;
	case VALUE_OPAQUE:
		buffer_str(out, "hex:");
		for (size_t i = 0; i < v->bytes.len; i++)
			buffer_printf(out, "%02x", v->bytes.data[i]);
		return;
	case VALUE_BOOLEAN:
		buffer_str(out, v->boolean ? "true" : "false");
		return;
	default:
		buffer_bytes(out, span_of(text, value_format(v, text)));
	}
}

static void render_records(const struct records *records, struct buffer *out)
{
	char path[PATH_TEXT];

	for (size_t i = 0; i < records->count; i++) {
		const struct record *r = &records->items[i];

		buffer_printf(out, " %s", path_format(&r->path, path));
		if (r->timed)
			buffer_printf(out, "@%lld", (long long)(r->time_ms / 1000));
		buffer_u8(out, '=');
		render_value(&r->value, out);
		buffer_str(out, r->misfit ? "!misfit" : "");
	}
}

static void render_content(struct script *s, const struct model *model, struct path base, struct span root,
			   bool any_path, uint16_t format, struct span payload, struct buffer *out)
{
	struct codec_context c = {.model = model,
				  .base = base,
				  .root = root,
				  .any_path = any_path,
				  .now_ms = s->world.wall_ms,
				  .arena = &s->arena};
	struct records records = records_of(&s->arena);

	if (format != COAP_FORMAT_NONE)
		buffer_printf(out, " cf=%u", format);
	if (codec_decode(&c, format, payload, &records) == CODEC_OK) {
		records_sort(&records);
		render_records(&records, out);
		return;
	}
	buffer_printf(out, " undecodable(%s) ", c.error);
	bytes_describe(payload, out);
}

/* ---- answers ---- */

static bool has_content(enum lwm2m_operation operation)
{
	switch (operation) {
	case LWM2M_READ:
	case LWM2M_OBSERVE:
	case LWM2M_CANCEL_OBSERVE:
	case LWM2M_READ_COMPOSITE:
	case LWM2M_OBSERVE_COMPOSITE:
	case LWM2M_CANCEL_COMPOSITE:
		return true;
	default:
		return false;
	}
}

static void render_answer_content(struct script *s, const struct request_note *note,
				  const struct lwm2m_answer *a, struct buffer *out)
{
	struct device *d = lwm2m_find(s->world.server, span_str(note->endpoint));
	struct declared_object declared[64];
	struct registration r;
	struct model model;

	if (!has_content(note->operation) || coap_class(a->code) != 2 || !d) {
		if (a->payload.len) {
			buffer_u8(out, ' ');
			bytes_describe(a->payload, out);
		}
		return;
	}
	device_registration(d, &r);
	model = registration_model(&r, s->world.registry, declared, ARRAY_SIZE(declared));
	arena_reset(&s->arena);
	render_content(s, &model, note->path, r.root, note->path.depth == 0, a->format, a->payload, out);
}

static void answered(void *ctx, const struct lwm2m_answer *a)
{
	static const char *const outcomes[] = {
		[LWM2M_ANSWERED] = "answered", [LWM2M_TIMEOUT] = "timeout",
		[LWM2M_REJECTED] = "rejected", [LWM2M_CANCELLED] = "cancelled",
		[LWM2M_INVALID] = "invalid",   [LWM2M_NOT_STORED] = "not-stored",
		[LWM2M_QUEUED] = "queued",
	};
	_cleanup_buffer_ struct buffer text = buffer_of(WORDS_MAX - 1);
	const struct request_note *note = ctx;
	struct script *s = note->script;
	char code[8];

	if (s->world.dying)
		return;
	if (a->outcome == LWM2M_QUEUED) {
		hear(s, "queued %.*s", (int)a->request_id.len, (const char *)a->request_id.data);
		return;
	}
	if (a->outcome != LWM2M_ANSWERED) {
		hear(s, "%s", outcomes[a->outcome]);
		return;
	}
	buffer_str(&text, coap_code_text(a->code, code));
	if (a->location.len)
		buffer_printf(&text, " location=%.*s", (int)a->location.len, (const char *)a->location.data);
	render_answer_content(s, note, a, &text);
	if (a->error)
		buffer_str(&text, " unobserved");
	hear(s, "%s", (const char *)text.data);
}

/* ---- values in scripts ---- */

static bool parse_link(struct span text, struct value *out)
{
	const uint8_t *colon = memchr(text.data, ':', text.len);
	uint64_t object, instance;

	if (!colon || !span_to_uint(span_of(text.data, (size_t)(colon - text.data)), 65535, &object) ||
	    !span_to_uint(span_from(text, (size_t)(colon + 1 - text.data)), 65535, &instance))
		return false;
	out->type = VALUE_OBJLNK;
	out->link.object = (uint16_t)object;
	out->link.instance = (uint16_t)instance;
	return true;
}

/* "text", hex:0102, true, 3:0, 1.5, 17 */
static bool parse_value(struct script *s, struct span text, struct value *out)
{
	struct byte_pattern *p;
	bool is_hex = text.len > 4 && memcmp(text.data, "hex:", 4) == 0;
	char number[64];
	void *copy;

	if (text.len && (text.data[0] == '"' || is_hex)) {
		char *list = strndup((const char *)text.data + (is_hex ? 4 : 0), text.len - (is_hex ? 4 : 0));
		bool fine;

		p = malloc(sizeof(*p));
		if (!p || !list)
			abort();
		fine = byte_pattern_parse(&s->variables, list, p, s->error);
		copy = fine ? arena_alloc(&s->arena, p->len + 1) : NULL;
		if (copy)
			memcpy(copy, p->value, p->len);
		*out = (struct value){.type = is_hex ? VALUE_OPAQUE : VALUE_STRING,
				      .bytes = span_of(copy, p->len)};
		free(list);
		free(p);
		return copy != NULL;
	}
	if (span_is(text, "true") || span_is(text, "false")) {
		*out = (struct value){.type = VALUE_BOOLEAN, .boolean = span_is(text, "true")};
		return true;
	}
	if (text.len == 0 || text.len >= sizeof(number) || parse_link(text, out))
		return text.len > 0 && text.len < sizeof(number);
	snprintf(number, sizeof(number), "%.*s", (int)text.len, (const char *)text.data);
	if (strchr(number, '.'))
		*out = (struct value){.type = VALUE_FLOAT, .real = strtod(number, NULL)};
	else
		*out = (struct value){.type = VALUE_INTEGER, .integer = strtoll(number, NULL, 10)};
	return true;
}

/* "V", "7=V", "6/0=V" below `base`, "/3/0/14=V" */
static bool parse_record(struct script *s, const struct path *base, struct span word, struct records *to)
{
	const uint8_t *equals = word.data[0] == '"' ? NULL : memchr(word.data, '=', word.len);
	struct record r = {.path = *base};
	struct span name, value;

	if (!equals)
		return parse_value(s, word, &r.value) && records_add(to, &r) == 0;
	name = span_of(word.data, (size_t)(equals - word.data));
	value = span_from(word, name.len + 1);
	if (name.len && name.data[0] == '/' ? !path_parse(name, &r.path)
					    : !path_parse_below(base, name, &r.path))
		return false;
	return parse_value(s, value, &r.value) && records_add(to, &r) == 0;
}

/* ---- operations ---- */

struct asked {
	struct lwm2m_request request;
	struct path base; /* what records are below */
	struct records records;
	struct path paths[LWM2M_PATHS_MAX];
	char arguments[256];
};

static bool parse_number_option(struct span word, const char *name, uint16_t *out)
{
	struct span value;
	uint64_t number;

	if (!word_value(word, name, &value) || !span_to_uint(value, 65535, &number))
		return false;
	*out = (uint16_t)number;
	return true;
}

static bool is_write(enum lwm2m_operation o)
{
	return o == LWM2M_WRITE || o == LWM2M_WRITE_PARTIAL || o == LWM2M_CREATE ||
	       o == LWM2M_WRITE_COMPOSITE;
}

static bool parse_argument(struct script *s, struct asked *a, struct span word)
{
	struct lwm2m_request *r = &a->request;
	struct span value;

	if (parse_number_option(word, "format", &r->format) ||
	    parse_number_option(word, "path-format", &r->path_format))
		return true;
	if (parse_number_option(word, "instance", &r->instance)) {
		a->base = path_child(path_up_to(a->base, PATH_OBJECT), r->instance);
		return true;
	}
	if (word_value(word, "timeout", &value))
		return duration_parse(value, &r->timeout_ms);
	if (word_value(word, "ttl", &value))
		return duration_parse(value, &r->ttl_ms);
	if (r->operation == LWM2M_EXECUTE || r->operation == LWM2M_WRITE_ATTRIBUTES) {
		snprintf(a->arguments, sizeof(a->arguments), "%.*s", (int)word.len - 2,
			 (const char *)word.data + 1);
		r->arguments = span_str(a->arguments);
		return word.data[0] == '"' && word.len >= 2;
	}
	if (is_write(r->operation))
		return parse_record(s, &a->base, word, &a->records);
	return r->path_count < LWM2M_PATHS_MAX && path_parse(word, &a->paths[r->path_count]) &&
	       ++r->path_count > 0;
}

static bool is_composite(enum lwm2m_operation o)
{
	return o == LWM2M_READ_COMPOSITE || o == LWM2M_WRITE_COMPOSITE || o == LWM2M_OBSERVE_COMPOSITE ||
	       o == LWM2M_CANCEL_COMPOSITE;
}

static bool parse_request(struct script *s, struct asked *a, const char *at)
{
	struct span word;

	a->request.format = a->request.path_format = FORMAT_NONE;
	a->request.instance = PATH_ID_NONE;
	a->request.timeout_ms = 300000;
	a->request.ttl_ms = LWM2M_TTL_DEFAULT;
	arena_reset(&s->arena);
	a->records = records_of(&s->arena);
	if (!is_composite(a->request.operation) &&
	    (!word_next(&at, &word) || !path_parse(word, &a->request.path)))
		return script_fail(s, "no path");
	a->base = a->request.operation == LWM2M_CREATE ? path_child(a->request.path, PATH_ID_NONE)
						       : a->request.path;
	while (word_next(&at, &word))
		if (!parse_argument(s, a, word))
			return script_fail(s, "not understood: %.*s", (int)word.len, (const char *)word.data);
	records_sort(&a->records);
	a->request.records = a->records.items;
	a->request.record_count = a->records.count;
	a->request.paths = a->paths;
	return true;
}

static struct request_note *note_new(struct script *s, const struct peer *p, const struct asked *a)
{
	struct request_note *note = calloc(1, sizeof(*note));

	if (!note)
		abort();
	note->script = s;
	note->operation = a->request.operation;
	note->path = a->request.path;
	snprintf(note->endpoint, sizeof(note->endpoint), "%s", p->endpoint);
	note->next = s->requests;
	s->requests = note;
	return note;
}

static bool ask(struct script *s, enum lwm2m_operation operation, const char *at)
{
	static const char *const refusals[] = {"",     "path",		 "payload", "attributes", "arguments",
					       "busy", "no-observation", "limit",   "unreachable"};
	struct asked a = {.request.operation = operation};
	struct peer *p = script_peer(s, &at);
	struct device *d;
	char error[160] = "";
	int rc;

	if (!p || !parse_request(s, &a, at))
		return p ? false : script_fail(s, "no device");
	d = lwm2m_find(s->world.server, span_str(p->endpoint));
	if (!d)
		return script_fail(s, "%s is not registered", p->endpoint);
	rc = lwm2m_request(s->world.server, d, &a.request, answered, note_new(s, p, &a), &s->last_ticket,
			   error);
	if (rc < 0)
		return script_fail(s, "the request failed: %s", strerror(-rc));
	if (rc > 0)
		hear(s, "refused %s", refusals[rc]);
	return true;
}

/* Operations on what we keep of a device; nothing is sent. */
static bool manage(struct script *s, bool forget, const char *at)
{
	struct asked a = {.request.operation = forget ? LWM2M_OBSERVE_COMPOSITE : LWM2M_DELETE};
	struct peer *p = script_peer(s, &at);
	struct device *d = p ? lwm2m_find(s->world.server, span_str(p->endpoint)) : NULL;
	struct span word;
	int rc;

	if (!d)
		return script_fail(s, "no registered device");
	while (word_next(&at, &word) && a.request.path_count < LWM2M_PATHS_MAX)
		if (!path_parse(word, &a.paths[a.request.path_count++]))
			return script_fail(s, "no path");
	if (!forget)
		rc = lwm2m_remove(s->world.server, d, answered, note_new(s, p, &a));
	else if (a.request.path_count == 1)
		rc = lwm2m_forget_observation(s->world.server, d, &a.paths[0], NULL, 0, answered,
					      note_new(s, p, &a));
	else
		rc = lwm2m_forget_observation(s->world.server, d, &(struct path){0}, a.paths,
					      a.request.path_count, answered, note_new(s, p, &a));
	return rc == 0 || script_fail(s, "%s", strerror(-rc));
}

/* withdraw [NAME] ID: a queued request. */
static void withdrawn(void *ctx, enum lwm2m_cancelled result)
{
	static const char *const words[] = {[LWM2M_CANCEL_DONE] = "done",
					    [LWM2M_CANCEL_LATE] = "late",
					    [LWM2M_CANCEL_ABSENT] = "absent",
					    [LWM2M_CANCEL_FAILED] = "failed"};
	struct script *s = ctx;

	if (!s->world.dying)
		hear(s, "withdrawn %s", words[result]);
}

static bool withdraw(struct script *s, const char *at)
{
	struct peer *p = script_peer(s, &at);
	struct device *d = NULL;
	struct span word;
	uint32_t hash;
	const char *id;

	if (!p || !word_next(&at, &word) || word.len < 2 || word.data[0] != '$')
		return script_fail(s, "withdraw [NAME] $ID");
	id = variable_get(&s->variables, span_from(word, 1));
	if (!id || !queued_id_hash(span_str(id), &hash))
		return script_fail(s, "this is no id");
	for (unsigned nth = 0; (d = lwm2m_find_hash(s->world.server, hash, nth)); nth++)
		if (span_equal(device_endpoint(d), span_str(p->endpoint)))
			break;
	if (!d)
		return script_fail(s, "the id does not lead to %s", p->endpoint);
	return lwm2m_queue_cancel(s->world.server, d, span_str(id), withdrawn, s) == 0 ||
	       script_fail(s, "it cannot be withdrawn");
}

/* PATH... [composite=PATH,PATH] [attributes="pmin=5"] [format=N] */
static bool parse_policy(struct script *s, const char *at, struct policy *p)
{
	struct span word, value, one;
	uint64_t number;

	while (word_next(&at, &word)) {
		if (word_value(word, "attributes", &value)) {
			p->attributes = value;
		} else if (word_value(word, "format", &value) && span_to_uint(value, 65535, &number)) {
			p->format = (uint16_t)number;
		} else if (word_value(word, "composite", &value)) {
			for (; value.len > 0; value = span_from(value, one.len + 1)) {
				const uint8_t *comma = memchr(value.data, ',', value.len);

				one = span_of(value.data, comma ? (size_t)(comma - value.data) : value.len);
				if (!path_parse(one, &p->composite[p->composite_count++]))
					return script_fail(s, "no path");
			}
		} else if (!path_parse(word, &p->paths[p->path_count++])) {
			return script_fail(s, "not understood: %.*s", (int)word.len, (const char *)word.data);
		}
	}
	return true;
}

/* policy NAME PATTERN ... */
static bool set_policy(struct script *s, const char *at)
{
	_cleanup_buffer_ struct buffer body = buffer_of(WORDS_MAX);
	struct policy p = {.format = FORMAT_NONE};
	struct span name;

	if (!word_next(&at, &name) || !word_next(&at, &p.pattern) || !parse_policy(s, at, &p))
		return script_fail(s, "policy NAME PATTERN PATH...");
	return (policy_encode(&p, &body) == 0 &&
		lwm2m_policy_set(s->world.server, name, buffer_span(&body)) == 0) ||
	       script_fail(s, "the policy is refused");
}

static bool policies(struct script *s, struct span command, const char *at)
{
	struct policy p = {.format = FORMAT_NONE};
	struct asked a = {.request.operation = LWM2M_OBSERVE};
	struct peer *peer;
	struct device *d;

	if (span_is(command, "policy"))
		return set_policy(s, at);
	if (span_is(command, "policy-drop"))
		lwm2m_policy_drop(s->world.server, line_rest(at));
	if (span_is(command, "policies-known"))
		lwm2m_policies_end(s->world.server);
	if (!span_is(command, "declare"))
		return true;
	peer = script_peer(s, &at);
	d = peer ? lwm2m_find(s->world.server, span_str(peer->endpoint)) : NULL;
	if (!d || !parse_policy(s, at, &p))
		return script_fail(s, "declare [NAME] PATH...");
	return lwm2m_declare(s->world.server, d, &p, answered, note_new(s, peer, &a)) == 0 ||
	       script_fail(s, "out of memory");
}

bool northbound_command(struct script *s, struct span command, const char *at, bool *known)
{
	*known = true;
	for (size_t i = 0; i < ARRAY_SIZE(operation_names); i++) {
		if (!span_is(command, operation_names[i].name))
			continue;
		script_start(s);
		return ask(s, operation_names[i].operation, at);
	}
	if (span_is(command, "policy") || span_is(command, "policy-drop") || span_is(command, "declare") ||
	    span_is(command, "policies-known")) {
		script_start(s);
		return policies(s, command, at);
	}
	if (span_is(command, "withdraw"))
		return withdraw(s, at);
	if (span_is(command, "forget") || span_is(command, "remove"))
		return manage(s, span_is(command, "forget"), at);
	*known = span_is(command, "abandon");
	if (*known)
		lwm2m_request_cancel(s->world.server, s->last_ticket);
	return true;
}

/* ---- events ---- */

static void render_registration(const struct registration *r, struct buffer *out)
{
	char address[ADDRESS_TEXT];

	buffer_printf(out, " lt=%u lwm2m=%u.%u b=%.*s%s from=%s", r->lifetime_s, r->lwm2m.major,
		      r->lwm2m.minor, (int)r->binding.len, (const char *)r->binding.data,
		      r->queue_mode ? " Q" : "", address_format(&r->address, address));
	if (r->root.len)
		buffer_printf(out, " root=%.*s", (int)r->root.len, (const char *)r->root.data);
}

static void render_flags(uint8_t flags, struct buffer *out)
{
	static const struct {
		uint8_t flag;
		const char *name;
	} names[] = {{UPDATE_LIFETIME, "lifetime"},
		     {UPDATE_LINKS, "links"},
		     {UPDATE_BINDING, "binding"},
		     {UPDATE_SMS, "sms"},
		     {UPDATE_ADDRESS, "address"}};
	const char *before = " ";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!(flags & names[i].flag))
			continue;
		buffer_printf(out, "%s%s", before, names[i].name);
		before = ",";
	}
}

static void render_reported(struct script *s, const struct lwm2m_event *e, struct buffer *out)
{
	struct declared_object declared[64];
	struct model model = lwm2m_event_model(e, s->world.registry, declared, ARRAY_SIZE(declared));

	arena_reset(&s->arena);
	render_content(s, &model, e->path, e->root, e->type == EVENT_SEND || e->paths.len > 0, e->format,
		       e->payload, out);
}

static void render_request_end(struct script *s, const struct lwm2m_event *e, struct buffer *out)
{
	const struct queued_request *r = &e->request;
	char path[PATH_TEXT], code[8];

	buffer_printf(out, "REQUEST_ENDED %.*s %s %s %s", (int)e->request_id.len,
		      (const char *)e->request_id.data, queued_state_name(e->state),
		      queued_operation_name(r->operation), path_format(&e->path, path));
	if (e->state != QUEUED_ANSWERED) {
		buffer_printf(out, " %.*s", (int)r->end.error.len,
			      r->end.error.len ? (const char *)r->end.error.data : "");
		return;
	}
	buffer_printf(out, " %s", coap_code_text(e->code, code));
	if (r->end.location.len)
		buffer_printf(out, " location=%.*s", (int)r->end.location.len,
			      (const char *)r->end.location.data);
	if (coap_class(e->code) == 2 && has_content((enum lwm2m_operation)r->operation))
		render_reported(s, e, out);
}

static void render_event(struct script *s, const struct lwm2m_event *e, struct buffer *out)
{
	static const char *const deregistered[] = {"", "client", "expired", "replaced", "api"};
	static const char *const ended[] = {"", "cancelled", "refused", "error"};
	char path[PATH_TEXT], code[8];

	switch (e->type) {
	case EVENT_REGISTERED:
		buffer_str(out, "REGISTERED");
		render_registration(&e->registration, out);
		buffer_str(out, e->replaces ? " replaces" : "");
		break;
	case EVENT_UPDATED:
		buffer_str(out, "UPDATED");
		render_flags(e->update_flags, out);
		render_registration(&e->registration, out);
		break;
	case EVENT_DEREGISTERED:
		buffer_printf(out, "DEREGISTERED %s", deregistered[e->reason]);
		break;
	case EVENT_NOTIFICATION:
		buffer_printf(out, "NOTIFICATION %s %s", path_format(&e->path, path),
			      coap_code_text(e->code, code));
		render_reported(s, e, out);
		break;
	case EVENT_OBSERVATION_ENDED:
		buffer_printf(out, "OBSERVATION_ENDED %s %s %s", path_format(&e->path, path),
			      ended[e->reason], coap_code_text(e->code, code));
		break;
	case EVENT_SEND:
		buffer_str(out, "SEND");
		render_reported(s, e, out);
		break;
	case EVENT_REQUEST_ENDED:
		render_request_end(s, e, out);
		break;
	case EVENT_AWAKE:
		buffer_str(out, "AWAKE");
		break;
	case EVENT_SLEEPING:
		buffer_str(out, "SLEEPING");
		break;
	}
}

static bool event_text(struct script *s, size_t index, struct buffer *out)
{
	const struct stored_event *stored = &s->world.store.events[index];
	struct lwm2m_event e;

	if (lwm2m_event_decode(stored->type, span_str(stored->endpoint), span_of(stored->body, stored->len),
			       &e) < 0)
		return false;
	for (size_t i = 0; i < s->peer_count; i++)
		if (strcmp(s->peers[i].endpoint, stored->endpoint) == 0)
			buffer_printf(out, "%s ", s->peers[i].name);
	render_event(s, &e, out);
	return true;
}

/* ---- expectations ---- */

static bool expect_event(struct script *s, struct span template)
{
	_cleanup_buffer_ struct buffer text = buffer_of(WORDS_MAX);

	if (s->events_read == s->world.store.event_count)
		return script_fail(s, "expected event %.*s\n  came: no event", (int)template.len,
				   (const char *)template.data);
	if (!event_text(s, s->events_read, &text))
		return script_fail(s, "an event that cannot be decoded");
	s->events_read++;
	return text_match(&s->variables, template, buffer_span(&text)) ||
	       script_fail(s, "expected event %.*s\n  came: %s", (int)template.len,
			   (const char *)template.data, (const char *)text.data);
}

static bool expect_answer(struct script *s, struct span template)
{
	struct heard *h = s->answers;
	bool same;

	if (!h)
		return script_fail(s, "expected answer %.*s\n  came: no answer", (int)template.len,
				   (const char *)template.data);
	s->answers = h->next;
	same = text_match(&s->variables, template, span_str(h->text)) ||
	       script_fail(s, "expected answer %.*s\n  came: %s", (int)template.len,
			   (const char *)template.data, h->text);
	free(h);
	return same;
}

static bool expect_registration(struct script *s, const char *at)
{
	_cleanup_buffer_ struct buffer text = buffer_of(WORDS_MAX);
	struct peer *p = script_peer(s, &at);
	struct device *d = p ? lwm2m_find(s->world.server, span_str(p->endpoint)) : NULL;
	struct span template = line_rest(at);
	struct registration r;

	if (span_is(template, "none"))
		return !d || script_fail(s, "it is registered");
	if (!d)
		return script_fail(s, "it is not registered");
	device_registration(d, &r);
	render_registration(&r, &text);
	buffer_printf(&text, " links=%.*s%s", (int)r.links.len, (const char *)r.links.data,
		      device_is_awake(s->world.server, d) ? "" : " asleep");
	return text_match(&s->variables, template, span_from(buffer_span(&text), 1)) ||
	       script_fail(s, "expected registration %.*s\n  is:%s", (int)template.len,
			   (const char *)template.data, (const char *)text.data);
}

/* "queued read /3/0/9, sent execute /3/0/4", or "none": what the store has. */
static bool expect_queue(struct script *s, const char *at)
{
	_cleanup_buffer_ struct buffer text = buffer_of(WORDS_MAX);
	struct peer *p = script_peer(s, &at);
	const struct stored_device *d = p ? world_stored(&s->world, span_str(p->endpoint)) : NULL;
	struct span template = line_rest(at);
	char path[PATH_TEXT];

	for (const struct stored_request *r = d ? d->queue : NULL; r; r = r->next) {
		struct queued_request q;

		if (queued_decode(span_of(r->body, r->len), &q) < 0)
			return script_fail(s, "a request that cannot be decoded");
		buffer_printf(&text, "%s%s %s %s", text.len ? ", " : "", queued_state_name(r->state),
			      queued_operation_name(q.operation), path_format(&q.path, path));
	}
	if (text.len == 0)
		buffer_str(&text, "none");
	return text_match(&s->variables, template, buffer_span(&text)) ||
	       script_fail(s, "expected queue %.*s\n  is: %s", (int)template.len, (const char *)template.data,
			   (const char *)text.data);
}

/* "/3/0/9 issued by=NAME, /3/0/1 wanted", or "none": those of a device. */
static bool expect_observations(struct script *s, const char *at)
{
	_cleanup_buffer_ struct buffer text = buffer_of(WORDS_MAX);
	struct peer *p = script_peer(s, &at);
	struct device *d = p ? lwm2m_find(s->world.server, span_str(p->endpoint)) : NULL;
	struct span template = line_rest(at);
	struct registration r;
	struct observation o;
	char path[PATH_TEXT];

	if (!d)
		return script_fail(s, "it is not registered");
	device_registration(d, &r);
	for (struct span left = r.observations; observation_next(&left, &o);) {
		struct span name = lwm2m_policy_name(s->world.server, o.origin);

		buffer_printf(&text, "%s%s %s", text.len ? ", " : "",
			      o.paths.len ? "composite" : path_format(&o.path, path),
			      o.issued	  ? "issued"
			      : o.refused ? "refused"
					  : "wanted");
		if (o.origin)
			buffer_printf(&text, " by=%.*s", name.len ? (int)name.len : 8,
				      name.len ? (const char *)name.data : "declared");
	}
	if (text.len == 0)
		buffer_str(&text, "none");
	return text_match(&s->variables, template, buffer_span(&text)) ||
	       script_fail(s, "expected observations %.*s\n  are: %s", (int)template.len,
			   (const char *)template.data, (const char *)text.data);
}

static bool expect_stat(struct script *s, const char *at)
{
	struct lwm2m_stats stats;
	struct span name;
	uint64_t wanted;

	lwm2m_stats(s->world.server, &stats);
	const struct {
		const char *name;
		uint64_t value;
	} values[] = {
		{"devices", stats.devices},
		{"duplicates", stats.duplicates},
		{"stale", stats.notifications_stale},
		{"unknown-tokens", stats.unknown_tokens},
		{"retransmissions", stats.coap.retransmissions},
		{"unmatched", stats.coap.unmatched},
		{"requests-active", stats.requests_active},
		{"pending-writes", world_pending_writes(&s->world)},
	};
	if (!word_next(&at, &name) || !span_to_uint(line_rest(at), UINT32_MAX, &wanted))
		return script_fail(s, "expect stat NAME NUMBER");
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		if (span_is(name, values[i].name))
			return values[i].value == wanted ||
			       script_fail(s, "%s is %llu, not %llu", values[i].name,
					   (unsigned long long)values[i].value, (unsigned long long)wanted);
	return script_fail(s, "there is no such number");
}

bool expect_command(struct script *s, const char *at)
{
	struct span what;

	script_start(s);
	world_settle(&s->world);
	if (!word_next(&at, &what))
		return script_fail(s, "expect what?");
	if (span_is(what, "event"))
		return expect_event(s, line_rest(at));
	if (span_is(what, "answer"))
		return expect_answer(s, line_rest(at));
	if (span_is(what, "registration"))
		return expect_registration(s, at);
	if (span_is(what, "observations"))
		return expect_observations(s, at);
	if (span_is(what, "queue"))
		return expect_queue(s, at);
	if (span_is(what, "stat"))
		return expect_stat(s, at);
	if (span_is(what, "no") && span_is(line_rest(at), "event"))
		return s->events_read == s->world.store.event_count || expect_event(s, span_str("none"));
	if (span_is(what, "no") && span_is(line_rest(at), "answer"))
		return !s->answers || expect_answer(s, span_str("none"));
	return script_fail(s, "expect what?");
}

const char *northbound_unread(struct script *s, char *text, size_t size)
{
	_cleanup_buffer_ struct buffer event = buffer_of(WORDS_MAX);

	if (s->answers) {
		snprintf(text, size, "answer %.300s", s->answers->text);
		return text;
	}
	if (s->events_read == s->world.store.event_count || !event_text(s, s->events_read, &event))
		return NULL;
	snprintf(text, size, "event %.300s", (const char *)event.data);
	return text;
}

void northbound_drain(struct script *s)
{
	s->events_read = s->world.store.event_count;
	while (s->answers) {
		struct heard *h = s->answers;

		s->answers = h->next;
		free(h);
	}
}

void northbound_deinit(struct script *s)
{
	northbound_drain(s);
	while (s->requests) {
		struct request_note *note = s->requests;

		s->requests = note->next;
		free(note);
	}
}
