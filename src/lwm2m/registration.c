/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What a Register or Update request says (LwM2M Core 1.1.1, 6.2): one table of query parameters, then the
 * object list.
 *
 * Lenient by default: devices in the field send what the specification forbids, and a server that refuses
 * them is of no use. `strict` is for those who test devices. Which rule each check serves is named as in the
 * requirement map (R1 to R19).
 */

#include "lwm2m/registration.h"
#include "coap/linkformat.h"
#include "codec/codec.h"
#include "store/store.h"

struct parse {
	struct registration_request *out;
	bool update;
	bool strict;
	const char *diagnostic;
};

/* Each handler gets the value (`has_value` false: there was no "=") and returns 0 or the code to answer with.
 */
typedef uint8_t parameter_fn(struct parse *p, struct span value, bool has_value);

static uint8_t refuse(struct parse *p, uint8_t code, const char *diagnostic)
{
	p->diagnostic = diagnostic;
	return code;
}

static uint8_t parse_ep(struct parse *p, struct span value, bool has_value)
{
	if (p->update)
		return 0; /* not a parameter of Update: the location says who it is */
	if (!has_value || value.len == 0)
		return refuse(p, COAP_BAD_REQUEST, "ep is empty");
	if (value.len > STORE_ENDPOINT_MAX)
		return refuse(p, COAP_BAD_REQUEST, "ep is longer than 255 bytes");
	p->out->endpoint = value;
	p->out->has_endpoint = true;
	return 0;
}

static uint8_t parse_lt(struct parse *p, struct span value, bool has_value)
{
	uint64_t lifetime;

	if (!has_value || !span_to_uint(value, UINT32_MAX, &lifetime))
		return refuse(p, COAP_BAD_REQUEST, "lt is not a number of seconds");
	p->out->lifetime_s = (uint32_t)lifetime;
	p->out->has_lifetime = true;
	return 0;
}

static uint8_t parse_lwm2m(struct parse *p, struct span value, bool has_value)
{
	if (p->update)
		return 0;
	if (!has_value || !object_version_parse(value, &p->out->version))
		return refuse(p, COAP_BAD_REQUEST, "lwm2m is not a version such as 1.1");
	if (p->out->version.major != 1 || p->out->version.minor > 1)
		return refuse(p, COAP_PRECONDITION_FAILED, "supported versions: 1.0, 1.1");
	p->out->has_version = true;
	return 0;
}

static uint8_t parse_b(struct parse *p, struct span value, bool has_value)
{
	p->out->has_binding = has_value && value.len > 0 && value.len <= 16;
	p->out->binding = p->out->has_binding ? value : span_of(NULL, 0);
	if (p->strict && !p->out->has_binding)
		return refuse(p, COAP_BAD_REQUEST, "b is empty");
	return 0;
}

static uint8_t parse_q(struct parse *p, struct span value, bool has_value)
{
	(void)value;
	p->out->queue_flag = true;
	if (p->strict && has_value)
		return refuse(p, COAP_BAD_REQUEST, "Q has no value");
	return 0;
}

static uint8_t parse_sms(struct parse *p, struct span value, bool has_value)
{
	p->out->has_sms = has_value && value.len > 0;
	p->out->sms = p->out->has_sms ? value : span_of(NULL, 0);
	if (p->strict && !p->out->has_sms)
		return refuse(p, COAP_BAD_REQUEST, "sms is empty");
	return 0;
}

static const struct {
	const char *name;
	parameter_fn *parse;
} parameters[] = {
	{"ep", parse_ep}, {"lt", parse_lt}, {"lwm2m", parse_lwm2m},
	{"b", parse_b},	  {"Q", parse_q},   {"sms", parse_sms},
};

static uint8_t parse_query(struct parse *p, struct span query)
{
	const uint8_t *equals = query.len ? memchr(query.data, '=', query.len) : NULL;
	struct span name = span_of(query.data, equals ? (size_t)(equals - query.data) : query.len);

	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++)
		if (span_is(name, parameters[i].name))
			return parameters[i].parse(p, equals ? span_from(query, name.len + 1) : query,
						   equals != NULL);
	if (query.len > 0 && p->out->extra_count < ARRAY_SIZE(p->out->extra))
		p->out->extra[p->out->extra_count++] = query;
	return 0;
}

static bool binding_is_legal(struct span binding, struct object_version version)
{
	const char *letters = version.minor == 0 ? "UQS" : "UTSN";
	bool seen[256] = {false};

	for (size_t i = 0; i < binding.len; i++) {
		if (seen[binding.data[i]] || !strchr(letters, binding.data[i]) || binding.data[i] == 0)
			return false;
		seen[binding.data[i]] = true;
	}
	return true;
}

/* R9, R13: every link must be readable; the one with rt="oma.lwm2m" names the root. */
static uint8_t parse_links(struct parse *p, struct span payload)
{
	struct link_reader links = link_reader_of(payload);
	struct link link;
	enum link_next next;
	size_t count = 0;

	if (payload.len > REGISTRATION_LINKS_MAX)
		return refuse(p, COAP_REQUEST_ENTITY_TOO_LARGE, "object list is too long");
	while ((next = link_next(&links, &link)) == LINK_OK) {
		struct link_param rt;
		struct span root = link.target;

		if (!link.target.data)
			continue; /* an item without target, as old lists have them: no link */
		count++;
		if (!link_param_find(&link, "rt", &rt) || !span_is(rt.value, "oma.lwm2m"))
			continue;
		while (root.len > 0 && root.data[root.len - 1] == '/')
			root.len--;
		if (root.len < 2 || root.data[1] < '0' || root.data[1] > '9') /* a root is no object */
			p->out->root = root;
	}
	if (next == LINK_ERROR)
		return refuse(p, COAP_BAD_REQUEST, "object list is not link-format");
	if (count == 0) /* R18: without a list (and a profile id) there is nothing to register */
		return refuse(p, p->update ? COAP_BAD_REQUEST : COAP_CONFLICT, "object list is missing");
	p->out->links = payload;
	p->out->has_links = true;
	return 0;
}

static uint8_t check_register(struct parse *p)
{
	if (!p->out->has_version) {
		if (p->strict)
			return refuse(p, COAP_BAD_REQUEST, "lwm2m is missing");
		p->out->version = (struct object_version){1, 0}; /* devices from before 1.0 do not send it */
	}
	if (!p->strict)
		return 0;
	if (!p->out->has_lifetime)
		return refuse(p, COAP_BAD_REQUEST, "lt is missing");
	if (p->out->queue_flag && p->out->version.minor == 0)
		return refuse(p, COAP_BAD_REQUEST, "Q is no parameter of LwM2M 1.0, use b=UQ");
	if (p->out->has_binding && !binding_is_legal(p->out->binding, p->out->version))
		return refuse(p, COAP_BAD_REQUEST, "b is not a binding of this version");
	return 0;
}

static uint8_t check_message(struct parse *p, const struct coap_message *m)
{
	uint16_t format = coap_format(m, COAP_OPTION_CONTENT_FORMAT);

	if (!p->strict)
		return 0;
	if (m->type != COAP_CON)
		return refuse(p, COAP_BAD_REQUEST, "CON CoAP type expected");
	if (m->payload.len > 0 && format != FORMAT_LINK)
		return refuse(p, COAP_BAD_REQUEST, "Content-Format 40 expected");
	return 0;
}

uint8_t registration_parse(const struct coap_message *m, bool update, bool strict,
			   struct registration_request *out, const char **diagnostic)
{
	struct parse p = {.out = out, .update = update, .strict = strict};
	uint8_t code = 0;

	memset(out, 0, offsetof(struct registration_request, extra));
	*diagnostic = NULL;
	code = check_message(&p, m);
	for (const struct coap_option *o = coap_find(m, COAP_OPTION_URI_QUERY); !code && o;
	     o = coap_find_next(m, o))
		code = parse_query(&p, coap_value(o));
	if (!code && !update)
		code = check_register(&p);
	if (!code && (m->payload.len > 0 || !update))
		code = parse_links(&p, m->payload);
	*diagnostic = p.diagnostic;
	return code;
}
