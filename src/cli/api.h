/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "cli/cli.h"

/* Calls of the northbound interface, and its refusals in words. All return an enum cli_exit. */

struct api_request {
	const char *method;
	const char *path;	  /* encoded */
	const char *content_type; /* NULL: no body */
	struct span body;
	const char *ep;	  /* for messages; NULL: none */
	unsigned extra_s; /* how much longer than usual the answer may take */
};

struct api_reply {
	struct response response;
	json_t *json; /* NULL: an empty body */
};

#define _cleanup_reply_ _cleanup_(api_reply_deinit)
void api_reply_deinit(struct api_reply *r);

/* A refusal (status 400 and above) is told, and is EXIT_REFUSED. */
int api_call(struct cli *c, const struct api_request *request, struct api_reply *out) NODISCARD;
/*
 * A request to the device itself, which waits `timeout_s`: the device's error is told too. *delayed: the
 * device sleeps, and the answer will come later (told). With --json the answer is printed, whatever it is.
 */
int api_device_call(struct cli *c, const struct api_request *request, struct api_reply *out,
		    bool *delayed) NODISCARD;

/* "/api/clients/dev-1" and, if not empty, a LwM2M path and a suffix: freed by the caller; NULL: out of
 * memory. */
char *api_device_path(const char *ep, const char *path, const char *suffix) NODISCARD;
/* Appends "?name=value" or "&name=value" to what api_device_path returned; frees it and returns another. */
char *api_add_query(char *path, const char *name, const char *value) NODISCARD;

/* "NOT_FOUND(404)" as "4.04 Not Found", what is not of this form as it is. Returns `text`. */
enum { STATUS_TEXT = 80 };
const char *api_status_text(const char *status, char text[STATUS_TEXT]);
