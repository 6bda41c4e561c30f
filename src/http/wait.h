/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/private.h"

/*
 * For a call that cannot be called off: what it needs until it calls back lives in a struct of its own, which
 * begins with a struct waiter and outlives its request.
 */
struct waiter {
	struct http *http;
	struct http_request *request; /* NULL: nobody waits any more */
};

/* `size` zeroed bytes, beginning with a waiter; NULL: out of memory, and the request is answered. */
void *wait_new(struct http_request *r, size_t size) NODISCARD;
/* The request, which waits no longer and has to be answered; NULL if there is none. The waiter is the
 * caller's to free. */
struct http_request *wait_end(struct waiter *w);
