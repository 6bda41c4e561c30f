/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Documents. Each lies in the partition of its name, where a list of names and the counter of versions are
 * too, so that a change is one script.
 *
 * A list in the order of names takes some names from each partition. Where a partition may have more, nothing
 * behind its last name can be handed out yet. Then the documents are fetched, a few at a time.
 */

#include "store/redis.h"

#include <errno.h>

enum { LIST_BYTES = 1 << 20, FETCH_FIRST = 8, FETCH_MAX = 256, NAMES_MIN = 4, NAMES_MEMORY = 64 << 20 };

struct document_call {
	struct redis_call call;
	store_document_fn *done;
	void *ctx;
	uint8_t name[STORE_NAME_MAX];
	size_t len;
	uint8_t ticket[REDIS_TICKET];
};

static struct document_call *document_call_new(struct redis *r, struct span name, redis_answer_fn *answer,
					       store_document_fn *done, void *ctx)
{
	struct document_call *c = redis_call_new(r, sizeof(*c), answer);

	if (!c)
		return NULL;
	c->done = done;
	c->ctx = ctx;
	c->len = name.len;
	memcpy(c->name, name.data, name.len);
	return c;
}

static void tell(struct document_call *c, int result, struct span body, uint64_t version)
{
	c->done(c->ctx, result, span_of(c->name, c->len), body, version);
}

static const struct span nothing = {NULL, 0};

/* Document, list of names, counter of versions: as many of them as a command takes. */
static void arg_document_keys(struct redis_call *c, enum store_document kind, struct span name,
			      unsigned count)
{
	const struct redis_layout *l = &c->redis->layout;
	uint32_t p = redis_document_partition(l, kind, name);
	struct redis_key k;

	redis_arg(c, redis_document_key(&k, l, p, kind, name));
	if (count > 1)
		redis_arg(c, redis_names_key(&k, l, p, kind));
	if (count > 2)
		redis_arg(c, redis_versions_key(&k, l, p));
}

/* ---- changes ---- */

static void on_put(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct document_call *c = container_of(call, struct document_call, call);
	uint64_t result = redis_item_uint(reply, 0, UINT64_MAX);
	struct span value = redis_item_bytes(reply, 1);
	struct redis_document d = {0};

	if (err == 0 && (result > STORE_REFUSED || (value.len && !redis_document_decode(value, &d))))
		err = -EBADMSG;
	if (err < 0) {
		tell(c, err, nothing, 0);
		return;
	}
	/* Sent again, it finds its own. */
	if (result == STORE_REFUSED && call->again &&
	    span_equal(d.ticket, span_of(c->ticket, sizeof(c->ticket))))
		result = STORE_DONE;
	tell(c, (int)result, d.body, d.version);
}

int redis_document_put(struct store *s, enum store_document kind, struct span name, struct span body,
		       uint64_t expected, store_document_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);
	struct document_call *c;
	struct writer w;

	if (r->closing)
		return -ESHUTDOWN;
	c = document_call_new(r, name, on_put, done, ctx);
	if (!c)
		return -ENOMEM;
	c->call.change = true;
	w = writer_of(c->ticket, sizeof(c->ticket));
	writer_u64(&w, r->base.incarnation);
	writer_u64(&w, r->tickets++);
	redis_script(&c->call, REDIS_DOCUMENT_PUT, 3);
	arg_document_keys(&c->call, kind, name, 3);
	redis_arg(&c->call, name);
	if (expected == UINT64_MAX)
		redis_arg_str(&c->call, "*");
	else
		redis_arg_uint(&c->call, expected);
	redis_arg(&c->call, writer_span(&w));
	redis_arg(&c->call, body);
	return redis_send(&c->call);
}

static void on_deleted(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct document_call *c = container_of(call, struct document_call, call);
	bool done = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == STORE_DONE;

	tell(c, err < 0 ? err : done || call->again ? STORE_DONE : STORE_ABSENT, nothing, 0);
}

int redis_document_delete(struct store *s, enum store_document kind, struct span name,
			  store_document_fn *done, void *ctx)
{
	struct redis *r = redis_of(s);
	struct document_call *c;

	if (r->closing)
		return -ESHUTDOWN;
	c = document_call_new(r, name, on_deleted, done, ctx);
	if (!c)
		return -ENOMEM;
	c->call.change = true;
	redis_script(&c->call, REDIS_DOCUMENT_DELETE, 2);
	arg_document_keys(&c->call, kind, name, 2);
	redis_arg(&c->call, name);
	return redis_send(&c->call);
}

static void on_got(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct document_call *c = container_of(call, struct document_call, call);
	struct span value = redis_bytes(reply);
	struct redis_document d = {0};

	if (err == 0 && value.len == 0)
		err = STORE_ABSENT;
	else if (err == 0 && !redis_document_decode(value, &d))
		err = -EBADMSG;
	tell(c, err, err == STORE_DONE ? d.body : nothing, err == STORE_DONE ? d.version : 0);
}

int redis_document_get(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
		       void *ctx)
{
	struct redis *r = redis_of(s);
	struct document_call *c;

	if (r->closing)
		return -ESHUTDOWN;
	c = document_call_new(r, name, on_got, done, ctx);
	if (!c)
		return -ENOMEM;
	redis_arg_str(&c->call, "GET");
	arg_document_keys(&c->call, kind, name, 1);
	return redis_send(&c->call);
}

/* ---- list ---- */

struct listed {
	struct span name;
	uint8_t *value; /* as it is stored; NULL: gone meanwhile */
	size_t len;
};

struct listing {
	struct redis *r;
	enum store_document kind;
	store_document_fn *each;
	void *ctx;
	size_t count;
	size_t per_partition;
	size_t left; /* calls under way */
	int err;
	struct arena memory;
	struct listed *items;
	size_t have, room;
	bool cut;
	struct span cut_at;
	size_t next, fetched, bytes; /* items before `next` were handed out */
};

struct listing_call {
	struct redis_call call;
	struct listing *listing;
	size_t item;
};

static struct listing_call *listing_call(struct listing *l, redis_answer_fn *answer)
{
	struct listing_call *c = redis_call_new(l->r, sizeof(*c), answer);

	if (!c) {
		l->err = -ENOMEM;
		return NULL;
	}
	c->listing = l;
	c->call.internal = true;
	return c;
}

static void listing_send(struct listing_call *c)
{
	struct listing *l = c->listing;
	int err = redis_send(&c->call);

	if (err < 0)
		l->err = err;
	else
		l->left++;
}

static void listing_free(struct listing *l)
{
	for (size_t i = 0; i < l->have; i++)
		free(l->items[i].value);
	free(l->items);
	arena_deinit(&l->memory);
	free(l);
}

static void listing_end(struct listing *l)
{
	struct redis *r = l->r;

	l->each(l->ctx, l->err < 0 ? l->err : STORE_ABSENT, nothing, nothing, 0);
	listing_free(l);
	redis_job_end(r);
}

static int compare_names(struct span a, struct span b)
{
	int order = memcmp(a.data, b.data, MIN(a.len, b.len));

	return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int compare_items(const void *a, const void *b)
{
	return compare_names(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

static void fetch_some(struct listing *l);

static void on_fetched(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct listing_call *c = container_of(call, struct listing_call, call);
	struct listing *l = c->listing;
	struct listed *item = &l->items[c->item];
	struct span value = redis_bytes(reply);

	if (err < 0)
		l->err = err;
	if (value.len) {
		item->value = malloc(value.len);
		item->len = value.len;
		if (item->value)
			memcpy(item->value, value.data, value.len);
		else
			l->err = -ENOMEM;
	}
	if (--l->left == 0)
		fetch_some(l);
}

/* Hands out what is there, until it is enough. */
static void deliver_fetched(struct listing *l)
{
	for (; l->next < l->fetched && l->err == 0 && l->bytes < LIST_BYTES; l->next++) {
		struct listed *item = &l->items[l->next];
		struct redis_document d;

		if (!item->value)
			continue;
		if (!redis_document_decode(span_of(item->value, item->len), &d)) {
			l->err = -EBADMSG;
			return;
		}
		l->bytes += item->len;
		l->each(l->ctx, STORE_DONE, item->name, d.body, d.version);
		free(item->value);
		item->value = NULL;
	}
}

/* As many as the former ones say that fit. */
static size_t fetch_count(const struct listing *l)
{
	size_t average = l->next ? l->bytes / l->next + 1 : 0;

	if (!average)
		return FETCH_FIRST;
	return MAX(MIN((LIST_BYTES - l->bytes) / average, (size_t)FETCH_MAX), (size_t)1);
}

static void fetch_some(struct listing *l)
{
	size_t end;

	deliver_fetched(l);
	if (l->err < 0 || l->bytes >= LIST_BYTES || l->fetched == l->have) {
		listing_end(l);
		return;
	}
	end = MIN(l->have, l->fetched + fetch_count(l));
	for (; l->fetched < end && l->err == 0; l->fetched++) {
		struct listing_call *c = listing_call(l, on_fetched);

		if (!c)
			break;
		c->item = l->fetched;
		redis_arg_str(&c->call, "GET");
		arg_document_keys(&c->call, l->kind, l->items[l->fetched].name, 1);
		listing_send(c);
	}
	if (l->left == 0)
		listing_end(l);
}

/* ---- names ---- */

static void names_done(struct listing *l)
{
	size_t end = 0;

	if (l->err < 0) {
		listing_end(l);
		return;
	}
	if (l->have)
		qsort(l->items, l->have, sizeof(*l->items), compare_items);
	while (end < l->have && end < l->count &&
	       (!l->cut || compare_names(l->items[end].name, l->cut_at) <= 0))
		end++;
	l->have = end;
	fetch_some(l);
}

static bool add_name(struct listing *l, struct span name)
{
	if (l->have == l->room) {
		size_t room = MAX(l->room * 2, (size_t)64);
		struct listed *items = realloc(l->items, room * sizeof(*items));

		if (!items)
			return false;
		l->items = items;
		l->room = room;
	}
	l->items[l->have] = (struct listed){.name = arena_dup(&l->memory, name)};
	return l->items[l->have++].name.data != NULL;
}

static void on_names(struct redis_call *call, int err, const struct redisReply *reply)
{
	struct listing *l = container_of(call, struct listing_call, call)->listing;
	size_t count = err == 0 && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;

	if (err < 0)
		l->err = err;
	for (size_t i = 0; i < count && l->err == 0; i++) {
		if (!add_name(l, redis_item_bytes(reply, i)))
			l->err = -ENOMEM;
	}
	if (count && count >= l->per_partition && l->err == 0) {
		struct span last = l->items[l->have - 1].name;

		if (!l->cut || compare_names(last, l->cut_at) < 0)
			l->cut_at = last;
		l->cut = true;
	}
	if (--l->left == 0)
		names_done(l);
}

static void ask_names(struct listing *l, uint32_t partition, struct span after)
{
	uint8_t from[1 + STORE_NAME_MAX];
	struct writer w = writer_of(from, sizeof(from));
	struct listing_call *c = listing_call(l, on_names);
	struct redis_key k;

	if (!c)
		return;
	writer_u8(&w, after.len ? '(' : '-');
	writer_bytes(&w, after);
	redis_arg_str(&c->call, "ZRANGE");
	redis_arg(&c->call, redis_names_key(&k, &l->r->layout, partition, l->kind));
	redis_arg(&c->call, writer_span(&w));
	redis_arg_str(&c->call, "+");
	redis_arg_str(&c->call, "BYLEX");
	redis_arg_str(&c->call, "LIMIT");
	redis_arg_uint(&c->call, 0);
	redis_arg_uint(&c->call, l->per_partition);
	listing_send(c);
}

int redis_document_list(struct store *s, enum store_document kind, struct span after, size_t count,
			store_document_fn *each, void *ctx)
{
	struct redis *r = redis_of(s);
	struct listing *l;

	if (r->closing)
		return -ESHUTDOWN;
	if (r->stats.pending_bytes >= r->options.pending_bytes_max)
		return -ENOBUFS;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	arena_init(&l->memory, NAMES_MEMORY);
	l->r = r;
	l->kind = kind;
	l->each = each;
	l->ctx = ctx;
	l->count = count;
	l->per_partition = MIN(count, MAX(count / r->layout.partitions * 2, (size_t)NAMES_MIN));
	for (uint32_t p = 0; p < r->layout.partitions && l->err == 0; p++)
		ask_names(l, p, after);
	if (l->left == 0) {
		int err = l->err;

		listing_free(l);
		return err;
	}
	redis_job_begin(r);
	return 0;
}
