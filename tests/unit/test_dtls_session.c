/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Sessions: which numbers they give out, which they take, and that however copies, hand-overs and restarts
 * are mixed, no number protects two records.
 */

#include "dtls_test.h"

#include "base/random.h"
#include "dtls/session.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOM = 512, SUITE = 0xC0A8, WALL = 1000 };

#define TERM(n) ((uint64_t)(n) << DTLS_COUNTER_BITS)
#define COUNTER_LAST ((UINT64_C(1) << DTLS_COUNTER_BITS) - 1)

static struct dtls_session server_session(void)
{
	struct dtls_session s = {
		.peer = {.ip = {192, 0, 2, 7}, .port = 56830, .family = 4, .listener = 1},
		.write_seq = 1,
		.created_ms = 1700000000000,
		.used_ms = 1700000000123,
		.term_base = 5,
		.suite = SUITE,
		.aead = DTLS_AES_128_CCM_8,
		.extended_master_secret = true,
		.own_cid_len = DTLS_CID_OWN,
		.peer_cid_len = 3,
		.own_cid = {0x10, 1, 2, 3, 4, 5, 6, 7},
		.peer_cid = {9, 8, 7},
	};

	memset(s.read.key, 0x11, 16);
	memset(s.write.key, 0x22, 16);
	memset(s.read.iv, 0x33, DTLS_IV);
	memset(s.write.iv, 0x44, DTLS_IV);
	return s;
}

/* The other end of it. */
static struct dtls_session client_session(const struct dtls_session *server)
{
	struct dtls_session s = *server;

	s.read = server->write;
	s.write = server->read;
	s.own_cid_len = 0;
	s.peer_cid_len = DTLS_CID_OWN;
	memcpy(s.peer_cid, server->own_cid, DTLS_CID_OWN);
	s.read_any = false;
	return s;
}

static struct dtls_record parsed(struct span datagram, size_t cid_len)
{
	struct reader r = reader_of(datagram);
	struct dtls_record record;

	assert_int_equal(dtls_record_parse(&r, cid_len, &record), 0);
	return record;
}

/* What the server says to a record of the client with this number. */
static enum dtls_opened receive(struct dtls_session *server, struct dtls_session *client, uint64_t seq)
{
	uint8_t bytes[ROOM], out[ROOM], type;
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct dtls_record r;
	struct span plaintext;
	enum dtls_opened outcome;

	dtls_seal(&w, (enum dtls_aead)client->aead, &client->write,
		  span_of(server->own_cid, server->own_cid_len), DTLS_EPOCH, seq, DTLS_APPLICATION_DATA,
		  span_str("hello"));
	r = parsed(writer_span(&w), server->own_cid_len);
	outcome = dtls_session_open(server, &r, WALL, out, &plaintext, &type);
	if (outcome == DTLS_OPENED || outcome == DTLS_OPENED_OLD) {
		assert_bytes(plaintext, span_str("hello"));
		assert_int_equal(type, DTLS_APPLICATION_DATA);
		assert_int_equal(server->used_ms, WALL);
	}
	return outcome;
}

static void both_ends_understand_each_other(void **state)
{
	struct dtls_session server = server_session(), client = client_session(&server);
	uint8_t bytes[ROOM], out[ROOM], type;
	struct span plaintext;

	(void)state;
	client.own_cid_len = 3;
	memcpy(client.own_cid, server.peer_cid, 3);
	for (uint64_t n = 1; n < 5; n++) {
		struct writer w = writer_of(bytes, sizeof(bytes));
		struct dtls_record r;

		assert_int_equal(dtls_session_seal(&server, &w, DTLS_ALERT, span_str("\1\0")), 0);
		r = parsed(writer_span(&w), 3);
		assert_int_equal(r.type, DTLS_TLS12_CID);
		assert_int_equal(r.seq, n);
		assert_int_equal(server.write_seq, n + 1);
		assert_int_equal(dtls_session_open(&client, &r, WALL, out, &plaintext, &type), DTLS_OPENED);
		assert_int_equal(type, DTLS_ALERT);
		assert_int_equal(dtls_session_open(&client, &r, WALL, out, &plaintext, &type), DTLS_REPLAYED);
	}
}

static void the_window_has_64_numbers(void **state)
{
	struct dtls_session server = server_session(), client = client_session(&server);

	(void)state;
	assert_int_equal(receive(&server, &client, 0), DTLS_OPENED);
	assert_int_equal(receive(&server, &client, 0), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 100), DTLS_OPENED);
	assert_int_equal(receive(&server, &client, 36), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 37), DTLS_OPENED_OLD);
	assert_int_equal(receive(&server, &client, 37), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 99), DTLS_OPENED_OLD);
	assert_int_equal(receive(&server, &client, 99), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 163), DTLS_OPENED);
	assert_int_equal(receive(&server, &client, 100), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 101), DTLS_OPENED_OLD);
	assert_int_equal(receive(&server, &client, 227), DTLS_OPENED);
	assert_int_equal(receive(&server, &client, 163), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 164), DTLS_OPENED_OLD);
	assert_int_equal(receive(&server, &client, 228), DTLS_OPENED);
	assert_int_equal(receive(&server, &client, 227), DTLS_REPLAYED);
}

static void numbers_may_jump(void **state)
{
	struct dtls_session server = server_session(), client = client_session(&server);
	uint64_t last = (UINT64_C(1) << 48) - 1;

	(void)state;
	assert_int_equal(receive(&server, &client, 7), DTLS_OPENED);
	assert_int_equal(receive(&server, &client, UINT64_C(7) << 32), DTLS_OPENED);
	assert_int_equal(receive(&server, &client, 7), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, (UINT64_C(7) << 32) - 1), DTLS_OPENED_OLD);
	assert_int_equal(receive(&server, &client, last), DTLS_OPENED);
	assert_int_equal(receive(&server, &client, last), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, last - 63), DTLS_OPENED_OLD);
	assert_int_equal(receive(&server, &client, last - 64), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 0), DTLS_REPLAYED);
}

/* Against a list of all numbers that were seen. */
static void the_window_is_right_in_a_long_random_run(void **state)
{
	enum { SPAN = 4096, STEPS = 20000 };
	struct dtls_session server = server_session(), client = client_session(&server);
	static bool seen[SPAN + 128];
	struct random random;
	uint64_t top = 0;

	(void)state;
	memset(seen, 0, sizeof(seen));
	random_init_seed(&random, 1);
	assert_int_equal(receive(&server, &client, 0), DTLS_OPENED);
	seen[0] = true;
	for (unsigned i = 0; i < STEPS && top < SPAN - 200; i++) {
		uint64_t back = random_u32(&random) % 80, seq = top + 3 - MIN(top + 3, back);
		enum dtls_opened wanted = seq > top			? DTLS_OPENED
					  : seen[seq] || top - seq > 63 ? DTLS_REPLAYED
									: DTLS_OPENED_OLD;

		assert_int_equal(receive(&server, &client, seq), wanted);
		seen[seq] = true;
		top = MAX(top, seq);
	}
	assert_true(top > 500);
}

static void a_mark_makes_numbers_old(void **state)
{
	struct dtls_session server = server_session(), client = client_session(&server);

	(void)state;
	dtls_session_set_mark(&server, 10);
	assert_int_equal(receive(&server, &client, 10), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 0), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 20), DTLS_OPENED);
	assert_int_equal(receive(&server, &client, 15), DTLS_OPENED_OLD);
	dtls_session_set_mark(&server, 12);
	assert_int_equal(receive(&server, &client, 12), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 13), DTLS_OPENED_OLD);
	dtls_session_set_mark(&server, 3);
	assert_int_equal(receive(&server, &client, 14), DTLS_OPENED_OLD);
	dtls_session_set_mark(&server, 20);
	assert_int_equal(receive(&server, &client, 19), DTLS_REPLAYED);
	dtls_session_set_mark(&server, 500);
	assert_int_equal(receive(&server, &client, 500), DTLS_REPLAYED);
	assert_int_equal(receive(&server, &client, 501), DTLS_OPENED);
	dtls_session_set_mark(&server, UINT64_MAX);
	assert_int_equal(receive(&server, &client, (UINT64_C(1) << 48) - 1), DTLS_REPLAYED);
	assert_int_equal(server.read_top, (UINT64_C(1) << 48) - 1);
}

static void what_is_not_ours_changes_nothing(void **state)
{
	static const uint8_t good_cid[] = {0x10, 1, 2, 3, 4, 5, 6, 7};
	struct dtls_session server = server_session(), client = client_session(&server), before;
	uint8_t bytes[ROOM], out[ROOM], type;
	struct span cid = span_of(good_cid, sizeof(good_cid)), plaintext;
	struct dtls_record r, changed;
	struct writer w = writer_of(bytes, sizeof(bytes));

	(void)state;
	dtls_seal(&w, DTLS_AES_128_CCM_8, &client.write, cid, DTLS_EPOCH, 5, DTLS_APPLICATION_DATA,
		  span_str("x"));
	r = parsed(writer_span(&w), cid.len);
	before = server;
	for (unsigned i = 0; i < 6; i++) {
		changed = r;
		changed.epoch = i == 0 ? 0 : i == 1 ? 2 : r.epoch;
		changed.version = i == 2 ? 0xFEFF : r.version;
		changed.type = i == 3 ? DTLS_APPLICATION_DATA : r.type;
		changed.cid.len -= i == 4;
		changed.fragment.len = i == 5 ? DTLS_EXPLICIT + 8 : r.fragment.len;
		assert_int_equal(dtls_session_open(&server, &changed, WALL, out, &plaintext, &type),
				 DTLS_NOT_OURS);
	}
	bytes[11] ^= 1; /* the first byte of the connection id */
	assert_int_equal(dtls_session_open(&server, &r, WALL, out, &plaintext, &type), DTLS_NOT_OURS);
	bytes[11] ^= 1;
	assert_memory_equal(&server, &before, sizeof(server));
	server.own_cid_len = 0; /* then a record with one is not ours */
	assert_int_equal(dtls_session_open(&server, &r, WALL, out, &plaintext, &type), DTLS_NOT_OURS);
	r.cid.len = 0;
	assert_int_equal(dtls_session_open(&server, &r, WALL, out, &plaintext, &type), DTLS_NOT_OURS);
}

/* Each bit of a record: refused in one way or another, and the genuine one is accepted afterwards. */
static void forged_records_are_counted_and_leave_the_window(void **state)
{
	struct dtls_session server = server_session(), client = client_session(&server);
	uint8_t bytes[ROOM], out[ROOM], type;
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct span plaintext, s;
	struct dtls_record r;

	(void)state;
	assert_int_equal(dtls_session_seal(&client, &w, DTLS_APPLICATION_DATA, span_str("hello")), 0);
	s = writer_span(&w);
	for (size_t bit = 0; bit < 8 * s.len; bit++) {
		struct reader reader = reader_of(s);

		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (dtls_record_parse(&reader, DTLS_CID_OWN, &r) == 0)
			assert_true(dtls_session_open(&server, &r, WALL, out, &plaintext, &type) >=
				    DTLS_NOT_OURS);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_false(server.read_any);
	assert_true(server.failed_opens >= 8 * (8 + 6 + 8)); /* fragment and number */
	r = parsed(s, DTLS_CID_OWN);
	assert_int_equal(dtls_session_open(&server, &r, WALL, out, &plaintext, &type), DTLS_OPENED);
}

static void after_too_many_forgeries_nothing_opens(void **state)
{
	struct dtls_session server = server_session(), client = client_session(&server);
	struct dtls_session other = client;

	(void)state;
	other.write.key[0] ^= 1;
	server.failed_opens = DTLS_FAILURES_MAX - 1;
	assert_int_equal(receive(&server, &client, 1), DTLS_OPENED);
	assert_int_equal(receive(&server, &other, 2), DTLS_NOT_AUTHENTIC);
	assert_int_equal(server.failed_opens, DTLS_FAILURES_MAX);
	assert_int_equal(receive(&server, &client, 2), DTLS_NOT_AUTHENTIC);
	assert_int_equal(server.failed_opens, DTLS_FAILURES_MAX);
}

static void a_term_ends_without_a_carry(void **state)
{
	struct dtls_session s = server_session();
	uint8_t bytes[ROOM];
	struct writer w = writer_of(bytes, sizeof(bytes));

	(void)state;
	s.write_seq = TERM(3) | (COUNTER_LAST - 1);
	assert_int_equal(dtls_session_seal(&s, &w, DTLS_APPLICATION_DATA, span_str("x")), 0);
	assert_int_equal(parsed(writer_span(&w), 3).seq, TERM(3) | (COUNTER_LAST - 1));
	for (unsigned i = 0; i < 3; i++) {
		w = writer_of(bytes, sizeof(bytes));
		assert_int_equal(dtls_session_seal(&s, &w, DTLS_APPLICATION_DATA, span_str("x")), -EOVERFLOW);
		assert_int_equal(writer_len(&w), 0);
	}
	assert_int_equal(dtls_session_enter_term(&s, s.term_base + 3, 0), -EOVERFLOW);
	assert_int_equal(dtls_session_enter_term(&s, s.term_base + 4, 0), 0);
	assert_int_equal(s.write_seq, TERM(4));
	assert_int_equal(dtls_session_seal(&s, &w, DTLS_APPLICATION_DATA, span_str("x")), 0);
}

static void a_term_is_entered_once_and_in_order(void **state)
{
	struct dtls_session s = server_session();

	(void)state;
	assert_int_equal(dtls_session_enter_term(&s, 5, 1), -EOVERFLOW);
	assert_int_equal(dtls_session_enter_term(&s, 4, 1), -EOVERFLOW);
	assert_int_equal(dtls_session_enter_term(&s, 0, 1), -EOVERFLOW);
	assert_int_equal(s.write_seq, 1);
	assert_int_equal(dtls_session_enter_term(&s, 6, UINT32_MAX), 0);
	assert_int_equal(s.write_seq, TERM(1) | (COUNTER_LAST >> 2));
	assert_int_equal(dtls_session_enter_term(&s, 6, 7), -EOVERFLOW);
	assert_int_equal(dtls_session_enter_term(&s, 5 + 255, 7), 0);
	assert_int_equal(s.write_seq, TERM(255) | 7);
	assert_int_equal(dtls_session_enter_term(&s, 5 + 256, 7), -EOVERFLOW);
	assert_int_equal(dtls_session_enter_term(&s, UINT32_MAX, 7), -EOVERFLOW);
	assert_int_equal(s.write_seq, TERM(255) | 7);
}

static void a_record_that_does_not_fit_spends_no_number(void **state)
{
	struct dtls_session s = server_session();
	uint8_t bytes[ROOM];
	struct writer w = writer_of(bytes, 20);
	_cleanup_free_ uint8_t *large = calloc(1, 2 * DTLS_PLAINTEXT_MAX);

	(void)state;
	assert_int_equal(dtls_session_seal(&s, &w, DTLS_APPLICATION_DATA, span_str("hello")), -EMSGSIZE);
	assert_non_null(large);
	w = writer_of(large, 2 * DTLS_PLAINTEXT_MAX);
	assert_int_equal(
		dtls_session_seal(&s, &w, DTLS_APPLICATION_DATA, span_of(large, DTLS_PLAINTEXT_MAX + 1)),
		-EMSGSIZE);
	assert_int_equal(s.write_seq, 1);
}

static struct span encoded(const struct dtls_session *s, bool with_counter, uint8_t bytes[ROOM])
{
	struct writer w = writer_of(bytes, DTLS_SESSION_ENCODED_MAX);

	dtls_session_encode(s, with_counter, &w);
	assert_false(w.failed);
	return writer_span(&w);
}

static void a_hand_over_carries_all(void **state)
{
	struct dtls_session s = server_session(), client = client_session(&s), moved;
	uint8_t bytes[ROOM];

	(void)state;
	assert_int_equal(receive(&s, &client, 40), DTLS_OPENED);
	assert_int_equal(receive(&s, &client, 30), DTLS_OPENED_OLD);
	s.failed_opens = 77;
	s.write_seq = TERM(9) | 1234;
	assert_int_equal(dtls_session_decode(encoded(&s, true, bytes), &moved), 0);
	assert_memory_equal(&moved, &s, sizeof(s));
	assert_int_equal(receive(&moved, &client, 30), DTLS_REPLAYED);
	assert_int_equal(receive(&moved, &client, 31), DTLS_OPENED_OLD);
}

static void a_copy_knows_no_counter_and_no_window(void **state)
{
	struct dtls_session s = server_session(), client = client_session(&s), copy;
	uint8_t bytes[ROOM], again[ROOM];
	struct span first;

	(void)state;
	assert_int_equal(receive(&s, &client, 40), DTLS_OPENED);
	s.write_seq = TERM(9) | 1234;
	first = encoded(&s, false, bytes);
	assert_int_equal(dtls_session_decode(first, &copy), 0);
	assert_true(copy.write_seq & DTLS_SEQ_UNKNOWN);
	assert_bytes(encoded(&copy, false, again), first);
	s.write_seq++; /* the counter leaves no trace */
	assert_bytes(encoded(&s, false, again), first);
	assert_int_equal(receive(&copy, &client, 39), DTLS_REPLAYED);
	assert_int_equal(receive(&copy, &client, 41), DTLS_OPENED);
	assert_int_equal(dtls_session_enter_term(&copy, s.term_base + 9, 5), -EOVERFLOW);
	assert_int_equal(dtls_session_enter_term(&copy, s.term_base + 10, 5), 0);
	assert_int_equal(copy.write_seq, TERM(10) | 5);
}

static void a_copy_seals_nothing_before_its_term(void **state)
{
	struct dtls_session s = server_session(), copy;
	uint8_t bytes[ROOM];
	pid_t child;
	int status;

	(void)state;
	assert_int_equal(dtls_session_decode(encoded(&s, false, bytes), &copy), 0);
	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct writer w = writer_of(bytes, sizeof(bytes));

		signal(SIGABRT, SIG_DFL);
		fclose(stderr);
		_exit(dtls_session_seal(&copy, &w, DTLS_APPLICATION_DATA, span_str("x")) ? 2 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* The longest there is, and each shape of the address. */
static void all_shapes_are_encoded(void **state)
{
	uint8_t bytes[ROOM];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct dtls_session s = server_session(), back;

		s.peer = i == 0	  ? (struct address){0}
			 : i == 1 ? (struct address){.ip = {10}, .port = 1, .family = 4}
				  : (struct address){.ip = {0x20, 1, 0xd, 0xb8},
						     .scope = 3,
						     .port = 5684,
						     .family = 6,
						     .listener = 2};
		s.suite = i == 3 ? 0xC02C : SUITE;
		s.aead = i == 3 ? DTLS_AES_256_GCM : DTLS_AES_128_CCM_8;
		s.own_cid_len = i == 1 ? 0 : DTLS_CID_OWN;
		s.peer_cid_len = i == 3 ? DTLS_CID_MAX : 0;
		memset(s.own_cid, i == 1 ? 0 : 5, DTLS_CID_OWN);
		memset(s.peer_cid, 0, DTLS_CID_MAX);
		memset(s.peer_cid, 6, s.peer_cid_len);
		memset(s.read.key + 16, i == 3 ? 7 : 0, 16);
		s.extended_master_secret = i & 1;
		assert_int_equal(dtls_session_decode(encoded(&s, true, bytes), &back), 0);
		assert_memory_equal(&back, &s, sizeof(s));
	}
}

static void what_is_no_session_is_refused(void **state)
{
	struct dtls_session s = server_session(), client = client_session(&s), out;
	uint8_t bytes[ROOM], again[ROOM];
	struct writer w;
	struct span e;

	(void)state;
	assert_int_equal(receive(&s, &client, 40), DTLS_OPENED);
	e = encoded(&s, true, bytes);
	for (size_t len = 0; len < e.len; len++) {
		assert_int_equal(dtls_session_decode(span_of(bytes, len), &out), -EBADMSG);
		assert_true(all_are((const uint8_t *)&out, sizeof(out), 0));
		w = writer_of(again, len);
		dtls_session_encode(&s, true, &w);
		assert_true(w.failed);
	}
	bytes[e.len] = 0;
	assert_int_equal(dtls_session_decode(span_of(bytes, e.len + 1), &out), -EBADMSG);
	/* A flipped bit is another session, or none; what is read is written alike. */
	for (size_t bit = 0; bit < 8 * e.len; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (dtls_session_decode(e, &out) == 0) {
			w = writer_of(again, sizeof(again));
			dtls_session_encode(&out, !(out.write_seq & DTLS_SEQ_UNKNOWN), &w);
			assert_bytes(writer_span(&w), e);
		}
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	bytes[0] = 2;
	assert_int_equal(dtls_session_decode(e, &out), -EPROTO);
	bytes[0] = 0;
	assert_int_equal(dtls_session_decode(e, &out), -EBADMSG);
}

static void wiping_leaves_nothing(void **state)
{
	struct dtls_session s = server_session();

	(void)state;
	dtls_session_wipe(&s);
	assert_true(all_are((const uint8_t *)&s, sizeof(s), 0));
}

/* ---- no nonce twice ---- */

/*
 * Nodes that hold copies of one session, and a store that knows the generation and the bytes that the last
 * claim wrote. Each step something happens to one node; whatever any node seals is noted.
 */
enum { NODES = 4, STEPS = 200000, SEEN_MAX = 1 << 19 };

struct world {
	struct dtls_session copies[NODES];
	bool has[NODES]; /* a copy that may seal: also nodes whose device went to another one unnoticed */
	uint8_t store[ROOM];
	size_t stored;
	uint32_t generation;
	struct random random;
	uint64_t *seen;
	size_t count, overflows, handshakes, hand_overs, claims;
};

static void note(struct world *world, uint64_t seq)
{
	assert_true(world->count < SEEN_MAX);
	world->seen[world->count++] = seq;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The numbers of one key: each once. */
static void check_and_forget(struct world *world)
{
	qsort(world->seen, world->count, sizeof(*world->seen), by_number);
	for (size_t i = 1; i < world->count; i++)
		assert_true(world->seen[i - 1] != world->seen[i]);
	world->count = 0;
}

static void save(struct world *world, const struct dtls_session *s)
{
	struct writer w = writer_of(world->store, sizeof(world->store));

	dtls_session_encode(s, false, &w);
	assert_false(w.failed);
	world->stored = writer_len(&w);
}

/* New keys: the numbers begin again. */
static void handshake(struct world *world, unsigned node)
{
	check_and_forget(world);
	memset(world->has, 0, sizeof(world->has));
	world->copies[node] = server_session();
	world->copies[node].term_base = ++world->generation;
	world->has[node] = true;
	world->handshakes++;
	save(world, &world->copies[node]);
}

/* From the store alone: whoever had the device may not know, and go on sealing. */
static void claim(struct world *world, unsigned node)
{
	struct dtls_session s;

	assert_int_equal(dtls_session_decode(span_of(world->store, world->stored), &s), 0);
	if (dtls_session_enter_term(&s, ++world->generation, random_u32(&world->random)) < 0) {
		handshake(world, node);
		return;
	}
	world->copies[node] = s;
	world->has[node] = true;
	world->claims++;
	if (random_u32(&world->random) % 2) /* else the copy in the store stays an older one */
		save(world, &s);
}

static void hand_over(struct world *world, unsigned from, unsigned to)
{
	uint8_t bytes[ROOM];
	struct writer w = writer_of(bytes, sizeof(bytes));

	if (!world->has[from] || from == to)
		return;
	dtls_session_encode(&world->copies[from], true, &w);
	world->has[from] = false;
	dtls_session_wipe(&world->copies[from]);
	world->generation++;
	assert_int_equal(dtls_session_decode(writer_span(&w), &world->copies[to]), 0);
	world->has[to] = true;
	world->hand_overs++;
}

static void send_some(struct world *world, unsigned node)
{
	struct dtls_session *s = &world->copies[node];
	uint8_t bytes[ROOM];

	for (unsigned n = random_u32(&world->random) % 4; world->has[node] && n; n--) {
		struct writer w = writer_of(bytes, sizeof(bytes));
		int rc = dtls_session_seal(s, &w, DTLS_APPLICATION_DATA, span_of(&n, sizeof(n)));

		if (rc == 0) {
			note(world, parsed(writer_span(&w), s->peer_cid_len).seq);
			continue;
		}
		assert_int_equal(rc, -EOVERFLOW);
		world->overflows++;
		claim(world, node);
	}
}

static void step(struct world *world)
{
	uint32_t dice = random_u32(&world->random);
	unsigned node = dice >> 8 & 3, other = dice >> 10 & 3;
	uint64_t left = dice >> 12 & 7;

	switch (dice & 0xff) {
	case 0 ... 3: /* a restart, or a claim against a living owner */
		claim(world, node);
		break;
	case 4 ... 11:
		hand_over(world, node, other);
		break;
	case 12: /* the counter has come to its end */
		if (world->has[node])
			world->copies[node].write_seq |= COUNTER_LAST - MIN(left, 7);
		break;
	case 13:
		if (left == 0)
			handshake(world, node);
		break;
	default:
		send_some(world, node);
	}
}

static void no_number_protects_two_records(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	(void)state;
	assert_non_null(world);
	world->seen = calloc(SEEN_MAX, sizeof(*world->seen));
	assert_non_null(world->seen);
	random_init_seed(&world->random, 7);
	handshake(world, 0);
	for (unsigned i = 0; i < STEPS; i++)
		step(world);
	check_and_forget(world);
	assert_true(world->claims > 1000 && world->hand_overs > 1000 && world->overflows > 100 &&
		    world->handshakes > 10);
	free(world->seen);
	free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_understand_each_other),
		cmocka_unit_test(the_window_has_64_numbers),
		cmocka_unit_test(numbers_may_jump),
		cmocka_unit_test(the_window_is_right_in_a_long_random_run),
		cmocka_unit_test(a_mark_makes_numbers_old),
		cmocka_unit_test(what_is_not_ours_changes_nothing),
		cmocka_unit_test(forged_records_are_counted_and_leave_the_window),
		cmocka_unit_test(after_too_many_forgeries_nothing_opens),
		cmocka_unit_test(a_term_ends_without_a_carry),
		cmocka_unit_test(a_term_is_entered_once_and_in_order),
		cmocka_unit_test(a_record_that_does_not_fit_spends_no_number),
		cmocka_unit_test(a_hand_over_carries_all),
		cmocka_unit_test(a_copy_knows_no_counter_and_no_window),
		cmocka_unit_test(a_copy_seals_nothing_before_its_term),
		cmocka_unit_test(all_shapes_are_encoded),
		cmocka_unit_test(what_is_no_session_is_refused),
		cmocka_unit_test(wiping_leaves_nothing),
		cmocka_unit_test(no_number_protects_two_records),
	};

	return cmocka_run_group_tests_name("dtls_session", tests, NULL, NULL);
}
