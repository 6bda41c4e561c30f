/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* JSON of credentials and tokens, read by jansson. What it keeps of a key is wiped before it is freed. */

#include "http/security_input.h"

#include <jansson.h>

/* Borrowed; empty if it is no string. */
static struct span text_member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_string(value))
		return (struct span){NULL, 0};
	return span_of(json_string_value(value), json_string_length(value));
}

static json_t *load(struct span body)
{
	json_error_t error;

	return json_loadb(body.len ? (const char *)body.data : "", body.len,
			  JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
}

/* ---- credentials ---- */

static void wipe(struct span key)
{
	if (key.len)
		explicit_bzero((void *)key.data, key.len);
}

static const char *read_info(const json_t *root, bool rotate, struct credential_input *out)
{
	const json_t *tls = json_object_get(root, "tls"), *details = json_object_get(tls, "details");
	const struct credential_text text = {.endpoint = text_member(root, "endpoint"),
					     .mode = text_member(tls, "mode"),
					     .identity = text_member(details, "identity"),
					     .identity_hex = text_member(details, "identityHex"),
					     .key = text_member(details, "key"),
					     .rotate =
						     rotate || json_is_true(json_object_get(root, "rotate"))};
	const char *wrong;

	if (!json_is_object(root))
		return "it is no JSON object";
	if (!json_is_object(tls) && json_object_get(root, "oscore"))
		return "this server does not speak OSCORE: give tls instead";
	if (!json_is_object(tls))
		return "tls is missing: {\"endpoint\":..,\"tls\":{\"mode\":\"psk\",\"details\":{..}}}";
	wrong = credential_from_text(&text, out);
	wipe(text.key);
	return wrong;
}

const char *security_info_parse(struct span body, bool rotate, struct credential_input *out)
{
	json_t *root = load(body);
	const char *wrong;

	*out = (struct credential_input){0};
	wrong = read_info(root, rotate, out);
	json_decref(root);
	return wrong;
}

/* ---- tokens ---- */

static bool read_expiry(const json_t *value, uint64_t now_ms, uint64_t *out)
{
	if (!value || json_is_null(value))
		return true;
	if (!json_is_integer(value) || json_integer_value(value) <= 0)
		return false;
	*out = (uint64_t)json_integer_value(value);
	return *out > now_ms;
}

static const char *read_token(const json_t *root, uint64_t now_ms, struct token_request *out)
{
	const json_t *name = json_object_get(root, "name");
	struct span text = text_member(root, "name");

	if (!json_is_object(root))
		return "the body is no JSON object";
	out->role = token_role_named(text_member(root, "role"));
	if (out->role == TOKEN_NONE)
		return "role is one of read, operate, admin";
	if (name && !json_is_string(name))
		return "name is a text";
	if (text.len > TOKEN_NAME_MAX || (text.len && memchr(text.data, 0, text.len)))
		return "name has at most 64 bytes";
	if (text.len)
		memcpy(out->name, text.data, text.len);
	if (!read_expiry(json_object_get(root, "expires"), now_ms, &out->expires_ms))
		return "expires is a time in the future, in milliseconds since 1970";
	return NULL;
}

const char *token_request_parse(struct span body, uint64_t now_ms, struct token_request *out)
{
	json_t *root = load(body);
	const char *wrong;

	*out = (struct token_request){0};
	wrong = read_token(root, now_ms, out);
	json_decref(root);
	return wrong;
}
