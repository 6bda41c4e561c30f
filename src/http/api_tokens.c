/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bearer tokens: list, make, revoke. The secret is in the answer that makes it, and nowhere afterwards.
 */

#include "http/api.h"
#include "http/json.h"
#include "http/security_input.h"
#include "http/wait.h"

#include <errno.h>

enum { LIST_MAX = 1024 * 1024, ONE_MAX = 4096 };

static bool has_tokens(struct http_request *r)
{
	if (r->http->config.tokens)
		return true;
	request_problem(r, MHD_HTTP_NOT_FOUND, "No tokens", "This server keeps no tokens.");
	return false;
}

/* `secret` NULL: it is not told. */
static void token_json(struct json *j, const struct token *t, const char *secret)
{
	json_open(j, '{');
	json_member_str(j, "id", t->id);
	json_member_str(j, "role", token_role_name(t->role));
	if (t->name[0])
		json_member_str(j, "name", t->name);
	json_member_uint(j, "created", t->created_ms);
	if (t->expires_ms)
		json_member_uint(j, "expires", t->expires_ms);
	if (secret)
		json_member_str(j, "token", secret);
	json_close(j, '}');
}

void api_tokens_list(struct http_request *r)
{
	const struct token *t = NULL;
	struct buffer text = buffer_of(LIST_MAX);
	struct json json = json_to(&text);

	if (!has_tokens(r))
		return;
	json_open(&json, '[');
	while ((t = tokens_next(r->http->config.tokens, t)))
		token_json(&json, t, NULL);
	json_close(&json, ']');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

/* ---- making one ---- */

static void on_created(void *ctx, int result, const struct token *token, const char *secret)
{
	struct waiter *w = ctx;
	struct http_request *r = wait_end(w);
	struct buffer text = buffer_of(ONE_MAX);
	struct json json = json_to(&text);

	free(w);
	if (r && result == 0) {
		token_json(&json, token, secret);
		request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
	} else if (r) {
		request_busy(r, "Service unavailable: the token could not be stored");
	}
}

void api_token_create(struct http_request *r)
{
	struct token_request wanted;
	const char *wrong;
	struct waiter *w;
	int err;

	if (!has_tokens(r))
		return;
	wrong = token_request_parse(buffer_span(&r->body), r->http->config.wall_ms(), &wanted);
	if (wrong) {
		request_problem(r, MHD_HTTP_BAD_REQUEST, "Not a token", wrong);
		return;
	}
	w = wait_new(r, sizeof(*w));
	if (!w)
		return;
	err = tokens_create(r->http->config.tokens, wanted.role, span_str(wanted.name), wanted.expires_ms,
			    on_created, w);
	if (!err)
		return;
	wait_end(w);
	free(w);
	if (err == -ENOSPC)
		request_problem(r, MHD_HTTP_CONFLICT, "Too many tokens",
				"There are as many tokens as there may be; revoke some.");
	else
		request_busy(r, "Service unavailable: the token cannot be stored now");
}

/* ---- revoking one ---- */

static void on_revoked(void *ctx, int result)
{
	struct waiter *w = ctx;
	struct http_request *r = wait_end(w);
	struct buffer nothing = buffer_of(0);

	free(w);
	if (r && result >= 0)
		request_reply(r, MHD_HTTP_NO_CONTENT, NULL, &nothing);
	else if (r)
		request_busy(r, "Service unavailable: the token could not be revoked");
}

void api_token_revoke(struct http_request *r)
{
	struct waiter *w;
	int err;

	if (!has_tokens(r))
		return;
	w = wait_new(r, sizeof(*w));
	if (!w)
		return;
	err = tokens_revoke(r->http->config.tokens, r->target.segments[r->match.path_first], on_revoked, w);
	if (!err)
		return;
	wait_end(w);
	free(w);
	if (err == -ENOENT)
		request_problem(r, MHD_HTTP_NOT_FOUND, "No such token",
				"There is no token with this id; GET /api/tokens lists all.");
	else
		request_busy(r, "Service unavailable: the token cannot be revoked now");
}
