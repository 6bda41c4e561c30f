/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Block-wise transfer, RFC 7959: the option, and the bodies of requests that arrive in blocks.
 *
 * The hard idea: a transfer has no identity on the wire but who sends what to where. Its name here is a keyed
 * hash of the peer's address, the method and all path and query options, 64 bits wide, so that nothing but
 * that hash and the bytes is kept, and strangers cannot make two transfers meet.
 *
 * Leaves out bodies that go out: block_out.c, and what belongs to an operation's life, lwm2m/transfer.c.
 */

#include "coap/block.h"

#include <errno.h>

enum coap_block_found coap_find_block(const struct coap_message *m, uint16_t option, struct coap_block *out)
{
	uint32_t value;

	if (!coap_find_uint(m, option, &value))
		return COAP_BLOCK_ABSENT;
	*out = (struct coap_block){value >> 4, (value & 8) != 0, value & 7};
	/* More than 20 bits of number take four bytes, one more than the option may have (RFC 7959, 2.2). */
	return out->szx > COAP_SZX_MAX || out->num > COAP_BLOCK_NUM_MAX ? COAP_BLOCK_BAD : COAP_BLOCK_FOUND;
}

int coap_add_block(struct coap_message *m, uint16_t option, const struct coap_block *b)
{
	assert(b->num <= COAP_BLOCK_NUM_MAX && b->szx <= COAP_SZX_MAX);
	return coap_add_uint(m, option, b->num << 4 | (b->more ? 8u : 0) | b->szx);
}

struct transfer {
	struct coap_assemblies *owner;
	struct timer idle;
	uint64_t request; /* hash of what is asked ... */
	uint64_t name;	  /* ... and of who asks */
	uint32_t address_hash;
	size_t last; /* offset of the newest block, for its retransmission */
	struct buffer body;
};

static bool match_transfer(const void *item, const void *key)
{
	return ((const struct transfer *)item)->name == *(const uint64_t *)key;
}

static void hash_in(uint64_t *hash, const struct siphash_key *key, struct span s)
{
	struct {
		uint64_t before, part;
	} chain = {*hash, siphash(key, s)};

	*hash = siphash(key, span_of(&chain, sizeof(chain)));
}

static uint64_t transfer_name(const struct coap_assemblies *a, const struct address *from, uint64_t request)
{
	hash_in(&request, &a->key, span_of(from, sizeof(*from)));
	return request;
}

static uint64_t transfer_request(const struct coap_assemblies *a, const struct coap_message *m)
{
	uint64_t hash = m->code;

	for (size_t i = 0; i < m->option_count; i++) {
		const struct coap_option *o = &m->options[i];

		if (o->number != COAP_OPTION_URI_PATH && o->number != COAP_OPTION_URI_QUERY)
			continue;
		hash_in(&hash, &a->key, span_of(&o->number, sizeof(o->number)));
		hash_in(&hash, &a->key, coap_value(o));
	}
	return hash;
}

static void transfer_free(struct transfer *t)
{
	struct coap_assemblies *a = t->owner;

	timer_cancel(a->timers, &t->idle);
	map_remove(&a->transfers, (uint32_t)t->name, t);
	a->bytes -= t->body.len;
	buffer_deinit(&t->body);
	free(t);
}

static void transfer_idle(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	transfer_free(container_of(timer, struct transfer, idle));
}

/* The walk is over few: transfers in progress are bounded by bytes_max, and only a first block causes it. */
static uint32_t transfers_of(const struct coap_assemblies *a, uint32_t address_hash)
{
	uint32_t cursor = 0, count = 0;
	const struct transfer *t;

	while ((t = map_next(&a->transfers, &cursor)))
		count += t->address_hash == address_hash;
	return count;
}

static struct transfer *transfer_new(struct coap_assemblies *a, const struct address *from, uint64_t request)
{
	uint64_t name = transfer_name(a, from, request);
	uint32_t address_hash_ = (uint32_t)address_hash(&a->key, from);
	struct transfer *t;

	if (transfers_of(a, address_hash_) >= a->limits.per_address)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->owner = a;
	t->request = request;
	t->name = name;
	t->address_hash = address_hash_;
	t->body = buffer_of(a->limits.body_max);
	if (map_insert(&a->transfers, (uint32_t)name, t) < 0) {
		free(t);
		return NULL;
	}
	return t;
}

void coap_assemblies_init(struct coap_assemblies *a, struct timers *timers, const struct siphash_key *key,
			  const struct coap_assembly_limits *limits)
{
	*a = (struct coap_assemblies){.timers = timers, .key = *key, .limits = *limits};
	map_init(&a->transfers);
}

void coap_assemblies_deinit(struct coap_assemblies *a)
{
	uint32_t cursor = 0;
	struct transfer *t;

	while ((t = map_next(&a->transfers, &cursor))) {
		transfer_free(t);
		cursor = 0;
	}
	map_deinit(&a->transfers);
}

/* Appends the block, or recognises one that is there already. */
static enum coap_assembled transfer_add(struct transfer *t, const struct coap_message *m, size_t offset)
{
	struct coap_assemblies *a = t->owner;
	size_t end = offset + m->payload.len;

	if (offset == t->last && end == t->body.len &&
	    span_equal(span_from(buffer_span(&t->body), offset), m->payload))
		return COAP_ASSEMBLY_CONTINUE;
	if (offset != t->body.len)
		return COAP_ASSEMBLY_INCOMPLETE;
	if (end > a->limits.body_max || a->bytes + m->payload.len > a->limits.bytes_max)
		return COAP_ASSEMBLY_TOO_LARGE;
	t->last = offset;
	buffer_bytes(&t->body, m->payload);
	if (t->body.failed)
		return COAP_ASSEMBLY_TOO_LARGE;
	a->bytes += m->payload.len;
	return COAP_ASSEMBLY_CONTINUE;
}

enum coap_assembled coap_assemble(struct coap_assemblies *a, const struct address *from,
				  const struct coap_message *m, const struct coap_block *b, uint64_t now_ms,
				  struct buffer *body)
{
	uint64_t request = transfer_request(a, m), name = transfer_name(a, from, request);
	struct transfer *t = map_find(&a->transfers, (uint32_t)name, match_transfer, &name);
	enum coap_assembled outcome;

	if (m->payload.len > coap_block_size(b->szx) ||
	    (b->more && m->payload.len != coap_block_size(b->szx)))
		return COAP_ASSEMBLY_BAD;
	if (t && b->num == 0 && !(b->more && span_equal(buffer_span(&t->body), m->payload))) {
		transfer_free(t); /* the peer begins again */
		t = NULL;
	}
	if (!t && b->num > 0)
		return COAP_ASSEMBLY_INCOMPLETE;
	if (!t)
		t = transfer_new(a, from, request);
	if (!t)
		return COAP_ASSEMBLY_TOO_LARGE;
	outcome = transfer_add(t, m, coap_block_offset(b));
	if (outcome == COAP_ASSEMBLY_CONTINUE && b->more) {
		timer_set(a->timers, &t->idle, now_ms + a->limits.idle_ms, transfer_idle);
		return outcome;
	}
	if (outcome == COAP_ASSEMBLY_CONTINUE) {
		*body = t->body;
		a->bytes -= body->len;
		t->body = buffer_of(0);
		outcome = COAP_ASSEMBLED;
	}
	if (outcome != COAP_ASSEMBLY_INCOMPLETE) /* a gap may be a reordered block: the transfer stays */
		transfer_free(t);
	return outcome;
}

/* ---- transfers that go on in another process ---- */

static bool is_from(const struct transfer *t, const struct address *from)
{
	return t->name == transfer_name(t->owner, from, t->request);
}

/* request 8, offset of the last block 4, time left 4, body behind its length 4 */
enum { TRANSFER_ENCODED = 8 + 4 + 4 + 4 };

static void transfer_export(const struct transfer *t, uint64_t now_ms, struct buffer *out)
{
	uint64_t deadline_ms = t->idle.deadline_ms;

	if (out->limit - out->len < TRANSFER_ENCODED + t->body.len)
		return;
	buffer_uint(out, t->request, 8);
	buffer_uint(out, t->last, 4);
	buffer_uint(out, deadline_ms > now_ms ? deadline_ms - now_ms : 0, 4);
	buffer_uint(out, t->body.len, 4);
	buffer_bytes(out, buffer_span(&t->body));
}

void coap_assemblies_export(const struct coap_assemblies *a, const struct address *from, uint64_t now_ms,
			    struct buffer *out)
{
	uint32_t cursor = 0;
	const struct transfer *t;

	while ((t = map_next(&a->transfers, &cursor)))
		if (is_from(t, from))
			transfer_export(t, now_ms, out);
}

void coap_assemblies_drop(struct coap_assemblies *a, const struct address *from)
{
	uint32_t cursor = 0;
	struct transfer *t;

	while ((t = map_next(&a->transfers, &cursor))) {
		if (!is_from(t, from))
			continue;
		transfer_free(t);
		cursor = 0;
	}
}

static int transfer_import(struct coap_assemblies *a, const struct address *from, struct reader *r,
			   uint64_t now_ms)
{
	uint64_t request = reader_u64(r), name = transfer_name(a, from, request);
	uint32_t last = reader_u32(r), left_ms = reader_u32(r), len = reader_u32(r);
	struct span body = reader_bytes(r, len);
	struct transfer *t;

	if (r->failed || last > body.len)
		return -EPROTO;
	if (map_find(&a->transfers, (uint32_t)name, match_transfer, &name))
		return -EEXIST;
	if (body.len > a->limits.body_max || a->bytes + body.len > a->limits.bytes_max)
		return -ENOSPC;
	t = transfer_new(a, from, request);
	if (!t)
		return -ENOSPC;
	t->last = last;
	timer_set(a->timers, &t->idle, now_ms + MIN(left_ms, a->limits.idle_ms), transfer_idle);
	buffer_bytes(&t->body, body);
	if (t->body.failed) {
		transfer_free(t);
		return -ENOMEM;
	}
	a->bytes += body.len;
	return 0;
}

int coap_assemblies_import(struct coap_assemblies *a, const struct address *from, struct span encoded,
			   uint64_t now_ms)
{
	struct reader r = reader_of(encoded);
	int rc = 0;

	while (rc == 0 && reader_left(&r) > 0)
		rc = transfer_import(a, from, &r, now_ms);
	return rc;
}
