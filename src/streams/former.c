/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Nodes, responses and registrations as the former cluster module told them. Nodes are at most four levels
 * deep, each with a function of its own kind, so nothing goes down by recursion on input.
 */

#include "streams/former.h"

#include "base/bytes.h"
#include "codec/base64.h"
#include "http/hex.h"

#include <stdlib.h>
#include <string.h>

enum { OPAQUE_MAX = 2 << 20 };

static const char *text_of(const json_t *v, const char *name)
{
	return json_string_value(json_object_get(v, name));
}

/* The value is taken; NULL makes it false. */
static bool put(json_t *to, const char *name, json_t *value)
{
	return json_object_set_new(to, name, value) == 0;
}

static bool copy(json_t *to, const char *name, const json_t *from, const char *from_name)
{
	json_t *value = json_object_get(from, from_name);

	return !value || json_object_set(to, name, value) == 0;
}

/* ---- values ---- */

static json_t *hex_to_base64(const char *hex)
{
	struct buffer bytes = buffer_of(OPAQUE_MAX), text = buffer_of(OPAQUE_MAX * 2);
	size_t len = strlen(hex);
	json_t *out = NULL;
	bool good = len % 2 == 0;

	for (size_t i = 0; good && i < len; i += 2) {
		int high = hex_digit((uint8_t)hex[i]), low = hex_digit((uint8_t)hex[i + 1]);

		good = high >= 0 && low >= 0;
		if (good)
			buffer_u8(&bytes, (uint8_t)(high << 4 | low));
	}
	base64_encode(&text, buffer_span(&bytes), BASE64_STANDARD);
	if (good && !bytes.failed && !text.failed)
		out = json_stringn((const char *)text.data, text.len);
	buffer_deinit(&bytes);
	buffer_deinit(&text);
	return out ? out : good && len == 0 ? json_string("") : NULL;
}

static json_t *base64_to_hex(const json_t *v, struct arena *arena)
{
	struct buffer text = buffer_of(OPAQUE_MAX * 2);
	struct span bytes;
	json_t *out;

	if (!json_is_string(v) ||
	    base64_decode(span_of(json_string_value(v), json_string_length(v)), arena, &bytes) != BASE64_OK)
		return NULL;
	for (size_t i = 0; i < bytes.len; i++)
		buffer_printf(&text, "%02x", bytes.data[i]);
	out = text.failed ? NULL : json_stringn(text.len ? (const char *)text.data : "", text.len);
	buffer_deinit(&text);
	return out;
}

static json_t *value_to_rest(const json_t *v, const char *type, struct arena *arena)
{
	return strcmp(type, "OPAQUE") == 0 ? base64_to_hex(v, arena) : json_deep_copy(v);
}

static json_t *object_link(const json_t *v)
{
	return json_sprintf("%lld:%lld", (long long)json_integer_value(json_object_get(v, "objectId")),
			    (long long)json_integer_value(json_object_get(v, "objectInstanceId")));
}

static json_t *value_of_rest(const json_t *v, const char *type)
{
	const char *text = json_string_value(v);

	if (text && strcmp(type, "INTEGER") == 0)
		return json_integer(strtoll(text, NULL, 10));
	if (text && strcmp(type, "FLOAT") == 0)
		return json_real(strtod(text, NULL));
	if (text && strcmp(type, "OPAQUE") == 0)
		return hex_to_base64(text);
	if (strcmp(type, "OBJLNK") == 0)
		return object_link(v);
	return json_deep_copy(v);
}

/* Types that the module did not know are told by the nearest one that it had. */
static const char *type_of_rest(const char *type)
{
	static const char *const names[][2] = {{"UNSIGNED_INTEGER", "STRING"},
					       {"OBJLNK", "STRING"},
					       {"CORELINK", "STRING"},
					       {"NONE", "STRING"}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i][0], type) == 0)
			return names[i][1];
	}
	return type;
}

/* ---- resources ---- */

static json_t *resource_to_rest(const json_t *node, struct arena *arena)
{
	const char *kind = text_of(node, "kind"), *type = text_of(node, "type"), *name;
	bool multiple = kind && strcmp(kind, "multipleResource") == 0;
	json_t *out, *values, *value;
	bool good;

	if (!kind || !type || (!multiple && strcmp(kind, "singleResource") != 0))
		return NULL;
	out = json_object();
	good = copy(out, "id", node, "id") && put(out, "type", json_string(type)) &&
	       put(out, "kind", json_string(multiple ? "multiResource" : "singleResource"));
	if (good && multiple) {
		values = json_object();
		json_object_foreach (json_object_get(node, "values"), name, value)
			good = good && put(values, name, value_to_rest(value, type, arena));
		good = put(out, "values", values) && good;
	} else if (good) {
		good = put(out, "value", value_to_rest(json_object_get(node, "value"), type, arena));
	}
	if (good)
		return out;
	json_decref(out);
	return NULL;
}

static json_t *resource_of_rest(const json_t *node, struct arena *arena)
{
	const char *kind = text_of(node, "kind"), *type = text_of(node, "type"), *name;
	bool multiple = kind && strcmp(kind, "multiResource") == 0;
	json_t *out, *values, *value;
	bool good;

	(void)arena;
	if (!kind || !type)
		return NULL;
	out = json_object();
	good = copy(out, "id", node, "id") && put(out, "type", json_string(type_of_rest(type))) &&
	       put(out, "kind", json_string(multiple ? "multipleResource" : "singleResource"));
	if (good && multiple) {
		values = json_object();
		json_object_foreach (json_object_get(node, "values"), name, value)
			good = good && put(values, name, value_of_rest(value, type));
		good = put(out, "values", values) && good;
	} else if (good) {
		good = put(out, "value", value_of_rest(json_object_get(node, "value"), type));
	}
	if (good)
		return out;
	json_decref(out);
	return NULL;
}

/* ---- what has others in it ---- */

typedef json_t *node_fn(const json_t *node, struct arena *arena);

static bool add_child(json_t *children, const json_t *child, node_fn *each, bool to_rest, struct arena *arena)
{
	json_t *made = each(child, arena);
	char name[24];

	if (!made)
		return false;
	if (to_rest)
		return json_array_append_new(children, made) == 0;
	snprintf(name, sizeof(name), "%lld", (long long)json_integer_value(json_object_get(child, "id")));
	return put(children, name, made);
}

/* REST has an array of children, the module a map from their ids; it took arrays too. */
static json_t *parent(const json_t *node, const char *kind, const char *member, node_fn *each, bool to_rest,
		      struct arena *arena)
{
	json_t *out = json_object(), *children = to_rest ? json_array() : json_object(), *child;
	const json_t *given = json_object_get(node, member);
	bool good = put(out, "kind", json_string(kind)) && copy(out, "id", node, "id") && given;
	const char *name;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)given, i, child)
		good = good && add_child(children, child, each, to_rest, arena);
	json_object_foreach ((json_t *)(uintptr_t)given, name, child)
		good = good && add_child(children, child, each, to_rest, arena);
	good = put(out, member, children) && good;
	if (good)
		return out;
	json_decref(out);
	return NULL;
}

static json_t *instance_to_rest(const json_t *node, struct arena *arena)
{
	return parent(node, "instance", "resources", resource_to_rest, true, arena);
}

static json_t *instance_of_rest(const json_t *node, struct arena *arena)
{
	return parent(node, "instance", "resources", resource_of_rest, false, arena);
}

json_t *former_node_to_rest(const json_t *node, struct arena *arena)
{
	const char *kind = text_of(node, "kind");

	if (kind && strcmp(kind, "object") == 0)
		return parent(node, "obj", "instances", instance_to_rest, true, arena);
	if (kind && strcmp(kind, "instance") == 0)
		return instance_to_rest(node, arena);
	return resource_to_rest(node, arena);
}

json_t *former_node_of_rest(const json_t *node, struct arena *arena)
{
	const char *kind = text_of(node, "kind");

	if (kind && strcmp(kind, "obj") == 0)
		return parent(node, "object", "instances", instance_of_rest, false, arena);
	if (kind && strcmp(kind, "instance") == 0)
		return instance_of_rest(node, arena);
	return resource_of_rest(node, arena);
}

/* ---- requests and responses ---- */

json_t *former_request_to_rest(const json_t *req, struct arena *arena)
{
	json_t *out = json_copy((json_t *)(uintptr_t)req), *child, *resources;
	const json_t *node = json_object_get(req, "node"), *list = json_object_get(req, "resources");
	bool good = json_is_object(out);
	size_t i;

	if (good && node)
		good = put(out, "node", former_node_to_rest(node, arena));
	if (good && list) {
		resources = json_array();
		json_array_foreach ((json_t *)(uintptr_t)list, i, child)
			good = good && json_array_append_new(resources, resource_to_rest(child, arena)) == 0;
		good = put(out, "resources", resources) && good;
	}
	if (good)
		return out;
	json_decref(out);
	return NULL;
}

/* [{"url","attributes"}] as link-format. */
static json_t *links(const json_t *list)
{
	struct buffer text = buffer_of(1 << 20);
	json_t *link, *value, *out;
	const char *name;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)list, i, link) {
		const char *url = text_of(link, "url");

		buffer_printf(&text, "%s<%s>", i ? "," : "", url ? url : "");
		json_object_foreach (json_object_get(link, "attributes"), name, value) {
			buffer_printf(&text, ";%s", name);
			if (json_is_string(value))
				buffer_printf(&text, "=%s", json_string_value(value));
		}
	}
	out = text.failed ? NULL : json_stringn(text.len ? (const char *)text.data : "", text.len);
	buffer_deinit(&text);
	return out;
}

json_t *former_response(const json_t *response, const char *kind, struct arena *arena)
{
	const char *status = text_of(response, "status");
	const json_t *content = json_object_get(response, "content"),
		     *list = json_object_get(response, "objectLinks");
	json_t *out = json_object();
	bool good = status && put(out, "code", json_stringn(status, strcspn(status, "(")));

	if (good && json_is_true(json_object_get(response, "failure"))) {
		json_t *words = json_object_get(response, "errormessage");

		good = put(out, "errorMessage", words ? json_incref(words) : json_null());
	} else if (good) {
		good = put(out, "kind", json_string(kind)) && copy(out, "location", response, "location");
		if (good && content)
			good = put(out, "content", former_node_of_rest(content, arena));
		if (good && list)
			good = put(out, "objectLinks", links(list));
	}
	if (good)
		return out;
	json_decref(out);
	return NULL;
}

/* ---- registrations ---- */

/* "192.0.2.7:56830", "[2001:db8::1]:5683" */
static bool put_address(json_t *out, const json_t *from)
{
	const char *text = text_of(from, "address"), *colon = text ? strrchr(text, ':') : NULL;
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!colon)
		return false;
	if (len >= 2 && text[0] == '[') {
		text++;
		len -= 2;
	}
	return put(out, "address", json_stringn(text, len)) &&
	       put(out, "port", json_integer(atoi(colon + 1)));
}

static bool put_links(json_t *out, const json_t *from)
{
	json_t *made = json_array(), *link, *value;
	const char *name;
	bool good = true;
	size_t i;

	json_array_foreach (json_object_get(from, "objectLinks"), i, link) {
		json_t *one = json_object(), *at = json_object();

		json_object_foreach (json_object_get(link, "attributes"), name, value) {
			const char *text = json_string_value(value);
			bool number = text && *text && strspn(text, "0123456789") == strlen(text) &&
				      strlen(text) < 10;

			good = good && put(at, name, number ? json_integer(atoi(text)) : json_incref(value));
		}
		good = copy(one, "url", link, "url") && put(one, "at", at) && good;
		good = json_array_append_new(made, one) == 0 && good;
	}
	return put(out, "objLink", made) && good;
}

/* Members by their names here and there. */
static bool put_members(json_t *out, const json_t *from, const char *const names[][2], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!copy(out, names[i][0], from, names[i][1]))
			return false;
	}
	return true;
}

json_t *former_registration(const json_t *registration)
{
	static const char *const first[][2] = {{"regDate", "registrationDate"}};
	static const char *const rest[][2] = {{"lt", "lifetime"},
					      {"sms", "smsNumber"},
					      {"ver", "lwM2mVersion"},
					      {"bnd", "bindingMode"},
					      {"ep", "endpoint"},
					      {"regId", "registrationId"},
					      {"root", "rootPath"},
					      {"lastUp", "lastUpdate"},
					      {"addAttr", "additionalRegistrationAttributes"}};
	json_t *out = json_object();

	if (put_members(out, registration, first, ARRAY_SIZE(first)) && put_address(out, registration) &&
	    put_members(out, registration, rest, ARRAY_SIZE(rest)) && put_links(out, registration))
		return out;
	json_decref(out);
	return NULL;
}

json_t *former_update(const json_t *update, const json_t *registration)
{
	static const char *const names[][2] = {{"lt", "lifetime"}, {"sms", "smsNumber"}};
	json_t *out = json_object();

	if (copy(out, "regId", update, "registrationId") && put_address(out, registration) &&
	    put_members(out, update, names, ARRAY_SIZE(names)) &&
	    (!json_object_get(update, "objectLinks") || put_links(out, update)))
		return out;
	json_decref(out);
	return NULL;
}
