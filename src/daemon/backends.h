/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "daemon/settings.h"
#include "http/http.h"
#include "model/registry.h"
#include "store/store.h"
#include "streams/streams.h"

#include <uv.h>

/* What a node does for backends that talk through the store alone. */

struct backends;

/* All borrowed until backends_free. */
struct backends_parts {
	const struct daemon_settings *settings;
	uv_loop_t *loop;
	struct log *log;
	struct store *store;
	const struct registry *registry;
};

/* *out stays NULL if there is nothing to do. Says what is wrong with the settings (-EINVAL). */
int backends_new(const struct backends_parts *parts, struct backends **out) NODISCARD;
/* Requests come from now on. */
int backends_serve(struct backends *b, struct http *http) NODISCARD;
/* Instead of store_write. */
int backends_write(struct backends *b, const struct store_write *w, store_written_fn *done,
		   void *ctx) NODISCARD;
/* Before the listener over HTTP is stopped. Takes NULL. `stopped` perhaps within the call. */
void backends_stop(struct backends *b, void (*stopped)(void *ctx), void *ctx);
/* After the store was closed. */
struct backends *backends_free(struct backends *b);
