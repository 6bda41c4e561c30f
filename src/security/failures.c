/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The table of failures. Strangers choose its keys and fill it as fast as they like, so it is hashed with a
 * key of ours, its rows have a fixed size, and the oldest gives way: whoever keeps failing stays in.
 */

#include "security/failures.h"

#include "base/map.h"

struct failures {
	struct siphash_key key;
	struct map map;
	struct list rows;
	size_t count;
};

struct failures *failures_new(const struct siphash_key *key)
{
	struct failures *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->key = *key;
	map_init(&f->map);
	list_init(&f->rows);
	return f;
}

static void drop(struct failures *f, struct failure_row *row)
{
	bool there = map_remove(&f->map, row->hash, row);

	assert(there);
	list_remove(&row->node);
	f->count--;
	free(row);
}

void failures_clear(struct failures *f)
{
	list_for_each_safe (node, &f->rows)
		drop(f, container_of(node, struct failure_row, node));
}

struct failures *failures_free(struct failures *f)
{
	if (!f)
		return NULL;
	failures_clear(f);
	map_deinit(&f->map);
	free(f);
	return NULL;
}

/* What a row is found by: the name as far as it is kept; of an address the host, whatever its port. */
static struct span key_name(const struct failure *failure)
{
	struct span name = failure->name;

	if (failure->who == FAILURE_ADDRESS)
		return span_of(failure->address.ip, sizeof(failure->address.ip));
	name.len = MIN(name.len, (size_t)FAILURE_NAME_MAX);
	return name;
}

static bool is_row(const void *item, const void *key)
{
	const struct failure_row *row = item;
	const struct failure *failure = key;

	return row->who == failure->who && strcmp(row->cause, failure->cause) == 0 &&
	       span_equal(span_of(row->name, row->name_len), key_name(failure));
}

static struct failure_row *add(struct failures *f, const struct failure *failure, uint32_t hash,
			       uint64_t now_ms)
{
	struct span name = key_name(failure);
	struct failure_row *row = calloc(1, sizeof(*row));

	if (!row || map_insert(&f->map, hash, row)) {
		free(row);
		return NULL;
	}
	*row = (struct failure_row){
		.hash = hash, .who = failure->who, .cause = failure->cause, .first_ms = now_ms};
	if (name.len)
		memcpy(row->name, name.data, name.len);
	row->name_len = (uint8_t)name.len;
	f->count++;
	return row;
}

const struct failure_row *failures_note(struct failures *f, const struct failure *failure, uint64_t now_ms)
{
	uint32_t hash = (uint32_t)siphash(&f->key, key_name(failure));
	struct failure_row *row = map_find(&f->map, hash, is_row, failure);
	size_t words;

	if (!row) {
		if (f->count == FAILURES_MAX)
			drop(f, container_of(f->rows.next, struct failure_row, node));
		row = add(f, failure, hash, now_ms);
	}
	if (!row)
		return NULL;
	list_remove(&row->node);
	list_append(&f->rows, &row->node);
	words = strnlen(failure->words, FAILURE_WORDS - 1);
	memcpy(row->words, failure->words, words);
	row->words[words] = 0;
	row->address = failure->address;
	row->last_ms = now_ms;
	row->count++;
	return row;
}

size_t failures_count(const struct failures *f)
{
	return f->count;
}

const struct failure_row *failures_next(const struct failures *f, const struct failure_row *after)
{
	const struct list *node = after ? after->node.prev : f->rows.prev;

	return node == &f->rows ? NULL : container_of((struct list *)node, struct failure_row, node);
}

const char *failure_who_name(enum failure_who who)
{
	static const char *const names[] = {"identity", "endpoint", "address"};

	return names[who];
}
