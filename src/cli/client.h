/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

#include <curl/curl.h>
#include <stdio.h>

/* HTTP towards the server. */

struct client {
	char *url; /* without a slash at the end; owned */
	CURL *easy;
	FILE *error;
	const char *token; /* borrowed; NULL: none */
	const char *ca;	   /* borrowed: file of certificates; NULL: those of the system */
};

struct response {
	long status;
	struct buffer body; /* NUL behind it */
};

#define _cleanup_response_ _cleanup_(response_deinit)
void response_deinit(struct response *r);

/* EXIT_OK, or EXIT_USAGE for a URL that is none, told on `error`. client_deinit is harmless in any case. */
int client_init(struct client *c, const char *url, FILE *error) NODISCARD;
void client_deinit(struct client *c);
/*
 * One request. `path` is encoded already and begins with "/"; `content_type` NULL: no body. `timeout_s`: for
 * the whole of it. EXIT_OK with *out filled in (whatever the status), or EXIT_UNREACHABLE, told on `error`.
 */
int client_request(struct client *c, const char *method, const char *path, const char *content_type,
		   struct span body, unsigned timeout_s, struct response *out) NODISCARD;
/* What all handles share: URL of `path`, proxies, protocols. CURLE_OK, or why not. */
CURLcode client_prepare(const struct client *c, CURL *easy, const char *path);
/* Tells that nobody answers, and what to do about it. */
void client_complain(const struct client *c, CURLcode why);
