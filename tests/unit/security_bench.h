/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/* A real store in a directory of its own, with a vault, on a loop that turns while the test waits. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "security/credentials.h"

#include <uv.h>

static struct {
	uv_loop_t loop;
	struct log log;
	char directory[64];
	struct store *store;
	struct vault vault;
	bool closed;
	size_t waiting; /* calls that have not called back */
} bench;

static inline void bench_open(void)
{
	struct store_options options;
	char url[80];

	store_options_init(&options);
	options.size_max = 64 << 20;
	snprintf(url, sizeof(url), "lmdb:%s", bench.directory);
	bench.closed = false;
	assert_int_equal(store_open(url, &options, 1, &bench.loop, &bench.log, &bench.store), 0);
}

static inline int bench_set_up(void **state)
{
	static const struct vault_key key = {{1, 2, 3}};
	static const uint8_t salt[VAULT_SALT] = {9};

	(void)state;
	memset(&bench, 0, sizeof(bench));
	uv_loop_init(&bench.loop);
	log_init(&bench.log, STDERR_FILENO, LOG_ERROR);
	snprintf(bench.directory, sizeof(bench.directory), "/tmp/shoal-security-XXXXXX");
	if (!mkdtemp(bench.directory))
		return -1;
	vault_init(&bench.vault, &key, 1, 1, salt);
	bench_open();
	return 0;
}

static inline void bench_run(void)
{
	while (bench.waiting)
		assert_true(uv_run(&bench.loop, UV_RUN_ONCE) || !bench.waiting);
}

static inline void bench_store_closed(void *ctx)
{
	(void)ctx;
	bench.closed = true;
}

static inline void bench_close(void)
{
	store_close(bench.store, bench_store_closed, NULL);
	while (!bench.closed)
		uv_run(&bench.loop, UV_RUN_ONCE);
	bench.store = NULL;
}

static inline int bench_tear_down(void **state)
{
	static const char *const files[] = {"data.mdb", "lock.mdb", "lock", "shoal.lock"};
	char path[128];

	(void)state;
	if (bench.store)
		bench_close();
	uv_run(&bench.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&bench.loop), 0);
	vault_deinit(&bench.vault);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", bench.directory, files[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(bench.directory), 0);
	return 0;
}

/* ---- documents, as they are ---- */

struct bench_document {
	int result;
	uint8_t body[2048];
	size_t len;
	uint64_t version;
};

static inline void bench_on_document(void *ctx, int result, struct span name, struct span body,
				     uint64_t version)
{
	struct bench_document *d = ctx;

	(void)name;
	bench.waiting--;
	d->result = result;
	d->version = version;
	d->len = MIN(body.len, sizeof(d->body));
	if (d->len)
		memcpy(d->body, body.data, d->len);
}

static inline struct bench_document bench_get(enum store_document kind, struct span name)
{
	struct bench_document d = {0};

	bench.waiting++;
	assert_int_equal(store_document_get(bench.store, kind, name, bench_on_document, &d), 0);
	bench_run();
	return d;
}

static inline void bench_put(enum store_document kind, struct span name, struct span body)
{
	struct bench_document d = {0};

	bench.waiting++;
	assert_int_equal(store_document_put(bench.store, kind, name, body, UINT64_MAX, bench_on_document, &d),
			 0);
	bench_run();
	assert_int_equal(d.result, STORE_DONE);
}
