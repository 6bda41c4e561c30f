/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Closing and opening: what is finished, what is taken over, what is there again; a random run against a
 * model. */

#include "contract.h"

#include "base/random.h"

#include <errno.h>
#include <inttypes.h>

static void closing_finishes_what_waits(void **state)
{
	enum { N = 50 };
	struct fixture *f = *state;
	struct wrote outs[N];
	struct store_hot hot = fresh_hot(f);
	struct store_write w = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .change = STORE_RECORD_PUT};

	for (size_t i = 0; i < N; i++) {
		next_hot(&hot, 0);
		write_later(f, &w, &outs[i]);
	}
	fixture_close(f);
	for (size_t i = 0; i < N; i++) {
		assert_true(outs[i].done);
		assert_int_equal(outs[i].written.result, STORE_DONE);
	}
	fixture_open(f);
	assert_int_equal(find_now(f, device_key("a"))->hot.number, N);
}

static void set_flag(void *ctx)
{
	*(bool *)ctx = true;
}

static void nothing_more_is_taken_while_closing(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);
	struct store_write w = {
		.key = device_key("a"), .hot = &hot, .dedup_index = -1, .change = STORE_RECORD_PUT};
	struct wrote out;
	bool closed = false;

	next_hot(&hot, 0);
	store_close(f->store, set_flag, &closed);
	assert_false(closed);
	assert_int_equal(try_write(f, &w, &out), -ESHUTDOWN);
	assert_int_equal(store_find(f->store, w.key, NULL, NULL), -ESHUTDOWN);
	assert_int_equal(store_events_read(f->store, (struct store_cursor){0}, 1, NULL, NULL), -ESHUTDOWN);
	wait_for(f, &closed);
	f->store = NULL;
}

static void a_new_process_takes_over_what_the_former_had(void **state)
{
	struct fixture *f = *state;
	struct store_hot old = fresh_hot(f), hot = fresh_hot(f);
	struct store_write w = {
		.key = device_key("a"), .hot = &old, .dedup_index = -1, .change = STORE_RECORD_KEEP};
	uint64_t incarnation = f->fence.incarnation;
	struct wrote out;

	put(f, "a", &hot, "record", NULL);
	put(f, "a", &hot, NULL, NULL);
	for (uint32_t gen = 2; gen < 5; gen++) {
		old = hot;
		next_hot(&old, 0);
		fixture_reopen(f);
		assert_true(f->fence.incarnation > incarnation);
		incarnation = f->fence.incarnation;
		take_over(f, "a", &hot);
		assert_int_equal(hot.fence.gen, gen);
		/* The former process is out. */
		out = write_now(f, &w);
		assert_int_equal(out.written.result, STORE_REFUSED);
		assert_hot_equal(&out.written.found, &hot);
		assert_hot_equal(&find_now(f, device_key("a"))->hot, &hot);
	}
	put(f, "a", &hot, NULL, NULL);
	put(f, "a", &hot, "record", NULL);
	assert_int_equal(hot.fence.gen, 4);
}

static void the_hash_key_stays(void **state)
{
	struct fixture *f = *state;
	struct siphash_key before = store_hash_key(f->store), after;
	static const uint8_t zeros[16];

	assert_memory_not_equal(before.bytes, zeros, 16);
	fixture_reopen(f);
	after = store_hash_key(f->store);
	assert_memory_equal(before.bytes, after.bytes, 16);
}

/* ---- scan ---- */

enum { SCANNED_MAX = 64 };
struct scan {
	size_t count;
	int stop_after; /* 0: never */
	struct {
		char endpoint[32];
		char record[32];
		struct store_hot hot;
		uint64_t expires_ms;
	} items[SCANNED_MAX];
};

static int scanned(void *ctx, const struct store_device *device)
{
	struct scan *s = ctx;

	assert_true(s->count < SCANNED_MAX);
	memcpy(s->items[s->count].endpoint, device->key.endpoint.data, device->key.endpoint.len);
	if (device->record.len)
		memcpy(s->items[s->count].record, device->record.data, device->record.len);
	s->items[s->count].hot = device->hot;
	s->items[s->count].expires_ms = device->expires_ms;
	s->count++;
	return s->stop_after && (int)s->count == s->stop_after ? 42 : 0;
}

static void a_scan_gives_every_device_of_a_role_once(void **state)
{
	enum { N = 40 };
	struct fixture *f = *state;
	static struct store_hot hots[N];
	struct scan s = {0};
	struct store_hot hot = fresh_hot(f);
	struct store_write other_role = {.key = {STORE_BOOTSTRAP, span_str("b")},
					 .hot = &hot,
					 .dedup_index = -1,
					 .change = STORE_RECORD_PUT};
	char name[16];

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		hots[i] = fresh_hot(f);
		put(f, name, &hots[i], name, NULL);
	}
	for (int i = 0; i < 3 * N; i++) {
		snprintf(name, sizeof(name), "d%d", i % N % 7);
		put(f, name, &hots[i % N % 7], NULL, NULL);
	}
	remove_device(f, "d39", &hots[39]);
	next_hot(&hot, 0);
	write_now(f, &other_role);
	fixture_reopen(f);
	if (!embedded(&f->place)) {
		assert_int_equal(store_scan(f->store, STORE_MANAGEMENT, scanned, &s), 0);
		assert_int_equal(s.count, 0);
		return;
	}
	assert_int_equal(store_scan(f->store, STORE_MANAGEMENT, scanned, &s), 0);
	assert_int_equal(s.count, N - 1);
	for (size_t i = 0; i < s.count; i++) {
		int n = atoi(s.items[i].endpoint + 1);

		assert_string_equal(s.items[i].record, s.items[i].endpoint);
		hots[n].fence = f->fence;
		hots[n].fence.gen = 2;
		assert_hot_equal(&s.items[i].hot, &hots[n]);
		hots[n].number = 0; /* seen: a second time it would differ */
	}
	s = (struct scan){0};
	assert_int_equal(store_scan(f->store, STORE_BOOTSTRAP, scanned, &s), 0);
	assert_int_equal(s.count, 1);
	assert_string_equal(s.items[0].endpoint, "b");
	s = (struct scan){.stop_after = 5};
	assert_int_equal(store_scan(f->store, STORE_MANAGEMENT, scanned, &s), 42);
	assert_int_equal(s.count, 5);
}

/* ---- a random run against a model ---- */

enum { DEVICES = 24, STEPS = 6000 };

/* What one device must look like. */
struct model {
	bool exists;
	bool deleted;
	struct store_hot hot;
	char record[16];
	uint64_t events; /* how many it has written */
};

struct run {
	struct fixture *f;
	struct random random;
	struct model models[DEVICES];
	struct wrote outs[DEVICES];
	uint64_t events; /* of all */
};

static const char *model_name(char name[16], size_t i)
{
	snprintf(name, 16, "device-%zu", i);
	return name;
}

/* What is done with a device in the next write. */
static enum store_record_change choose(struct run *r, const struct model *m)
{
	uint32_t dice = random_u32(&r->random) % 100;

	if (!m->exists || m->deleted || dice < 15)
		return STORE_RECORD_PUT;
	return dice < 20 ? STORE_RECORD_DELETE : STORE_RECORD_KEEP;
}

static void model_write(struct run *r, size_t i)
{
	struct model *m = &r->models[i];
	enum store_record_change change = choose(r, m);
	bool event = random_u32(&r->random) % 2;
	char name[16];
	struct store_write w = {
		.key = device_key(model_name(name, i)), .hot = &m->hot, .change = change, .event = event};

	if (!m->exists)
		m->hot = fresh_hot(r->f);
	/* The tombstone of a former process: above it. */
	if (m->hot.fence.incarnation != r->f->fence.incarnation) {
		uint32_t gen = m->hot.fence.gen + 1;

		assert_true(m->deleted);
		m->hot.fence = r->f->fence;
		m->hot.fence.gen = gen;
	}
	w.dedup_index = next_hot(&m->hot, random_u32(&r->random) % 4 ? (uint16_t)(1 + m->hot.number) : 0);
	if (change == STORE_RECORD_PUT) {
		snprintf(m->record, sizeof(m->record), "%u", random_u32(&r->random));
		w.record = span_str(m->record);
	}
	m->exists = true;
	m->deleted = change == STORE_RECORD_DELETE;
	r->events += event;
	write_later(r->f, &w, &r->outs[i]);
	if (random_u32(&r->random) % 16 == 0)
		wait_for(r->f, &r->outs[i].done);
}

static void model_wait(struct run *r)
{
	for (size_t i = 0; i < DEVICES; i++) {
		if (!r->models[i].exists)
			continue;
		wait_for(r->f, &r->outs[i].done);
		assert_int_equal(r->outs[i].written.result, STORE_DONE);
	}
}

static void model_check(struct run *r)
{
	char name[16];

	for (size_t i = 0; i < DEVICES; i++) {
		const struct model *m = &r->models[i];
		const struct found *found = find_now(r->f, device_key(model_name(name, i)));

		assert_int_equal(found->result, m->exists && !m->deleted ? STORE_DONE : STORE_ABSENT);
		assert_int_equal(found->device, m->exists);
		if (m->exists)
			assert_hot_equal(&found->hot, &m->hot);
		if (m->exists && !m->deleted)
			assert_string_equal(found->record, m->record);
	}
}

static void model_reopen(struct run *r)
{
	fixture_reopen(r->f);
	for (size_t i = 0; i < DEVICES; i++) {
		struct model *m = &r->models[i];
		char name[16];

		if (embedded(&r->f->place) ? m->exists : m->exists && !m->deleted)
			take_over(r->f, model_name(name, i), &m->hot);
	}
}

static void model_claim(struct run *r, size_t i)
{
	struct model *m = &r->models[i];
	char name[16];
	int result = claim_now(r->f, device_key(model_name(name, i)), &m->hot.fence)->result;

	assert_int_equal(result, m->exists && !m->deleted ? STORE_DONE : STORE_ABSENT);
	if (result == STORE_DONE)
		m->hot.fence.gen++;
}

static void a_random_run_ends_as_the_model_says(void **state)
{
	struct fixture *f = *state;
	static struct run r;
	const char *given = getenv("SHOAL_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : uv_hrtime();
	struct store_cursor at = {0};
	uint64_t seen = 0;
	const struct events *e;

	print_message("# SHOAL_TEST_SEED=%" PRIu64 "\n", seed);
	r = (struct run){.f = f};
	random_init_seed(&r.random, seed);
	fixture_close(f);
	/* So short that rows are brought up to date all the time. */
	f->options.tail_max = 64;
	fixture_open(f);
	for (int step = 0; step < STEPS; step++) {
		uint32_t dice = random_u32(&r.random) % 1000;
		size_t i = random_u32(&r.random) % DEVICES;

		if (dice < 5)
			model_reopen(&r);
		else if (dice < 10)
			model_claim(&r, i);
		else if (dice < 20)
			model_wait(&r);
		else if (r.outs[i].done || !r.models[i].exists)
			model_write(&r, i);
		else
			wait_for(f, &r.outs[i].done);
		if (dice < 20)
			model_check(&r);
	}
	model_wait(&r);
	model_reopen(&r);
	model_check(&r);
	while ((e = events_now(f, at, 200))->count) {
		seen += e->count;
		at = e->next;
	}
	assert_int_equal(seen, r.events);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(closing_finishes_what_waits),
	cmocka_unit_test(nothing_more_is_taken_while_closing),
	cmocka_unit_test(a_new_process_takes_over_what_the_former_had),
	cmocka_unit_test(the_hash_key_stays),
	cmocka_unit_test(a_scan_gives_every_device_of_a_role_once),
	cmocka_unit_test(a_random_run_ends_as_the_model_says),
};

const struct theme restart_theme = {tests, ARRAY_SIZE(tests)};
