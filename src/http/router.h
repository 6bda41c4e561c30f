/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"

/* From the request line to a row of the table of routes. Pure functions over spans. */

enum http_method { HTTP_GET = 1, HTTP_PUT = 2, HTTP_POST = 4, HTTP_DELETE = 8 };

enum { TARGET_SEGMENTS_MAX = 16, TARGET_PARAMS_MAX = 32 };

struct target_param {
	struct span name, value; /* decoded */
};

/* A request target, taken apart. Spans live in the arena given to target_parse. */
struct target {
	struct span query; /* raw, as it came */
	size_t segment_count;
	struct span segments[TARGET_SEGMENTS_MAX]; /* decoded; empty ones are left out */
	bool has_empty;				   /* there was one, as in "/a//b" or "/a//" */
	bool trailing_slash;			   /* "/a/" */
	size_t param_count;
	struct target_param params[TARGET_PARAMS_MAX];
};

/*
 * "/api/clients/a%2Fb/3?x=1" or the same with "http://host" before it. 0; -EINVAL: not a path, or bad
 * percent-encoding; -E2BIG: more segments or parameters than there is room for; -ENOMEM.
 */
int target_parse(struct span raw, struct arena *arena, struct target *out) NODISCARD;
/* The first parameter of this name, or NULL. */
const struct target_param *target_find(const struct target *t, const char *name);

struct http_request;
typedef void http_handler(struct http_request *r);

/* What a request carries, and what it is answered with if all is well. */
enum route_body {
	BODY_NONE,
	BODY_NODE,
	BODY_NODE_MAP,
	BODY_ARGUMENTS,
	BODY_INSTANCE,
	BODY_DDF,
	BODY_SECURITY,
	BODY_CSV,
	BODY_TOKEN,
	BODY_POLICY,
	BODY_OBSERVATIONS,
	ROUTE_BODIES
};
enum route_answer {
	ANSWER_TEXT,
	ANSWER_PAGE,
	ANSWER_OPENAPI,
	ANSWER_REGISTRATIONS,
	ANSWER_REGISTRATION,
	ANSWER_RESPONSE,
	ANSWER_POLICIES,
	ANSWER_POLICY,
	ANSWER_OBSERVATIONS,
	ANSWER_REQUESTS,
	ANSWER_REQUEST,
	ANSWER_RESPONSE_OR_EMPTY, /* empty unless `active` is asked for */
	ANSWER_NOTHING,		  /* 204 */
	ANSWER_SPECS,
	ANSWER_SPEC,
	ANSWER_MODELS,
	ANSWER_MODEL,
	ANSWER_ENDPOINTS,
	ANSWER_EVENTS,
	ANSWER_EMPTY,
	ANSWER_SECURITY,
	ANSWER_SERVER_KEY,
	ANSWER_IMPORT,
	ANSWER_FAILURES,
	ANSWER_TOKENS,
	ANSWER_TOKEN,
	ANSWER_CLUSTER,
	ANSWER_OWNER,
	ANSWER_ACCEPTED, /* 202 */
	ROUTE_ANSWERS,
};

/* Who may: see access.h. */
enum route_role {
	ROLE_BY_METHOD, /* read for GET, operate for the rest */
	ROLE_ANYBODY,	/* also without a token */
	ROLE_ADMIN,
};

/*
 * One row. `pattern` has literal segments, {ep} for an endpoint, any other name in braces ({object}) for one
 * segment of a LwM2M path, and {path} for one or more of them. What stands above wins, so a row with a
 * literal suffix stands above one that would swallow it.
 */
struct route {
	enum http_method method;
	bool trap; /* exists for its error only: no part of the description of the interface */
	const char *pattern;
	http_handler *handler;
	const char *description;
	/* The rest, but the role, is for the description of the interface (openapi.c) alone. */
	const char *query;	    /* names of parameters, with spaces between; NULL: none */
	uint8_t path_min, path_max; /* how long a {path} may be */
	enum route_body body;
	enum route_answer answer;
	enum route_role role;
};

struct route_match {
	const struct route *route; /* NULL: none */
	struct span ep;
	size_t path_first, path_count; /* the segments that are the LwM2M path */
	unsigned allowed;	       /* methods for which some row fits the path; 0: nothing is here */
};
struct route_match route_find(const struct route *routes, size_t count, enum http_method method,
			      const struct target *t);

/* "GET, HEAD, PUT" */
enum { METHODS_TEXT = 48 };
const char *methods_format(unsigned methods, char text[METHODS_TEXT]);
/* 0 for methods we do not know. HEAD is GET. */
unsigned method_parse(const char *name, bool *head);
