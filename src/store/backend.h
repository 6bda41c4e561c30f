/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "store/store.h"

/*
 * What a backend has to do: the functions of store.h, with arguments that store.c has checked already. A
 * backend's own struct begins with a struct store. NULL: it cannot (-ENOTSUP); only find_hash, walk, expired
 * and expiry_set may be.
 */

struct store_backend {
	int (*open)(const char *url, const struct store_options *options, uint32_t node,
		    struct uv_loop_s *loop, struct log *log, struct store **out);
	void (*close)(struct store *s, void (*closed)(void *ctx), void *ctx);
	bool (*healthy)(const struct store *s, const char **why);
	void (*stats)(const struct store *s, struct store_stats *out);

	/* `to` NULL: a write, else a hand-over. */
	int (*write)(struct store *s, const struct store_write *w, const struct store_fence *to,
		     store_written_fn *done, void *ctx);
	int (*claim)(struct store *s, struct store_key key, const struct store_fence *expected,
		     store_device_fn *done, void *ctx);
	int (*find)(struct store *s, struct store_key key, store_device_fn *done, void *ctx);
	int (*scan)(struct store *s, enum store_role role,
		    int (*each)(void *ctx, const struct store_device *device), void *ctx);
	int (*find_hash)(struct store *s, enum store_role role, uint32_t hash, store_device_fn *each,
			 void *ctx);
	int (*walk)(struct store *s, enum store_role role, uint64_t cursor, size_t count, store_walk_fn *each,
		    void *ctx);
	int (*expired)(struct store *s, enum store_role role, size_t count, uint64_t defer_ms,
		       store_device_fn *each, void *ctx);
	int (*expiry_set)(struct store *s, struct store_key key, uint64_t at_ms, store_device_fn *done,
			  void *ctx);
	int (*index_find)(struct store *s, enum store_index kind, struct span key, store_index_fn *done,
			  void *ctx);

	int (*events_read)(struct store *s, struct store_cursor after, size_t count, store_events_fn *done,
			   void *ctx);
	struct store_cursor (*events_end)(const struct store *s);
	void (*on_events)(struct store *s, void (*grown)(void *ctx), void *ctx);

	int (*document_put)(struct store *s, enum store_document kind, struct span name, struct span body,
			    uint64_t expected, store_document_fn *done, void *ctx);
	int (*document_delete)(struct store *s, enum store_document kind, struct span name,
			       store_document_fn *done, void *ctx);
	int (*document_get)(struct store *s, enum store_document kind, struct span name,
			    store_document_fn *done, void *ctx);
	int (*document_list)(struct store *s, enum store_document kind, struct span after, size_t count,
			     store_document_fn *each, void *ctx);

	int (*request_add)(struct store *s, struct store_key key, const struct store_request *r, size_t max,
			   store_request_fn *done, void *ctx);
	int (*request_set)(struct store *s, struct store_key key, const struct store_fence *fence,
			   const struct store_request *r, store_request_fn *done, void *ctx);
	int (*request_list)(struct store *s, struct store_key key, store_request_fn *each, void *ctx);

	int (*lease_take)(struct store *s, struct span body, uint64_t ttl_ms, store_lease_fn *done,
			  void *ctx);
	int (*lease_drop)(struct store *s, store_lease_fn *done, void *ctx);
	int (*lease_list)(struct store *s, store_lease_fn *each, void *ctx);
	uint64_t (*now_ms)(const struct store *s);
	uint64_t (*silent_ms)(const struct store *s);
};

struct store {
	const struct store_backend *backend;
	struct siphash_key hash_key;
	uint64_t incarnation;
};

extern const struct store_backend lmdb_backend, redis_backend;
