/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Access to the routes. A token that is presented always counts, with its role, also where none is needed: a
 * caller who sends a wrong one should learn it here and not after the move to production. An event stream
 * lives long, so its token is looked at again with each heartbeat.
 */

#include "http/access.h"

#include <stdio.h>
#include <strings.h>

bool http_config_needs_token(const struct http_config *c)
{
	switch (c->require_token) {
	case HTTP_TOKEN_YES:
		return true;
	case HTTP_TOKEN_NO:
		return false;
	case HTTP_TOKEN_AUTO:
		break;
	}
	return !address_is_loopback(&c->listen) && !c->insecure_allow_remote;
}

const char *http_config_refusal(const struct http_config *c)
{
	if (address_is_loopback(&c->listen) || c->insecure_allow_remote)
		return NULL;
	if (!c->tls_certificate || !c->tls_key)
		return "can be reached by others, and there is no HTTPS: set [http] certificate and key, or "
		       "use "
		       "127.0.0.1; or set [http] insecure-allow-remote = yes if only those who may control "
		       "all "
		       "devices reach it";
	if (!http_config_needs_token(c))
		return "can be reached by others, and [http] require-token = no lets them all in: remove it, "
		       "or use 127.0.0.1; or set [http] insecure-allow-remote = yes if only those who may "
		       "control all devices reach it";
	return NULL;
}

enum token_role access_role(const struct route *route)
{
	switch (route->role) {
	case ROLE_BY_METHOD:
		return route->method == HTTP_GET ? TOKEN_READ : TOKEN_OPERATE;
	case ROLE_ANYBODY:
		return TOKEN_NONE;
	case ROLE_ADMIN:
		break;
	}
	return TOKEN_ADMIN;
}

/* The token in the header; false if there is none. */
static bool presented(const struct http_request *r, struct span *token)
{
	static const char scheme[] = "Bearer ";
	const char *header = request_header(r, MHD_HTTP_HEADER_AUTHORIZATION);

	if (!header || strncasecmp(header, scheme, strlen(scheme)))
		return false;
	*token = span_str(header + strlen(scheme));
	while (token->len && token->data[0] == ' ')
		*token = span_from(*token, 1);
	return true;
}

static bool refuse(struct http_request *r, unsigned status, const char *challenge, const char *words)
{
	request_text(r, status, "%s", words);
	if (r->response)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, challenge);
	return false;
}

static bool refuse_role(struct http_request *r, enum token_role needed)
{
	char challenge[96], words[96];

	snprintf(challenge, sizeof(challenge),
		 "Bearer realm=\"shoal\", error=\"insufficient_scope\", scope=\"%s\"",
		 token_role_name(needed));
	snprintf(words, sizeof(words), "Forbidden: this needs a token with the role %s",
		 token_role_name(needed));
	return refuse(r, MHD_HTTP_FORBIDDEN, challenge, words);
}

/* With the token that was presented. */
static bool check_token(struct http_request *r, struct span text, enum token_role needed)
{
	const struct token *token = tokens_check(r->http->config.tokens, text);

	if (!token)
		return refuse(r, MHD_HTTP_UNAUTHORIZED, "Bearer realm=\"shoal\", error=\"invalid_token\"",
			      "Unauthorized: the token is not valid, or not any more");
	if (token->role < needed)
		return refuse_role(r, needed);
	memcpy(r->token_id, token->id, sizeof(r->token_id));
	return true;
}

bool access_check(struct http_request *r)
{
	const struct http_config *config = &r->http->config;
	enum token_role needed = access_role(r->match.route);
	struct span text;

	if (needed == TOKEN_NONE || !config->tokens)
		return true;
	if (presented(r, &text))
		return check_token(r, text, needed);
	if (!http_config_needs_token(config))
		return true;
	return refuse(r, MHD_HTTP_UNAUTHORIZED, "Bearer realm=\"shoal\"",
		      "Unauthorized: this needs a token (Authorization: Bearer ...); shoalctl token "
		      "create makes one");
}

bool access_check_token(struct http_request *r, struct span text, bool required)
{
	enum token_role needed = access_role(r->match.route);

	if (needed == TOKEN_NONE || (!text.len && !required))
		return true;
	if (text.len && r->http->config.tokens)
		return check_token(r, text, needed);
	return refuse(r, MHD_HTTP_UNAUTHORIZED, "Bearer realm=\"shoal\"",
		      "Unauthorized: this needs a token; shoalctl token create makes one");
}

void access_tick(struct http *h)
{
	list_for_each (node, &h->requests) {
		struct http_request *r = container_of(node, struct http_request, node);

		if (r->stream && r->token_id[0] && !tokens_find(h->config.tokens, span_str(r->token_id)))
			r->stream_stop(r->stream, "unauthorized");
	}
}
