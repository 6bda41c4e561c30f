/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/private.h"

/*
 * Requests for devices of other nodes: passed on as a whole to the node that has the device, and executed
 * there by the same handlers. Who may ask was checked where the request came in.
 */

/* Whether this request is for a device that may be another node's; then remote_route does the rest. */
bool remote_concerns(const struct http_request *r);
void remote_route(struct http_request *r);
/* Whether there are other nodes that it may be passed on to: it did not come from one of them. */
bool remote_may_pass(const struct http_request *r);

/* ---- for request.c, of requests that were passed on to us ---- */

/* Takes the answer. */
void remote_reply(struct http_request *r, unsigned status, const char *type, struct span body, bool retry);
const char *remote_content_type(const struct http_request *r);
/* The request is freed; if it has no answer, it gets an empty one. */
void remote_free(struct http_request *r);
/* Frees requests whose answers are on their way. */
void remote_sweep(struct http *h);
