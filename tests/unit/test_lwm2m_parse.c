/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* What Register, Update, Write-Attributes and Execute may carry; records and events in bytes. */

/* cmocka needs these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "lwm2m/core.h"

struct message {
	struct coap_message m;
	char query[512], payload[1024];
};

static void message_init(struct message *x, enum coap_type type, const char *query, const char *payload,
			 int format)
{
	strcpy(x->query, query);
	strcpy(x->payload, payload);
	coap_message_init(&x->m, type, COAP_POST, 1, (struct coap_token){0});
	assert_int_equal(coap_add_segments(&x->m, COAP_OPTION_URI_QUERY, span_str(x->query)), 0);
	if (format >= 0)
		assert_int_equal(coap_add_uint(&x->m, COAP_OPTION_CONTENT_FORMAT, (uint32_t)format), 0);
	x->m.payload = span_str(x->payload);
}

static void register_requests(void **state)
{
	static const struct {
		const char *query, *payload;
		uint8_t lenient, strict;
	} cases[] = {
		{"ep=a&lt=60&lwm2m=1.0&b=U", "</1>,</3/0>", 0, 0},
		{"ep=a&lt=60&lwm2m=1.1&b=UTSN&Q", "</1>", 0, 0},
		{"ep=a&lt=60&lwm2m=1.0&b=UQS", "</1>", 0, 0},
		{"lt=60&lwm2m=1.0", "</1>", 0, 0}, /* a credential may say who it is */
		{"ep=&lwm2m=1.0", "</1>", COAP_BAD_REQUEST, COAP_BAD_REQUEST},
		{"ep&lwm2m=1.0", "</1>", COAP_BAD_REQUEST, COAP_BAD_REQUEST},
		{"ep=a&lwm2m=1.0", "</1>", 0, COAP_BAD_REQUEST},
		{"ep=a&lt=60", "</1>", 0, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.0.2", "</1>", 0, 0},
		{"ep=a&lt=60&lwm2m=1", "</1>", COAP_BAD_REQUEST, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.x", "</1>", COAP_BAD_REQUEST, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m", "</1>", COAP_BAD_REQUEST, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.2", "</1>", COAP_PRECONDITION_FAILED, COAP_PRECONDITION_FAILED},
		{"ep=a&lt=60&lwm2m=2.0", "</1>", COAP_PRECONDITION_FAILED, COAP_PRECONDITION_FAILED},
		{"ep=a&lt=x&lwm2m=1.0", "</1>", COAP_BAD_REQUEST, COAP_BAD_REQUEST},
		{"ep=a&lt=&lwm2m=1.0", "</1>", COAP_BAD_REQUEST, COAP_BAD_REQUEST},
		{"ep=a&lt&lwm2m=1.0", "</1>", COAP_BAD_REQUEST, COAP_BAD_REQUEST},
		{"ep=a&lt=4294967295&lwm2m=1.0", "</1>", 0, 0},
		{"ep=a&lt=4294967296&lwm2m=1.0", "</1>", COAP_BAD_REQUEST, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.0&Q", "</1>", 0, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.1&Q=x", "</1>", 0, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.1&b=UQ", "</1>", 0, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.0&b=UT", "</1>", 0, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.1&b=", "</1>", 0, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.1&sms", "</1>", 0, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.1&et=x&tl&vendor=a=b", "</1>", 0, 0},
		{"ep=a&lt=60&lwm2m=1.1", "", COAP_CONFLICT, COAP_CONFLICT},
		{"ep=a&lt=60&lwm2m=1.1", "nonsense", COAP_BAD_REQUEST, COAP_BAD_REQUEST},
		{"ep=a&lt=60&lwm2m=1.1", "</>;rt=\"oma.lwm2m\";ct=110;ct=112 , </3/0/11/0>, </5/>", 0, 0},
	};
	struct message x;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct registration_request q;
		const char *diagnostic;
		uint8_t code;

		message_init(&x, COAP_CON, cases[i].query, cases[i].payload, 40);
		code = registration_parse(&x.m, false, false, &q, &diagnostic);
		if (code != cases[i].lenient)
			fail_msg("'%s' lenient: %u (%s)", cases[i].query, code, diagnostic ? diagnostic : "");
		assert_int_equal(code != 0, diagnostic != NULL);
		code = registration_parse(&x.m, false, true, &q, &diagnostic);
		if (code != cases[i].strict)
			fail_msg("'%s' strict: %u (%s)", cases[i].query, code, diagnostic ? diagnostic : "");
	}
}

static void strict_minds_type_and_format(void **state)
{
	struct registration_request q;
	const char *diagnostic;
	struct message x;

	(void)state;
	message_init(&x, COAP_NON, "ep=a&lt=60&lwm2m=1.0", "</1>", 40);
	assert_int_equal(registration_parse(&x.m, false, false, &q, &diagnostic), 0);
	assert_int_equal(registration_parse(&x.m, false, true, &q, &diagnostic), COAP_BAD_REQUEST);
	assert_string_equal(diagnostic, "CON CoAP type expected");
	message_init(&x, COAP_CON, "ep=a&lt=60&lwm2m=1.0", "</1>", -1);
	assert_int_equal(registration_parse(&x.m, false, false, &q, &diagnostic), 0);
	assert_int_equal(registration_parse(&x.m, false, true, &q, &diagnostic), COAP_BAD_REQUEST);
}

static void parameters_end_where_they_belong(void **state)
{
	struct registration_request q;
	const char *diagnostic;
	struct message x;

	(void)state;
	message_init(&x, COAP_CON, "ep=a b\"&lt=60&lwm2m=1.1&b=U&Q&sms=4912&x=a=b&flag",
		     "</lwm2m>;rt=\"oma.lwm2m\";ct=110,</lwm2m/3/0>", 40);
	assert_int_equal(registration_parse(&x.m, false, false, &q, &diagnostic), 0);
	assert_true(span_is(q.endpoint, "a b\""));
	assert_true(q.queue_flag);
	assert_true(span_is(q.sms, "4912"));
	assert_true(span_is(q.root, "/lwm2m"));
	assert_int_equal(q.extra_count, 2);
	assert_true(span_is(q.extra[0], "x=a=b"));
	assert_true(span_is(q.extra[1], "flag"));
	/* Update: ep and lwm2m are no parameters of it, an empty one is fine */
	message_init(&x, COAP_CON, "ep=other&lwm2m=9.9&lt=61", "", -1);
	assert_int_equal(registration_parse(&x.m, true, false, &q, &diagnostic), 0);
	assert_false(q.has_endpoint || q.has_version || q.has_links);
	assert_int_equal(q.lifetime_s, 61);
}

static void links_below_the_root(void **state)
{
	struct registration r = {
		.root = span_str("/lwm2m"),
		.links = span_str("</lwm2m>;rt=\"oma.lwm2m\";ct=\"60 "
				  "110\",</lwm2m/0/1>,</lwm2m/1>;ver=1.1,</lwm2m/3/0/11/0>,"
				  "</lwm2mx/5>,</6>,</lwm2m/44/0>;ver=\"2.2\",</lwm2m/abc>"),
		.lwm2m = {1, 1},
	};
	static const char *const expected[] = {"/1", "/3/0", "/44/0"};
	struct declared_object declared[4];
	struct span left = r.links;
	struct registered_link link;
	struct model model;
	char text[PATH_TEXT];
	size_t count = 0;

	(void)state;
	while (registration_next_link(&r, &left, &link)) {
		assert_true(count < ARRAY_SIZE(expected));
		assert_string_equal(path_format(&link.path, text), expected[count++]);
	}
	assert_int_equal(count, ARRAY_SIZE(expected));
	model = registration_model(&r, NULL, declared, ARRAY_SIZE(declared));
	assert_int_equal(model.declared_count, 2);
	assert_int_equal(declared[0].object, 1);
	assert_int_equal(declared[1].version.major, 2);
	assert_true(registration_supports(&r, 110));
	assert_false(registration_supports(&r, 11));
	r.links = span_str("</>;rt=oma.lwm2m;ct=110;ct=112");
	assert_true(registration_supports(&r, 112));
}

static struct registration sample(void)
{
	struct registration r = {
		.present = true,
		.id = "abcDEF1234",
		.registered_ms = 1700000000123,
		.lifetime_s = 4000000000u,
		.lwm2m = {1, 1},
		.binding = span_str("UQ"),
		.queue_mode = true,
		.sms = span_str("4912"),
		.root = span_str("/lwm2m"),
		.links = span_str("</lwm2m/3/0>"),
		.extra = span_of("\0\3x=y\0\4flag", 11),
	};

	assert_int_equal(address_parse("[2001:db8::7]:5683", &r.address), 0);
	return r;
}

static void records_come_back_as_they_were(void **state)
{
	const struct observation observations[] = {
		{.token = {8, {1, 2, 3, 4, 0x85, 6, 7, 8}},
		 .path = {{3303, 0, 5700}, 3},
		 .accept = 112,
		 .issued = true},
		{.token = {8, {8}}, .path = {{3}, 1}, .accept = COAP_FORMAT_NONE, .refused = true},
	};
	_cleanup_buffer_ struct buffer out = buffer_of(4096);
	struct registration r = sample(), back;
	struct observation o;
	struct span left, name, value;
	bool has_value;

	(void)state;
	assert_int_equal(registration_encode(&r, observations, 2, &out), 0);
	assert_int_equal(registration_decode(buffer_span(&out), &back), 0);
	assert_string_equal(back.id, r.id);
	assert_true(back.present && back.queue_mode && !back.secure);
	assert_int_equal(back.registered_ms, r.registered_ms);
	assert_true(address_equal(&back.address, &r.address));
	assert_int_equal(back.lifetime_s, r.lifetime_s);
	assert_true(span_equal(back.sms, r.sms) && span_equal(back.links, r.links) &&
		    span_equal(back.root, r.root));
	left = back.extra;
	assert_true(registration_next_extra(&left, &name, &value, &has_value));
	assert_true(span_is(name, "x") && span_is(value, "y") && has_value);
	assert_true(registration_next_extra(&left, &name, &value, &has_value));
	assert_true(span_is(name, "flag") && !has_value);
	assert_false(registration_next_extra(&left, &name, &value, &has_value));
	left = back.observations;
	for (size_t i = 0; i < 2; i++) {
		assert_true(observation_next(&left, &o));
		assert_true(coap_token_equal(&o.token, &observations[i].token));
		assert_int_equal(path_compare(&o.path, &observations[i].path), 0);
		assert_int_equal(o.accept, observations[i].accept);
		assert_int_equal(o.issued, observations[i].issued);
		assert_int_equal(o.refused, observations[i].refused);
	}
	assert_false(observation_next(&left, &o));
	/* every shorter one is refused, or lacks observations at its end; none is read past its end */
	for (size_t len = 0; len < out.len; len++) {
		uint8_t *cut = malloc(len + 1);

		memcpy(cut, out.data, len);
		if (registration_decode(span_of(cut, len), &back) == 0)
			for (left = back.observations; observation_next(&left, &o);)
				;
		free(cut);
	}
}

static void events_come_back_as_they_were(void **state)
{
	_cleanup_buffer_ struct buffer record = buffer_of(4096);
	struct registration r = sample();
	struct lwm2m_event events[] = {
		{.type = EVENT_REGISTERED, .seen_ms = 5},
		{.type = EVENT_REGISTERED, .seen_ms = 6, .previous_seen_ms = 4},
		{.type = EVENT_UPDATED, .seen_ms = 7, .update_flags = UPDATE_LIFETIME | UPDATE_ADDRESS},
		{.type = EVENT_DEREGISTERED, .seen_ms = 8, .reason = DEREGISTERED_EXPIRED},
		{.type = EVENT_NOTIFICATION,
		 .path = {{3303, 0, 5700}, 3},
		 .code = COAP_CONTENT,
		 .format = 112,
		 .root = span_str("/lwm2m"),
		 .lwm2m = {1, 1},
		 .paths = span_of("\1\0\3", 3),
		 .declared = span_of("\14\347\1\1", 4),
		 .payload = span_str("payload")},
		{.type = EVENT_OBSERVATION_ENDED,
		 .path = {{3}, 1},
		 .reason = OBSERVATION_ERROR,
		 .code = COAP_NOT_FOUND},
	};

	(void)state;
	assert_int_equal(registration_encode(&r, NULL, 0, &record), 0);
	events[1].previous_record = buffer_span(&record);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		_cleanup_buffer_ struct buffer body = buffer_of(8192);
		const struct lwm2m_event *e = &events[i];
		struct lwm2m_event back;

		assert_int_equal(
			lwm2m_event_encode(e, i < 4 ? buffer_span(&record) : span_of(NULL, 0), &body), 0);
		assert_int_equal(
			lwm2m_event_decode((uint8_t)e->type, span_str("dev"), buffer_span(&body), &back), 0);
		assert_int_equal(back.seen_ms, e->seen_ms);
		assert_int_equal(back.reason, e->reason);
		assert_int_equal(back.update_flags, e->update_flags);
		assert_int_equal(back.code, e->code);
		assert_int_equal(back.format, e->format);
		assert_true(span_equal(back.declared, e->declared));
		assert_true(span_equal(back.paths, e->paths));
		assert_true(span_equal(back.root, e->root));
		assert_int_equal(path_compare(&back.path, &e->path), 0);
		assert_true(span_equal(back.payload, e->payload));
		assert_int_equal(back.replaces, i == 1);
		if (i < 4)
			assert_string_equal(back.registration.id, r.id);
		for (size_t len = 0; len < body.len; len++) {
			uint8_t *cut = malloc(len + 1);

			memcpy(cut, body.data, len);
			(void)lwm2m_event_decode((uint8_t)e->type, span_str("dev"), span_of(cut, len), &back);
			free(cut);
		}
	}
	assert_int_equal(lwm2m_event_decode(0, span_str("d"), span_of(NULL, 0), &events[0]), -EPROTO);
	assert_int_equal(lwm2m_event_decode(200, span_str("d"), span_of(NULL, 0), &events[0]), -EPROTO);
}

static void attributes_are_checked(void **state)
{
	static const struct {
		const char *query;
		uint8_t depth;
		bool fine;
	} cases[] = {
		{"", 1, true},
		{"pmin=10&pmax=60", 1, true},
		{"pmin=60&pmax=10", 3, true}, /* allowed: pmax is ignored then */
		{"gt=1.5&lt=-3&st=0.5", 3, true},
		{"gt=1&lt=0&st=0.5", 3, false}, /* lt + 2 st < gt */
		{"gt=1&lt=1", 3, false},
		{"gt&lt&pmin", 3, true}, /* unset */
		{"gt=", 3, false},
		{"pmin=", 3, false},
		{"pmin=-1", 3, false},
		{"pmin=1.5", 3, false},
		{"gt=1e3", 3, false},
		{"gt=1", 2, false},
		{"st=-1", 3, false},
		{"pmin=1&pmin=2", 3, false},
		{"timeout=5", 3, false},
		{"ver=1.0", 1, false},
		{"epmin=5&epmax=5", 2, false},
		{"epmin=5&epmax=6", 2, true},
	};
	char error[160];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct path path = {.depth = cases[i].depth};
		const char *wrong = attributes_check(span_str(cases[i].query), &path, error);

		if ((wrong == NULL) != cases[i].fine)
			fail_msg("'%s' at depth %u: %s", cases[i].query, cases[i].depth,
				 wrong ? wrong : "fine");
	}
}

static void arguments_are_checked(void **state)
{
	static const char *const fine[] = {"", "0", "0,1", "0='a b',2", "5='</3>'", "0='',9='!#$'"};
	static const char *const wrong[] = {"a",      "10",  "0,",  ",0",  "0='",     "0='a",
					    "0='a''", "0=a", "1,1", "0;1", "0='a\\b'"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
		if (arguments_check(span_str(fine[i])))
			fail_msg("\"%s\" is refused", fine[i]);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!arguments_check(span_str(wrong[i])))
			fail_msg("\"%s\" is accepted", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(register_requests),
		cmocka_unit_test(strict_minds_type_and_format),
		cmocka_unit_test(parameters_end_where_they_belong),
		cmocka_unit_test(links_below_the_root),
		cmocka_unit_test(records_come_back_as_they_were),
		cmocka_unit_test(events_come_back_as_they_were),
		cmocka_unit_test(attributes_are_checked),
		cmocka_unit_test(arguments_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
