/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Messages against their bytes. The property that carries most: an accepted datagram has exactly one form, so
 * what is parsed and encoded again must be the same to the byte, whatever a million mutations do to it.
 */

#include "coap_test.h"

#include "base/random.h"
#include "coap/message.h"

#include <errno.h>

/* Legal messages. The first ones are those of RFC 7252, appendix A. */
static const char *const valid[] = {
	"40017d34 bb 'temperature'",
	"60457d34 ff '22.3 C'",
	"41017d35 20 bb 'temperature'",
	"51457e01 20 ff '22.3 C'",
	"60007d38", /* empty ACK */
	"70007d39", /* RST */
	"40000001", /* ping */
	/* A Register without token and Content-Format, as Contiki-NG sends it. */
	"4002af01 b2 'rd' 49 'lwm2m=1.0' 0d01 'ep=Contiki-NG1' 05 'lt=30' 03 'b=U' ff '</0>,</1>,</3/0>'",
	/* An Update. */
	"48021234 0102030405060708 b2 'rd' 0a 'a1B2c3D4e5' 46 'lt=300'",
	/* A notification: Observe 16777215, Content-Format 112, Max-Age empty. */
	"58450001 0011223344556677 63 ffffff 61 70 20 ff 'x'",
	/* FETCH, Block1, Size1, Echo, Request-Tag. */
	"42057fff aabb b0 c1 0d b1 0a d1 14 7f d1 b3 01 d1 1b 02",
	/* Extended numbers and lengths at their borders: 12, 13, 268, 269, 65535. */
	"40010000 c0 d000 e00000",
	"40010000 dc00 '0123456789ab'",
	"40010000 dd0000 '0123456789abc'",
	"40010000 e0fef2",
	"40010000 0d02 '0123456789abcde' ff00",
};

static void check_same(const struct coap_message *m, struct span datagram)
{
	uint8_t again[2048];
	int len = coap_encode(m, again, sizeof(again));

	assert_int_equal(len, datagram.len);
	assert_memory_equal(again, datagram.data, datagram.len);
}

static void test_valid_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(valid); i++) {
		struct bytes datagram = bytes_of(valid[i]);
		struct coap_message m;

		if (coap_parse(bytes_span(&datagram), &m) != COAP_PARSED)
			fail_msg("refused: %s", valid[i]);
		check_same(&m, bytes_span(&datagram));
	}
}

static void test_parse_fields(void **state)
{
	struct bytes datagram = bytes_of(valid[7]);
	struct coap_message m;
	const struct coap_option *o;

	(void)state;
	assert_int_equal(coap_parse(bytes_span(&datagram), &m), COAP_PARSED);
	assert_int_equal(m.type, COAP_CON);
	assert_int_equal(m.code, COAP_POST);
	assert_int_equal(m.mid, 0xaf01);
	assert_int_equal(m.token.len, 0);
	assert_int_equal(m.option_count, 5);
	assert_true(coap_path_is(&m, "/rd"));
	o = coap_find(&m, COAP_OPTION_URI_QUERY);
	assert_non_null(o);
	assert_text(coap_value(o), "lwm2m=1.0");
	o = coap_find_next(&m, o);
	assert_text(coap_value(o), "ep=Contiki-NG1");
	o = coap_find_next(&m, o);
	assert_text(coap_value(o), "lt=30");
	o = coap_find_next(&m, o);
	assert_text(coap_value(o), "b=U");
	assert_null(coap_find_next(&m, o));
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), COAP_FORMAT_NONE);
	assert_text(m.payload, "</0>,</1>,</3/0>");
}

static void test_parse_token(void **state)
{
	struct bytes datagram = bytes_of(valid[8]);
	struct coap_message m;

	(void)state;
	assert_int_equal(coap_parse(bytes_span(&datagram), &m), COAP_PARSED);
	assert_bytes(span_of(m.token.bytes, m.token.len), "0102030405060708");
	assert_true(coap_path_is(&m, "/rd/a1B2c3D4e5"));
}

static void test_parse_numbers(void **state)
{
	struct bytes notification = bytes_of(valid[9]);
	struct bytes borders = bytes_of(valid[11]);
	struct bytes last = bytes_of(valid[14]);
	struct coap_message m;
	uint32_t value;

	(void)state;
	assert_int_equal(coap_parse(bytes_span(&notification), &m), COAP_PARSED);
	assert_true(coap_find_uint(&m, COAP_OPTION_OBSERVE, &value));
	assert_int_equal(value, 0xffffff);
	assert_true(coap_find_uint(&m, COAP_OPTION_MAX_AGE, &value));
	assert_int_equal(value, 0);
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), 112);
	assert_false(coap_find_uint(&m, COAP_OPTION_BLOCK2, &value));

	assert_int_equal(coap_parse(bytes_span(&borders), &m), COAP_PARSED);
	assert_int_equal(m.option_count, 3);
	assert_int_equal(m.options[0].number, 12);
	assert_int_equal(m.options[1].number, 12 + 13);
	assert_int_equal(m.options[2].number, 12 + 13 + 269);
	assert_int_equal(coap_parse(bytes_span(&last), &m), COAP_PARSED);
	assert_int_equal(m.options[0].number, 65535);
}

/* What is no message, and what it calls for. A CON's message id is always 0x1234. */
static const struct {
	const char *datagram;
	enum coap_parse expected;
} refused[] = {
	{"", COAP_PARSE_IGNORE},
	{"40", COAP_PARSE_IGNORE},
	{"400112", COAP_PARSE_IGNORE},
	{"00011234", COAP_PARSE_IGNORE}, /* version 0, 2, 3: silence, confirmable or not */
	{"80011234", COAP_PARSE_IGNORE},
	{"c0011234", COAP_PARSE_IGNORE},
	{"49011234 000000000000000000", COAP_PARSE_RESET}, /* token of 9 to 15 bytes */
	{"4f011234 000000000000000000000000000000", COAP_PARSE_RESET},
	{"59011234 000000000000000000", COAP_PARSE_IGNORE},
	{"69451234 000000000000000000", COAP_PARSE_IGNORE},
	{"44011234 000000", COAP_PARSE_RESET}, /* token cut off */
	{"40011234 ff", COAP_PARSE_RESET},     /* marker, but no payload */
	{"50011234 ff", COAP_PARSE_IGNORE},
	{"60451234 ff", COAP_PARSE_IGNORE},
	{"40011234 f0", COAP_PARSE_RESET}, /* delta 15 */
	{"40011234 0f", COAP_PARSE_RESET}, /* length 15 */
	{"40011234 bf 00", COAP_PARSE_RESET},
	{"40011234 b2 'r'", COAP_PARSE_RESET}, /* value cut off */
	{"40011234 d0", COAP_PARSE_RESET},     /* extended delta cut off */
	{"40011234 e000", COAP_PARSE_RESET},
	{"40011234 0d", COAP_PARSE_RESET}, /* extended length cut off */
	{"40011234 0e00", COAP_PARSE_RESET},
	{"40011234 e0fef3", COAP_PARSE_RESET},	  /* option 65536 */
	{"40011234 e0fef2 10", COAP_PARSE_RESET}, /* 65535, then one more */
	{"40011234 0effff", COAP_PARSE_RESET},	  /* length 65804 */
	{"40001234 ff00", COAP_PARSE_RESET},	  /* empty with content */
	{"41001234 00", COAP_PARSE_RESET},
	{"40001234 b0", COAP_PARSE_RESET},
	{"50001234", COAP_PARSE_IGNORE}, /* empty NON */
	{"61001234 00", COAP_PARSE_IGNORE},
	{"70001234 00", COAP_PARSE_IGNORE},
	{"70451234", COAP_PARSE_IGNORE}, /* RST with a code */
	{"70011234", COAP_PARSE_IGNORE},
	{"60011234", COAP_PARSE_IGNORE}, /* a request in an ACK */
	{"40201234", COAP_PARSE_RESET},	 /* reserved classes 1, 6, 7 */
	{"403f1234", COAP_PARSE_RESET},
	{"40c01234", COAP_PARSE_RESET},
	{"40e11234", COAP_PARSE_RESET},
	{"50e11234", COAP_PARSE_IGNORE},
	{"60c01234", COAP_PARSE_IGNORE},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct bytes datagram = bytes_of(refused[i].datagram);
		struct span exact = exact_copy(bytes_span(&datagram));
		struct coap_message m;
		enum coap_parse got = coap_parse(exact, &m);

		if (got != refused[i].expected)
			fail_msg("%s: %d", refused[i].datagram, got);
		if (got == COAP_PARSE_RESET) {
			assert_int_equal(m.type, COAP_CON);
			assert_int_equal(m.mid, 0x1234);
		}
		free((void *)exact.data);
	}
}

static void test_option_count(void **state)
{
	struct bytes datagram = bytes_of("40010000");
	struct coap_message m;
	uint8_t zero = 0;

	(void)state;
	for (unsigned i = 0; i < COAP_OPTIONS_MAX; i++)
		bytes_add(&datagram, span_of(&zero, 1));
	assert_int_equal(coap_parse(bytes_span(&datagram), &m), COAP_PARSED);
	assert_int_equal(m.option_count, COAP_OPTIONS_MAX);
	assert_int_equal(coap_add(&m, 1, span_str("")), -ENOSPC);
	assert_int_equal(coap_add_uint(&m, 1, 1), -ENOSPC);
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/a")), -ENOSPC);
	bytes_add(&datagram, span_of(&zero, 1));
	assert_int_equal(coap_parse(bytes_span(&datagram), &m), COAP_PARSE_RESET);
}

static void test_every_prefix(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(valid); i++) {
		struct bytes datagram = bytes_of(valid[i]);

		for (size_t len = 0; len < datagram.len; len++) {
			struct span exact = exact_copy(span_of(datagram.data, len));
			struct coap_message m;

			if (coap_parse(exact, &m) == COAP_PARSED)
				check_same(&m, exact);
			free((void *)exact.data);
		}
	}
}

static void mutate(struct random *r, struct bytes *b)
{
	for (unsigned n = 1 + random_u32(r) % 4; n > 0; n--) {
		size_t at = b->len ? random_u32(r) % b->len : 0;
		uint8_t value = (uint8_t)random_u32(r);

		switch (random_u32(r) % 6) {
		case 0: /* cut */
			b->len = at;
			break;
		case 1: /* remove one */
			if (b->len) {
				memmove(b->data + at, b->data + at + 1, b->len - at - 1);
				b->len--;
			}
			break;
		case 2: /* insert one */
			memmove(b->data + at + 1, b->data + at, b->len - at);
			b->data[at] = value;
			b->len++;
			break;
		case 3: /* the values that mean something */
			b->data[at] = (uint8_t[]){0xff, 0xf0, 0x0f, 0xd0, 0xe0, 0x0e, 0xdd, 0xee}[value % 8];
			break;
		default:
			b->data[at] ^= (uint8_t)(1u << value % 8);
			break;
		}
	}
}

static void check_invariants(const struct coap_message *m, struct span datagram)
{
	static const uint16_t known[] = {COAP_OPTION_URI_PATH, COAP_OPTION_URI_QUERY, COAP_OPTION_ACCEPT, 0};
	const uint8_t *at = datagram.data;
	unsigned number = 0, sum = 0;

	for (unsigned i = 0; i < m->option_count; i++) {
		const struct coap_option *o = &m->options[i];

		assert_true(o->number >= number);
		assert_true(o->value >= at && o->value + o->len <= datagram.data + datagram.len);
		for (unsigned j = 0; j < o->len; j++)
			sum += o->value[j];
		number = o->number;
		at = o->value + o->len;
	}
	sum += coap_unknown_critical(m, known) + coap_format(m, COAP_OPTION_CONTENT_FORMAT);
	sum += coap_path_is(m, "/rd") + coap_is_request(m->code);
	(void)sum;
	check_same(m, datagram);
}

static void test_mutations(void **state)
{
	struct random r;
	unsigned parsed = 0;

	(void)state;
	random_init_seed(&r, 7252);
	for (unsigned n = 0; n < 1000000; n++) {
		struct bytes datagram = bytes_of(valid[n % ARRAY_SIZE(valid)]);
		struct span exact;
		struct coap_message m;

		mutate(&r, &datagram);
		exact = exact_copy(bytes_span(&datagram));
		if (coap_parse(exact, &m) == COAP_PARSED) {
			parsed++;
			check_invariants(&m, exact);
		}
		free((void *)exact.data);
	}
	/* Neither everything nor nothing: the mutations reach both sides. */
	assert_in_range(parsed, 200000, 800000);
}

static void check_encoded(const struct coap_message *m, const char *expected)
{
	uint8_t out[256];
	int len = coap_encode(m, out, sizeof(out));

	assert_true(len > 0);
	assert_bytes(span_of(out, (size_t)len), expected);
}

static void test_build_request(void **state)
{
	struct coap_token token = {4, {1, 2, 3, 4}};
	struct coap_message m;

	(void)state;
	coap_message_init(&m, COAP_CON, COAP_GET, 0xBEEF, token);
	/* In no order: options are sorted, those of one number keep theirs. */
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_ACCEPT, 11542), 0);
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/3/0")), 0);
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_OBSERVE, 0), 0);
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str("pmin=10&pmax=60")), 0);
	assert_int_equal(coap_add(&m, COAP_OPTION_URI_PATH, span_str("13")), 0);
	check_encoded(&m, "44 01 beef 01020304 60 51 '3' 01 '0' 02 '13' 47 'pmin=10' 07 'pmax=60' 22 2d16");
}

static void test_build_response(void **state)
{
	struct coap_message m;

	(void)state;
	coap_message_init(&m, COAP_ACK, COAP_CREATED, 1, (struct coap_token){.len = 0});
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_LOCATION_PATH, span_str("rd/x1")), 0);
	m.payload = span_str("!");
	check_encoded(&m, "60 41 0001 82 'rd' 02 'x1' ff '!'");
}

static void test_build_numbers(void **state)
{
	static const struct {
		uint32_t value;
		const char *encoded;
	} cases[] = {
		{0, "40010000 d0 2f"},
		{1, "40010000 d1 2f 01"},
		{255, "40010000 d1 2f ff"},
		{256, "40010000 d2 2f 0100"},
		{0xffffff, "40010000 d3 2f ffffff"},
		{0x1000000, "40010000 d4 2f 01000000"},
		{0xffffffff, "40010000 d4 2f ffffffff"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_message m;
		uint32_t value;

		coap_message_init(&m, COAP_CON, COAP_GET, 0, (struct coap_token){.len = 0});
		assert_int_equal(coap_add_uint(&m, COAP_OPTION_SIZE1, cases[i].value), 0);
		check_encoded(&m, cases[i].encoded);
		assert_true(coap_find_uint(&m, COAP_OPTION_SIZE1, &value));
		assert_int_equal(value, cases[i].value);
	}
}

static void test_scratch_is_bounded(void **state)
{
	struct coap_message m;
	uint32_t value;

	(void)state;
	coap_message_init(&m, COAP_CON, COAP_GET, 0, (struct coap_token){.len = 0});
	for (unsigned i = 0; i < sizeof(m.scratch) / 4; i++)
		assert_int_equal(coap_add_uint(&m, (uint16_t)(1000 + i), UINT32_MAX - i), 0);
	assert_int_equal(coap_add_uint(&m, 2000, 1), -ENOSPC);
	assert_int_equal(coap_add_uint(&m, 2000, 0), 0);
	for (unsigned i = 0; i < sizeof(m.scratch) / 4; i++) {
		assert_true(coap_find_uint(&m, (uint16_t)(1000 + i), &value));
		assert_int_equal(value, UINT32_MAX - i);
	}
}

static void test_build_segments(void **state)
{
	static const struct {
		uint16_t number;
		const char *text;
		const char *encoded; /* behind the header */
	} cases[] = {
		{COAP_OPTION_URI_PATH, "", ""},
		{COAP_OPTION_URI_PATH, "/", ""},
		{COAP_OPTION_URI_PATH, "/a", "b1 'a'"},
		{COAP_OPTION_URI_PATH, "a", "b1 'a'"},
		{COAP_OPTION_URI_PATH, "/a/", "b1 'a' 00"},
		{COAP_OPTION_URI_PATH, "//a", "b0 01 'a'"},
		{COAP_OPTION_URI_PATH, "/a&b", "b3 'a&b'"},
		{COAP_OPTION_URI_QUERY, "", ""},
		{COAP_OPTION_URI_QUERY, "a&b", "d102 'a' 01 'b'"},
		{COAP_OPTION_URI_QUERY, "a/b", "d302 'a/b'"},
		{COAP_OPTION_URI_QUERY, "/", "d102 '/'"},
		{COAP_OPTION_LOCATION_QUERY, "a&", "d107 'a' 00"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_message m;
		char expected[64];

		coap_message_init(&m, COAP_NON, COAP_PUT, 0, (struct coap_token){.len = 0});
		assert_int_equal(coap_add_segments(&m, cases[i].number, span_str(cases[i].text)), 0);
		snprintf(expected, sizeof(expected), "50030000 %s", cases[i].encoded);
		check_encoded(&m, expected);
	}
}

static void test_encode_limits(void **state)
{
	struct bytes datagram = bytes_of(valid[7]);
	struct coap_message m;

	(void)state;
	assert_int_equal(coap_parse(bytes_span(&datagram), &m), COAP_PARSED);
	for (size_t size = 0; size < datagram.len; size++) {
		uint8_t *out = malloc(size ? size : 1);

		assert_non_null(out);
		assert_int_equal(coap_encode(&m, out, size), -ENOSPC);
		free(out);
	}
}

static void test_encode_refuses(void **state)
{
	static const uint8_t big[70000];
	struct coap_message m;
	uint8_t out[64];

	(void)state;
	coap_message_init(&m, COAP_CON, COAP_EMPTY, 0, (struct coap_token){.len = 0});
	assert_int_equal(coap_add(&m, 1, span_of(big, sizeof(big))), -EINVAL);
	assert_int_equal(coap_encode(&m, out, sizeof(out)), 4);
	m.payload = span_str("x");
	assert_int_equal(coap_encode(&m, out, sizeof(out)), -EINVAL);
	m.payload = span_str("");
	m.token.len = 1;
	assert_int_equal(coap_encode(&m, out, sizeof(out)), -EINVAL);
	m.token.len = 0;
	assert_int_equal(coap_add(&m, 1, span_str("")), 0);
	assert_int_equal(coap_encode(&m, out, sizeof(out)), -EINVAL);
	m.code = COAP_GET;
	assert_int_equal(coap_encode(&m, out, sizeof(out)), 5);
	m.token.len = 9;
	assert_int_equal(coap_encode(&m, out, sizeof(out)), -EINVAL);
	m.token.len = 0;
	m.type = COAP_ACK;
	assert_int_equal(coap_encode(&m, out, sizeof(out)), -EINVAL);
	m.code = COAP_CONTENT;
	assert_int_equal(coap_encode(&m, out, sizeof(out)), 5);
	m.type = COAP_RST;
	assert_int_equal(coap_encode(&m, out, sizeof(out)), -EINVAL);
	m.type = COAP_CON;
	m.code = COAP_CODE(7, 1);
	assert_int_equal(coap_encode(&m, out, sizeof(out)), -EINVAL);
}

static void parse_request(struct bytes *datagram, const char *options, struct coap_message *m)
{
	char text[256];

	snprintf(text, sizeof(text), "40010000 %s", options);
	*datagram = bytes_of(text);
	assert_int_equal(coap_parse(bytes_span(datagram), m), COAP_PARSED);
}

/* Elective options of a length they must not have, and repetitions that must not be, count as absent
 * (5.4.3, 5.4.5). */
static void test_elective_faults(void **state)
{
	struct bytes datagram;
	struct coap_message m;
	uint32_t value;

	(void)state;
	parse_request(&datagram, "63 000001 63 00002a 44 00000000", &m); /* Observe, 12 with 3 bytes, 16 */
	assert_true(coap_find_uint(&m, COAP_OPTION_OBSERVE, &value));
	assert_null(coap_find(&m, COAP_OPTION_CONTENT_FORMAT));
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), COAP_FORMAT_NONE);
	assert_non_null(coap_find(&m, 16)); /* nobody defined it */

	parse_request(&datagram, "64 00000001", &m); /* Observe with 4 bytes */
	assert_null(coap_find(&m, COAP_OPTION_OBSERVE));
	parse_request(&datagram, "40", &m); /* an empty ETag */
	assert_null(coap_find(&m, COAP_OPTION_ETAG));
	parse_request(&datagram, "c1 70 01 3c", &m); /* Content-Format twice: the first counts */
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), 112);
	assert_null(coap_find_next(&m, coap_find(&m, COAP_OPTION_CONTENT_FORMAT)));
	parse_request(&datagram, "73 000000", &m); /* a critical one stays, to be reported */
	assert_non_null(coap_find(&m, COAP_OPTION_URI_PORT));
	parse_request(&datagram, "41 01 00 01 02", &m); /* ETag, one of them empty */
	assert_bytes(coap_value(coap_find_next(&m, coap_find(&m, COAP_OPTION_ETAG))), "02");
}

static void test_format_range(void **state)
{
	struct bytes datagram;
	struct coap_message m;

	(void)state;
	parse_request(&datagram, "c2 fffe", &m);
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), 0xfffe);
	parse_request(&datagram, "c0", &m);
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), 0);
	parse_request(&datagram, "d304 010000", &m); /* an Accept that is too long */
	assert_int_equal(coap_format(&m, COAP_OPTION_ACCEPT), COAP_FORMAT_NONE);
	parse_request(&datagram, "d504 0000000000", &m);
	assert_int_equal(coap_format(&m, COAP_OPTION_ACCEPT), COAP_FORMAT_NONE);
}

static void test_unknown_critical(void **state)
{
	static const uint16_t known[] = {
		COAP_OPTION_IF_MATCH, COAP_OPTION_URI_HOST, COAP_OPTION_IF_NONE_MATCH, COAP_OPTION_URI_PORT,
		COAP_OPTION_URI_PATH, COAP_OPTION_ACCEPT,   COAP_OPTION_BLOCK1,	       0};
	static const struct {
		const char *options;
		uint16_t expected;
	} cases[] = {
		{"", 0},
		{"b1 'a' 01 'b'", 0},
		{"d0 ff", 0},				/* 268 is elective */
		{"d0 00", 13},				/* 13 is not */
		{"90", 9},				/* OSCORE is not listed */
		{"b0 40", 15},				/* Uri-Query is not listed here */
		{"d1 04 70", 0},			/* Accept ... */
		{"d3 04 000000", 17},			/* ... too long */
		{"d1 04 70 01 70", 17},			/* ... twice */
		{"30", 3},				/* Uri-Host must not be empty */
		{"31 'h' 01 'h'", 3},			/* nor be repeated */
		{"51 00", 5},				/* If-None-Match has no value */
		{"73 000000", 7},			/* Uri-Port has two bytes at most */
		{"11 00 01 00 08 0001020304050607", 0}, /* If-Match may be repeated */
		{"19 000000000000000000", 1},
		{"d4 0e 00000000", 27}, /* Block1 has three at most */
		{"64 00000000", 0},	/* a bad Observe is elective */
		{"e0 fef2", 65535},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bytes datagram;
		struct coap_message m;
		uint16_t got;

		parse_request(&datagram, cases[i].options, &m);
		got = coap_unknown_critical(&m, known);
		if (got != cases[i].expected)
			fail_msg("%s: %u", cases[i].options, got);
	}
}

static void test_path_is(void **state)
{
	struct bytes datagram;
	struct coap_message m;

	(void)state;
	parse_request(&datagram, "b2 'rd' 03 'abc'", &m);
	assert_true(coap_path_is(&m, "/rd/abc"));
	assert_true(coap_path_is(&m, "rd/abc"));
	assert_false(coap_path_is(&m, "/rd"));
	assert_false(coap_path_is(&m, "/rd/ab"));
	assert_false(coap_path_is(&m, "/rd/abc/d"));
	assert_false(coap_path_is(&m, "/"));
	parse_request(&datagram, "", &m);
	assert_true(coap_path_is(&m, "/"));
	assert_true(coap_path_is(&m, ""));
	assert_false(coap_path_is(&m, "/rd"));
	parse_request(&datagram, "b0", &m);
	assert_false(coap_path_is(&m, "/"));
}

static void test_tokens(void **state)
{
	struct coap_token a = {3, {1, 2, 3, 4}}, b = {3, {1, 2, 3, 9}}, c = {4, {1, 2, 3, 4}},
			  none = {.len = 0};

	(void)state;
	assert_true(coap_token_equal(&a, &b)); /* what lies behind the length does not count */
	assert_false(coap_token_equal(&a, &c));
	assert_false(coap_token_equal(&a, &none));
	assert_true(coap_token_equal(&none, &none));
	b.bytes[2] = 4;
	assert_false(coap_token_equal(&a, &b));
}

static void test_codes(void **state)
{
	char text[8];

	(void)state;
	assert_string_equal(coap_code_text(COAP_CONTENT, text), "2.05");
	assert_string_equal(coap_code_text(COAP_CONTINUE, text), "2.31");
	assert_string_equal(coap_code_text(COAP_GET, text), "0.01");
	assert_string_equal(coap_code_text(0xff, text), "7.31");
	assert_string_equal(coap_code_name(COAP_CONTENT), "Content");
	assert_string_equal(coap_code_name(COAP_NOT_FOUND), "Not Found");
	assert_string_equal(coap_code_name(COAP_IPATCH), "iPATCH");
	assert_string_equal(coap_code_name(COAP_CODE(4, 31)), "");
	assert_true(coap_is_request(COAP_CODE(0, 31)));
	assert_false(coap_is_request(COAP_EMPTY));
	assert_false(coap_is_request(COAP_CODE(1, 0)));
	assert_true(coap_is_response(COAP_CODE(5, 31)));
	assert_false(coap_is_response(COAP_CODE(6, 0)));
	assert_false(coap_is_response(COAP_CODE(1, 31)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_round_trip),
		cmocka_unit_test(test_parse_fields),
		cmocka_unit_test(test_parse_token),
		cmocka_unit_test(test_parse_numbers),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_option_count),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_build_request),
		cmocka_unit_test(test_build_response),
		cmocka_unit_test(test_build_numbers),
		cmocka_unit_test(test_scratch_is_bounded),
		cmocka_unit_test(test_build_segments),
		cmocka_unit_test(test_encode_limits),
		cmocka_unit_test(test_encode_refuses),
		cmocka_unit_test(test_elective_faults),
		cmocka_unit_test(test_format_range),
		cmocka_unit_test(test_unknown_critical),
		cmocka_unit_test(test_path_is),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests_name("coap_message", tests, NULL, NULL);
}
