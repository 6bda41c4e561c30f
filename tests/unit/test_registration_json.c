/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Registrations, answers of devices, and events as text. */

#include "http/registration_json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "http/answer_json.h"
#include "http/event_json.h"

static struct arena arena;
static struct buffer out, body, record, older;
static struct json json;
static struct registry *registry;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 1024 * 1024);
	out = buffer_of(1024 * 1024);
	body = buffer_of(STORE_EVENT_MAX);
	record = buffer_of(STORE_RECORD_MAX);
	older = buffer_of(STORE_RECORD_MAX);
	json = json_to(&out);
	registry = registry_new();
	return registry ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	arena_deinit(&arena);
	buffer_deinit(&out);
	buffer_deinit(&body);
	buffer_deinit(&record);
	buffer_deinit(&older);
	registry = registry_free(registry);
	return 0;
}

static const char *written(void)
{
	static char text[65536];

	assert_false(out.failed);
	assert_true(out.len < sizeof(text));
	memcpy(text, out.data, out.len);
	text[out.len] = 0;
	out.len = 0;
	json.comma = false;
	return text;
}

/* ---- registrations ---- */

static const char links[] = "</lwm2m>;rt=\"oma.lwm2m\";ct=\"60 110 112\",</lwm2m/3>;ver=1.1,</lwm2m/3/0>,"
			    "</lwm2m/1/1>,</lwm2m/1/0>,</lwm2m/1/0>";

static struct registration full_registration(void)
{
	return (struct registration){
		.present = true,
		.id = "a1B2c3D4e5",
		.registered_ms = 1700000000000,
		.address = {.ip = {192, 0, 2, 7}, .port = 56830, .family = 4},
		.lifetime_s = 300,
		.lwm2m = {1, 1},
		.binding = span_str("U"),
		.root = span_str("/lwm2m"),
		.links = span_str(links),
	};
}

static const char *registration(const struct registration *r, bool awake, const char *reason)
{
	struct registration_view view = {
		.endpoint = span_str("dev-1"),
		.registration = r,
		.seen_ms = 1700000001000,
		.awake = awake,
		.reason = reason,
	};

	registration_json(&json, &view);
	return written();
}

#define LINKS_JSON                                                                                           \
	"[{\"url\":\"/lwm2m\",\"attributes\":{\"rt\":\"\\\"oma.lwm2m\\\"\",\"ct\":\"\\\"60 110 112\\\"\"}}," \
	"{\"url\":\"/lwm2m/3\",\"attributes\":{\"ver\":\"1.1\"}},{\"url\":\"/lwm2m/3/"                       \
	"0\",\"attributes\":{}},"                                                                            \
	"{\"url\":\"/lwm2m/1/1\",\"attributes\":{}},{\"url\":\"/lwm2m/1/0\",\"attributes\":{}},"             \
	"{\"url\":\"/lwm2m/1/0\",\"attributes\":{}}]"

#define REGISTRATION_HEAD                                                                               \
	"{\"endpoint\":\"dev-1\",\"registrationId\":\"a1B2c3D4e5\",\"registrationDate\":1700000000000," \
	"\"lastUpdate\":1700000001000,\"address\":\"192.0.2.7:56830\","
#define REGISTRATION_BODY                                                                           \
	"\"lwM2mVersion\":\"1.1\",\"lifetime\":300,\"bindingMode\":\"U\",\"rootPath\":\"/lwm2m/\"," \
	"\"objectLinks\":" LINKS_JSON ","
#define REGISTRATION_TAIL "\"availableInstances\":{\"1\":[0,1],\"3\":[0]}"
#define REGISTRATION                                                                                    \
	REGISTRATION_HEAD REGISTRATION_BODY "\"secure\":false,\"additionalRegistrationAttributes\":{}," \
					    "\"queuemode\":false," REGISTRATION_TAIL

static void has_the_compatible_members_in_order(void **state)
{
	struct registration r = full_registration();

	(void)state;
	assert_string_equal(registration(&r, true, NULL), REGISTRATION "}");
}

static void shows_what_is_optional_only_if_it_is_there(void **state)
{
	struct registration r = full_registration();
	uint8_t extra[64];
	struct writer w = writer_of(extra, sizeof(extra));

	(void)state;
	writer_span16(&w, span_str("x=1"));
	writer_span16(&w, span_str("flag"));
	writer_span16(&w, span_str("x=y=z"));
	writer_span16(&w, span_str("e="));
	r.extra = writer_span(&w);
	r.sms = span_str("4912345");
	r.queue_mode = r.secure = true;
	assert_string_equal(registration(&r, false, "expired"), REGISTRATION_HEAD
			    "\"smsNumber\":\"4912345\"," REGISTRATION_BODY
			    "\"secure\":true,\"additionalRegistrationAttributes\":{\"flag\":null,"
			    "\"x\":\"y=z\",\"e\":\"\"},\"queuemode\":true," REGISTRATION_TAIL
			    ",\"sleeping\":true,\"reason\":\"expired\"}");
	assert_non_null(strstr(registration(&r, true, NULL), ",\"sleeping\":false}"));
}

static void survives_odd_registrations(void **state)
{
	struct registration r = full_registration();
	const char *text;

	(void)state;
	r.root = (struct span){0};
	r.links = span_str("</0/0>,</3/0/1>,</3303/65534>,</x>,;;;");
	r.address = (struct address){.ip = {0x20, 1, 0xd, 0xb8, [15] = 1}, .port = 5683, .family = 6};
	text = registration(&r, true, NULL);
	assert_non_null(strstr(text, "\"rootPath\":\"/\""));
	assert_non_null(strstr(text, "\"address\":\"[2001:db8::1]:5683\""));
	assert_non_null(strstr(text, "\"3303\":[65534]"));
	assert_null(strstr(text, "\"0\":["));
}

static void shows_attributes_as_raw_text(void **state)
{
	(void)state;
	links_json(&json, span_str("</3>;ver=1.1;pmin=10,</3/0/6>;dim=2;obs;title=\"a\\\"b,c\", </4/0>"));
	assert_string_equal(written(),
			    "[{\"url\":\"/3\",\"attributes\":{\"ver\":\"1.1\",\"pmin\":\"10\"}},"
			    "{\"url\":\"/3/0/6\",\"attributes\":{\"dim\":\"2\",\"obs\":null,\"title\":"
			    "\"\\\"a\\\\\\\"b,c\\\"\"}},{\"url\":\"/4/0\",\"attributes\":{}}]");
	links_json(&json, span_str("</>;ct=110;x=1;ct=112"));
	assert_string_equal(written(), "[{\"url\":\"/\",\"attributes\":{\"x\":\"1\",\"ct\":\"112\"}}]");
	links_json(&json, span_str("lwm2m=\"1.0\",</0/0>"));
	assert_string_equal(written(), "[{\"url\":\"/0/0\",\"attributes\":{}}]");
	assert_true(links_json(&json, (struct span){0}));
	assert_string_equal(written(), "[]");
	assert_false(links_json(&json, span_str("</3>,nonsense</4>")));
	assert_string_equal(written(), "[{\"url\":\"/3\",\"attributes\":{}}]");
}

/* ---- answers ---- */

static void names_codes(void **state)
{
	static const struct {
		uint8_t code;
		const char *name, *dotted;
	} cases[] = {
		{COAP_CREATED, "CREATED(201)", "2.01"},
		{COAP_DELETED, "DELETED(202)", "2.02"},
		{COAP_CHANGED, "CHANGED(204)", "2.04"},
		{COAP_CONTENT, "CONTENT(205)", "2.05"},
		{COAP_BAD_REQUEST, "BAD_REQUEST(400)", "4.00"},
		{COAP_NOT_FOUND, "NOT_FOUND(404)", "4.04"},
		{COAP_REQUEST_ENTITY_TOO_LARGE, "REQUEST_ENTITY_TOO_LARGE(413)", "4.13"},
		{COAP_UNSUPPORTED_CONTENT_FORMAT, "UNSUPPORTED_CONTENT_FORMAT(415)", "4.15"},
		{COAP_INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR(500)", "5.00"},
		{COAP_CONFLICT, "UNKNOWN(409)", "4.09"},
		{COAP_CODE(7, 31), "UNKNOWN(731)", "7.31"},
	};
	char text[CODE_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(code_name(cases[i].code, text), cases[i].name);
		assert_string_equal(code_dotted(cases[i].code, text), cases[i].dotted);
	}
}

static char error[ANSWER_ERROR];

static int answer(enum lwm2m_operation operation, const char *path, struct lwm2m_answer a)
{
	struct model model = {.registry = registry, .lwm2m = {1, 1}};
	struct answer_context c = {
		.operation = operation, .model = &model, .now_ms = 1700000000000, .arena = &arena};

	error[0] = 0;
	assert_true(path_parse(span_str(path), &c.path));
	return answer_json(&json, &c, &a, error);
}

static void writes_answers_of_each_operation(void **state)
{
	(void)state;
	assert_int_equal(answer(LWM2M_READ, "/3/0/14",
				(struct lwm2m_answer){.code = COAP_CONTENT,
						      .format = FORMAT_TEXT,
						      .payload = span_str("UTC")}),
			 0);
	assert_string_equal(
		written(),
		"{\"status\":\"CONTENT(205)\",\"valid\":true,\"success\":true,\"failure\":false,\"content\":"
		"{\"kind\":\"singleResource\",\"id\":14,\"type\":\"STRING\",\"value\":\"UTC\"}}");
	assert_int_equal(answer(LWM2M_DISCOVER, "/3",
				(struct lwm2m_answer){.code = COAP_CONTENT,
						      .format = FORMAT_LINK,
						      .payload = span_str("</3>;ver=1.1")}),
			 0);
	assert_string_equal(written(),
			    "{\"status\":\"CONTENT(205)\",\"valid\":true,\"success\":true,\"failure\":false,"
			    "\"objectLinks\":[{\"url\":\"/3\",\"attributes\":{\"ver\":\"1.1\"}}]}");
	assert_int_equal(answer(LWM2M_CREATE, "/3303",
				(struct lwm2m_answer){.code = COAP_CREATED, .location = span_str("3303/1")}),
			 0);
	assert_string_equal(written(),
			    "{\"status\":\"CREATED(201)\",\"valid\":true,\"success\":true,\"failure\":false,"
			    "\"location\":\"3303/1\"}");
	assert_int_equal(answer(LWM2M_CREATE, "/3303", (struct lwm2m_answer){.code = COAP_CREATED}), 0);
	assert_string_equal(
		written(), "{\"status\":\"CREATED(201)\",\"valid\":true,\"success\":true,\"failure\":false}");
	assert_int_equal(answer(LWM2M_WRITE, "/3/0/14", (struct lwm2m_answer){.code = COAP_CHANGED}), 0);
	assert_string_equal(
		written(), "{\"status\":\"CHANGED(204)\",\"valid\":true,\"success\":true,\"failure\":false}");
}

static void an_error_of_the_device_is_an_answer(void **state)
{
	(void)state;
	assert_int_equal(
		answer(LWM2M_READ, "/3/0/14",
		       (struct lwm2m_answer){.code = COAP_NOT_FOUND, .payload = span_str("not \"here\"")}),
		0);
	assert_string_equal(
		written(), "{\"status\":\"NOT_FOUND(404)\",\"valid\":true,\"success\":false,\"failure\":true,"
			   "\"errormessage\":\"not \\\"here\\\"\"}");
	assert_int_equal(answer(LWM2M_DISCOVER, "/3", (struct lwm2m_answer){.code = COAP_UNAUTHORIZED}), 0);
	assert_string_equal(
		written(),
		"{\"status\":\"UNAUTHORIZED(401)\",\"valid\":true,\"success\":false,\"failure\":true}");
}

static void what_makes_no_sense_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(answer(LWM2M_READ, "/3/0",
				(struct lwm2m_answer){.code = COAP_CONTENT,
						      .format = FORMAT_TLV,
						      .payload = span_of("\xC8\x00\xFFshort", 8)}),
			 1);
	assert_true(error[0] != 0);
	out.len = 0;
	assert_int_equal(
		answer(LWM2M_OBSERVE, "/3/0/14",
		       (struct lwm2m_answer){.code = COAP_CONTENT, .format = 666, .payload = span_str("x")}),
		1);
	assert_true(error[0] != 0);
	out.len = 0;
	assert_int_equal(answer(LWM2M_READ, "/3/0/14",
				(struct lwm2m_answer){.code = COAP_CONTENT,
						      .format = FORMAT_SENML_JSON,
						      .payload = span_str("[]")}),
			 1);
	assert_true(error[0] != 0);
	out.len = 0;
	assert_int_equal(answer(LWM2M_DISCOVER, "/3",
				(struct lwm2m_answer){.code = COAP_CONTENT,
						      .format = FORMAT_LINK,
						      .payload = span_str("nonsense")}),
			 1);
	assert_string_equal(error, "the content is no link-format");
}

/* ---- events ---- */

static void event_ids_are_places(void **state)
{
	static const struct {
		const char *text;
		bool good;
		struct store_cursor at;
	} cases[] = {
		{"1700000000000-42", true, {1700000000000, 42}},
		{"0-0", true, {0, 0}},
		{"1700000000000", true, {1700000000000, 0}},
		{"1700000000000-42.0", true, {1700000000000, 41}},
		{"5-0.0", true, {5, 0}},
		{"18446744073709551615-18446744073709551615", true, {UINT64_MAX, UINT64_MAX}},
		{"", false, {0}},
		{"-1", false, {0}},
		{"1-", false, {0}},
		{"1-.0", false, {0}},
		{"1-2-3", false, {0}},
		{"1-2.1", false, {0}},
		{"x", false, {0}},
		{"18446744073709551616-1", false, {0}},
	};
	struct store_cursor at;
	char text[EVENT_ID_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(event_id_parse(span_str(cases[i].text), &at), cases[i].good);
		if (!cases[i].good)
			continue;
		assert_true(at.time_ms == cases[i].at.time_ms);
		assert_true(at.sequence == cases[i].at.sequence);
	}
	assert_string_equal(event_id_format((struct store_cursor){1700000000000, 42}, text),
			    "1700000000000-42");
	assert_string_equal(event_id_format((struct store_cursor){UINT64_MAX, UINT64_MAX}, text),
			    "18446744073709551615-18446744073709551615");
}

static int block(const struct lwm2m_event *e, uint8_t type)
{
	struct store_event event = {
		.sequence = 42,
		.time_ms = 1700000002000,
		.type = type,
		.key = {STORE_MANAGEMENT, span_str("dev-1")},
	};

	body.len = 0;
	assert_int_equal(lwm2m_event_encode(e, buffer_span(&record), &body), 0);
	event.body = buffer_span(&body);
	return event_block(&out, registry, &event, &arena);
}

#define BLOCK(name, data) "event: " name "\r\ndata: " data "\r\nid: 1700000002000-42\r\n\r\n"

static void registrations_are_events(void **state)
{
	struct registration r = full_registration();
	uint8_t extra[64];
	struct writer w = writer_of(extra, sizeof(extra));
	struct lwm2m_event e = {.type = EVENT_REGISTERED, .seen_ms = 1700000001000};

	(void)state;
	assert_int_equal(registration_encode(&r, NULL, 0, &record), 0);
	assert_int_equal(block(&e, EVENT_REGISTERED), 0);
	assert_string_equal(written(), BLOCK("REGISTRATION", REGISTRATION "}"));

	e = (struct lwm2m_event){.type = EVENT_UPDATED,
				 .seen_ms = 1700000001000,
				 .update_flags = UPDATE_LIFETIME | UPDATE_LINKS | UPDATE_SMS};
	assert_int_equal(block(&e, EVENT_UPDATED), 0);
	assert_string_equal(
		written(),
		BLOCK("UPDATED",
		      "{\"registration\":" REGISTRATION
		      "},\"update\":{\"registrationId\":\"a1B2c3D4e5\",\"address\":\"192.0.2.7:56830\","
		      "\"smsNumber\":\"\",\"lifetime\":300,\"alternatePath\":\"/lwm2m/"
		      "\",\"objectLinks\":" LINKS_JSON ",\"secure\":false,\"additionalAttributes\":{}}}"));
	e.update_flags = UPDATE_ADDRESS;
	assert_int_equal(block(&e, EVENT_UPDATED), 0);
	assert_non_null(strstr(
		written(), "\"update\":{\"registrationId\":\"a1B2c3D4e5\",\"address\":\"192.0.2.7:56830\","
			   "\"secure\":false,\"additionalAttributes\":{}}}"));
	/* What the Register said beyond the standard. */
	writer_span16(&w, span_str("flag"));
	writer_span16(&w, span_str("x=y=z"));
	r.extra = writer_span(&w);
	record.len = 0;
	assert_int_equal(registration_encode(&r, NULL, 0, &record), 0);
	assert_int_equal(block(&e, EVENT_UPDATED), 0);
	assert_non_null(strstr(written(),
			       "\"secure\":false,\"additionalAttributes\":{\"flag\":null,\"x\":\"y=z\"}}}"));
}

static void deregistrations_have_a_reason(void **state)
{
	static const struct {
		uint8_t reason;
		const char *expected;
	} cases[] = {
		{DEREGISTERED_BY_CLIENT, "\"sleeping\":false,\"reason\":\"client\"}"},
		{DEREGISTERED_EXPIRED, "\"sleeping\":true,\"reason\":\"expired\"}"},
		{DEREGISTERED_REPLACED, "\"sleeping\":false,\"reason\":\"replaced\"}"},
		{DEREGISTERED_BY_API, "\"sleeping\":true,\"reason\":\"api\"}"},
		{99, "\"reason\":\"unknown\"}"},
	};
	struct registration r = full_registration();

	(void)state;
	r.queue_mode = true;
	assert_int_equal(registration_encode(&r, NULL, 0, &record), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lwm2m_event e = {.type = EVENT_DEREGISTERED, .reason = cases[i].reason};
		const char *text;

		assert_int_equal(block(&e, EVENT_DEREGISTERED), 0);
		text = written();
		assert_true(!strncmp(text, "event: DEREGISTRATION\r\n", 23));
		assert_non_null(strstr(text, cases[i].expected));
	}
}

static void a_replacing_register_ends_the_old_registration_first(void **state)
{
	struct registration r = full_registration(), old = full_registration();
	struct lwm2m_event e = {
		.type = EVENT_REGISTERED, .seen_ms = 1700000001000, .previous_seen_ms = 1699999999000};
	const char *text, *second;

	(void)state;
	memcpy(old.id, "0000000000", 10);
	assert_int_equal(registration_encode(&r, NULL, 0, &record), 0);
	assert_int_equal(registration_encode(&old, NULL, 0, &older), 0);
	e.previous_record = buffer_span(&older);
	assert_int_equal(block(&e, EVENT_REGISTERED), 0);
	text = written();
	assert_true(!strncmp(
		text,
		"event: DEREGISTRATION\r\ndata: {\"endpoint\":\"dev-1\",\"registrationId\":\"0000000000\"",
		70));
	assert_non_null(strstr(text, "\"lastUpdate\":1699999999000"));
	second = strstr(text, "\r\n\r\n");
	assert_true(!strncmp(second - strlen("\"reason\":\"replaced\"}\r\nid: 1700000002000-42.0"),
			     "\"reason\":\"replaced\"}\r\nid: 1700000002000-42.0\r\n\r\n", 46));
	assert_string_equal(second + 4, BLOCK("REGISTRATION", REGISTRATION "}"));
}

static struct lwm2m_event notification(uint16_t format, const char *payload)
{
	struct lwm2m_event e = {
		.type = EVENT_NOTIFICATION,
		.code = COAP_CONTENT,
		.format = format,
		.lwm2m = {1, 1},
		.payload = span_str(payload),
	};

	assert_true(path_parse(span_str("/3303/0/5700"), &e.path));
	return e;
}

#define VALUE(v) "{\"kind\":\"singleResource\",\"id\":5700,\"type\":\"FLOAT\",\"value\":\"" v "\"}"

static void notifications_have_the_value(void **state)
{
	struct lwm2m_event e = notification(FORMAT_TEXT, "22.5");

	(void)state;
	assert_int_equal(block(&e, EVENT_NOTIFICATION), 0);
	assert_string_equal(written(), BLOCK("NOTIFICATION",
					     "{\"ep\":\"dev-1\",\"kind\":\"single\",\"res\":\"/3303/0/5700\","
					     "\"val\":" VALUE("22.5") "}"));
}

static void a_history_has_every_value(void **state)
{
	struct lwm2m_event e =
		notification(FORMAT_SENML_JSON, "[{\"bn\":\"/3303/0/5700\",\"bt\":1700000000,\"v\":1.5},"
						"{\"t\":1,\"v\":2.5}]");

	(void)state;
	assert_int_equal(block(&e, EVENT_NOTIFICATION), 0);
	assert_string_equal(
		written(),
		BLOCK("NOTIFICATION",
		      "{\"ep\":\"dev-1\",\"kind\":\"single\",\"res\":\"/3303/0/5700\","
		      "\"val\":" VALUE("2.5") ",\"values\":[{\"timestamp\":"
					      "1700000000000,\"val\":" VALUE(
						      "1.5") "},{\"timestamp\":"
							     "1700000001000,\"val\":" VALUE("2.5") "}]}"));
}

static void what_cannot_be_decoded_is_handed_on_raw(void **state)
{
	struct lwm2m_event e = notification(666, "\xFFx");
	const char *text;

	(void)state;
	assert_int_equal(block(&e, EVENT_NOTIFICATION), 0);
	text = written();
	assert_non_null(strstr(
		text,
		"\"res\":\"/3303/0/5700\",\"val\":null,\"raw\":{\"contentFormat\":666,\"payload\":\"ff78\"},"
		"\"error\":\""));
	e = notification(FORMAT_NONE, "\xFFx");
	assert_true(path_parse(span_str("/3303/0"), &e.path));
	assert_int_equal(block(&e, EVENT_NOTIFICATION), 0);
	assert_non_null(strstr(written(), "\"raw\":{\"contentFormat\":null,\"payload\":\"ff78\"}"));
}

static void the_end_of_an_observation_is_told(void **state)
{
	struct lwm2m_event e = {
		.type = EVENT_OBSERVATION_ENDED, .reason = OBSERVATION_ERROR, .code = COAP_NOT_FOUND};

	(void)state;
	assert_true(path_parse(span_str("/3/0"), &e.path));
	assert_int_equal(block(&e, EVENT_OBSERVATION_ENDED), 0);
	assert_string_equal(
		written(),
		BLOCK("OBSERVATION_ENDED",
		      "{\"ep\":\"dev-1\",\"res\":\"/3/0\",\"reason\":\"error\",\"code\":\"4.04\"}"));
	e.reason = OBSERVATION_CANCELLED;
	e.code = 0;
	assert_int_equal(block(&e, EVENT_OBSERVATION_ENDED), 0);
	assert_string_equal(written(), BLOCK("OBSERVATION_ENDED",
					     "{\"ep\":\"dev-1\",\"res\":\"/3/0\",\"reason\":\"cancelled\"}"));
	e.reason = OBSERVATION_REFUSED;
	assert_int_equal(block(&e, EVENT_OBSERVATION_ENDED), 0);
	assert_non_null(strstr(written(), "\"reason\":\"refused\""));
}

static void events_of_a_later_version_are_an_error(void **state)
{
	struct store_event event = {.type = 99, .key = {STORE_MANAGEMENT, span_str("dev-1")}};

	(void)state;
	assert_int_equal(event_block(&out, registry, &event, &arena), -EPROTO);
	event.type = EVENT_REGISTERED;
	event.body = span_str("nonsense");
	assert_int_equal(event_block(&out, registry, &event, &arena), -EPROTO);
	event.type = 0;
	assert_int_equal(event_block(&out, registry, &event, &arena), -EPROTO);
	assert_int_equal(out.len, 0);
}

static void too_large_a_block_is_an_error(void **state)
{
	struct lwm2m_event e = notification(FORMAT_TEXT, "22.5");

	(void)state;
	out.limit = 60;
	assert_int_equal(block(&e, EVENT_NOTIFICATION), -ENOMEM);
}

static void gaps_and_ends_of_streams_are_events(void **state)
{
	(void)state;
	event_gap_block(&out, (struct store_cursor){1, 2}, (struct store_cursor){3, 4});
	assert_string_equal(written(),
			    "event: GAP\r\ndata: {\"from\":\"1-2\",\"to\":\"3-4\"}\r\nid: 3-4\r\n\r\n");
	event_resume_block(&out, "slow", (struct store_cursor){5, 6});
	assert_string_equal(
		written(),
		"event: RESUME\r\ndata: {\"reason\":\"slow\",\"from\":\"5-6\"}\r\nid: 5-6\r\n\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(has_the_compatible_members_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shows_what_is_optional_only_if_it_is_there, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(survives_odd_registrations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shows_attributes_as_raw_text, set_up, tear_down),
		cmocka_unit_test(names_codes),
		cmocka_unit_test_setup_teardown(writes_answers_of_each_operation, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_error_of_the_device_is_an_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_makes_no_sense_is_an_error, set_up, tear_down),
		cmocka_unit_test(event_ids_are_places),
		cmocka_unit_test_setup_teardown(registrations_are_events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(deregistrations_have_a_reason, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_replacing_register_ends_the_old_registration_first, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(notifications_have_the_value, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_history_has_every_value, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_decoded_is_handed_on_raw, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end_of_an_observation_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events_of_a_later_version_are_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_large_a_block_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gaps_and_ends_of_streams_are_events, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("registration_json", tests, NULL, NULL);
}
