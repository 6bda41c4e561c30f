/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The door to every backend: picks one by the URL's scheme, and checks what does not depend on it - lengths,
 * numbers, sense of the arguments - so that a backend can rely on them and none forgets one. Keeps no state
 * of its own.
 */

#include "store/store.h"

#include "base/clock.h"
#include "store/backend.h"

#include <errno.h>

static const struct {
	const char *scheme;
	const struct store_backend *backend;
} schemes[] = {
	{"lmdb:", &lmdb_backend},
	{"redis:", &redis_backend},
	{"rediss:", &redis_backend},
	{"redis+unix:", &redis_backend},
};

void store_options_init(struct store_options *o)
{
	*o = (struct store_options){
		.durability = STORE_DURABILITY_DEFAULT,
		.size_max = (uint64_t)8 << 30,
		.journal_age_max_ms = (uint64_t)7 * 24 * 3600 * 1000,
		.journal_bytes_max = (uint64_t)2 << 30,
		.tail_max = 250000,
		.pending_bytes_max = (size_t)64 << 20,
		.commit_interval_ms = 10,
		.patience_ms = 100,
		.wall_ms = clock_wall_ms,
		.timeout_ms = 10000,
	};
}

int store_open(const char *url, const struct store_options *options, uint32_t node, struct uv_loop_s *loop,
	       struct log *log, struct store **out)
{
	*out = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i].scheme);

		if (strncmp(url, schemes[i].scheme, len) == 0 && url[len])
			return schemes[i].backend->open(url, options, node, loop, log, out);
	}
	/* It may carry a password: only what stands before the first colon is said. */
	log_event(log, LOG_ERROR, "store-unknown", "scheme=%s hint=\"write lmdb:DIRECTORY or redis://HOST\"",
		  LOG_SPAN(span_of(url, strcspn(url, ":"))));
	return -EINVAL;
}

void store_close(struct store *s, void (*closed)(void *ctx), void *ctx)
{
	s->backend->close(s, closed, ctx);
}

struct siphash_key store_hash_key(const struct store *s)
{
	return s->hash_key;
}

uint64_t store_incarnation(const struct store *s)
{
	return s->incarnation;
}

bool store_healthy(const struct store *s, const char **why)
{
	return s->backend->healthy(s, why);
}

void store_stats(const struct store *s, struct store_stats *out)
{
	s->backend->stats(s, out);
}

/* ---- checks ---- */

static int check_role(enum store_role role)
{
	return role == STORE_MANAGEMENT || role == STORE_BOOTSTRAP ? 0 : -EINVAL;
}

static int check_key(struct store_key key)
{
	if (key.endpoint.len == 0 || check_role(key.role) < 0)
		return -EINVAL;
	return key.endpoint.len > STORE_ENDPOINT_MAX ? -EMSGSIZE : 0;
}

static int check_name(struct span name)
{
	if (name.len == 0)
		return -EINVAL;
	return name.len > STORE_NAME_MAX ? -EMSGSIZE : 0;
}

static int check_index_changes(const struct store_write *w)
{
	if (w->index_count > STORE_INDEX_CHANGES_MAX)
		return -EMSGSIZE;
	for (size_t i = 0; i < w->index_count; i++) {
		int err = check_name(w->index[i].key);

		if (err < 0)
			return err;
	}
	return 0;
}

static int check_write(const struct store_write *w)
{
	int err = check_key(w->key);

	if (err < 0)
		return err;
	if (w->record.len > STORE_RECORD_MAX || w->event_body.len > STORE_EVENT_MAX)
		return -EMSGSIZE;
	if (w->hot->number == 0 || w->hot->dedup.next >= COAP_DEDUP_ENTRIES)
		return -EINVAL;
	if (w->dedup_index < -1 || w->dedup_index >= COAP_DEDUP_ENTRIES)
		return -EINVAL;
	if (!w->event && (w->event_body.len || w->event_text))
		return -EINVAL;
	if (w->event_text && w->event_text->json.len + w->event_text->replaced.len > STORE_EVENT_TEXT_MAX)
		return -EMSGSIZE;
	return check_index_changes(w);
}

static int check_request(struct store_key key, const struct store_request *r)
{
	int err = check_key(key);

	if (err < 0)
		return err;
	if (r->id.len == 0)
		return -EINVAL;
	return r->id.len > STORE_REQUEST_ID_MAX || r->body.len > STORE_REQUEST_MAX ? -EMSGSIZE : 0;
}

/* ---- devices ---- */

int store_write(struct store *s, const struct store_write *w, store_written_fn *done, void *ctx)
{
	int err = check_write(w);

	return err < 0 ? err : s->backend->write(s, w, NULL, done, ctx);
}

int store_hand_over(struct store *s, const struct store_write *w, const struct store_fence *to,
		    store_written_fn *done, void *ctx)
{
	int err = check_write(w);

	if (err < 0)
		return err;
	if (w->change == STORE_RECORD_DELETE)
		return -EINVAL;
	return s->backend->write(s, w, to, done, ctx);
}

int store_claim(struct store *s, struct store_key key, const struct store_fence *expected,
		store_device_fn *done, void *ctx)
{
	int err = check_key(key);

	return err < 0 ? err : s->backend->claim(s, key, expected, done, ctx);
}

int store_find(struct store *s, struct store_key key, store_device_fn *done, void *ctx)
{
	int err = check_key(key);

	return err < 0 ? err : s->backend->find(s, key, done, ctx);
}

int store_scan(struct store *s, enum store_role role,
	       int (*each)(void *ctx, const struct store_device *device), void *ctx)
{
	return s->backend->scan(s, role, each, ctx);
}

int store_find_hash(struct store *s, enum store_role role, uint32_t hash, store_device_fn *each, void *ctx)
{
	int err = check_role(role);

	if (!s->backend->find_hash)
		return -ENOTSUP;
	return err < 0 ? err : s->backend->find_hash(s, role, hash, each, ctx);
}

int store_walk(struct store *s, enum store_role role, uint64_t cursor, size_t count, store_walk_fn *each,
	       void *ctx)
{
	int err = count ? check_role(role) : -EINVAL;

	if (!s->backend->walk)
		return -ENOTSUP;
	return err < 0 ? err : s->backend->walk(s, role, cursor, count, each, ctx);
}

int store_expired(struct store *s, enum store_role role, size_t count, uint64_t defer_ms,
		  store_device_fn *each, void *ctx)
{
	int err = count ? check_role(role) : -EINVAL;

	if (!s->backend->expired)
		return -ENOTSUP;
	return err < 0 ? err : s->backend->expired(s, role, count, defer_ms, each, ctx);
}

int store_expiry_set(struct store *s, struct store_key key, uint64_t at_ms, store_device_fn *done, void *ctx)
{
	int err = check_key(key);

	if (!s->backend->expiry_set)
		return -ENOTSUP;
	return err < 0 ? err : s->backend->expiry_set(s, key, at_ms, done, ctx);
}

int store_index_find(struct store *s, enum store_index kind, struct span key, store_index_fn *done, void *ctx)
{
	int err = check_name(key);

	return err < 0 ? err : s->backend->index_find(s, kind, key, done, ctx);
}

/* ---- events ---- */

int store_events_read(struct store *s, struct store_cursor after, size_t count, store_events_fn *done,
		      void *ctx)
{
	if (count == 0)
		return -EINVAL;
	return s->backend->events_read(s, after, count, done, ctx);
}

struct store_cursor store_events_end(const struct store *s)
{
	return s->backend->events_end(s);
}

void store_on_events(struct store *s, void (*grown)(void *ctx), void *ctx)
{
	s->backend->on_events(s, grown, ctx);
}

/* ---- documents ---- */

int store_document_put(struct store *s, enum store_document kind, struct span name, struct span body,
		       uint64_t expected, store_document_fn *done, void *ctx)
{
	int err = check_name(name);

	if (err < 0)
		return err;
	if (body.len > STORE_DOCUMENT_MAX)
		return -EMSGSIZE;
	return s->backend->document_put(s, kind, name, body, expected, done, ctx);
}

int store_document_delete(struct store *s, enum store_document kind, struct span name,
			  store_document_fn *done, void *ctx)
{
	int err = check_name(name);

	return err < 0 ? err : s->backend->document_delete(s, kind, name, done, ctx);
}

int store_document_get(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
		       void *ctx)
{
	int err = check_name(name);

	return err < 0 ? err : s->backend->document_get(s, kind, name, done, ctx);
}

int store_document_list(struct store *s, enum store_document kind, struct span after, size_t count,
			store_document_fn *each, void *ctx)
{
	if (count == 0)
		return -EINVAL;
	if (after.len > STORE_NAME_MAX)
		return -EMSGSIZE;
	return s->backend->document_list(s, kind, after, count, each, ctx);
}

/* ---- requests ---- */

int store_request_add(struct store *s, struct store_key key, const struct store_request *r, size_t max,
		      store_request_fn *done, void *ctx)
{
	int err = check_request(key, r);

	if (err < 0)
		return err;
	return r->state == 0 ? -EINVAL : s->backend->request_add(s, key, r, max, done, ctx);
}

int store_request_set(struct store *s, struct store_key key, const struct store_fence *fence,
		      const struct store_request *r, store_request_fn *done, void *ctx)
{
	int err = check_request(key, r);

	return err < 0 ? err : s->backend->request_set(s, key, fence, r, done, ctx);
}

int store_request_list(struct store *s, struct store_key key, store_request_fn *each, void *ctx)
{
	int err = check_key(key);

	return err < 0 ? err : s->backend->request_list(s, key, each, ctx);
}

/* ---- leases ---- */

int store_lease_take(struct store *s, struct span body, uint64_t ttl_ms, store_lease_fn *done, void *ctx)
{
	if (ttl_ms == 0)
		return -EINVAL;
	return body.len > STORE_RECORD_MAX ? -EMSGSIZE : s->backend->lease_take(s, body, ttl_ms, done, ctx);
}

int store_lease_drop(struct store *s, store_lease_fn *done, void *ctx)
{
	return s->backend->lease_drop(s, done, ctx);
}

int store_lease_list(struct store *s, store_lease_fn *each, void *ctx)
{
	return s->backend->lease_list(s, each, ctx);
}

uint64_t store_now_ms(const struct store *s)
{
	return s->backend->now_ms(s);
}

uint64_t store_silent_ms(const struct store *s)
{
	return s->backend->silent_ms(s);
}
