/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The server's requests to a simulated device: reading, writing, executing, creating, and errors. */

#include "sim_test.h"

/* ---- requests ---- */

static void test_read_resource(void **state)
{
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(get(&b, "/3/0/0"), COAP_CONTENT);
	assert_payload(&b.m, "shoal");
	assert_int_equal(coap_format(&b.m, COAP_OPTION_CONTENT_FORMAT), 0);
	assert_int_equal(get(&b, "/3/0/2"), COAP_CONTENT);
	assert_payload(&b.m, "sim-000001");
	assert_int_equal(get(&b, "/3/0/13"), COAP_CONTENT);
	assert_payload(&b.m, "1700000000");
	assert_int_equal(get(&b, "/3/0/7/0"), COAP_CONTENT);
	assert_payload(&b.m, "3800");
	assert_int_equal(get(&b, "/1/0/6"), COAP_CONTENT);
	assert_payload(&b.m, "0");
	assert_int_equal(get(&b, "/1/0/23"), COAP_CONTENT);
	assert_payload(&b.m, "0");
	end(&b);
}

/* One value as CBOR. */
static void test_read_cbor(void **state)
{
	static const uint8_t battery[] = {0x18, 100};
	struct coap_message m;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	m = request(&b, COAP_GET, "/3/0/9");
	with_format(&m, COAP_OPTION_ACCEPT, 60);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_true(span_equal(b.m.payload, span_of(battery, sizeof(battery))));
	m = request(&b, COAP_PUT, "/1/0/2");
	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 60);
	m.payload = span_of(battery, sizeof(battery));
	assert_int_equal(ask(&b, &m), COAP_CHANGED);
	get(&b, "/1/0/2");
	assert_payload(&b.m, "100");
	end(&b);
}

/* Every value has the type that the model says: reading all of them is an error otherwise. */
static void test_read_everything(void **state)
{
	static const char *const paths[] = {"/1", "/1/0", "/3", "/3/0", "/3/0/7", "/3303", "/3303/0"};

	(void)state;
	for (unsigned modern = 0; modern < 2; modern++) {
		struct bench b;

		begin_registered(&b, modern);
		for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
			assert_int_equal(get(&b, paths[i]), COAP_CONTENT);
			assert_int_equal(coap_format(&b.m, COAP_OPTION_CONTENT_FORMAT), modern ? 112 : 11542);
			assert_true(b.m.payload.len > 4);
		}
		end(&b);
	}
}

static void test_read_accept(void **state)
{
	static const struct {
		uint16_t accept;
		bool modern;
		uint8_t code;
	} cases[] = {
		{11542, true, COAP_CONTENT},	    {110, true, COAP_CONTENT},
		{112, true, COAP_CONTENT},	    {11542, false, COAP_CONTENT},
		{110, false, COAP_NOT_ACCEPTABLE},  {112, false, COAP_NOT_ACCEPTABLE},
		{0, true, COAP_NOT_ACCEPTABLE},	    {42, true, COAP_NOT_ACCEPTABLE},
		{11543, true, COAP_NOT_ACCEPTABLE}, {9999, true, COAP_NOT_ACCEPTABLE},
		{11543, false, COAP_CONTENT},	    {60, true, COAP_NOT_ACCEPTABLE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_message m;
		struct bench b;

		begin_registered(&b, cases[i].modern);
		m = request(&b, COAP_GET, "/3/0");
		with_format(&m, COAP_OPTION_ACCEPT, cases[i].accept);
		assert_int_equal(ask(&b, &m), cases[i].code);
		if (cases[i].code == COAP_CONTENT)
			assert_int_equal(coap_format(&b.m, COAP_OPTION_CONTENT_FORMAT), cases[i].accept);
		end(&b);
	}
}

static void test_errors(void **state)
{
	static const struct {
		uint8_t method;
		const char *path;
		uint8_t code;
	} cases[] = {
		{COAP_GET, "/0/0", COAP_UNAUTHORIZED},
		{COAP_GET, "/21", COAP_UNAUTHORIZED},
		{COAP_GET, "/4", COAP_NOT_FOUND},
		{COAP_GET, "/3/1", COAP_NOT_FOUND},
		{COAP_GET, "/3/0/99", COAP_NOT_FOUND},
		{COAP_GET, "/3/0/7/1", COAP_NOT_FOUND},
		{COAP_GET, "/3/0/0/0", COAP_NOT_FOUND},
		{COAP_GET, "/3303/1", COAP_NOT_FOUND},
		{COAP_GET, "/x", COAP_NOT_FOUND},
		{COAP_GET, "/65535", COAP_NOT_FOUND},
		{COAP_GET, "/1/2/3/4/5", COAP_NOT_FOUND},
		{COAP_GET, "/3/0/4", COAP_METHOD_NOT_ALLOWED},
		{COAP_GET, "/", COAP_METHOD_NOT_ALLOWED},
		{COAP_FETCH, "/", COAP_UNSUPPORTED_CONTENT_FORMAT},
		{COAP_FETCH, "/3", COAP_METHOD_NOT_ALLOWED},
		{COAP_IPATCH, "/", COAP_UNSUPPORTED_CONTENT_FORMAT},
		{COAP_IPATCH, "/3/0", COAP_METHOD_NOT_ALLOWED},
		{COAP_POST, "/3/0/0", COAP_METHOD_NOT_ALLOWED},
		{COAP_POST, "/3/0/99", COAP_NOT_FOUND},
		{COAP_DELETE, "/3/0", COAP_METHOD_NOT_ALLOWED},
		{COAP_DELETE, "/3303/7", COAP_NOT_FOUND},
		{COAP_DELETE, "/3303/0/5700", COAP_METHOD_NOT_ALLOWED},
		{COAP_POST, "/3", COAP_METHOD_NOT_ALLOWED},
		{COAP_PUT, "/9", COAP_NOT_FOUND},
	};
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_message m = request(&b, cases[i].method, cases[i].path);
		uint8_t code = ask(&b, &m);

		if (code != cases[i].code)
			fail_msg("%u %s: code %02x instead of %02x", cases[i].method, cases[i].path, code,
				 cases[i].code);
	}
	end(&b);
}

static void test_unknown_critical_option(void **state)
{
	struct coap_message m;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	m = request(&b, COAP_GET, "/3/0/0");
	assert_int_equal(coap_add(&m, 9999, span_str("x")), 0);
	assert_int_equal(ask(&b, &m), COAP_BAD_OPTION);
	end(&b);
}

static void test_write_resource(void **state)
{
	static const struct {
		const char *path, *text;
		uint8_t code;
	} cases[] = {
		{"/1/0/2", "10", COAP_CHANGED},
		{"/1/0/2", "-1", COAP_BAD_REQUEST},
		{"/1/0/2", "4294967296", COAP_BAD_REQUEST},
		{"/1/0/2", "ten", COAP_BAD_REQUEST},
		{"/1/0/6", "1", COAP_CHANGED},
		{"/1/0/6", "2", COAP_BAD_REQUEST},
		{"/1/0/7", "UT", COAP_CHANGED},
		{"/1/0/7", "UQ", COAP_BAD_REQUEST},
		{"/1/0/7", "T", COAP_BAD_REQUEST},
		{"/3/0/14", "+02:00", COAP_CHANGED},
		{"/3/0/14", "far too long", COAP_BAD_REQUEST},
		{"/3/0/15", "Europe/Paris", COAP_CHANGED},
		{"/3303/0/5750", "Kitchen", COAP_CHANGED},
		{"/3/0/0", "x", COAP_METHOD_NOT_ALLOWED},
		{"/1/0/0", "5", COAP_METHOD_NOT_ALLOWED},
		{"/3/0/4", "x", COAP_METHOD_NOT_ALLOWED},
		{"/3303/0/5700", "1", COAP_METHOD_NOT_ALLOWED},
		{"/3303/1/5750", "x", COAP_NOT_FOUND},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench b;
		uint8_t code;

		begin_registered(&b, true);
		code = write_text(&b, cases[i].path, cases[i].text);
		if (code != cases[i].code)
			fail_msg("%s = %s: code %02x instead of %02x", cases[i].path, cases[i].text, code,
				 cases[i].code);
		if (strncmp(cases[i].path, "/1/0/7", 6) == 0 && code == COAP_CHANGED) {
			assert_true(has_query(expect(&b), "b=UT"));
			answer(&b, COAP_CHANGED, NULL);
		}
		if (code == COAP_CHANGED) {
			assert_int_equal(get(&b, cases[i].path), COAP_CONTENT);
			assert_payload(&b.m, cases[i].text);
		}
		end(&b);
	}
}

static void test_write_clock(void **state)
{
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(write_text(&b, "/3/0/13", "1000"), COAP_CHANGED);
	advance(&b, 5 * SECOND);
	assert_int_equal(get(&b, "/3/0/13"), COAP_CONTENT);
	assert_payload(&b.m, "1005");
	end(&b);
}

static uint8_t write_tlv(struct bench *b, uint8_t method, const char *path, const void *tlv, size_t len)
{
	struct coap_message m = request(b, method, path);

	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 11542);
	m.payload = span_of(tlv, len);
	return ask(b, &m);
}

/* Conformance test 215: lifetime is 101 s there; here without the resources that make the device update. */
static void test_write_instance(void **state)
{
	static const uint8_t partial[] = {0xC1, 2, 10, 0xC2, 3, 0x03, 0xE8};
	static const uint8_t with_readonly[] = {0xC1, 2, 11, 0xC1, 0, 7};
	static const uint8_t incomplete[] = {0xC1, 2, 12};
	static const uint8_t whole[] = {0xC1, 1, 60, 0xC1, 6, 1, 0xC1, 7, 'U'};
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(write_tlv(&b, COAP_POST, "/1/0", partial, sizeof(partial)), COAP_CHANGED);
	get(&b, "/1/0/2");
	assert_payload(&b.m, "10");
	get(&b, "/1/0/3");
	assert_payload(&b.m, "1000");
	/* All or nothing. */
	assert_int_equal(write_tlv(&b, COAP_POST, "/1/0", with_readonly, sizeof(with_readonly)),
			 COAP_METHOD_NOT_ALLOWED);
	get(&b, "/1/0/2");
	assert_payload(&b.m, "10");
	assert_int_equal(write_tlv(&b, COAP_PUT, "/1/0", incomplete, sizeof(incomplete)), COAP_BAD_REQUEST);
	get(&b, "/1/0/2");
	assert_payload(&b.m, "10");
	/* What a replacing Write leaves out goes back to its default. */
	assert_int_equal(write_tlv(&b, COAP_PUT, "/1/0", whole, sizeof(whole)), COAP_CHANGED);
	assert_true(has_query(expect(&b), "lt=60"));
	answer(&b, COAP_CHANGED, NULL);
	get(&b, "/1/0/2");
	assert_payload(&b.m, "0");
	end(&b);
}

static void test_write_formats(void **state)
{
	static const uint8_t broken[] = {0xC1, 2};
	struct coap_message m;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	m = request(&b, COAP_PUT, "/1/0/2");
	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 9999);
	m.payload = span_str("1");
	assert_int_equal(ask(&b, &m), COAP_UNSUPPORTED_CONTENT_FORMAT);
	assert_int_equal(write_tlv(&b, COAP_POST, "/1/0", broken, sizeof(broken)), COAP_BAD_REQUEST);
	m = request(&b, COAP_POST, "/3/0/4");
	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 42);
	m.payload = span_str("x");
	assert_int_equal(ask(&b, &m), COAP_UNSUPPORTED_CONTENT_FORMAT);
	assert_int_equal(b.device.state, DEVICE_REGISTERED);
	end(&b);
}

/* Block `num` of a text of `len` letters, 1024 bytes each, written to the sensor's name. */
static uint8_t write_block(struct bench *b, const char *path, size_t len, uint32_t num,
			   struct coap_message *sent)
{
	static char text[80 << 10];
	size_t start = (size_t)num * 1024;
	struct coap_block block = {num, start + 1024 < len, 6};

	assert_true(len <= sizeof(text));
	memset(text, 'a' + (int)(num % 26), sizeof(text));
	*sent = request(b, COAP_PUT, path);
	with_format(sent, COAP_OPTION_CONTENT_FORMAT, 0);
	assert_int_equal(coap_add_block(sent, COAP_OPTION_BLOCK1, &block), 0);
	sent->payload = span_of(text, MIN((size_t)1024, len - start));
	return ask(b, sent);
}

static void test_write_in_blocks(void **state)
{
	struct coap_message m;
	struct coap_block block;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(write_block(&b, "/3303/0/5750", 2100, 0, &m), COAP_CONTINUE);
	assert_int_equal(coap_find_block(&b.m, COAP_OPTION_BLOCK1, &block), COAP_BLOCK_FOUND);
	assert_true(block.num == 0 && block.more && block.szx == 6);
	assert_int_equal(write_block(&b, "/3303/0/5750", 2100, 1, &m), COAP_CONTINUE);
	/* Its acknowledgement is lost. */
	deliver(&b, &m);
	assert_int_equal(expect(&b)->code, COAP_CONTINUE);
	assert_int_equal(b.sim.stats.duplicates, 1);
	assert_int_equal(write_block(&b, "/3303/0/5750", 2100, 2, &m), COAP_CHANGED);
	assert_int_equal(get(&b, "/3303/0/5750"), COAP_CONTENT);
	assert_int_equal(b.m.payload.len, 1024);
	assert_int_equal(b.m.payload.data[0], 'a');
	/* The last one again is answered from memory, and is no new transfer. */
	deliver(&b, &m);
	assert_int_equal(expect(&b)->code, COAP_CHANGED);
	assert_int_equal(b.sim.assemblies.bytes, 0);
	end(&b);
}

static void test_write_in_blocks_refused(void **state)
{
	struct coap_message m;
	uint32_t size;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	/* One is missing. */
	assert_int_equal(write_block(&b, "/3303/0/5750", 3000, 0, &m), COAP_CONTINUE);
	assert_int_equal(write_block(&b, "/3303/0/5750", 3000, 2, &m), COAP_REQUEST_ENTITY_INCOMPLETE);
	/* What would be refused in the end is refused at once. */
	assert_int_equal(write_block(&b, "/3303/7/5750", 3000, 0, &m), COAP_NOT_FOUND);
	/* More than these devices take, said with the size that they do. */
	for (uint32_t num = 0; num < 64; num++)
		assert_int_equal(write_block(&b, "/3303/0/5750", 66000, num, &m), COAP_CONTINUE);
	assert_int_equal(write_block(&b, "/3303/0/5750", 66000, 64, &m), COAP_REQUEST_ENTITY_TOO_LARGE);
	assert_true(coap_find_uint(&b.m, COAP_OPTION_SIZE1, &size));
	assert_int_equal(size, 64 << 10);
	/* And more than fits there. */
	for (uint32_t num = 0; num < 39; num++)
		assert_int_equal(write_block(&b, "/3303/0/5750", 40000, num, &m), COAP_CONTINUE);
	assert_int_equal(write_block(&b, "/3303/0/5750", 40000, 39, &m), COAP_BAD_REQUEST);
	assert_int_equal(get(&b, "/3303/0/5750"), COAP_CONTENT);
	assert_int_equal(b.m.payload.len, 0);
	end(&b);
}

static void test_single_block(void **state)
{
	struct coap_message m;
	uint32_t block;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	/* The only block is as good as none. */
	m = request(&b, COAP_PUT, "/3303/0/5750");
	with_text(&m, "Kit");
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK1, 6), 0);
	assert_int_equal(ask(&b, &m), COAP_CHANGED);
	assert_true(coap_find_uint(&b.m, COAP_OPTION_BLOCK1, &block));
	get(&b, "/3303/0/5750");
	assert_payload(&b.m, "Kit");
	/* Sizes that there are not. */
	m = request(&b, COAP_PUT, "/3303/0/5750");
	with_text(&m, "x");
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK1, 7), 0);
	assert_int_equal(ask(&b, &m), COAP_BAD_REQUEST);
	m = request(&b, COAP_GET, "/3303/0/5750");
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK2, 7), 0);
	assert_int_equal(ask(&b, &m), COAP_BAD_REQUEST);
	end(&b);
}

/* An object of many instances, and as Discover shows it: without being asked to, in the largest blocks. */
static void test_read_many_instances(void **state)
{
	static const uint16_t accepts[] = {112, 110, 11542, 40};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepts); i++) {
		struct coap_block block = {.more = true};
		uint32_t size = 0;
		size_t len = 0;
		struct bench b;

		setup(&b, true);
		b.options.instances = TEMPERATURES_MAX;
		begin(&b);
		while (b.device.state == DEVICE_REGISTERING) {
			expect(&b);
			coap_find_block(&b.m, COAP_OPTION_BLOCK1, &block);
			answer_block(&b, block.more ? COAP_CONTINUE : COAP_CREATED, block.szx, "/rd/abc");
		}
		block.more = true;
		for (uint32_t num = 0; block.more; num++) {
			struct coap_message m = request(&b, COAP_GET, "/3303");

			with_format(&m, COAP_OPTION_ACCEPT, accepts[i]);
			if (num)
				assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK2,
								&(struct coap_block){num, false, 6}),
						 0);
			assert_int_equal(ask(&b, &m), COAP_CONTENT);
			assert_int_equal(coap_find_block(&b.m, COAP_OPTION_BLOCK2, &block), COAP_BLOCK_FOUND);
			assert_int_equal(block.num, num);
			assert_true(coap_find_uint(&b.m, COAP_OPTION_SIZE2, &size));
			len += b.m.payload.len;
		}
		assert_int_equal(len, size);
		assert_true(size > 64 * TEMPERATURES_MAX);
		end(&b);
	}
}

/* Blocks of one content fit together although the values change meanwhile. */
static void test_block2(void **state)
{
	uint8_t whole[4096], etag[8];
	size_t len = 0, etag_len = 0;
	uint32_t block = 0;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	for (uint32_t number = 0; number == 0 || block & 8; number++) {
		struct coap_message m = request(&b, COAP_GET, "/3/0");
		const struct coap_option *o;

		with_format(&m, COAP_OPTION_ACCEPT, 110);
		assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK2, number << 4 | 1), 0);
		assert_int_equal(ask(&b, &m), COAP_CONTENT);
		assert_true(coap_find_uint(&b.m, COAP_OPTION_BLOCK2, &block));
		assert_int_equal(block >> 4, number);
		assert_true(block & 8 ? b.m.payload.len == 32 : b.m.payload.len <= 32);
		o = coap_find(&b.m, COAP_OPTION_ETAG);
		assert_non_null(o);
		if (number)
			assert_true(span_equal(coap_value(o), span_of(etag, etag_len)));
		memcpy(etag, o->value, o->len);
		etag_len = o->len;
		memcpy(whole + len, b.m.payload.data, b.m.payload.len);
		len += b.m.payload.len;
		advance(&b, 2 * SECOND);
	}
	assert_true(len > 200);
	assert_int_equal(whole[0], '[');
	assert_int_equal(whole[len - 1], ']');
	/* Behind the end. */
	{
		struct coap_message m = request(&b, COAP_GET, "/3/0");

		assert_int_equal(coap_add_uint(&m, COAP_OPTION_BLOCK2, 500 << 4 | 6), 0);
		assert_int_equal(ask(&b, &m), COAP_BAD_REQUEST);
	}
	end(&b);
}

static void test_discover(void **state)
{
	struct bench b;
	struct coap_message m;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(write_attributes(&b, "/3303/0", "pmin=5"), COAP_CHANGED);
	assert_int_equal(write_attributes(&b, "/3303", "epmin=1&epmax=10"), COAP_CHANGED);
	assert_int_equal(write_attributes(&b, "/3303/0/5700", "gt=22.5&lt=-3"), COAP_CHANGED);
	m = request(&b, COAP_GET, "/3303");
	with_format(&m, COAP_OPTION_ACCEPT, 40);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_int_equal(coap_format(&b.m, COAP_OPTION_CONTENT_FORMAT), 40);
	assert_payload(&b.m, "</3303>;ver=1.1;epmin=1;epmax=10,</3303/0>;pmin=5,</3303/0/5518>,</3303/0/"
			     "5601>,</3303/0/5602>,"
			     "</3303/0/5603>,</3303/0/5604>,</3303/0/5605>,</3303/0/5700>;gt=22.5;lt=-3,"
			     "</3303/0/5701>,</3303/0/5750>");
	m = request(&b, COAP_GET, "/3303/0/5700");
	with_format(&m, COAP_OPTION_ACCEPT, 40);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_payload(&b.m, "</3303/0/5700>;pmin=5;epmin=1;epmax=10;gt=22.5;lt=-3");
	m = request(&b, COAP_GET, "/3/0/7");
	with_format(&m, COAP_OPTION_ACCEPT, 40);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_payload(&b.m, "</3/0/7>;dim=1,</3/0/7/0>");
	/* Taken back. */
	assert_int_equal(write_attributes(&b, "/3303/0", "pmin"), COAP_CHANGED);
	m = request(&b, COAP_GET, "/3303/0/5700");
	with_format(&m, COAP_OPTION_ACCEPT, 40);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_payload(&b.m, "</3303/0/5700>;epmin=1;epmax=10;gt=22.5;lt=-3");
	end(&b);
}

static void test_attributes_refused(void **state)
{
	static const struct {
		const char *path, *query;
		uint8_t code;
	} cases[] = {
		{"/3303/0/5700", "gt=1&lt=1", COAP_BAD_REQUEST},
		{"/3303/0/5700", "gt=10&lt=1&st=5", COAP_BAD_REQUEST},
		{"/3303/0/5700", "gt=10&lt=1&st=4", COAP_CHANGED},
		{"/3303/0/5700", "st=-1", COAP_BAD_REQUEST},
		{"/3303/0/5700", "gt=nan", COAP_BAD_REQUEST},
		{"/3303/0/5700", "gt=", COAP_BAD_REQUEST},
		{"/3303/0/5700", "gt=0x10", COAP_BAD_REQUEST},
		{"/3303/0/5700", "pmin=1.5", COAP_BAD_REQUEST},
		{"/3303/0/5700", "pmin=-1", COAP_BAD_REQUEST},
		{"/3303/0/5700", "dim=1", COAP_BAD_REQUEST},
		{"/3303/0", "gt=1", COAP_BAD_REQUEST},
		{"/3/0/0", "gt=1", COAP_BAD_REQUEST},
		{"/3/0/7", "gt=1", COAP_BAD_REQUEST},
		{"/3/0/7/0", "gt=1", COAP_CHANGED},
		{"/3", "pmin=1&pmax=2&epmin=1&epmax=2", COAP_CHANGED},
		{"/3303/0/5700", "epmin=5&epmax=5", COAP_BAD_REQUEST},
		{"/3303/0/5700", "epmin=1.5", COAP_BAD_REQUEST},
		{"/3/1", "pmin=1", COAP_NOT_FOUND},
	};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t code;

		begin_registered(&b, true);
		code = write_attributes(&b, cases[i].path, cases[i].query);
		if (code != cases[i].code)
			fail_msg("%s?%s: code %02x instead of %02x", cases[i].path, cases[i].query, code,
				 cases[i].code);
		end(&b);
	}
}

static void assert_location(const struct coap_message *m, const char *object, const char *instance)
{
	const struct coap_option *o = coap_find(m, COAP_OPTION_LOCATION_PATH);

	assert_non_null(o);
	assert_true(span_is(coap_value(o), object));
	o = coap_find_next(m, o);
	assert_non_null(o);
	assert_true(span_is(coap_value(o), instance));
}

static void test_create_and_delete(void **state)
{
	static const uint8_t kitchen[] = {0xE7, 0x16, 0x76, 'K', 'i', 't', 'c', 'h', 'e', 'n'}; /* 5750 */
	static const uint8_t seven[] = {0x08, 7, 10, 0xE7, 0x16, 0x76, 'K', 'i', 't', 'c', 'h', 'e', 'n'};
	struct coap_message m;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	m = request(&b, COAP_POST, "/3303");
	with_format(&m, COAP_OPTION_CONTENT_FORMAT, 11542);
	m.payload = span_of(kitchen, sizeof(kitchen));
	assert_int_equal(ask(&b, &m), COAP_CREATED);
	assert_location(&b.m, "3303", "1");
	assert_true(payload_contains(expect(&b), "</3303/1>")); /* Update with the new list */
	answer(&b, COAP_CHANGED, NULL);
	/* The retransmission gets the same location, and creates nothing. */
	assert_int_equal(ask(&b, &m), COAP_CREATED);
	assert_location(&b.m, "3303", "1");
	assert_int_equal(get(&b, "/3303/2"), COAP_NOT_FOUND);
	assert_int_equal(get(&b, "/3303/1/5750"), COAP_CONTENT);
	assert_payload(&b.m, "Kitchen");
	assert_int_equal(write_tlv(&b, COAP_POST, "/3303", seven, sizeof(seven)), COAP_CREATED);
	assert_location(&b.m, "3303", "7");
	expect(&b);
	answer(&b, COAP_CHANGED, NULL);
	assert_int_equal(write_tlv(&b, COAP_POST, "/3303", seven, sizeof(seven)), COAP_BAD_REQUEST);
	m = request(&b, COAP_DELETE, "/3303/1");
	assert_int_equal(ask(&b, &m), COAP_DELETED);
	assert_false(payload_contains(expect(&b), "</3303/1>"));
	answer(&b, COAP_CHANGED, NULL);
	assert_int_equal(ask(&b, &m), COAP_DELETED); /* once more, from memory */
	assert_int_equal(get(&b, "/3303/1"), COAP_NOT_FOUND);
	end(&b);
}

/* What was said of an instance does not hold for the next one with its number. */
static void test_delete_forgets_attributes(void **state)
{
	struct coap_message m;
	struct bench b;

	(void)state;
	begin_registered(&b, true);
	assert_int_equal(write_attributes(&b, "/3303/0/5700", "pmin=5"), COAP_CHANGED);
	m = request(&b, COAP_DELETE, "/3303/0");
	assert_int_equal(ask(&b, &m), COAP_DELETED);
	expect(&b);
	answer(&b, COAP_CHANGED, NULL);
	m = request(&b, COAP_POST, "/3303");
	assert_int_equal(ask(&b, &m), COAP_CREATED);
	assert_location(&b.m, "3303", "0");
	expect(&b);
	answer(&b, COAP_CHANGED, NULL);
	m = request(&b, COAP_GET, "/3303/0/5700");
	with_format(&m, COAP_OPTION_ACCEPT, 40);
	assert_int_equal(ask(&b, &m), COAP_CONTENT);
	assert_payload(&b.m, "</3303/0/5700>");
	end(&b);
}

static double number(struct bench *b, const char *path)
{
	char text[64];

	assert_int_equal(get(b, path), COAP_CONTENT);
	snprintf(text, sizeof(text), "%.*s", (int)b->m.payload.len, (const char *)b->m.payload.data);
	return strtod(text, NULL);
}

static void test_reset_measured(void **state)
{
	double value, min, max;
	struct bench b;

	(void)state;
	setup(&b, true);
	b.options.lifetime_ms = 86400 * SECOND;
	begin(&b);
	accept_register(&b);
	/* A full swing, looked at now and then. */
	for (unsigned i = 0; i < 20; i++) {
		number(&b, "/3303/0/5700");
		advance(&b, 30 * SECOND);
	}
	min = number(&b, "/3303/0/5601");
	max = number(&b, "/3303/0/5602");
	assert_true(max - min > 8 && max - min < 12);
	assert_int_equal(execute(&b, "/3303/0/5605"), COAP_CHANGED);
	value = number(&b, "/3303/0/5700");
	assert_true(number(&b, "/3303/0/5601") == value);
	assert_true(number(&b, "/3303/0/5602") == value);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_resource),
		cmocka_unit_test(test_read_cbor),
		cmocka_unit_test(test_read_everything),
		cmocka_unit_test(test_read_accept),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_unknown_critical_option),
		cmocka_unit_test(test_write_resource),
		cmocka_unit_test(test_write_clock),
		cmocka_unit_test(test_write_instance),
		cmocka_unit_test(test_write_formats),
		cmocka_unit_test(test_write_in_blocks),
		cmocka_unit_test(test_write_in_blocks_refused),
		cmocka_unit_test(test_single_block),
		cmocka_unit_test(test_read_many_instances),
		cmocka_unit_test(test_block2),
		cmocka_unit_test(test_discover),
		cmocka_unit_test(test_attributes_refused),
		cmocka_unit_test(test_create_and_delete),
		cmocka_unit_test(test_delete_forgets_attributes),
		cmocka_unit_test(test_reset_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
