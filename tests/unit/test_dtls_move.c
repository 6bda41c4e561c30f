/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Sessions that go on in another process, or may not. */

#include "dtls_world.h"

#include <errno.h>

static void a_session_goes_on_after_a_restart(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct packet_kept old;
	uint64_t mark, top;

	(void)state;
	connect_now(w, d);
	dtls_endpoint_bind(w->endpoint, &w->association);
	for (uint32_t gen = 5; gen < 9; gen++) {
		struct writer out = writer_of(bytes, sizeof(bytes));

		assert_talks(w, d, "before");
		old = w->last;
		mark = w->number;
		assert_int_equal(dtls_endpoint_export(w->endpoint, &w->association, gen, &out), 0);
		/* The process dies, and another one goes on. */
		dtls_endpoint_free(w->endpoint);
		open_endpoint(w);
		assert_int_equal(
			dtls_endpoint_import(w->endpoint, writer_span(&out), gen + 1, mark, &w->association),
			0);
		top = dtls_client_session(d->client)->read_top;
		move_to(d, gen % 2 ? "198.51.100.9:777" : "192.0.2.1:5000");
		assert_true(dtls_endpoint_send(w->endpoint, &w->association, span_str("to where it was")));
		pump(w);
		assert_talks(w, d, "after");
		assert_true(dtls_client_session(d->client)->read_top > top + (1 << 20));
		to_endpoint(w, &d->address, span_of(old.bytes, old.len));
		assert_int_equal(stats_of(w).records_replayed, 1);
	}
	assert_int_equal(dtls_client_stats(d->client).handshakes, 1);
	world_free(w);
}

static void a_session_that_cannot_go_on_is_not_taken(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct address address;

	(void)state;
	connect_now(w, d);
	assert_int_equal(dtls_endpoint_export(w->endpoint, &w->association, 1, &out), 0);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address),
			 -EEXIST); /* is here */
	dtls_endpoint_free(w->endpoint);
	open_endpoint(w);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 1, 0, &address), -EOVERFLOW);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 1000, 0, &address), -EOVERFLOW);
	assert_int_equal(dtls_endpoint_import(w->endpoint, span_of(bytes, 10), 2, 0, &address), -EBADMSG);
	w->wall_ms += w->config.age_ms;
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address), -ETIME);
	/* Of before a backup was restored. */
	dtls_endpoint_free(w->endpoint);
	w->config.age_ms = 0;
	w->config.since_ms = w->wall_ms;
	open_endpoint(w);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address), -ETIME);
	assert_int_equal(stats_of(w).associations, 0);
	world_free(w);
}

/* Without a connection id an address is all that tells two apart: who was heard from there last has it. */
static void a_session_does_not_take_the_address_of_a_later_one(void **state)
{
	struct world *w = world_new(false);
	struct device *old = device_new(w, 0, "old", key), *later = device_new(w, 1, "later", key);
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct address address;

	(void)state;
	connect_now(w, old);
	assert_int_equal(dtls_endpoint_export(w->endpoint, &w->association, 1, &out), 0);
	dtls_endpoint_free(w->endpoint);
	open_endpoint(w);
	pass(w, 1000);
	later->address = old->address;
	move_to(old, "198.51.100.9:777");
	connect_now(w, later);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address), -EEXIST);
	assert_talks(w, later, "still here");
	world_free(w);
}

static void no_more_than_the_most_are_taken(void **state)
{
	struct world *w = world_new(true);
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct address address;

	(void)state;
	connect_now(w, device_new(w, 0, "id", key));
	assert_int_equal(dtls_endpoint_export(w->endpoint, &w->association, 1, &out), 0);
	dtls_endpoint_free(w->endpoint);
	w->config.associations_max = 1;
	open_endpoint(w);
	connect_now(w, device_new(w, 1, "id", key));
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address), -ENOSPC);
	dtls_endpoint_drop(w->endpoint, &w->association, false);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 2, 0, &address), 0);
	world_free(w);
}

/* ---- between two endpoints ---- */

/* A second one beside the first; the world's datagrams go to `w->endpoint`. */
static struct dtls_endpoint *beside(struct world *w)
{
	struct dtls_endpoint *before = w->endpoint, *made;

	open_endpoint(w);
	made = w->endpoint;
	w->endpoint = before;
	return made;
}

static void free_beside(struct world *w, struct dtls_endpoint *e)
{
	dtls_endpoint_free(e);
	world_free(w);
}

static void a_session_goes_on_exactly_where_it_was(void **state)
{
	for (unsigned cid = 0; cid < 2; cid++) {
		struct world *w = world_new(cid);
		struct device *d = device_new(w, 0, "id", key);
		struct dtls_endpoint *a = w->endpoint, *b = beside(w);
		uint8_t bytes[DTLS_CARRIED_MAX];
		struct writer out = writer_of(bytes, sizeof(bytes));
		struct packet_kept old, late;
		struct address here;
		uint64_t top;

		(void)state;
		connect_now(w, d);
		dtls_endpoint_bind(a, &w->association);
		assert_talks(w, d, "here");
		old = w->last;
		here = w->association;
		/* On its way while it moves, and overtaken by another. */
		assert_true(dtls_client_send(d->client, span_str("late")));
		late = w->queue[--w->queued];
		assert_talks(w, d, "soon");
		top = dtls_client_session(d->client)->read_top;
		assert_int_equal(dtls_endpoint_give(a, &here, &out), 0);
		assert_false(dtls_endpoint_send(a, &here, span_str("no more")));
		dtls_endpoint_drop(a, &here, true); /* and not even goodbye */
		assert_int_equal(w->queued, 0);
		w->endpoint = b;
		assert_int_equal(dtls_endpoint_take(b, writer_span(&out), &w->association), 0);
		assert_int_equal(stats_of(w).unbound, 0);
		to_endpoint(w, &old.from, span_of(old.bytes, old.len));
		assert_int_equal(stats_of(w).records_replayed, 1);
		to_endpoint(w, &late.from, span_of(late.bytes, late.len));
		assert_string_equal(w->text, "late");
		assert_talks(w, d, "there");
		assert_int_equal(dtls_client_session(d->client)->read_top,
				 top + 2); /* the echo of `late` too */
		assert_int_equal(dtls_client_stats(d->client).handshakes, 1);
		free_beside(w, a);
	}
}

static void what_is_held_is_not_opened(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	uint8_t bytes[DTLS_CARRIED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct packet_kept old;
	unsigned inputs;
	uint64_t top;

	(void)state;
	connect_now(w, d);
	assert_talks(w, d, "before");
	old = w->last;
	inputs = w->inputs;
	top = dtls_client_session(d->client)->read_top;
	w->echo = false;
	w->elsewhere = true;
	dtls_endpoint_hold(w->endpoint, &w->association, true);
	assert_true(dtls_client_send(d->client, span_str("nobody listens")));
	pump(w);
	assert_int_equal(w->inputs, inputs);
	assert_int_equal(w->unknown, 1);
	assert_int_equal(w->unknown_cid_len, DTLS_CID_OWN);
	/* Who is asked for it can tell whether this is the device, and not a copy of what it sent before. */
	assert_true(dtls_endpoint_is_news(w->endpoint, &w->association, span_of(w->last.bytes, w->last.len)));
	assert_false(dtls_endpoint_is_news(w->endpoint, &w->association, span_of(old.bytes, old.len)));
	/* An answer to what came before it may still be given ... */
	assert_true(dtls_endpoint_send(w->endpoint, &w->association, span_str("answer")));
	pump(w);
	assert_string_equal(d->text, "answer");
	/* ... until it is given away; if that fails, it goes on with the next number. */
	assert_int_equal(dtls_endpoint_give(w->endpoint, &w->association, &out), 0);
	assert_false(dtls_endpoint_send(w->endpoint, &w->association, span_str("no")));
	dtls_endpoint_hold(w->endpoint, &w->association, false);
	to_endpoint(w, &w->last.from, span_of(w->last.bytes, w->last.len));
	assert_string_equal(w->text, "nobody listens"); /* it was not seen yet */
	assert_talks(w, d, "after");
	assert_int_equal(dtls_client_session(d->client)->read_top, top + 2);
	world_free(w);
}

static void who_has_no_session_is_asked_about_once(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);

	(void)state;
	connect_now(w, d);
	dtls_endpoint_drop(w->endpoint, &w->association, false);
	assert_true(dtls_client_send(d->client, span_str("hello?")));
	pump(w);
	assert_int_equal(w->unknown, 1);
	assert_int_equal(stats_of(w).records_unknown, 1);
	dtls_endpoint_input_asked(w->endpoint, &w->last.from, span_of(w->last.bytes, w->last.len), w->now_ms);
	assert_int_equal(w->unknown, 1);
	assert_int_equal(stats_of(w).records_unknown, 2);
	world_free(w);
}

/* Our Finished was lost with the node that sent it. */
static void the_last_flight_goes_along(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	struct dtls_endpoint *a = w->endpoint;
	uint8_t bytes[DTLS_CARRIED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(dtls_client_start(d->client, w->now_ms), 0);
	while (w->established == 0) {
		assert_true(w->queued > 0);
		pump_one(w);
	}
	w->queued = 0; /* ChangeCipherSpec and Finished are lost */
	assert_int_equal(d->ready, 0);
	dtls_endpoint_bind(a, &w->association);
	assert_int_equal(dtls_endpoint_give(a, &w->association, &out), 0);
	dtls_endpoint_drop(a, &w->association, false);
	w->endpoint = beside(w);
	assert_int_equal(dtls_endpoint_take(w->endpoint, writer_span(&out), &w->association), 0);
	pass_slowly(w, 5000); /* the device sends its last flight again */
	assert_int_equal(stats_of(w).last_flights, 1);
	assert_int_equal(d->ready, 1);
	assert_talks(w, d, "at last");
	free_beside(w, a);
}

static void what_cannot_be_taken_is_not(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	struct dtls_endpoint *a = w->endpoint, *b = beside(w);
	uint8_t bytes[DTLS_CARRIED_MAX], stored[DTLS_SESSION_ENCODED_MAX + 2] = {1, 0};
	struct writer out = writer_of(bytes, sizeof(bytes)), copy = writer_of(stored + 2, sizeof(stored) - 2);
	struct address address;

	(void)state;
	connect_now(w, d);
	assert_int_equal(dtls_endpoint_export(a, &w->association, 1, &copy), 0);
	assert_int_equal(dtls_endpoint_give(a, &w->association, &out), 0);
	assert_int_equal(
		dtls_endpoint_give(a, &(struct address){.family = ADDRESS_ASSOCIATION, .ip = {9}}, &out),
		-ENOENT);
	out.failed = false;
	for (size_t len = 0; len < writer_len(&out); len++) {
		uint8_t *cut = malloc(len + 1); /* so that a step too far is seen */

		assert_non_null(cut);
		memcpy(cut + 1, bytes, len);
		assert_int_equal(dtls_endpoint_take(b, span_of(cut + 1, len), &address), -EBADMSG);
		free(cut);
	}
	/* A copy of the store has no counter: it may not go on as it is. */
	assert_int_equal(dtls_endpoint_take(b, span_of(stored, writer_len(&copy) + 2), &address), -EBADMSG);
	bytes[0] = 2;
	assert_int_equal(dtls_endpoint_take(b, writer_span(&out), &address), -EPROTO);
	bytes[0] = 1;
	assert_int_equal(dtls_endpoint_take(b, writer_span(&out), &address), 0);
	assert_int_equal(dtls_endpoint_take(b, writer_span(&out), &address), -EEXIST);
	dtls_endpoint_drop(b, &address, false);
	w->wall_ms += w->config.age_ms;
	assert_int_equal(dtls_endpoint_take(b, writer_span(&out), &address), -ETIME);
	free_beside(w, b);
}

/* ---- a claim needs a proof ---- */

static int proves(struct world *w, struct span copy, uint64_t mark, const struct packet_kept *p)
{
	return dtls_endpoint_proves(w->endpoint, copy, 1, mark, span_of(p->bytes, p->len));
}

static void only_what_is_authentic_and_new_proves(void **state)
{
	for (unsigned cid = 0; cid < 2; cid++) {
		struct world *w = world_new(cid);
		struct device *d = device_new(w, 0, "id", key), *other = device_new(w, 1, "other", key);
		uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
		struct writer out = writer_of(bytes, sizeof(bytes));
		struct dtls_endpoint *a;
		struct packet_kept old, fresh, forged;
		uint64_t mark;

		(void)state;
		connect_now(w, d);
		assert_int_equal(dtls_endpoint_export(w->endpoint, &w->association, 1, &out), 0);
		assert_talks(w, d, "stored");
		old = w->last;
		mark = w->number;
		assert_talks(w, d, "not stored");
		fresh = w->last;
		a = w->endpoint;
		w->endpoint = beside(w);
		assert_int_equal(proves(w, writer_span(&out), mark, &fresh), 0);
		assert_int_equal(proves(w, writer_span(&out), mark, &fresh),
				 0); /* nothing was changed by that */
		assert_int_equal(proves(w, writer_span(&out), mark, &old), -EACCES);
		assert_int_equal(proves(w, writer_span(&out), mark + 1, &fresh), -EACCES);
		forged = fresh;
		forged.bytes[forged.len - 1] ^= 1;
		assert_int_equal(proves(w, writer_span(&out), mark, &forged), -EACCES);
		/* Behind one that is not authentic one that is. */
		memcpy(forged.bytes + forged.len, fresh.bytes, fresh.len);
		forged.len += fresh.len;
		assert_int_equal(proves(w, writer_span(&out), mark, &forged), 0);
		connect_now(w, other);
		assert_talks(w, other, "somebody else");
		assert_int_equal(proves(w, writer_span(&out), mark, &w->last), -EACCES);
		assert_int_equal(dtls_endpoint_proves(w->endpoint, writer_span(&out), 300, mark,
						      span_of(fresh.bytes, fresh.len)),
				 -EOVERFLOW);
		w->wall_ms += w->config.age_ms;
		assert_int_equal(proves(w, writer_span(&out), mark, &fresh), -ETIME);
		assert_int_equal(proves(w, span_of(bytes, 4), mark, &fresh), -EBADMSG);
		free_beside(w, a);
	}
}

/* ---- no number twice, whoever believes to own what ---- */

enum { NODES = 3, STEPS = 600 };

/* What the store has of the device. */
struct stored {
	uint32_t gen;
	unsigned owner;
	uint64_t mark;
	uint8_t copy[DTLS_SESSION_ENCODED_MAX];
	size_t len;
};

struct node {
	struct dtls_endpoint *endpoint;
	struct address association;
	bool has; /* it believes to own the device ... */
	uint32_t gen;
};

struct drill {
	struct world *w;
	struct stored stored;
	struct node nodes[NODES];
};

static void say(struct drill *c, unsigned n, unsigned count)
{
	while (c->nodes[n].has && count--)
		if (!dtls_endpoint_send(c->nodes[n].endpoint, &c->nodes[n].association, span_str("x")))
			return;
}

static void save(struct drill *c, unsigned n)
{
	struct writer out = writer_of(c->stored.copy, sizeof(c->stored.copy));

	assert_true(c->stored.owner == n && c->stored.gen == c->nodes[n].gen);
	assert_int_equal(
		dtls_endpoint_export(c->nodes[n].endpoint, &c->nodes[n].association, c->stored.gen, &out), 0);
	c->stored.len = writer_len(&out);
}

static void leave_it(struct drill *c, unsigned n)
{
	if (c->nodes[n].has)
		dtls_endpoint_drop(c->nodes[n].endpoint, &c->nodes[n].association, false);
	c->nodes[n].has = false;
}

/* The store says so; what is known of the session came with the message, or is the store's. */
static bool become_owner(struct drill *c, unsigned n, struct span carried)
{
	struct node *node = &c->nodes[n];
	int err;

	leave_it(c, n);
	c->stored.owner = n;
	node->gen = ++c->stored.gen;
	if (carried.len)
		err = dtls_endpoint_take(node->endpoint, carried, &node->association);
	else
		err = dtls_endpoint_import(node->endpoint, span_of(c->stored.copy, c->stored.len),
					   c->stored.gen, c->stored.mark, &node->association);
	assert_true(err == 0 || err == -EOVERFLOW);
	node->has = err == 0;
	return node->has;
}

/* `lost`: the message does not arrive. `refused`: the hand-over is not done. */
static bool hand_over(struct drill *c, unsigned to, bool lost, bool refused)
{
	struct node *from = &c->nodes[c->stored.owner];
	uint8_t bytes[DTLS_CARRIED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));

	if (!from->has || from->gen != c->stored.gen)
		return become_owner(c, to, span_of(NULL, 0));
	save(c, c->stored.owner);
	assert_int_equal(dtls_endpoint_give(from->endpoint, &from->association, &out), 0);
	say(c, c->stored.owner, 2);
	if (refused) {
		dtls_endpoint_hold(from->endpoint, &from->association, false);
		return true;
	}
	leave_it(c, c->stored.owner);
	return become_owner(c, to, lost ? span_of(NULL, 0) : writer_span(&out));
}

static bool step(struct drill *c)
{
	unsigned what = random_u32(&c->w->random) % 16, n = random_u32(&c->w->random) % NODES;

	switch (what) {
	case 0: /* the owner is dead, or is believed to be: it may go on for a while */
		return n == c->stored.owner || become_owner(c, n, span_of(NULL, 0));
	case 1:
		return n == c->stored.owner || hand_over(c, n, true, false);
	case 2:
		return n == c->stored.owner || hand_over(c, n, false, true);
	case 3:
	case 4:
	case 5:
		return n == c->stored.owner || hand_over(c, n, false, false);
	case 6:
		if (c->nodes[c->stored.owner].has && c->nodes[c->stored.owner].gen == c->stored.gen)
			save(c, c->stored.owner);
		return true;
	case 7: /* somebody learns that another owns it */
		if (n != c->stored.owner)
			leave_it(c, n);
		return true;
	default:
		say(c, n, 1 + what % 3);
		return true;
	}
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void no_number_is_used_twice(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 40; seed++) {
		struct drill c = {.w = world_new(true)};
		struct device *d = device_new(c.w, 0, "id", key);
		bool alive = true;

		c.nodes[0].endpoint = c.w->endpoint;
		for (unsigned i = 1; i < NODES; i++)
			c.nodes[i].endpoint = beside(c.w);
		connect_now(c.w, d);
		assert_talks(c.w, d, "first");
		c.w->sealed = calloc(SEALED_MAX, sizeof(*c.w->sealed));
		assert_non_null(c.w->sealed);
		dtls_endpoint_bind(c.w->endpoint, &c.w->association);
		c.nodes[0].association = c.w->association;
		c.nodes[0].has = true;
		c.nodes[0].gen = c.stored.gen = 1;
		save(&c, 0);
		random_init_seed(&c.w->random, seed);
		for (unsigned i = 0; alive && i < STEPS; i++) {
			alive = step(&c);
			c.w->queued = 0;
		}
		assert_in_range(c.w->sealed_count, 100, SEALED_MAX);
		qsort(c.w->sealed, c.w->sealed_count, sizeof(*c.w->sealed), compare);
		for (size_t i = 1; i < c.w->sealed_count; i++)
			assert_true(c.w->sealed[i - 1] < c.w->sealed[i]);
		for (unsigned i = 1; i < NODES; i++)
			dtls_endpoint_free(c.nodes[i].endpoint);
		world_free(c.w);
	}
}

/* Moves alone cost no term: a device may go back and forth for ever. */
/* The term of the newest record that the device took. */
static unsigned term_at(const struct device *d)
{
	return (unsigned)(dtls_client_session(d->client)->read_top >> DTLS_COUNTER_BITS);
}

/* The session goes on `left` numbers before the end of its term. */
static void use_up(struct world *w, uint64_t left)
{
	uint8_t bytes[DTLS_CARRIED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct dtls_session session;
	struct reader r;

	assert_int_equal(dtls_endpoint_give(w->endpoint, &w->association, &out), 0);
	r = reader_of(writer_span(&out));
	(void)reader_u8(&r);
	assert_int_equal(reader_u8(&r), 0); /* no last flight any more */
	assert_int_equal(dtls_session_decode(reader_rest(&r), &session), 0);
	session.write_seq = (session.write_seq >> DTLS_COUNTER_BITS << DTLS_COUNTER_BITS) +
			    (UINT64_C(1) << DTLS_COUNTER_BITS) - left;
	out = writer_of(bytes + 2, sizeof(bytes) - 2);
	dtls_session_encode(&session, true, &out);
	dtls_endpoint_drop(w->endpoint, &w->association, false);
	assert_int_equal(
		dtls_endpoint_take(w->endpoint, span_of(bytes, 2 + writer_len(&out)), &w->association), 0);
}

static void a_spent_term_is_followed_by_the_next(void **state)
{
	struct world *w = world_new(true);
	struct device *d = device_new(w, 0, "id", key);
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	unsigned began;

	(void)state;
	connect_now(w, d);
	assert_talks(w, d, "one");
	began = term_at(d);
	dtls_endpoint_bind(w->endpoint, &w->association);
	use_up(w, DTLS_COUNTER_LOW + 3);
	assert_talks(w, d, "still many");
	dtls_endpoint_renew(w->endpoint, &w->association); /* too early */
	assert_talks(w, d, "few");
	timers_advance(&w->timers, ++w->now_ms);
	assert_int_equal(w->spent, 0);
	assert_talks(w, d, "told");
	assert_int_equal(w->spent, 0); /* not from within */
	timers_advance(&w->timers, ++w->now_ms);
	assert_int_equal(w->spent, 1);
	assert_int_equal(term_at(d), began);

	/* What is stored takes the term, and then it is entered, once. */
	assert_int_equal(dtls_endpoint_export(w->endpoint, &w->association, 7, &out), 0);
	assert_talks(w, d, "not yet stored");
	assert_int_equal(term_at(d), began);
	dtls_endpoint_renew(w->endpoint, &w->association);
	dtls_endpoint_renew(w->endpoint, &w->association);
	assert_talks(w, d, "renewed");
	assert_int_equal(term_at(d), began + 1);

	/* Whoever takes over from the store meanwhile comes behind it. */
	dtls_endpoint_drop(w->endpoint, &w->association, false);
	assert_int_equal(dtls_endpoint_import(w->endpoint, writer_span(&out), 8, 0, &w->association), 0);
	assert_talks(w, d, "elsewhere");
	assert_int_equal(term_at(d), began + 2);

	/* Unheard, it ends with its numbers. */
	use_up(w, 2);
	assert_true(dtls_endpoint_send(w->endpoint, &w->association, span_str("last")));
	assert_false(dtls_endpoint_send(w->endpoint, &w->association, span_str("none left")));
	assert_int_equal(w->closed_why, DTLS_END_LIMIT);
	world_free(w);
}

static void moves_do_not_use_up_a_session(void **state)
{
	struct drill c = {.w = world_new(true)};
	struct device *d = device_new(c.w, 0, "id", key);

	(void)state;
	c.nodes[0].endpoint = c.w->endpoint;
	for (unsigned i = 1; i < NODES; i++)
		c.nodes[i].endpoint = beside(c.w);
	connect_now(c.w, d);
	dtls_endpoint_bind(c.w->endpoint, &c.w->association);
	c.nodes[0] = (struct node){c.w->endpoint, c.w->association, true, 1};
	c.stored.gen = 1;
	for (unsigned i = 1; i < 1000; i++)
		assert_true(hand_over(&c, i % NODES, false, false));
	assert_true(hand_over(&c, 1, true, false));
	c.w->endpoint = c.nodes[1].endpoint;
	c.w->queued = 0;
	assert_talks(c.w, d, "still here");
	c.w->endpoint = c.nodes[0].endpoint;
	for (unsigned i = 1; i < NODES; i++)
		dtls_endpoint_free(c.nodes[i].endpoint);
	world_free(c.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_goes_on_after_a_restart),
		cmocka_unit_test(a_session_that_cannot_go_on_is_not_taken),
		cmocka_unit_test(a_session_does_not_take_the_address_of_a_later_one),
		cmocka_unit_test(no_more_than_the_most_are_taken),
		cmocka_unit_test(a_session_goes_on_exactly_where_it_was),
		cmocka_unit_test(what_is_held_is_not_opened),
		cmocka_unit_test(who_has_no_session_is_asked_about_once),
		cmocka_unit_test(the_last_flight_goes_along),
		cmocka_unit_test(what_cannot_be_taken_is_not),
		cmocka_unit_test(only_what_is_authentic_and_new_proves),
		cmocka_unit_test(no_number_is_used_twice),
		cmocka_unit_test(a_spent_term_is_followed_by_the_next),
		cmocka_unit_test(moves_do_not_use_up_a_session),
	};

	return cmocka_run_group_tests_name("dtls-move", tests, NULL, NULL);
}
