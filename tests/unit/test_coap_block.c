/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Blocks (RFC 7959): the option, bodies that arrive in blocks, and bodies that go out in blocks. */

#include "coap_test.h"

#include "coap/block.h"

#include <errno.h>
#include <stdlib.h>

enum { NOW = 1000, IDLE_MS = 5000, BODY_MAX = 256, BYTES_MAX = 320 };

static const struct siphash_key key = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const struct coap_token token = {.len = 1, .bytes = {7}};

/* "0123456789012...": what a body is cut from. */
static const char *text_of(size_t len)
{
	static _Thread_local char text[4096];

	assert_true(len < sizeof(text));
	for (size_t i = 0; i < len; i++)
		text[i] = (char)('0' + i % 10);
	text[len] = '\0';
	return text;
}

/* ---- the option ---- */

static void test_option(void **state)
{
	static const struct {
		uint32_t value;
		enum coap_block_found found;
		struct coap_block block;
	} cases[] = {
		{0, COAP_BLOCK_FOUND, {0, false, 0}},
		{6, COAP_BLOCK_FOUND, {0, false, 6}},
		{7, COAP_BLOCK_BAD, {0, false, 7}},
		{0x0E, COAP_BLOCK_FOUND, {0, true, 6}},
		{0x0F, COAP_BLOCK_BAD, {0, true, 7}},
		{0x13, COAP_BLOCK_FOUND, {1, false, 3}},
		{0xFFFFFE, COAP_BLOCK_FOUND, {COAP_BLOCK_NUM_MAX, true, 6}},
		{0x1000006, COAP_BLOCK_BAD, {COAP_BLOCK_NUM_MAX + 1, false, 6}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_message m;
		struct coap_block b;

		coap_message_init(&m, COAP_CON, COAP_GET, 1, token);
		assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK2, cases[i].value), 0);
		assert_int_equal(coap_find_block(&m, COAP_OPTION_BLOCK2, &b), cases[i].found);
		assert_int_equal(b.num, cases[i].block.num);
		assert_int_equal(b.more, cases[i].block.more);
		assert_int_equal(b.szx, cases[i].block.szx);
		assert_int_equal(coap_find_block(&m, COAP_OPTION_BLOCK1, &b), COAP_BLOCK_ABSENT);
	}
}

/* What is added is found again, in the shortest form. */
static void test_option_round_trip(void **state)
{
	static const struct {
		struct coap_block block;
		size_t len;
	} cases[] = {
		{{0, false, 0}, 0}, {{0, true, 6}, 1},	   {{15, false, 6}, 1},
		{{16, true, 0}, 2}, {{4095, false, 2}, 2}, {{COAP_BLOCK_NUM_MAX, true, 5}, 3},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_message m;
		struct coap_block b;

		coap_message_init(&m, COAP_CON, COAP_PUT, 1, token);
		assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK1, &cases[i].block), 0);
		assert_int_equal(coap_find(&m, COAP_OPTION_BLOCK1)->len, cases[i].len);
		assert_int_equal(coap_find_block(&m, COAP_OPTION_BLOCK1, &b), COAP_BLOCK_FOUND);
		assert_int_equal(b.num, cases[i].block.num);
		assert_int_equal(b.more, cases[i].block.more);
		assert_int_equal(b.szx, cases[i].block.szx);
		assert_int_equal(coap_block_offset(&b), (size_t)b.num << (b.szx + 4));
	}
}

/* ---- bodies that arrive ---- */

struct bench {
	struct timers timers;
	struct coap_assemblies assemblies;
	struct address from;
	uint8_t method;
	const char *path, *query;
	struct buffer body;
	uint64_t now_ms;
};

static void setup(struct bench *b)
{
	static const struct coap_assembly_limits limits = {
		.body_max = BODY_MAX, .bytes_max = BYTES_MAX, .per_address = 2, .idle_ms = IDLE_MS};

	*b = (struct bench){.from = {.family = 4, .ip = {192, 0, 2, 1}, .port = 5683},
			    .method = COAP_POST,
			    .path = "/rd",
			    .query = "ep=a&lt=60",
			    .now_ms = NOW};
	timers_init(&b->timers, NOW);
	coap_assemblies_init(&b->assemblies, &b->timers, &key, &limits);
}

static void teardown(struct bench *b)
{
	buffer_deinit(&b->body);
	coap_assemblies_deinit(&b->assemblies);
	assert_int_equal(b->assemblies.bytes, 0);
	assert_int_equal(b->timers.count, 0);
}

/* A block, each with a token and message id of its own; `len` bytes of its payload, which need not fit. */
static enum coap_assembled put(struct bench *b, uint32_t num, bool more, uint8_t szx, const char *payload,
			       size_t len)
{
	const struct coap_block block = {num, more, szx};
	struct coap_message m;

	coap_message_init(&m, COAP_CON, b->method, (uint16_t)num,
			  (struct coap_token){.len = 2, .bytes = {1, (uint8_t)num}});
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str(b->path)), 0);
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str(b->query)), 0);
	assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK1, &block), 0);
	m.payload = span_of(payload, len);
	buffer_deinit(&b->body);
	return coap_assemble(&b->assemblies, &b->from, &m, &block, b->now_ms, &b->body);
}

/* Block `num` of text_of(len), 16 bytes each. */
static enum coap_assembled put_part(struct bench *b, size_t len, uint32_t num)
{
	size_t start = (size_t)num * 16;
	const char *text = text_of(len);

	return put(b, num, start + 16 < len, 0, text + start, MIN((size_t)16, len - start));
}

static void expect_body(struct bench *b, size_t len)
{
	assert_int_equal(b->body.len, len);
	assert_memory_equal(b->body.data, text_of(len), len);
}

static void test_assemble(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(b.assemblies.bytes, 16);
	assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 40, 2), COAP_ASSEMBLED);
	expect_body(&b, 40);
	assert_int_equal(b.assemblies.bytes, 0);
	assert_int_equal(b.timers.count, 0);
	/* Over and done with: what comes late belongs to nothing. */
	assert_int_equal(put_part(&b, 40, 2), COAP_ASSEMBLY_INCOMPLETE);
	assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_INCOMPLETE);
	teardown(&b);
}

/* One block is a body too, and so is an empty one. */
static void test_assemble_single(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	assert_int_equal(put(&b, 0, false, 0, "abc", 3), COAP_ASSEMBLED);
	assert_text(buffer_span(&b.body), "abc");
	assert_int_equal(put(&b, 0, false, 0, "", 0), COAP_ASSEMBLED);
	assert_int_equal(b.body.len, 0);
	/* A last block that fills its size, and one that adds nothing. */
	assert_int_equal(put_part(&b, 32, 0), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 32, 1), COAP_ASSEMBLED);
	expect_body(&b, 32);
	assert_int_equal(put(&b, 0, true, 0, text_of(16), 16), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put(&b, 1, false, 0, "", 0), COAP_ASSEMBLED);
	expect_body(&b, 16);
	teardown(&b);
}

/* The ACK of a block was lost, and it comes again as a new message: answered as it was, taken once. */
static void test_assemble_repeated(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	for (uint32_t num = 0; num < 4; num++)
		for (unsigned again = 0; again < 3; again++)
			assert_int_equal(put_part(&b, 70, num), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(b.assemblies.bytes, 64);
	assert_int_equal(put_part(&b, 70, 4), COAP_ASSEMBLED);
	expect_body(&b, 70);
	teardown(&b);
}

/* The same place with other bytes is not the same block. */
static void test_assemble_changed(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put(&b, 1, true, 0, "0123456789abcdef", 16), COAP_ASSEMBLY_INCOMPLETE);
	assert_int_equal(put_part(&b, 40, 2), COAP_ASSEMBLED);
	expect_body(&b, 40);
	teardown(&b);
}

/* A block too early or too late is refused, and the transfer goes on where it was. */
static void test_assemble_reordered(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	assert_int_equal(put_part(&b, 80, 3), COAP_ASSEMBLY_INCOMPLETE);
	assert_int_equal(put_part(&b, 80, 0), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 80, 2), COAP_ASSEMBLY_INCOMPLETE);
	assert_int_equal(put_part(&b, 80, 4), COAP_ASSEMBLY_INCOMPLETE); /* the last */
	assert_int_equal(put_part(&b, 80, 1), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 80, 2), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 80, 1), COAP_ASSEMBLY_INCOMPLETE); /* a straggler */
	assert_int_equal(put_part(&b, 80, 3), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 80, 4), COAP_ASSEMBLED);
	expect_body(&b, 80);
	teardown(&b);
}

/* Block 0 starts anew, wherever the transfer was, and whatever it says. */
static void test_assemble_again(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	/* After block 0 alone: of the same length, but other bytes. */
	assert_int_equal(put(&b, 0, true, 0, "0123456789abcdef", 16), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(b.assemblies.bytes, 16);
	/* In the middle. */
	assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(b.assemblies.bytes, 16);
	assert_int_equal(put_part(&b, 40, 2), COAP_ASSEMBLY_INCOMPLETE);
	assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 40, 2), COAP_ASSEMBLED);
	expect_body(&b, 40);
	/* With a body of one block. */
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put(&b, 0, false, 0, text_of(16), 16), COAP_ASSEMBLED);
	expect_body(&b, 16);
	/* With smaller or larger blocks. */
	assert_int_equal(put(&b, 0, true, 1, text_of(32), 32), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 20, 0), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 20, 1), COAP_ASSEMBLED);
	expect_body(&b, 20);
	teardown(&b);
}

/* Smaller blocks in the middle count in their own size (RFC 7959, 2.5). */
static void test_assemble_smaller(void **state)
{
	const char *text = text_of(100);
	struct bench b;

	(void)state;
	setup(&b);
	assert_int_equal(put(&b, 0, true, 2, text, 64), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put(&b, 2, true, 1, text + 64, 32), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put(&b, 6, false, 0, text + 96, 4), COAP_ASSEMBLED);
	expect_body(&b, 100);
	teardown(&b);
}

/* A block that is not as long as it says. */
static void test_assemble_bad(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	assert_int_equal(put(&b, 0, true, 0, text_of(17), 17), COAP_ASSEMBLY_BAD);
	assert_int_equal(put(&b, 0, false, 0, text_of(17), 17), COAP_ASSEMBLY_BAD);
	assert_int_equal(put(&b, 0, true, 0, text_of(15), 15), COAP_ASSEMBLY_BAD);
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put(&b, 1, true, 0, text_of(3), 3), COAP_ASSEMBLY_BAD);
	/* The transfer is not hurt. */
	assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, 40, 2), COAP_ASSEMBLED);
	expect_body(&b, 40);
	teardown(&b);
}

static void test_assemble_body_limit(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	for (uint32_t num = 0; num < BODY_MAX / 16; num++)
		assert_int_equal(put_part(&b, BODY_MAX + 1, num), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, BODY_MAX + 1, BODY_MAX / 16), COAP_ASSEMBLY_TOO_LARGE);
	assert_int_equal(b.assemblies.bytes, 0); /* and is given up */
	/* Exactly the limit is fine. */
	for (uint32_t num = 0; num < BODY_MAX / 16 - 1; num++)
		assert_int_equal(put_part(&b, BODY_MAX, num), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&b, BODY_MAX, BODY_MAX / 16 - 1), COAP_ASSEMBLED);
	expect_body(&b, BODY_MAX);
	/* A first block that is too long by itself. */
	assert_int_equal(put(&b, 0, true, 5, text_of(512), 512), COAP_ASSEMBLY_TOO_LARGE);
	assert_int_equal(b.timers.count, 0);
	teardown(&b);
}

/* All transfers together. */
static void test_assemble_bytes_limit(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	for (uint32_t num = 0; num < 15; num++)
		assert_int_equal(put_part(&b, 250, num), COAP_ASSEMBLY_CONTINUE);
	b.from.port++;
	for (uint32_t num = 0; num < (BYTES_MAX - 240) / 16; num++)
		assert_int_equal(put_part(&b, 250, num), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(b.assemblies.bytes, BYTES_MAX);
	assert_int_equal(put_part(&b, 250, (BYTES_MAX - 240) / 16), COAP_ASSEMBLY_TOO_LARGE);
	assert_int_equal(b.assemblies.bytes, 240);
	/* The other one is as good as before. */
	b.from.port--;
	assert_int_equal(put_part(&b, 250, 15), COAP_ASSEMBLED);
	expect_body(&b, 250);
	teardown(&b);
}

static void test_assemble_address_limit(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	b.path = "/rd/x";
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	b.path = "/dp";
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_TOO_LARGE);
	b.from.ip[3]++; /* somebody else may */
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	b.from.ip[3]--;
	/* The end of one makes room. */
	b.path = "/rd/x";
	assert_int_equal(put_part(&b, 20, 1), COAP_ASSEMBLED);
	b.path = "/dp";
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	/* And beginning again is no further one. */
	assert_int_equal(put(&b, 0, true, 0, "0123456789abcdef", 16), COAP_ASSEMBLY_CONTINUE);
	teardown(&b);
}

static void test_assemble_timeout(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	assert_int_equal(put_part(&b, 60, 0), COAP_ASSEMBLY_CONTINUE);
	/* Each block gives it time. */
	b.now_ms += IDLE_MS - 1;
	timers_advance(&b.timers, b.now_ms);
	assert_int_equal(put_part(&b, 60, 1), COAP_ASSEMBLY_CONTINUE);
	b.now_ms += IDLE_MS - 1;
	timers_advance(&b.timers, b.now_ms);
	assert_int_equal(b.assemblies.bytes, 32);
	/* One that does not fit in gives none. */
	assert_int_equal(put_part(&b, 60, 3), COAP_ASSEMBLY_INCOMPLETE);
	b.now_ms += 1;
	timers_advance(&b.timers, b.now_ms);
	assert_int_equal(b.assemblies.bytes, 0);
	assert_int_equal(put_part(&b, 60, 2), COAP_ASSEMBLY_INCOMPLETE);
	teardown(&b);
}

/* What names a transfer: address, port, method, path and query; each of them. */
static void test_assemble_names(void **state)
{
	struct bench b, other;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		setup(&b);
		assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
		other = b;
		switch (i) {
		case 0:
			b.from.ip[3]++;
			break;
		case 1:
			b.from.port++;
			break;
		case 2:
			b.method = COAP_PUT;
			break;
		case 3:
			b.path = "/rd/ep=a";
			break;
		case 4:
			b.query = "ep=a&lt=61";
			break;
		default:
			b.query = "ep=a";
		}
		assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_INCOMPLETE);
		b.from = other.from;
		b.method = other.method;
		b.path = other.path;
		b.query = other.query;
		assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_CONTINUE);
		teardown(&b);
	}
}

/* The boundary between options counts, not only their text. */
static void test_assemble_boundaries(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	b.path = "/a/bc";
	b.query = "";
	assert_int_equal(put_part(&b, 40, 0), COAP_ASSEMBLY_CONTINUE);
	b.path = "/ab/c";
	assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_INCOMPLETE);
	b.path = "/a";
	b.query = "bc";
	assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_INCOMPLETE);
	teardown(&b);
}

static void test_assemble_two_peers(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	for (uint32_t num = 0; num < 3; num++) {
		enum coap_assembled outcome = num < 2 ? COAP_ASSEMBLY_CONTINUE : COAP_ASSEMBLED;

		b.from.port = 1;
		assert_int_equal(put_part(&b, 48, num), outcome);
		if (num == 2)
			expect_body(&b, 48);
		b.from.port = 2;
		assert_int_equal(put_part(&b, 40, num), outcome);
		if (num == 2)
			expect_body(&b, 40);
	}
	teardown(&b);
}

/* ---- bodies that are asked for ---- */

static enum coap_served serve(struct coap_message *m, struct span body, const struct coap_block *asked,
			      uint8_t etag[COAP_BODY_ETAG])
{
	coap_message_init(m, COAP_ACK, COAP_CONTENT, 1, token);
	return coap_serve_body(m, body, asked, &key, etag);
}

static void test_serve_whole(void **state)
{
	const struct coap_block small = {0, false, 0};
	struct coap_message m;
	uint8_t etag[COAP_BODY_ETAG];

	(void)state;
	assert_int_equal(serve(&m, span_str(text_of(1024)), NULL, etag), COAP_SERVED);
	assert_int_equal(m.payload.len, 1024);
	assert_int_equal(m.option_count, 0);
	assert_int_equal(serve(&m, span_str(text_of(16)), &small, etag), COAP_SERVED);
	assert_int_equal(m.payload.len, 16);
	assert_int_equal(serve(&m, span_of(NULL, 0), NULL, etag), COAP_SERVED);
	assert_int_equal(m.payload.len, 0);
}

static void test_serve_blocks(void **state)
{
	enum { LEN = 2500 };

	(void)state;
	for (uint8_t szx = 0; szx <= COAP_SZX_MAX; szx++) {
		struct buffer got = buffer_of(LEN);
		struct coap_block asked = {0, false, szx}, b = {0, true, szx};
		uint8_t first[COAP_BODY_ETAG], etag[COAP_BODY_ETAG];

		while (b.more) {
			struct coap_message m;
			uint32_t size;

			assert_int_equal(serve(&m, span_str(text_of(LEN)), &asked, etag), COAP_SERVED_BLOCK);
			assert_int_equal(coap_find_block(&m, COAP_OPTION_BLOCK2, &b), COAP_BLOCK_FOUND);
			assert_int_equal(b.num, asked.num);
			assert_int_equal(b.szx, szx);
			assert_int_equal(m.payload.len,
					 b.more ? coap_block_size(szx) : LEN - coap_block_offset(&b));
			assert_true(coap_find_uint(&m, COAP_OPTION_SIZE2, &size));
			assert_int_equal(size, LEN);
			if (asked.num == 0)
				memcpy(first, etag, sizeof(first));
			assert_true(span_equal(coap_value(coap_find(&m, COAP_OPTION_ETAG)),
					       span_of(first, sizeof(first))));
			buffer_bytes(&got, m.payload);
			asked.num++;
		}
		assert_text(buffer_span(&got), text_of(LEN));
		buffer_deinit(&got);
	}
}

/* Without being asked, in the largest blocks; another body has another ETag; and there is an end. */
static void test_serve_edges(void **state)
{
	struct coap_block asked = {2, false, 4}, b;
	uint8_t etag[COAP_BODY_ETAG], other[COAP_BODY_ETAG];
	struct coap_message m;

	(void)state;
	assert_int_equal(serve(&m, span_str(text_of(1025)), NULL, etag), COAP_SERVED_BLOCK);
	assert_int_equal(coap_find_block(&m, COAP_OPTION_BLOCK2, &b), COAP_BLOCK_FOUND);
	assert_true(b.more && b.num == 0 && b.szx == COAP_SZX_MAX);
	assert_int_equal(serve(&m, span_str(text_of(1026)), NULL, other), COAP_SERVED_BLOCK);
	assert_memory_not_equal(etag, other, COAP_BODY_ETAG);
	assert_int_equal(serve(&m, span_str(text_of(513)), &asked, etag), COAP_SERVED_BLOCK);
	assert_int_equal(m.payload.len, 1);
	assert_int_equal(serve(&m, span_str(text_of(512)), &asked, etag), COAP_SERVED_BEYOND);
	assert_int_equal(m.option_count, 0);
	asked.num = COAP_BLOCK_NUM_MAX;
	assert_int_equal(serve(&m, span_str(text_of(512)), &asked, etag), COAP_SERVED_BEYOND);
}

/* ---- bodies that we send ---- */

static void begin_upload(struct coap_upload *u, size_t len)
{
	struct buffer body = buffer_of(4096);

	buffer_str(&body, text_of(len));
	coap_upload_begin(u, body);
}

/* The block that goes out now; its option in *b. */
static struct span next_block(const struct coap_upload *u, struct coap_block *b)
{
	struct coap_message m;

	coap_message_init(&m, COAP_CON, COAP_POST, 1, token);
	assert_int_equal(coap_upload_fill(u, &m), 0);
	assert_int_equal(coap_find_block(&m, COAP_OPTION_BLOCK1, b), COAP_BLOCK_FOUND);
	assert_int_equal(coap_find(&m, COAP_OPTION_SIZE1) != NULL, b->num == 0);
	return m.payload;
}

/* `szx` < 0: without Block1. */
static enum coap_upload_step respond(struct coap_upload *u, uint8_t code, int szx)
{
	const struct coap_block b = {.szx = (uint8_t)MAX(szx, 0)};
	struct coap_message m;

	coap_message_init(&m, COAP_ACK, code, 1, token);
	if (szx >= 0)
		assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK1, &b), 0);
	return coap_upload_take(u, &m);
}

static void test_upload_small(void **state)
{
	struct coap_upload u = {0};
	struct coap_message m;

	(void)state;
	begin_upload(&u, 1024);
	coap_message_init(&m, COAP_CON, COAP_POST, 1, token);
	assert_int_equal(coap_upload_fill(&u, &m), 0);
	assert_int_equal(m.option_count, 0);
	assert_int_equal(m.payload.len, 1024);
	assert_int_equal(respond(&u, COAP_CREATED, -1), COAP_UPLOAD_ENDED);
	/* What makes sense for blocks only. */
	assert_int_equal(respond(&u, COAP_CONTINUE, 6), COAP_UPLOAD_BROKEN);
	assert_int_equal(respond(&u, COAP_REQUEST_ENTITY_INCOMPLETE, -1), COAP_UPLOAD_ENDED);
	assert_int_equal(respond(&u, COAP_REQUEST_ENTITY_TOO_LARGE, -1), COAP_UPLOAD_ENDED);
	coap_upload_deinit(&u);
}

static void test_upload_blocks(void **state)
{
	struct coap_upload u = {0};
	struct coap_block b;

	(void)state;
	begin_upload(&u, 2100);
	for (uint32_t num = 0; num < 3; num++) {
		struct span payload = next_block(&u, &b);

		assert_int_equal(b.num, num);
		assert_int_equal(b.szx, 6);
		assert_int_equal(b.more, num < 2);
		assert_int_equal(payload.len, num < 2 ? 1024 : 52);
		assert_memory_equal(payload.data, text_of(2100) + 1024 * num, payload.len);
		if (num < 2)
			assert_int_equal(respond(&u, COAP_CONTINUE, 6), COAP_UPLOAD_NEXT);
	}
	assert_int_equal(respond(&u, COAP_CONTINUE, 6), COAP_UPLOAD_BROKEN); /* there is no more */
	assert_int_equal(respond(&u, COAP_CREATED, 6), COAP_UPLOAD_ENDED);
	coap_upload_deinit(&u);
}

/* 2.31 with smaller blocks: the next one begins where the first ended. A larger size is not taken up. */
static void test_upload_smaller(void **state)
{
	struct coap_upload u = {0};
	struct coap_block b;

	(void)state;
	begin_upload(&u, 1100);
	assert_int_equal(respond(&u, COAP_CONTINUE, 2), COAP_UPLOAD_NEXT);
	assert_int_equal(next_block(&u, &b).len, 64);
	assert_int_equal(b.num, 16);
	assert_int_equal(b.szx, 2);
	assert_int_equal(respond(&u, COAP_CONTINUE, 6), COAP_UPLOAD_NEXT);
	assert_int_equal(next_block(&u, &b).len, 12);
	assert_int_equal(b.num, 17);
	assert_false(b.more);
	assert_int_equal(respond(&u, COAP_CHANGED, 2), COAP_UPLOAD_ENDED);
	/* 2.31 that does not say what it acknowledges. */
	begin_upload(&u, 1100);
	assert_int_equal(respond(&u, COAP_CONTINUE, -1), COAP_UPLOAD_BROKEN);
	coap_upload_deinit(&u);
}

static void test_upload_lost(void **state)
{
	struct coap_upload u = {0};
	struct coap_block b;

	(void)state;
	begin_upload(&u, 2100);
	/* So often, and then it is the answer. */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(respond(&u, COAP_CONTINUE, 6), COAP_UPLOAD_NEXT);
		assert_int_equal(respond(&u, COAP_REQUEST_ENTITY_INCOMPLETE, 6), COAP_UPLOAD_NEXT);
		next_block(&u, &b);
		assert_int_equal(b.num, 0);
		assert_true(b.more);
	}
	assert_int_equal(respond(&u, COAP_REQUEST_ENTITY_INCOMPLETE, 6), COAP_UPLOAD_ENDED);
	coap_upload_deinit(&u);
}

/* 4.13: smaller blocks from the start, also where none were used; not the same once more. */
static void test_upload_too_large(void **state)
{
	struct coap_upload u = {0};
	struct coap_block b;

	(void)state;
	begin_upload(&u, 100);
	assert_int_equal(respond(&u, COAP_REQUEST_ENTITY_TOO_LARGE, 1), COAP_UPLOAD_NEXT);
	assert_int_equal(next_block(&u, &b).len, 32);
	assert_true(b.num == 0 && b.more && b.szx == 1);
	assert_int_equal(respond(&u, COAP_CONTINUE, 1), COAP_UPLOAD_NEXT);
	assert_int_equal(respond(&u, COAP_REQUEST_ENTITY_TOO_LARGE, 0), COAP_UPLOAD_NEXT);
	assert_int_equal(next_block(&u, &b).len, 16);
	assert_true(b.num == 0 && b.more && b.szx == 0);
	assert_int_equal(respond(&u, COAP_REQUEST_ENTITY_TOO_LARGE, 0), COAP_UPLOAD_ENDED);
	/* Where there is nothing to cut it is the answer. */
	begin_upload(&u, 0);
	assert_int_equal(respond(&u, COAP_REQUEST_ENTITY_TOO_LARGE, 1), COAP_UPLOAD_ENDED);
	coap_upload_deinit(&u);
}

/* The transfers of one peer as bytes. */
static void take_along(struct bench *b, struct buffer *out)
{
	coap_assemblies_export(&b->assemblies, &b->from, b->now_ms, out);
	assert_false(out->failed);
}

static void test_transfers_move(void **state)
{
	_cleanup_buffer_ struct buffer bytes = buffer_of(4096), small = buffer_of(40);
	struct bench a, b;

	(void)state;
	setup(&a);
	setup(&b);
	assert_int_equal(put_part(&a, 40, 0), COAP_ASSEMBLY_CONTINUE);
	assert_int_equal(put_part(&a, 40, 1), COAP_ASSEMBLY_CONTINUE);
	a.from.port++; /* somebody else's stays */
	assert_int_equal(put_part(&a, 40, 0), COAP_ASSEMBLY_CONTINUE);
	a.from.port--;
	take_along(&a, &small); /* has no room for it */
	assert_int_equal(small.len, 0);
	take_along(&a, &bytes);
	/* The peer has another name there. */
	b.from = (struct address){.family = ADDRESS_ASSOCIATION, .ip = {7}};
	assert_int_equal(coap_assemblies_import(&b.assemblies, &b.from, buffer_span(&bytes), b.now_ms), 0);
	assert_int_equal(b.assemblies.bytes, 32);
	assert_int_equal(coap_assemblies_import(&b.assemblies, &b.from, buffer_span(&bytes), b.now_ms),
			 -EEXIST);
	assert_int_equal(put_part(&b, 40, 1), COAP_ASSEMBLY_CONTINUE); /* its ACK was lost */
	assert_int_equal(put_part(&b, 40, 2), COAP_ASSEMBLED);
	expect_body(&b, 40);
	coap_assemblies_drop(&a.assemblies, &a.from);
	assert_int_equal(a.assemblies.transfers.count, 1);
	assert_int_equal(put_part(&a, 40, 2), COAP_ASSEMBLY_INCOMPLETE);
	teardown(&a);
	teardown(&b);
}

static void test_transfers_that_rest_end_there_too(void **state)
{
	_cleanup_buffer_ struct buffer bytes = buffer_of(4096);
	struct bench a, b;

	(void)state;
	setup(&a);
	setup(&b);
	assert_int_equal(put_part(&a, 40, 0), COAP_ASSEMBLY_CONTINUE);
	a.now_ms += IDLE_MS - 10;
	take_along(&a, &bytes);
	assert_int_equal(coap_assemblies_import(&b.assemblies, &b.from, buffer_span(&bytes), b.now_ms), 0);
	timers_advance(&b.timers, b.now_ms + 9);
	assert_int_equal(b.assemblies.transfers.count, 1);
	timers_advance(&b.timers, b.now_ms + 10);
	assert_int_equal(b.assemblies.transfers.count, 0);
	teardown(&a);
	teardown(&b);
}

static int import_bytes(struct bench *b, const char *hex)
{
	struct bytes bytes = bytes_of(hex);
	struct span exact = exact_copy(bytes_span(&bytes));
	int rc = coap_assemblies_import(&b->assemblies, &b->from, exact, b->now_ms);

	free((void *)exact.data);
	return rc;
}

static void test_transfers_that_are_none(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	assert_int_equal(import_bytes(&b, ""), 0);
	assert_int_equal(import_bytes(&b, "00"), -EPROTO);
	assert_int_equal(import_bytes(&b, "0000000000000001 00000000 00000001 00000002 61"), -EPROTO);
	assert_int_equal(import_bytes(&b, "0000000000000001 00000002 00000001 00000001 61"), -EPROTO);
	assert_int_equal(import_bytes(&b, "0000000000000001 00000000 00000001 ffffffff 61"), -EPROTO);
	assert_int_equal(b.assemblies.transfers.count, 0);
	assert_int_equal(import_bytes(&b, "0000000000000001 00000000 ffffffff 00000001 61"
					  "0000000000000002 00000000 ffffffff 00000001 61"
					  "0000000000000003 00000000 ffffffff 00000001 61"),
			 -ENOSPC); /* two of one peer */
	assert_int_equal(b.assemblies.transfers.count, 2);
	timers_advance(&b.timers, b.now_ms + IDLE_MS);
	assert_int_equal(b.assemblies.transfers.count, 0);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfers_move),
		cmocka_unit_test(test_transfers_that_rest_end_there_too),
		cmocka_unit_test(test_transfers_that_are_none),
		cmocka_unit_test(test_option),
		cmocka_unit_test(test_option_round_trip),
		cmocka_unit_test(test_assemble),
		cmocka_unit_test(test_assemble_single),
		cmocka_unit_test(test_assemble_repeated),
		cmocka_unit_test(test_assemble_changed),
		cmocka_unit_test(test_assemble_reordered),
		cmocka_unit_test(test_assemble_again),
		cmocka_unit_test(test_assemble_smaller),
		cmocka_unit_test(test_assemble_bad),
		cmocka_unit_test(test_assemble_body_limit),
		cmocka_unit_test(test_assemble_bytes_limit),
		cmocka_unit_test(test_assemble_address_limit),
		cmocka_unit_test(test_assemble_timeout),
		cmocka_unit_test(test_assemble_names),
		cmocka_unit_test(test_assemble_boundaries),
		cmocka_unit_test(test_assemble_two_peers),
		cmocka_unit_test(test_serve_whole),
		cmocka_unit_test(test_serve_blocks),
		cmocka_unit_test(test_serve_edges),
		cmocka_unit_test(test_upload_small),
		cmocka_unit_test(test_upload_blocks),
		cmocka_unit_test(test_upload_smaller),
		cmocka_unit_test(test_upload_lost),
		cmocka_unit_test(test_upload_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
