/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What only the embedded store can be asked: its file, its limits, its disk. A disk that fails is strace's
 * work: it lets the system calls of a child fail from a certain one on.
 */

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_logged(struct fixture *f, const char *text)
{
	char log[65536];

	if (!strstr(fixture_log(f, log, sizeof(log)), text))
		fail_msg("\"%s\" is not in:\n%s", text, log);
}

static const char *path_of(const struct fixture *f, const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", f->place.directory, name);
	return path;
}

/* ---- opening ---- */

static void directory_and_file_are_the_owners_only(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(path_of(f, "store"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(path_of(f, "store/data.mdb"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_second_opening_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store *second;
	struct store_hot hot = fresh_hot(f);

	assert_int_equal(store_open(f->place.url, &f->options, 8, &f->loop, &f->log, &second), -EBUSY);
	assert_null(second);
	assert_logged(f, "another process has this store open");
	put(f, "a", &hot, "record", NULL);
}

static void an_unknown_url_or_option_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_options options = f->options;
	struct store *s;

	assert_int_equal(store_open("rocks:/tmp/x", &options, 8, &f->loop, &f->log, &s), -EINVAL);
	assert_logged(f, "lmdb:DIRECTORY");
	assert_int_equal(store_open("lmdb:", &options, 8, &f->loop, &f->log, &s), -EINVAL);
	fixture_close(f);
	f->options.durability = STORE_REPLICA;
	assert_int_equal(fixture_try_open(f), -EINVAL);
	assert_logged(f, "needs Redis");
	f->options = options;
	f->options.size_max = 4096;
	assert_int_equal(fixture_try_open(f), -EINVAL);
	assert_logged(f, "at least 1M");
}

static void a_path_that_cannot_be_is_said_with_its_cause(void **state)
{
	struct fixture *f = *state;
	struct store *s;
	char url[600];

	snprintf(url, sizeof(url), "lmdb:%s/missing/store", f->place.directory);
	assert_int_equal(store_open(url, &f->options, 8, &f->loop, &f->log, &s), -ENOENT);
	assert_logged(f, "/missing/store\" error=\"No such file or directory\"");
	snprintf(url, sizeof(url), "lmdb:%s/store/data.mdb", f->place.directory);
	assert_int_equal(store_open(url, &f->options, 8, &f->loop, &f->log, &s), -ENOTDIR);
	assert_logged(f, "error=\"Not a directory\"");
}

static void a_directory_of_others_is_said_to_be_not_writable(void **state)
{
	struct fixture *f = *state;
	uid_t me = geteuid();
	struct store *s;
	char url[600];

	assert_int_equal(mkdir(path_of(f, "closed"), 0500), 0);
	/* Everybody may look for it, only its owner may write. */
	assert_int_equal(chmod(f->place.directory, 0755), 0);
	assert_int_equal(chmod(path_of(f, "closed"), 0555), 0);
	snprintf(url, sizeof(url), "lmdb:%s", path_of(f, "closed"));
	if (me == 0)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(store_open(url, &f->options, 8, &f->loop, &f->log, &s), -EACCES);
	if (me == 0)
		assert_int_equal(seteuid(me), 0);
	assert_logged(f, "/closed\" error=\"Permission denied\"");
}

/* Opens the file without the store and changes the format's row. */
static void rewrite_format(struct fixture *f, uint8_t byte_11)
{
	MDB_val key = {6, (void *)(uintptr_t) "format"}, value;
	uint8_t copy[64];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta;

	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 4);
	assert_int_equal(mdb_env_open(env, path_of(f, "store"), 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
	assert_int_equal(mdb_get(txn, meta, &key, &value), 0);
	assert_true(value.mv_size <= sizeof(copy));
	memcpy(copy, value.mv_data, value.mv_size);
	assert_memory_equal(copy, "shoal-db", 8);
	copy[11] = byte_11;
	value.mv_data = copy;
	assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void a_newer_format_is_refused_and_left_alone(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot = fresh_hot(f);

	put(f, "a", &hot, "record", NULL);
	fixture_close(f);
	rewrite_format(f, 2);
	assert_int_equal(fixture_try_open(f), -EPROTO);
	assert_logged(f, "the store has format 2, this program knows up to 1");
	rewrite_format(f, 1);
	fixture_open(f);
	/* Neither attempt counted as an opening. */
	assert_int_equal(find_now(f, device_key("a"))->hot.fence.gen, 2);
	fixture_close(f);
	rewrite_format(f, 0);
	assert_int_equal(fixture_try_open(f), -EBADMSG);
}

static void a_file_that_is_something_else_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char garbage[8192] = "this is no database";
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	int fd;

	fixture_close(f);
	fd = open(path_of(f, "store/data.mdb"), O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, garbage, sizeof(garbage)), sizeof(garbage));
	close(fd);
	assert_int_equal(fixture_try_open(f), -EBADMSG);
	assert_logged(f, "damaged or something else");
	assert_int_equal(unlink(path_of(f, "store/data.mdb")), 0);
	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 1);
	assert_int_equal(mdb_env_open(env, path_of(f, "store"), 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "theirs", MDB_CREATE, &dbi), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	assert_int_equal(fixture_try_open(f), -EBADMSG);
	assert_logged(f, "belongs to another program");
}

/* ---- how far the journal may grow ahead of the rows ---- */

static void the_tail_stays_within_its_limit(void **state)
{
	enum { DEVICES = 150, LIMIT = 1000, WRITES = 20000, AT_ONCE = 11 };
	struct fixture *f = *state;
	static struct store_hot hots[DEVICES];
	struct store_write w = {.dedup_index = -1, .change = STORE_RECORD_PUT};
	struct wrote outs[AT_ONCE];
	char name[16];

	fixture_close(f);
	f->options.tail_max = LIMIT;
	fixture_open(f);
	for (uint64_t i = 0; i < WRITES; i++) {
		/* Some write often, most seldom, a few never again. */
		size_t d = i < DEVICES ? i : i * i % 7 == 0 ? i % 5 : i % 100;

		if (i < DEVICES)
			hots[d] = fresh_hot(f);
		snprintf(name, sizeof(name), "d%zu", d);
		next_hot(&hots[d], (uint16_t)(i | 1));
		w.key = device_key(name);
		w.hot = &hots[d];
		w.change = i < DEVICES ? STORE_RECORD_PUT : STORE_RECORD_KEEP;
		write_later(f, &w, &outs[i % AT_ONCE]);
		if (i % AT_ONCE == AT_ONCE - 1)
			wait_for(f, &outs[AT_ONCE - 1].done);
		assert_true(stats_of(f).tail <= LIMIT + 100);
	}
	wait_for(f, &outs[(WRITES - 1) % AT_ONCE].done);
	for (int round = 0; round < 2; round++) {
		for (size_t d = 0; d < DEVICES; d++) {
			snprintf(name, sizeof(name), "d%zu", d);
			hots[d].fence.incarnation = f->fence.incarnation;
			assert_int_equal(find_now(f, device_key(name))->hot.number, hots[d].number);
			assert_memory_equal(&find_now(f, device_key(name))->hot.dedup.entries,
					    &hots[d].dedup.entries, sizeof(hots[d].dedup.entries));
		}
		fixture_reopen(f);
	}
}

/* ---- a full file ---- */

enum { SMALL = 2 << 20 };

/* Puts devices until the store is full; returns how many went in. */
static int fill(struct fixture *f, int from)
{
	static uint8_t record[2000];
	char name[16];

	for (int i = from;; i++) {
		struct store_hot hot = fresh_hot(f);
		struct store_write w = {
			.hot = &hot,
			.dedup_index = next_hot(&hot, 1),
			.change = STORE_RECORD_PUT,
			.record = span_of(record, sizeof(record)),
		};
		int result;

		snprintf(name, sizeof(name), "full%d", i);
		w.key = device_key(name);
		result = write_now(f, &w).written.result;
		if (result == -ENOSPC)
			return i;
		assert_int_equal(result, STORE_DONE);
		assert_true(i - from < 10000);
	}
}

static void check_filled(struct fixture *f, int from, int to)
{
	char name[16];

	for (int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "full%d", i);
		assert_int_equal(find_now(f, device_key(name))->result, STORE_DONE);
		assert_int_equal(find_now(f, device_key(name))->record_len, 2000);
	}
}

static void a_full_store_reads_deletes_and_recovers(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot, kept;
	const char *why = "untouched";
	struct stat st;
	char name[16];
	int count;

	fixture_close(f);
	f->options.size_max = SMALL;
	fixture_open(f);
	kept = fresh_hot(f);
	put(f, "kept", &kept, "record", NULL);
	count = fill(f, 0);
	assert_true(count > 100);
	assert_logged(f, "store-full");
	assert_true(store_healthy(f->store, &why));
	assert_string_equal(why, "untouched");
	assert_int_equal(stat(path_of(f, "store/data.mdb"), &st), 0);
	assert_true(st.st_size <= SMALL);
	/* It stays full without getting fuller; what is there is read. */
	for (int i = 0; i < 50; i++)
		assert_int_equal(fill(f, count), count);
	check_filled(f, 0, count);
	assert_hot_equal(&find_now(f, device_key("kept"))->hot, &kept);
	assert_int_equal(stats_of(f).devices, count + 1);
	/* Deleting works, and gives room. */
	for (int i = 0; i < count / 2; i++) {
		snprintf(name, sizeof(name), "full%d", i);
		hot = fresh_hot(f);
		hot.number = 1;
		remove_device(f, name, &hot);
	}
	put(f, "kept", &kept, NULL, NULL);
	assert_true(fill(f, count) > count);
	/* So does a larger file. */
	count = fill(f, 20000) - 20000;
	f->options.size_max = 2 * SMALL;
	fixture_reopen(f);
	assert_true(fill(f, 30000) > 30000 + 100);
	check_filled(f, 20000, 20000 + count);
	/* And a smaller one than there is changes nothing that is there. */
	f->options.size_max = SMALL;
	fixture_reopen(f);
	check_filled(f, 20000, 20000 + count);
	assert_int_equal(find_now(f, device_key("kept"))->hot.number, kept.number);
}

static void a_full_store_still_trims_its_events(void **state)
{
	enum { BODY = 3000 };
	struct fixture *f = *state;
	static uint8_t body[BODY];
	struct store_hot hot;
	struct store_write w = {.key = device_key("a"),
				.hot = &hot,
				.dedup_index = -1,
				.event = 1,
				.event_body = span_of(body, BODY)};
	int count, events = 0;

	fixture_close(f);
	f->options.size_max = SMALL;
	f->options.journal_age_max_ms = 3600000;
	fixture_open(f);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", NULL);
	/* A third of it events, the rest devices. */
	for (; events < SMALL / 3 / 4096; events++) {
		next_hot(&hot, 0);
		assert_int_equal(write_now(f, &w).written.result, STORE_DONE);
	}
	count = fill(f, 0);
	assert_int_equal(stats_of(f).events_trimmed, 0);
	/* The events grow old; writes that are refused themselves trim them, and then there is room. */
	clock_advance(3600000);
	for (int i = 0; i < 20; i++)
		fill(f, count + i * 1000);
	assert_int_equal(stats_of(f).events_trimmed, events);
	assert_true(stats_of(f).devices > (uint64_t)count + 50);
	assert_int_equal(find_now(f, device_key("a"))->hot.number, hot.number);
}

/* ---- a disk that fails ---- */

/* Runs a child whose system calls fail as said; checks what the store holds after it. Returns how its story
 * went. */
struct story {
	bool opened, failed, unhealthy, recovered;
	int64_t error;
};

static struct story run_injected(struct fixture *f, const char *inject)
{
	enum { REPORTS_MAX = 50000 };
	const char *const wrapper[] = {"strace", "-f", "-qq", "-o", "/dev/null", "-e", inject, NULL};
	uint64_t stored[CHILD_DEVICES] = {0}, reports = 0;
	struct story story = {0};
	struct child_report r;
	struct child c;

	fixture_close(f);
	child_start(&c, &f->place, 100, wrapper);
	while (!story.unhealthy && !(story.recovered && reports > 3000) && reports < REPORTS_MAX &&
	       child_read(&c, 30000, &r)) {
		reports++;
		if (r.type == CHILD_STORED)
			stored[r.device] = r.number;
		if (r.type == CHILD_FAILED && r.error < 0)
			story.error = r.error;
		story.opened |= r.type == CHILD_OPENED;
		story.failed |= r.type == CHILD_FAILED;
		story.unhealthy |= r.type == CHILD_UNHEALTHY;
		story.recovered |= r.type == CHILD_RECOVERED;
	}
	if (!story.unhealthy)
		child_kill(&c);
	while (child_read(&c, 10000, &r))
		if (r.type == CHILD_STORED)
			stored[r.device] = r.number;
	child_wait(&c);
	/* strace has to be there and allowed to trace: without it nothing was tested. */
	assert_true(story.opened);
	fixture_open(f);
	child_check_store(f, stored);
	return story;
}

static void after_a_failed_sync_nothing_is_acknowledged(void **state)
{
	struct fixture *f = *state;
	struct story story = run_injected(f, "inject=fdatasync:error=EIO:when=40+");

	assert_true(story.failed);
	assert_true(story.unhealthy);
	assert_false(story.recovered);
	assert_int_equal(story.error, -EIO);
}

static void one_failed_sync_is_enough(void **state)
{
	struct fixture *f = *state;
	struct story story = run_injected(f, "inject=fdatasync:error=EIO:when=25");

	assert_true(story.unhealthy);
	assert_false(story.recovered);
}

static void assert_full_for_a_while(struct fixture *f, const char *inject)
{
	struct story story = run_injected(f, inject);

	assert_true(story.failed);
	assert_false(story.unhealthy);
	assert_true(story.recovered);
	assert_int_equal(story.error, -ENOSPC);
}

static void a_full_disk_fails_writes_until_there_is_room(void **state)
{
	/* When space is allocated, which is where a full disk is met, ... */
	assert_full_for_a_while(*state, "inject=fallocate:error=ENOSPC:when=1..40");
}

static void a_disk_that_is_full_late_does_no_harm(void **state)
{
	/* ... or, if the file system cannot do that, when a page is written: in this case by some commits of
	 * each thread of the pool. */
	assert_full_for_a_while(*state, "inject=writev,pwritev:error=ENOSPC:when=100..110");
}

/* ---- commits under load ---- */

struct trickle {
	struct fixture *f;
	struct store_hot hot;
	struct wrote outs[40];
	unsigned count;
	uv_timer_t timer;
};

/* A write in a turn of its own, once a millisecond. */
static void on_trickle(uv_timer_t *timer)
{
	struct trickle *t = timer->data;
	struct store_write w = {.key = device_key("a"), .hot = &t->hot, .change = STORE_RECORD_KEEP};

	w.dedup_index = next_hot(&t->hot, 0);
	write_later(t->f, &w, &t->outs[t->count++]);
	if (t->count == ARRAY_SIZE(t->outs))
		uv_close((uv_handle_t *)timer, NULL);
}

/* How many commits there are for a write per millisecond behind a burst of `burst`. */
static uint64_t commits_of_a_trickle(struct fixture *f, unsigned burst, uint64_t interval_ms)
{
	static struct trickle t;
	uint64_t commits;

	fixture_close(f);
	f->options.commit_interval_ms = interval_ms;
	fixture_open(f);
	t = (struct trickle){.f = f, .hot = fresh_hot(f)};
	t.timer.data = &t;
	put(f, "a", &t.hot, "record", NULL);
	for (unsigned i = 0; i < burst; i++)
		on_trickle(&t.timer);
	uv_timer_init(&f->loop, &t.timer);
	uv_timer_start(&t.timer, on_trickle, 1, 1);
	commits = stats_of(f).commits;
	wait_for(f, &t.outs[ARRAY_SIZE(t.outs) - 1].done);
	for (size_t i = 0; i < ARRAY_SIZE(t.outs); i++)
		assert_int_equal(t.outs[i].written.result, STORE_DONE);
	return stats_of(f).commits - commits;
}

static void under_load_writes_wait_for_each_other(void **state)
{
	/* One for the burst, one for all that came within the interval; more only if this machine sleeps. */
	assert_in_range(commits_of_a_trickle(*state, 10, 1000), 2, 4);
}

static void burst(struct fixture *f, struct store_hot *hot, struct wrote outs[10])
{
	for (unsigned i = 0; i < 10; i++) {
		struct store_write w = {.key = device_key("a"), .hot = hot, .change = STORE_RECORD_KEEP};

		w.dedup_index = next_hot(hot, 0);
		write_later(f, &w, &outs[i]);
	}
}

static void closing_waits_for_no_interval(void **state)
{
	static struct wrote first[10], second[10];
	struct fixture *f = *state;
	struct store_hot hot;

	fixture_close(f);
	f->options.commit_interval_ms = 3600000;
	fixture_open(f);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", "event");
	burst(f, &hot, first);
	wait_for(f, &first[9].done);
	burst(f, &hot, second);
	fixture_reopen(f);
	assert_int_equal(second[9].written.result, STORE_DONE);
	assert_int_equal(find_now(f, device_key("a"))->hot.number, 21);
}

/* ---- what nobody waits for ---- */

/* A store whose patience outlasts the test, with a device "a". */
static struct store_hot patient_store(struct fixture *f)
{
	struct store_hot hot;

	fixture_close(f);
	f->options.patience_ms = 3600000;
	fixture_open(f);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", NULL);
	return hot;
}

static void patiently(struct fixture *f, struct store_hot *hot, struct wrote *out)
{
	struct store_write w = {
		.key = device_key("a"), .hot = hot, .change = STORE_RECORD_KEEP, .patient = true};

	w.dedup_index = next_hot(hot, 0);
	write_later(f, &w, out);
}

static void sleep_a_while(struct fixture *f)
{
	for (uint64_t began = uv_hrtime(); uv_hrtime() - began < 50000000;)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void a_patient_write_goes_with_the_next_other(void **state)
{
	struct wrote patient = {0};
	struct fixture *f = *state;
	struct store_hot hot = patient_store(f), other = fresh_hot(f);
	uint64_t commits = stats_of(f).commits;

	patiently(f, &hot, &patient);
	sleep_a_while(f);
	assert_false(patient.done);
	assert_int_equal(stats_of(f).pending_writes, 1);
	put(f, "b", &other, "record", NULL);
	assert_int_equal(patient.written.result, STORE_DONE);
	assert_int_equal(stats_of(f).commits, commits + 1);
}

static void closing_stores_what_was_patient(void **state)
{
	struct wrote patient = {0};
	struct fixture *f = *state;
	struct store_hot hot = patient_store(f);

	patiently(f, &hot, &patient);
	fixture_reopen(f);
	assert_int_equal(patient.written.result, STORE_DONE);
	assert_int_equal(find_now(f, device_key("a"))->hot.number, hot.number);
}

static void patience_ends(void **state)
{
	struct wrote patient[2] = {{0}};
	struct fixture *f = *state;
	struct store_hot hot;
	uint64_t commits, began;

	fixture_close(f);
	f->options.patience_ms = 60;
	fixture_open(f);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", NULL);
	commits = stats_of(f).commits;
	began = uv_hrtime();
	patiently(f, &hot, &patient[0]);
	sleep_a_while(f); /* less than its patience: the second does not begin it anew */
	patiently(f, &hot, &patient[1]);
	wait_for(f, &patient[1].done);
	assert_true(uv_hrtime() - began >= 59000000);
	assert_int_equal(patient[0].written.result, STORE_DONE);
	assert_int_equal(patient[1].written.result, STORE_DONE);
	assert_int_equal(stats_of(f).commits, commits + 1);
}

/* ---- look-ups that share a job ---- */

struct gotten {
	bool done;
	int result;
	uint64_t at_ns;
};

static void on_gotten(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	(void)name;
	(void)body;
	(void)version;
	*(struct gotten *)ctx = (struct gotten){true, result, uv_hrtime()};
}

static void get_later(struct fixture *f, struct gotten *out)
{
	uv_update_time(&f->loop);
	assert_int_equal(store_document_get(f->store, STORE_CREDENTIAL, span_str("nothing"), on_gotten, out),
			 0);
}

static void a_lookup_waits_for_others_only_behind_another(void **state)
{
	enum { INTERVAL_MS = 400 };
	struct fixture *f = *state;
	struct gotten first = {0}, second = {0}, full[17] = {{0}};
	uint64_t began;

	fixture_close(f);
	f->options.commit_interval_ms = INTERVAL_MS;
	fixture_open(f);
	began = uv_hrtime();
	get_later(f, &first);
	wait_for(f, &first.done);
	get_later(f, &second);
	wait_for(f, &second.done);
	assert_int_equal(second.result, STORE_ABSENT);
	assert_true(second.at_ns - began >= (uint64_t)(INTERVAL_MS - 1) * 1000000);
	/* As many as a job takes do not wait; the one that is too many does. */
	for (size_t i = 0; i < ARRAY_SIZE(full); i++)
		get_later(f, &full[i]);
	wait_for(f, &full[15].done);
	assert_false(full[16].done);
	/* What does not share takes them along. */
	(void)find_now(f, device_key("a"));
	assert_true(full[16].done);
}

/* ---- durability `local` ---- */

static void local_durability_keeps_everything_over_a_clean_end(void **state)
{
	struct fixture *f = *state;
	struct store_hot hot;

	fixture_close(f);
	f->options.durability = STORE_LOCAL;
	fixture_open(f);
	hot = fresh_hot(f);
	put(f, "a", &hot, "record", "event");
	/* Long enough for a sync in between. */
	for (uint64_t began = uv_hrtime(); uv_hrtime() - began < 1200000000;) {
		put(f, "a", &hot, NULL, NULL);
		uv_sleep(20);
	}
	fixture_reopen(f);
	assert_int_equal(find_now(f, device_key("a"))->hot.number, hot.number);
	assert_int_equal(events_now(f, (struct store_cursor){0}, 10)->count, 1);
}

static void no_device(void *ctx, int result, const struct store_device *device)
{
	(void)ctx;
	(void)result;
	(void)device;
	fail_msg("called back although the call failed");
}

static void no_page(void *ctx, int result, const struct store_device *device, uint64_t next)
{
	(void)next;
	no_device(ctx, result, device);
}

/* All devices are in the memory of the only node. */
static void what_a_cluster_needs_is_not_supported(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(store_find_hash(f->store, STORE_MANAGEMENT, 5, no_device, NULL), -ENOTSUP);
	assert_int_equal(store_walk(f->store, STORE_MANAGEMENT, 0, 10, no_page, NULL), -ENOTSUP);
	assert_int_equal(store_expired(f->store, STORE_MANAGEMENT, 10, 1000, no_device, NULL), -ENOTSUP);
	assert_int_equal(store_expiry_set(f->store, device_key("a"), 5, no_device, NULL), -ENOTSUP);
	assert_int_equal(store_now_ms(f->store), clock_now());
	assert_int_equal(store_silent_ms(f->store), 0);
}

#define LMDB_TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

static int setup(void **state)
{
	*state = (void *)(uintptr_t)backend_find("lmdb");
	return fixture_setup(state);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		LMDB_TEST(directory_and_file_are_the_owners_only),
		LMDB_TEST(a_second_opening_is_refused),
		LMDB_TEST(what_a_cluster_needs_is_not_supported),
		LMDB_TEST(an_unknown_url_or_option_is_refused),
		LMDB_TEST(a_path_that_cannot_be_is_said_with_its_cause),
		LMDB_TEST(a_directory_of_others_is_said_to_be_not_writable),
		LMDB_TEST(a_newer_format_is_refused_and_left_alone),
		LMDB_TEST(a_file_that_is_something_else_is_refused),
		LMDB_TEST(the_tail_stays_within_its_limit),
		LMDB_TEST(a_full_store_reads_deletes_and_recovers),
		LMDB_TEST(a_full_store_still_trims_its_events),
		LMDB_TEST(after_a_failed_sync_nothing_is_acknowledged),
		LMDB_TEST(one_failed_sync_is_enough),
		LMDB_TEST(a_full_disk_fails_writes_until_there_is_room),
		LMDB_TEST(a_disk_that_is_full_late_does_no_harm),
		LMDB_TEST(under_load_writes_wait_for_each_other),
		LMDB_TEST(closing_waits_for_no_interval),
		LMDB_TEST(a_patient_write_goes_with_the_next_other),
		LMDB_TEST(closing_stores_what_was_patient),
		LMDB_TEST(patience_ends),
		LMDB_TEST(a_lookup_waits_for_others_only_behind_another),
		LMDB_TEST(local_durability_keeps_everything_over_a_clean_end),
	};

	if (argc > 1 && strcmp(argv[1], "--child") == 0)
		return child_main(argc, argv);
	return cmocka_run_group_tests_name("store-lmdb", tests, NULL, NULL);
}
