/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Requests that wait for a callback which comes in any case, also when their client is gone. */

#include "http/wait.h"

static void abandoned(struct http_request *r)
{
	r->waiter->request = NULL;
	r->waiter = NULL;
}

void *wait_new(struct http_request *r, size_t size)
{
	struct waiter *w = calloc(1, size);

	if (!w) {
		request_busy(r, "Service unavailable: out of memory");
		return NULL;
	}
	w->http = r->http;
	w->request = r;
	r->waiter = w;
	r->cancel = abandoned;
	return w;
}

struct http_request *wait_end(struct waiter *w)
{
	struct http_request *r = w->request;

	if (r) {
		r->waiter = NULL;
		r->cancel = NULL;
	}
	w->request = NULL;
	return r;
}
