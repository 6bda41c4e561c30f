/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Registration to JSON, in the order and with the spelling of the compatible interface. Values of link
 * parameters are the raw link-format text, quotes included. A parameter or attribute that is repeated is
 * shown once, with its last value: a JSON object with two equal names is not portable.
 */

#include "http/registration_json.h"

#include "coap/linkformat.h"
#include "lwm2m/event.h"

#include <stdio.h>

enum {
	LINK_PARAMS_MAX = 32,				/* of one link that are shown */
	INSTANCES_MAX = REGISTRATION_LINKS_MAX / 7 + 1, /* "</1/0>," is the shortest */
};

static bool named_later(const struct link_param *params, size_t count, size_t at)
{
	for (size_t i = at + 1; i < count; i++) {
		if (span_equal(params[i].name, params[at].name))
			return true;
	}
	return false;
}

static void link_params_json(struct json *j, struct span raw)
{
	struct link_param params[LINK_PARAMS_MAX];
	size_t count = 0;

	while (count < LINK_PARAMS_MAX && link_param_next(&raw, &params[count]) == LINK_OK)
		count++;
	json_open(j, '{');
	for (size_t i = 0; i < count; i++) {
		if (named_later(params, count, i))
			continue;
		json_key_span(j, params[i].name);
		if (params[i].has_value)
			json_text(j, params[i].raw);
		else
			json_nil(j);
	}
	json_close(j, '}');
}

bool links_json(struct json *j, struct span links)
{
	struct link_reader reader = link_reader_of(links);
	enum link_next next;
	struct link link;

	json_open(j, '[');
	while ((next = link_next(&reader, &link)) == LINK_OK) {
		if (!link.target.data)
			continue;
		json_open(j, '{');
		json_member_text(j, "url", link.target);
		json_key(j, "attributes");
		link_params_json(j, link.params);
		json_close(j, '}');
	}
	json_close(j, ']');
	return next == LINK_END;
}

/* The name of the first of `extra`, to see whether a later one repeats it. */
static bool extra_later(struct span left, struct span name)
{
	struct span other, value;
	bool has_value;

	while (registration_next_extra(&left, &other, &value, &has_value)) {
		if (span_equal(other, name))
			return true;
	}
	return false;
}

static void extra_json(struct json *j, struct span left)
{
	struct span name, value;
	bool has_value;

	json_open(j, '{');
	while (registration_next_extra(&left, &name, &value, &has_value)) {
		if (extra_later(left, name))
			continue;
		json_key_span(j, name);
		if (has_value)
			json_text(j, value);
		else
			json_nil(j);
	}
	json_close(j, '}');
}

static int by_instance(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* {"1":[0],"3":[0]}: the instances in the object list, ascending. */
static void instances_json(struct json *j, const struct registration *r)
{
	uint32_t found[INSTANCES_MAX]; /* object in the upper half */
	struct span left = r->links;
	struct registered_link link;
	size_t count = 0;

	while (count < INSTANCES_MAX && registration_next_link(r, &left, &link)) {
		if (link.path.depth == PATH_INSTANCE)
			found[count++] = (uint32_t)link.path.ids[0] << 16 | link.path.ids[1];
	}
	qsort(found, count, sizeof(found[0]), by_instance);
	json_open(j, '{');
	for (size_t i = 0; i < count;) {
		uint32_t object = found[i] >> 16;
		char name[8];

		snprintf(name, sizeof(name), "%u", object);
		json_key(j, name);
		json_open(j, '[');
		for (; i < count && found[i] >> 16 == object; i++) {
			if (i == 0 || found[i] != found[i - 1])
				json_uint(j, found[i] & 0xFFFF);
		}
		json_close(j, ']');
	}
	json_close(j, '}');
}

static void root_json(struct json *j, const char *name, struct span root)
{
	json_key(j, name);
	json_text_pair(j, root, span_str("/"));
}

static void address_json(struct json *j, const struct address *a)
{
	char text[ADDRESS_TEXT];

	json_member_str(j, "address", address_format(a, text));
}

void registration_json(struct json *j, const struct registration_view *v)
{
	const struct registration *r = v->registration;
	char version[8];

	snprintf(version, sizeof(version), "%u.%u", r->lwm2m.major, r->lwm2m.minor);
	json_open(j, '{');
	json_member_text(j, "endpoint", v->endpoint);
	json_member_str(j, "registrationId", r->id);
	json_member_uint(j, "registrationDate", r->registered_ms);
	json_member_uint(j, "lastUpdate", v->seen_ms);
	address_json(j, &r->address);
	if (r->sms.len)
		json_member_text(j, "smsNumber", r->sms);
	json_member_str(j, "lwM2mVersion", version);
	json_member_uint(j, "lifetime", r->lifetime_s);
	json_member_text(j, "bindingMode", r->binding);
	root_json(j, "rootPath", r->root);
	json_key(j, "objectLinks");
	links_json(j, r->links);
	json_member_bool(j, "secure", r->secure);
	json_key(j, "additionalRegistrationAttributes");
	extra_json(j, r->extra);
	json_member_bool(j, "queuemode", r->queue_mode);
	json_key(j, "availableInstances");
	instances_json(j, r);
	if (r->queue_mode)
		json_member_bool(j, "sleeping", !v->awake);
	if (v->reason)
		json_member_str(j, "reason", v->reason);
	json_close(j, '}');
}

void registration_update_json(struct json *j, const struct registration *r, unsigned flags)
{
	json_open(j, '{');
	json_member_str(j, "registrationId", r->id);
	address_json(j, &r->address);
	if (flags & UPDATE_SMS)
		json_member_text(j, "smsNumber", r->sms);
	if (flags & UPDATE_LIFETIME)
		json_member_uint(j, "lifetime", r->lifetime_s);
	if (flags & UPDATE_LINKS) {
		if (r->root.len)
			root_json(j, "alternatePath", r->root);
		json_key(j, "objectLinks");
		links_json(j, r->links);
	}
	json_member_bool(j, "secure", r->secure);
	/* Those of the Register: what an Update adds is not kept. */
	json_key(j, "additionalAttributes");
	extra_json(j, r->extra);
	json_close(j, '}');
}
