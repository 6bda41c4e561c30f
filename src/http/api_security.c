/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Credentials of devices, in the JSON of the compatible interface, and what devices see of this server.
 * Keys come in and never go out: what is told of one is a fingerprint. A change outlives the request that
 * asked for it.
 */

#include "codec/base64.h"
#include "http/api.h"
#include "http/json.h"
#include "http/security_input.h"
#include "http/wait.h"
#include "security/certificate.h"

#include <errno.h>

enum { LIST_MAX = 64 * 1024 * 1024, SERVER_TEXT_MAX = 64 * 1024 };

/* False: the request is answered. */
static bool has_credentials(struct http_request *r)
{
	if (r->http->config.credentials)
		return true;
	request_text(r, MHD_HTTP_NOT_FOUND, "Not found");
	return false;
}

/* ---- the list ---- */

struct list_wait {
	struct waiter waiter;
	struct buffer text;
	struct json json;
};

static void entry_json(struct json *j, const char *member, const struct credential_entry *e)
{
	json_key(j, member);
	json_open(j, '{');
	json_member_str(j, "mode", credential_mode_name(e->mode));
	if (e->mode != CREDENTIAL_X509) {
		json_key(j, "details");
		json_open(j, '{');
		if (e->mode == CREDENTIAL_PSK)
			json_member_bytes(j, "identity", "identityHex", credential_id(e));
		json_key(j, "fingerprint");
		json_hex(j, span_of(e->fingerprint, sizeof(e->fingerprint)));
		json_close(j, '}');
	}
	json_close(j, '}');
}

static bool on_each(void *ctx, struct span endpoint, const struct credential_list *list)
{
	struct list_wait *w = ctx;
	static const char *const members[] = {"tls", "next"};

	if (!w->waiter.request)
		return false;
	if (list->count) {
		json_open(&w->json, '{');
		json_member_text(&w->json, "endpoint", endpoint);
		for (size_t i = 0; i < MIN(list->count, ARRAY_SIZE(members)); i++)
			entry_json(&w->json, members[i], &list->items[i]);
		json_close(&w->json, '}');
	}
	return !w->text.failed;
}

static void on_listed(void *ctx, int result)
{
	struct list_wait *w = ctx;
	struct http_request *r = wait_end(&w->waiter);

	json_close(&w->json, ']');
	if (r && result == CREDENTIALS_DONE)
		request_reply(r, MHD_HTTP_OK, TYPE_JSON, &w->text);
	else if (r)
		request_busy(r, "Service unavailable: the credentials cannot be read now");
	buffer_deinit(&w->text);
	free(w);
}

/* A number in the query: `fallback` if there is none; false: the request is answered. */
static bool query_count(struct http_request *r, const char *name, size_t fallback, size_t *out)
{
	const struct target_param *param = target_find(&r->target, name);
	uint64_t value = fallback;

	if (param && (!span_to_uint(param->value, UINT32_MAX, &value) || !value)) {
		api_invalid(r, "%s is a number from 1 on", name);
		return false;
	}
	*out = value;
	return true;
}

void api_security_list(struct http_request *r)
{
	const struct target_param *after = target_find(&r->target, "after");
	struct list_wait *w;
	size_t count;

	if (!has_credentials(r) || !query_count(r, "limit", SIZE_MAX, &count))
		return;
	w = wait_new(r, sizeof(*w));
	if (!w)
		return;
	w->text = buffer_of(LIST_MAX);
	w->json = json_to(&w->text);
	json_open(&w->json, '[');
	if (credentials_list(r->http->config.credentials, after ? after->value : span_of(NULL, 0), count,
			     on_each, on_listed, w))
		on_listed(w, -EBUSY);
}

/* ---- changes ---- */

static void on_put(void *ctx, int result)
{
	struct waiter *w = ctx;
	struct http_request *r = wait_end(w);
	struct buffer nothing = buffer_of(0);

	free(w);
	if (!r)
		return;
	if (result == CREDENTIALS_DONE)
		request_reply(r, MHD_HTTP_OK, NULL, &nothing);
	else if (result == CREDENTIALS_IN_USE || result == CREDENTIALS_NOT_NEW)
		api_invalid(r, "%s", credentials_words(result));
	else
		request_busy(r, "Service unavailable: %s", credentials_words(result));
}

void api_security_put(struct http_request *r)
{
	_cleanup_credential_ struct credential_input input;
	const char *wrong;
	struct waiter *w;

	if (!has_credentials(r))
		return;
	r->secret = true;
	wrong = security_info_parse(buffer_span(&r->body), target_find(&r->target, "rotate"), &input);
	if (wrong) {
		request_text(r, MHD_HTTP_BAD_REQUEST, "Invalid request body: %s", wrong);
		return;
	}
	w = wait_new(r, sizeof(*w));
	if (w && credentials_put(r->http->config.credentials, &input.credential, on_put, w))
		on_put(w, -EBUSY);
}

static void on_removed(void *ctx, int result)
{
	struct waiter *w = ctx;
	struct http_request *r = wait_end(w);
	struct buffer text = buffer_of(64);

	free(w);
	if (!r)
		return;
	if (result == CREDENTIALS_ABSENT)
		buffer_str(&text, "{\"message\":\"not_found\"}");
	if (result == CREDENTIALS_DONE || result == CREDENTIALS_ABSENT)
		request_reply(r, MHD_HTTP_OK, text.len ? TYPE_JSON : NULL, &text);
	else
		request_busy(r, "Service unavailable: the credentials could not be removed");
}

void api_security_remove(struct http_request *r)
{
	struct waiter *w;
	int err;

	if (!has_credentials(r))
		return;
	w = wait_new(r, sizeof(*w));
	if (!w)
		return;
	err = credentials_delete(r->http->config.credentials, r->match.ep, on_removed, w);
	/* An endpoint that cannot be has no credentials. */
	if (err)
		on_removed(w, err == -EINVAL ? CREDENTIALS_ABSENT : err);
}

/* ---- what devices see of us ---- */

static const struct {
	const char *name, *java;
} curves[] = {
	{"SECP256R1", "secp256r1 [NIST P-256,X9.62 prime256v1] (1.2.840.10045.3.1.7)"},
	{"SECP384R1", "secp384r1 [NIST P-384] (1.3.132.0.34)"},
	{"SECP521R1", "secp521r1 [NIST P-521] (1.3.132.0.35)"},
};

static const char *curve_text(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(curves); i++) {
		if (!strcmp(curves[i].name, name))
			return curves[i].java;
	}
	return name;
}

static void base64_member(struct json *j, const char *name, struct span der)
{
	_cleanup_buffer_ struct buffer text = buffer_of(SERVER_TEXT_MAX);

	base64_encode(&text, der, BASE64_STANDARD);
	json_member_text(j, name, buffer_span(&text));
}

static void public_key_json(struct json *j, struct span spki)
{
	struct public_key key;

	json_key(j, "pubkey");
	json_open(j, '{');
	if (public_key_parse(spki, &key) == 0) {
		json_key(j, "x");
		json_hex(j, span_of(key.x, key.x_len));
		json_key(j, "y");
		json_hex(j, span_of(key.y, key.y_len));
		json_member_str(j, "params", curve_text(key.curve));
	}
	base64_member(j, "b64Der", spki);
	json_close(j, '}');
}

static void certificate_json(struct json *j, struct span der)
{
	_cleanup_buffer_ struct buffer spki = buffer_of(CERTIFICATE_DER_MAX);

	json_key(j, "certificate");
	json_open(j, '{');
	if (certificate_public_key(der, &spki) == 0)
		public_key_json(j, buffer_span(&spki));
	base64_member(j, "b64Der", der);
	json_close(j, '}');
}

void api_security_server(struct http_request *r)
{
	const struct http_config *config = &r->http->config;
	struct buffer text = buffer_of(SERVER_TEXT_MAX);
	struct json json = json_to(&text);

	json_open(&json, '{');
	if (config->certificate.len)
		certificate_json(&json, config->certificate);
	else if (config->public_key.len)
		public_key_json(&json, config->public_key);
	json_close(&json, '}');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}
