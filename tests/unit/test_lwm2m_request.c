/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Device management and reporting: what goes to the device, what comes back to whoever asked, what reaches
 * the event log. */

#include "lwm2m_test.h"

#define QUERY "ep=dev-1&lt=300&lwm2m=1.1"

static struct bench *registered(char location[32])
{
	struct bench *b = bench_new();

	bench_register(b, 1, QUERY, location);
	return b;
}

static void ask(struct bench *b, enum lwm2m_operation operation, const char *path, const char *arguments)
{
	char error[160];
	uint64_t ticket;

	assert_int_equal(bench_ask(b, "dev-1", operation, path, arguments, &ticket, error), 0);
}

/* Observes and returns the token of the observation. */
static struct coap_token observe(struct bench *b, const char *path)
{
	struct coap_message m;
	struct coap_token token;

	ask(b, LWM2M_OBSERVE, path, "");
	m = bench_receive(b);
	token = m.token;
	bench_answer(b, &m, COAP_CONTENT, "20.5", 5);
	bench_store_all(b);
	return token;
}

static void each_operation_has_its_method_and_options(void **state)
{
	static const struct {
		enum lwm2m_operation operation;
		const char *path, *arguments;
		uint8_t method, answer;
		int accept;
		const char *payload;
		unsigned queries;
	} cases[] = {
		{LWM2M_READ, "/3/0", "", COAP_GET, COAP_CONTENT, 112, "", 0},
		{LWM2M_DISCOVER, "/3", "", COAP_GET, COAP_CONTENT, 40, "", 0},
		{LWM2M_EXECUTE, "/3/0/4", "", COAP_POST, COAP_CHANGED, -1, "", 0},
		{LWM2M_EXECUTE, "/1/0/8", "0='a',1", COAP_POST, COAP_CHANGED, -1, "0='a',1", 0},
		{LWM2M_WRITE_ATTRIBUTES, "/3303/0/5700", "pmin=5&gt=30.5&lt", COAP_PUT, COAP_CHANGED, -1, "",
		 3},
		{LWM2M_DELETE, "/3303/0", "", COAP_DELETE, COAP_DELETED, -1, "", 0},
	};
	char location[32];
	struct bench *b = registered(location);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct coap_message m;
		unsigned queries = 0;
		uint32_t accept;

		ask(b, cases[i].operation, cases[i].path, cases[i].arguments);
		m = bench_receive(b);
		assert_int_equal(m.type, COAP_CON);
		assert_int_equal(m.code, cases[i].method);
		assert_true(coap_path_is(&m, cases[i].path));
		assert_int_equal(coap_find_uint(&m, COAP_OPTION_ACCEPT, &accept), cases[i].accept >= 0);
		if (cases[i].accept >= 0)
			assert_int_equal(accept, cases[i].accept);
		assert_true(span_is(m.payload, cases[i].payload));
		for (const struct coap_option *o = coap_find(&m, COAP_OPTION_URI_QUERY); o;
		     o = coap_find_next(&m, o))
			queries++;
		assert_int_equal(queries, cases[i].queries);
		bench_answer(b, &m, cases[i].answer, "x", -1);
		assert_int_equal(b->answers, i + 1);
		assert_int_equal(b->answer.outcome, LWM2M_ANSWERED);
		assert_int_equal(b->answer.code, cases[i].answer);
	}
	bench_free(b);
}

static void an_alternate_path_is_put_in_front(void **state)
{
	struct bench *b = bench_new();
	struct coap_message m;

	(void)state;
	bench_request(b, COAP_POST, 1, "/rd", QUERY, "</lwm2m>;rt=\"oma.lwm2m\";ct=\"110 112\",</lwm2m/3/0>");
	bench_store_all(b);
	bench_expect(b, 1, COAP_CREATED);
	ask(b, LWM2M_READ, "/3/0/1", "");
	m = bench_receive(b);
	assert_true(coap_path_is(&m, "/lwm2m/3/0/1"));
	bench_free(b);
}

static void a_device_of_1_0_is_asked_without_accept(void **state)
{
	struct bench *b = bench_new();
	struct coap_message m;

	(void)state;
	bench_request(b, COAP_POST, 1, "/rd", "ep=dev-1&lwm2m=1.0", "</3/0>");
	bench_store_all(b);
	bench_expect(b, 1, COAP_CREATED);
	ask(b, LWM2M_READ, "/3/0", "");
	m = bench_receive(b);
	assert_null(coap_find(&m, COAP_OPTION_ACCEPT));
	bench_free(b);
}

static void a_format_of_our_choice_that_is_refused_is_left_out(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	ask(b, LWM2M_READ, "/3/0", "");
	m = bench_receive(b);
	bench_answer(b, &m, COAP_NOT_ACCEPTABLE, NULL, -1);
	assert_int_equal(b->answers, 0);
	m = bench_receive(b);
	assert_null(coap_find(&m, COAP_OPTION_ACCEPT));
	bench_answer(b, &m, COAP_NOT_ACCEPTABLE, NULL, -1);
	assert_int_equal(b->answers, 1);
	assert_int_equal(b->answer.code, COAP_NOT_ACCEPTABLE);
	bench_free(b);
}

static uint16_t accept_of(const struct coap_message *m)
{
	return coap_format(m, COAP_OPTION_ACCEPT);
}

static void silence_on_our_accept_is_tried_once_without(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	ask(b, LWM2M_READ, "/3/0", "");
	m = bench_receive(b);
	assert_int_equal(accept_of(&m), FORMAT_SENML_CBOR);
	bench_advance(b, 2600);
	b->sent_read = b->sent_count - 1;
	m = bench_receive(b);
	assert_int_equal(accept_of(&m), COAP_FORMAT_NONE);
	bench_answer(b, &m, COAP_CONTENT, "x", -1);
	assert_int_equal(b->answers, 1);
	ask(b, LWM2M_READ, "/3/0", ""); /* remembered ... */
	m = bench_receive(b);
	assert_int_equal(accept_of(&m), COAP_FORMAT_NONE);
	bench_answer(b, &m, COAP_CONTENT, "x", -1);
	bench_register(b, 2, QUERY, location); /* ... until it registers anew */
	ask(b, LWM2M_READ, "/3/0", "");
	m = bench_receive(b);
	assert_int_equal(accept_of(&m), FORMAT_SENML_CBOR);
	bench_answer(b, &m, COAP_CONTENT, "x", -1);
	ask(b, LWM2M_READ, "/3/0", ""); /* a format that was answered gets all the time there is */
	bench_receive(b);
	bench_advance(b, 4900);
	assert_int_equal(b->answers, 3);
	for (m = bench_receive(b); !bench_silent(b); m = bench_receive(b))
		assert_int_equal(accept_of(&m), FORMAT_SENML_CBOR);
	bench_advance(b, 200);
	assert_int_equal(b->answer.outcome, LWM2M_TIMEOUT);
	bench_free(b);
}

/* Starts a Write of an integer to /1/0/1. */
static void write_lifetime(struct bench *b)
{
	const struct record record = {.path = bench_path("/1/0/1"),
				      .value = {.type = VALUE_INTEGER, .integer = 120}};
	struct lwm2m_request r = {.operation = LWM2M_WRITE,
				  .path = record.path,
				  .format = FORMAT_NONE,
				  .records = &record,
				  .record_count = 1,
				  .timeout_ms = 5000};
	char error[160];
	uint64_t ticket;

	assert_int_equal(lwm2m_request(b->server, lwm2m_find(b->server, span_str("dev-1")), &r,
				       bench_answered, b, &ticket, error),
			 0);
}

static void a_write_goes_on_to_the_next_format_that_the_device_takes(void **state)
{
	static const uint8_t tlv[] = {0xC1, 0x01, 0x78};
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	write_lifetime(b);
	m = bench_receive(b);
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), FORMAT_TEXT);
	assert_true(span_is(m.payload, "120"));
	bench_answer(b, &m, COAP_UNSUPPORTED_CONTENT_FORMAT, NULL, -1);
	m = bench_receive(b);
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), FORMAT_SENML_CBOR);
	bench_answer(b, &m, COAP_UNSUPPORTED_CONTENT_FORMAT, NULL, -1);
	m = bench_receive(b);
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), FORMAT_TLV);
	assert_true(span_equal(m.payload, span_of(tlv, sizeof(tlv))));
	bench_answer(b, &m, COAP_CHANGED, NULL, -1);
	assert_int_equal(b->answers, 1);
	assert_int_equal(b->answer.code, COAP_CHANGED);
	write_lifetime(b);
	m = bench_receive(b); /* remembered */
	assert_int_equal(coap_format(&m, COAP_OPTION_CONTENT_FORMAT), FORMAT_TLV);
	bench_answer(b, &m, COAP_UNSUPPORTED_CONTENT_FORMAT, NULL, -1);
	for (unsigned i = 0; i < 2; i++) {
		m = bench_receive(b);
		bench_answer(b, &m, COAP_UNSUPPORTED_CONTENT_FORMAT, NULL, -1);
	}
	assert_int_equal(b->answers, 2); /* none is left */
	assert_int_equal(b->answer.code, COAP_UNSUPPORTED_CONTENT_FORMAT);
	bench_free(b);
}

static void errors_of_the_device_are_answers(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	ask(b, LWM2M_READ, "/3/0/99", "");
	m = bench_receive(b);
	bench_answer(b, &m, COAP_NOT_FOUND, "no such resource", -1);
	assert_int_equal(b->answer.outcome, LWM2M_ANSWERED);
	assert_int_equal(b->answer.code, COAP_NOT_FOUND);
	assert_true(span_is(b->answer.payload, "no such resource"));
	ask(b, LWM2M_EXECUTE, "/3/0/4", "");
	m = bench_receive(b);
	bench_answer(b, &m, COAP_CREATED, NULL, -1);
	assert_int_equal(b->answer.outcome, LWM2M_INVALID);
	ask(b, LWM2M_READ, "/3/0/1", "");
	m = bench_receive(b);
	coap_message_init(&m, COAP_RST, COAP_EMPTY, m.mid, (struct coap_token){0});
	bench_input(b, &m);
	assert_int_equal(b->answer.outcome, LWM2M_REJECTED);
	bench_free(b);
}

static void a_request_ends_in_time_and_only_once(void **state)
{
	char location[32], error[160];
	struct bench *b = registered(location);
	struct coap_message m;
	uint64_t ticket;

	(void)state;
	ask(b, LWM2M_READ, "/3/0/1", "");
	m = bench_receive(b);
	bench_advance(b, 5001);
	assert_int_equal(b->answers, 1);
	assert_int_equal(b->answer.outcome, LWM2M_TIMEOUT);
	bench_answer(b, &m, COAP_CONTENT, "late", -1);
	assert_int_equal(b->answers, 1);
	assert_int_equal(bench_ask(b, "dev-1", LWM2M_READ, "/3/0/1", "", &ticket, error), 0);
	lwm2m_request_cancel(b->server, ticket);
	lwm2m_request_cancel(b->server, ticket);
	bench_advance(b, 100000);
	assert_int_equal(b->answers, 1);
	bench_free(b);
}

static void a_new_registration_cancels_what_waits(void **state)
{
	char location[32];
	struct bench *b = registered(location);

	(void)state;
	ask(b, LWM2M_READ, "/3/0/1", "");
	bench_receive(b);
	bench_register(b, 2, QUERY, location);
	assert_int_equal(b->answers, 1);
	assert_int_equal(b->answer.outcome, LWM2M_CANCELLED);
	bench_free(b);
}

static void create_gives_the_location_below_the_root(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	const struct record record = {.path = bench_path("/3303/7/5700"),
				      .value = {.type = VALUE_FLOAT, .real = 1.5}};
	struct lwm2m_request r = {.operation = LWM2M_CREATE,
				  .path = bench_path("/3303"),
				  .format = FORMAT_NONE,
				  .records = &record,
				  .record_count = 1,
				  .instance = 7,
				  .timeout_ms = 5000};
	struct coap_message m, reply;
	char error[160];
	uint64_t ticket;

	(void)state;
	assert_int_equal(lwm2m_request(b->server, lwm2m_find(b->server, span_str("dev-1")), &r,
				       bench_answered, b, &ticket, error),
			 0);
	m = bench_receive(b);
	assert_int_equal(m.code, COAP_POST);
	assert_true(m.payload.len > 0);
	coap_message_init(&reply, COAP_ACK, COAP_CREATED, m.mid, m.token);
	assert_int_equal(coap_add_segments(&reply, COAP_OPTION_LOCATION_PATH, span_str("/lwm2m/3303/7")), 0);
	bench_input(b, &reply);
	assert_string_equal(b->answer_location, "3303/7");
	bench_free(b);
}

static void what_cannot_be_is_refused_before_it_is_sent(void **state)
{
	static const struct {
		enum lwm2m_operation operation;
		const char *path, *arguments;
		int refusal;
	} cases[] = {
		{LWM2M_READ, "/", "", LWM2M_REFUSED_PATH},
		{LWM2M_EXECUTE, "/3/0", "", LWM2M_REFUSED_PATH},
		{LWM2M_DELETE, "/3303", "", LWM2M_REFUSED_PATH},
		{LWM2M_EXECUTE, "/3/0/4", "a", LWM2M_REFUSED_ARGUMENTS},
		{LWM2M_WRITE_ATTRIBUTES, "/3", "gt=1", LWM2M_REFUSED_ATTRIBUTES},
		{LWM2M_CANCEL_OBSERVE, "/3/0", "", LWM2M_REFUSED_NO_OBSERVATION},
	};
	char location[32], error[160];
	struct bench *b = registered(location);
	uint64_t ticket;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(bench_ask(b, "dev-1", cases[i].operation, cases[i].path, cases[i].arguments,
					   &ticket, error),
				 cases[i].refusal);
		assert_true(strlen(error) > 0);
	}
	assert_true(bench_silent(b));
	bench_free(b);
}

static void an_observation_is_answered_when_it_is_stored(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	ask(b, LWM2M_OBSERVE, "/3303/0/5700", "");
	m = bench_receive(b);
	bench_answer(b, &m, COAP_CONTENT, "20.5", 5);
	assert_int_equal(b->answers, 0);
	bench_store_all(b);
	assert_int_equal(b->answers, 1);
	assert_true(span_is(b->answer.payload, "20.5"));
	ask(b, LWM2M_OBSERVE, "/3/0/9", "");
	m = bench_receive(b);
	bench_answer(b, &m, COAP_CONTENT, "100", 1);
	bench_finish_write(b, -ENOSPC);
	assert_int_equal(b->answers, 2);
	assert_int_equal(b->answer.outcome, LWM2M_NOT_STORED);
	bench_free(b);
}

static void a_device_that_answers_without_observing_is_reported(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	ask(b, LWM2M_OBSERVE, "/3303/0/5700", "");
	m = bench_receive(b);
	bench_answer(b, &m, COAP_CONTENT, "20.5", -1);
	assert_int_equal(b->answers, 1);
	assert_int_equal(b->answer.outcome, LWM2M_ANSWERED);
	assert_non_null(b->answer.error);
	assert_int_equal(b->write_count, 1);
	bench_free(b);
}

static void a_notification_is_acknowledged_when_its_event_is_stored(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_token token = observe(b, "/3303/0/5700");
	struct lwm2m_event e;
	struct declared_object declared;
	struct model model;
	struct coap_message m;

	(void)state;
	bench_notify(b, COAP_CON, 100, token, 6, COAP_CONTENT, "21.5");
	assert_true(bench_silent(b));
	bench_notify(b, COAP_CON, 100, token, 6, COAP_CONTENT, "21.5");
	assert_int_equal(b->write_done + 1, b->write_count);
	bench_store_all(b);
	m = bench_expect(b, 100, COAP_EMPTY);
	assert_int_equal(m.token.len, 0);
	bench_notify(b, COAP_CON, 100, token, 6, COAP_CONTENT, "21.5"); /* the ACK was lost */
	bench_expect(b, 100, COAP_EMPTY);
	assert_int_equal(b->event_count, 2);
	e = bench_event(b, 1);
	assert_int_equal(e.type, EVENT_NOTIFICATION);
	assert_true(span_is(e.payload, "21.5"));
	model = lwm2m_event_model(&e, b->registry, &declared, 1);
	assert_int_equal(model.declared_count, 1);
	assert_int_equal(declared.object, 3303);
	assert_int_equal(declared.version.minor, 1);
	bench_notify(b, COAP_NON, 101, token, 7, COAP_CONTENT, "22.5");
	bench_store_all(b);
	assert_true(bench_silent(b));
	assert_int_equal(b->event_count, 3);
	bench_free(b);
}

static void a_notification_that_could_not_be_stored_is_welcome_again(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_token token = observe(b, "/3303/0/5700");

	(void)state;
	bench_notify(b, COAP_CON, 100, token, 6, COAP_CONTENT, "21.5");
	bench_finish_write(b, -ENOSPC);
	assert_true(bench_silent(b));
	bench_notify(b, COAP_CON, 100, token, 6, COAP_CONTENT, "21.5");
	bench_store_all(b);
	bench_expect(b, 100, COAP_EMPTY);
	assert_int_equal(b->event_count, 2);
	bench_free(b);
}

static void a_notification_older_than_the_last_is_dropped(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_token token = observe(b, "/3303/0/5700");

	(void)state;
	bench_notify(b, COAP_NON, 100, token, 8, COAP_CONTENT, "8");
	bench_notify(b, COAP_NON, 101, token, 7, COAP_CONTENT, "7");
	bench_notify(b, COAP_NON, 100, token, 8, COAP_CONTENT, "8"); /* duplicated by the network */
	bench_store_all(b);
	assert_int_equal(b->event_count, 2);
	bench_notify(b, COAP_CON, 102, token, 7, COAP_CONTENT, "7");
	bench_expect(b, 102, COAP_EMPTY);
	bench_store_all(b);
	assert_int_equal(b->event_count, 2);
	bench_advance(b, 129000);
	bench_notify(b, COAP_NON, 103, token, 1, COAP_CONTENT, "1"); /* after 128 s any is newer */
	bench_store_all(b);
	assert_int_equal(b->event_count, 3);
	bench_free(b);
}

static void an_unknown_token_is_reset(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_token token = observe(b, "/3303/0/5700");
	struct coap_message m;

	(void)state;
	token.bytes[7] ^= 1;
	bench_notify(b, COAP_CON, 100, token, 6, COAP_CONTENT, "21.5");
	m = bench_receive(b);
	assert_int_equal(m.type, COAP_RST);
	assert_int_equal(m.mid, 100);
	bench_notify(b, COAP_NON, 101, bench_token(9), 6, COAP_CONTENT, "21.5");
	m = bench_receive(b);
	assert_int_equal(m.type, COAP_RST);
	assert_int_equal(b->event_count, 1);
	bench_free(b);
}

static void a_retransmitted_separate_response_is_acknowledged_again(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m, response;

	(void)state;
	ask(b, LWM2M_READ, "/3/0/1", "");
	m = bench_receive(b);
	coap_message_init(&response, COAP_CON, COAP_CONTENT, 500, m.token);
	response.payload = span_str("x");
	bench_input(b, &response);
	bench_expect(b, 500, COAP_EMPTY);
	assert_int_equal(b->answers, 1);
	bench_input(b, &response);
	bench_expect(b, 500, COAP_EMPTY);
	assert_int_equal(b->answers, 1);
	bench_free(b);
}

static void an_error_notification_ends_the_observation(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_token token = observe(b, "/3303/0/5700");
	struct coap_message m;

	(void)state;
	bench_notify(b, COAP_CON, 100, token, 6, COAP_NOT_FOUND, "");
	bench_store_all(b);
	bench_expect(b, 100, COAP_EMPTY);
	assert_int_equal(bench_event(b, 1).type, EVENT_OBSERVATION_ENDED);
	assert_int_equal(bench_event(b, 1).reason, OBSERVATION_ERROR);
	bench_notify(b, COAP_CON, 101, token, 7, COAP_CONTENT, "1");
	m = bench_receive(b);
	assert_int_equal(m.type, COAP_RST);
	bench_free(b);
}

static void observations_survive_a_restart(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_token token = observe(b, "/3303/0/5700");

	(void)state;
	bench_restart(b);
	bench_notify(b, COAP_CON, 100, token, 6, COAP_CONTENT, "21.5");
	bench_store_all(b);
	bench_expect(b, 100, COAP_EMPTY);
	bench_restart(b);
	bench_notify(b, COAP_CON, 100, token, 6, COAP_CONTENT, "21.5");
	bench_expect(b, 100, COAP_EMPTY);
	assert_int_equal(b->event_count, 2);
	bench_free(b);
}

static void observations_are_issued_again_one_by_one_after_a_register(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_message m;

	(void)state;
	observe(b, "/3303/0/5700");
	observe(b, "/3/0/9");
	observe(b, "/3/0/13");
	bench_register(b, 2, QUERY, location);
	m = bench_receive(b);
	assert_true(coap_path_is(&m, "/3303/0/5700"));
	assert_true(bench_silent(b));
	bench_answer(b, &m, COAP_CONTENT, "22", 1);
	bench_store_all(b);
	m = bench_receive(b);
	assert_true(coap_path_is(&m, "/3/0/9"));
	bench_answer(b, &m, COAP_NOT_FOUND, NULL,
		     -1); /* refused: reported, and not asked again before the next Register */
	bench_store_all(b);
	m = bench_receive(b);
	assert_true(coap_path_is(&m, "/3/0/13"));
	bench_advance(b, 100000); /* no answer: asked again at the next Update */
	b->sent_read = b->sent_count;
	assert_int_equal(bench_event(b, 2).type, EVENT_NOTIFICATION);
	assert_int_equal(bench_event(b, 3).type, EVENT_OBSERVATION_ENDED);
	assert_int_equal(bench_event(b, 3).reason, OBSERVATION_REFUSED);
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CHANGED);
	m = bench_receive(b);
	assert_true(coap_path_is(&m, "/3/0/13"));
	bench_free(b);
}

static size_t observations_of(const struct bench *b)
{
	struct lwm2m_stats stats;

	lwm2m_stats(b->server, &stats);
	return stats.observations;
}

static void observations_are_counted(void **state)
{
	char location[32];
	struct bench *b = registered(location);

	(void)state;
	observe(b, "/3303/0/5700");
	observe(b, "/3/0/9");
	observe(b, "/3/0/9");
	assert_int_equal(observations_of(b), 2);
	bench_restart(b);
	assert_int_equal(observations_of(b), 2);
	assert_int_equal(lwm2m_remove(b->server, lwm2m_find(b->server, span_str("dev-1")), bench_answered, b),
			 0);
	bench_store_all(b);
	assert_int_equal(observations_of(b), 0);
	bench_free(b);
}

static void cancel_is_passive_or_active(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_token token = observe(b, "/3303/0/5700");
	struct path path = bench_path("/3303/0/5700");
	struct coap_message m;
	uint32_t value;

	(void)state;
	ask(b, LWM2M_CANCEL_OBSERVE, "/3303/0/5700", "");
	m = bench_receive(b);
	assert_true(coap_token_equal(&m.token, &token));
	assert_true(coap_find_uint(&m, COAP_OPTION_OBSERVE, &value));
	assert_int_equal(value, 1);
	bench_answer(b, &m, COAP_CONTENT, "20", -1);
	bench_store_all(b);
	assert_int_equal(b->answers, 2);
	token = observe(b, "/3303/0/5700");
	assert_int_equal(lwm2m_forget_observation(b->server, lwm2m_find(b->server, span_str("dev-1")), &path,
						  NULL, 0, bench_answered, b),
			 0);
	bench_store_all(b);
	assert_int_equal(b->answers, 4);
	bench_notify(b, COAP_CON, 100, token, 6, COAP_CONTENT, "21.5");
	m = bench_receive(b);
	assert_int_equal(m.type, COAP_RST);
	bench_free(b);
}

static void observing_the_same_path_again_replaces_the_observation(void **state)
{
	char location[32];
	struct bench *b = registered(location);
	struct coap_token first = observe(b, "/3303/0/5700"), second = observe(b, "/3303/0/5700");
	struct registration r;
	struct observation o;
	struct coap_message m;
	struct span left;

	(void)state;
	device_registration(lwm2m_find(b->server, span_str("dev-1")), &r);
	left = r.observations;
	assert_true(observation_next(&left, &o));
	assert_true(coap_token_equal(&o.token, &second));
	assert_false(observation_next(&left, &o));
	bench_notify(b, COAP_CON, 100, first, 6, COAP_CONTENT, "21.5");
	m = bench_receive(b);
	assert_int_equal(m.type, COAP_RST);
	bench_free(b);
}

static void the_api_can_remove_a_device(void **state)
{
	char location[32];
	struct bench *b = registered(location);

	(void)state;
	observe(b, "/3303/0/5700");
	ask(b, LWM2M_READ, "/3/0/1", "");
	assert_int_equal(lwm2m_remove(b->server, lwm2m_find(b->server, span_str("dev-1")), bench_answered, b),
			 0);
	assert_int_equal(b->answers, 1);
	bench_store_all(b);
	assert_int_equal(b->answers, 3); /* the read is cancelled, too */
	assert_null(lwm2m_find(b->server, span_str("dev-1")));
	assert_false(b->devices[0].live);
	assert_int_equal(bench_event(b, b->event_count - 1).reason, DEREGISTERED_BY_API);
	bench_free(b);
}

static void a_walk_sees_each_device_that_stays_once(void **state)
{
	struct bench *b = bench_new();
	char query[64];
	unsigned seen[6] = {0};
	uint32_t cursor = 0;
	struct device *d;

	(void)state;
	for (uint16_t i = 0; i < 6; i++) {
		snprintf(query, sizeof(query), "ep=dev-%u&lwm2m=1.1", i);
		bench_request(b, COAP_POST, i, "/rd", query, "</3/0>");
		bench_store_all(b);
	}
	while ((d = lwm2m_next(b->server, &cursor))) {
		unsigned index = (unsigned)(device_endpoint(d).data[4] - '0');

		seen[index]++;
		if (index == 2)
			assert_int_equal(lwm2m_remove(b->server, lwm2m_find(b->server, span_str("dev-1")),
						      bench_answered, b),
					 0);
		bench_store_all(b);
	}
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(seen[i], 1);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_operation_has_its_method_and_options),
		cmocka_unit_test(an_alternate_path_is_put_in_front),
		cmocka_unit_test(a_device_of_1_0_is_asked_without_accept),
		cmocka_unit_test(a_format_of_our_choice_that_is_refused_is_left_out),
		cmocka_unit_test(silence_on_our_accept_is_tried_once_without),
		cmocka_unit_test(a_write_goes_on_to_the_next_format_that_the_device_takes),
		cmocka_unit_test(errors_of_the_device_are_answers),
		cmocka_unit_test(a_request_ends_in_time_and_only_once),
		cmocka_unit_test(a_new_registration_cancels_what_waits),
		cmocka_unit_test(create_gives_the_location_below_the_root),
		cmocka_unit_test(what_cannot_be_is_refused_before_it_is_sent),
		cmocka_unit_test(an_observation_is_answered_when_it_is_stored),
		cmocka_unit_test(a_device_that_answers_without_observing_is_reported),
		cmocka_unit_test(a_notification_is_acknowledged_when_its_event_is_stored),
		cmocka_unit_test(a_notification_that_could_not_be_stored_is_welcome_again),
		cmocka_unit_test(a_notification_older_than_the_last_is_dropped),
		cmocka_unit_test(an_unknown_token_is_reset),
		cmocka_unit_test(a_retransmitted_separate_response_is_acknowledged_again),
		cmocka_unit_test(an_error_notification_ends_the_observation),
		cmocka_unit_test(observations_survive_a_restart),
		cmocka_unit_test(observations_are_issued_again_one_by_one_after_a_register),
		cmocka_unit_test(observations_are_counted),
		cmocka_unit_test(cancel_is_passive_or_active),
		cmocka_unit_test(observing_the_same_path_again_replaces_the_observation),
		cmocka_unit_test(the_api_can_remove_a_device),
		cmocka_unit_test(a_walk_sees_each_device_that_stays_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
