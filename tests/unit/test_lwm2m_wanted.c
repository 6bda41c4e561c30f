/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Datagrams of devices that are not here: whose they are, who may speak for it, and what becomes of them. */

#include "lwm2m_cluster.h"

#include "coap/dedup.h"

/* Node 1 has everything; node 0 fetches. */
static struct cluster *cluster_that_fetches(char location[32])
{
	struct cluster *c = cluster_new();

	register_at(c, location);
	c->nodes[1].fetches = true;
	bench_of(c, 1)->peer = bench_of(c, 0)->peer;
	return c;
}

static const struct fetched *last_fetched(struct cluster *c, unsigned node, size_t count)
{
	assert_int_equal(c->nodes[node].fetched_count, count);
	assert_true(bench_silent(bench_of(c, node)));
	return &c->nodes[node].fetched[count - 1];
}

static uint32_t hash_of(struct cluster *c)
{
	struct store_key key = {STORE_MANAGEMENT, span_str("dev-1")};

	return (uint32_t)(store_key_hash(&bench_of(c, 0)->config.hash_key, key) >> 32);
}

/* The device moves to node 1 because of the last datagram, which is then handled there. */
static void comes_because_of_it(struct cluster *c)
{
	struct node *n = &c->nodes[1];
	struct lwm2m_wanted w = wanted_of(&n->fetched[n->fetched_count - 1]);
	struct store_device stored;

	give(c, 0);
	lwm2m_server_given(bench_of(c, 0)->server, span_str("dev-1"), LWM2M_GONE);
	stored = stored_for(c, 1);
	assert_true(lwm2m_wanted_is(n->b->server, &w, &stored));
	take_with(c, 1, buffer_span(&c->given.luggage));
	input_fetched(n, n->fetched_count - 1);
}

static void an_update_leads_by_its_id(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *b = bench_of(c, 1);
	const struct fetched *f;

	(void)state;
	bench_request(b, COAP_POST, 2, location, "", NULL);
	f = last_fetched(c, 1, 1);
	assert_int_equal(f->by, LWM2M_BY_ID);
	assert_int_equal(f->hash, hash_of(c));
	assert_int_equal(f->name_len, REGISTRATION_ID);
	assert_memory_equal(f->name, location + 4, REGISTRATION_ID);
	assert_false(f->leaving || f->secure);
	comes_because_of_it(c);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CHANGED);
	/* It is here now. */
	bench_request(b, COAP_POST, 3, location, "", NULL);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CHANGED);
	assert_int_equal(c->nodes[1].fetched_count, 1);
	cluster_free(c);
}

static void what_is_nowhere_is_answered_as_ever(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *b = bench_of(c, 1);

	(void)state;
	bench_request(b, COAP_POST, 2, location, "", NULL);
	(void)last_fetched(c, 1, 1);
	input_fetched(&c->nodes[1], 0); /* nobody has it */
	bench_expect(b, 2, COAP_NOT_FOUND);
	bench_request(b, COAP_POST, 3, "/rd/short", "", NULL); /* no id of ours */
	bench_expect(b, 3, COAP_NOT_FOUND);
	c->nodes[1].fetches = false; /* it knows already */
	bench_request(b, COAP_DELETE, 4, location, "", NULL);
	bench_expect(b, 4, COAP_NOT_FOUND);
	assert_int_equal(c->nodes[1].fetched_count, 1);
	cluster_free(c);
}

static void a_register_leads_by_its_endpoint(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *b = bench_of(c, 1);
	const struct fetched *f;

	(void)state;
	bench_request(b, COAP_POST, 2, "/rd", QUERY, "</3/0>");
	f = last_fetched(c, 1, 1);
	assert_int_equal(f->by, LWM2M_BY_ENDPOINT);
	assert_string_equal(f->endpoint, "dev-1");
	comes_because_of_it(c);
	bench_store_all(b);
	bench_expect(b, 2, COAP_CREATED);
	assert_true(bench_event(b, 0).replaces);
	/* One that is new is made here. */
	bench_request(b, COAP_POST, 3, "/rd", "ep=dev-2&lwm2m=1.1", "</3/0>");
	(void)last_fetched(c, 1, 2);
	input_fetched(&c->nodes[1], 1);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CREATED);
	cluster_free(c);
}

/* The body must not be lost while somebody is asked: each block is asked about before it counts. */
static void a_register_in_blocks_waits_too(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *b = bench_of(c, 1);
	const char *parts[] = {"</1/0>,</3/0>,</", "4/0>"};

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct coap_block block = {i, i == 0, 0};
		struct coap_message m;

		coap_message_init(&m, COAP_CON, COAP_POST, (uint16_t)(2 + i), bench_token(9));
		assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/rd")), 0);
		assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str("ep=dev-2&lwm2m=1.1")),
				 0);
		assert_int_equal(coap_add_block(&m, COAP_OPTION_BLOCK1, &block), 0);
		m.payload = span_str(parts[i]);
		bench_input(b, &m);
		(void)last_fetched(c, 1, i + 1);
		input_fetched(&c->nodes[1], i);
		if (i == 0)
			bench_expect(b, 2, COAP_CONTINUE);
	}
	bench_store_all(b);
	bench_expect(b, 3, COAP_CREATED);
	cluster_free(c);
}

static void a_notification_leads_by_its_token(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *b = bench_of(c, 1);
	struct coap_token token = observe_at(c);
	const struct fetched *f;

	(void)state;
	bench_notify(b, COAP_CON, 900, token, 8, COAP_CONTENT, "22");
	f = last_fetched(c, 1, 1);
	assert_int_equal(f->by, LWM2M_BY_TOKEN);
	assert_int_equal(f->hash, hash_of(c));
	comes_because_of_it(c);
	bench_store_all(b);
	bench_expect(b, 900, COAP_EMPTY);
	assert_int_equal(b->event_count, 1);
	/* A token of a device that is here, but of nothing: no need to ask. */
	token.bytes[7]++;
	bench_notify(b, COAP_CON, 901, token, 8, COAP_CONTENT, "22");
	assert_int_equal(bench_receive(b).type, COAP_RST);
	/* Nor about one that is none of ours. */
	bench_notify(b, COAP_CON, 902, bench_token(4), 8, COAP_CONTENT, "22");
	assert_int_equal(bench_receive(b).type, COAP_RST);
	assert_int_equal(c->nodes[1].fetched_count, 1);
	cluster_free(c);
}

static void an_answer_leads_by_its_token(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *b = bench_of(c, 1);
	struct coap_message m;

	(void)state;
	(void)ask(bench_of(c, 0), LWM2M_READ, "/3/0/0");
	m = bench_receive(bench_of(c, 0));
	send_empty(bench_of(c, 0), COAP_ACK, m.mid);
	send_separate(b, COAP_CON, 700, m.token, COAP_CONTENT, "there");
	assert_int_equal(last_fetched(c, 1, 1)->by, LWM2M_BY_TOKEN);
	comes_because_of_it(c);
	bench_expect(b, 700, COAP_EMPTY);
	assert_answered(bench_of(c, 0), 1, "there");
	cluster_free(c);
}

static void an_ack_leads_by_its_address(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *b = bench_of(c, 1);
	struct coap_message m;

	(void)state;
	(void)ask(bench_of(c, 0), LWM2M_READ, "/3/0/0");
	m = bench_receive(bench_of(c, 0));
	bench_answer(b, &m, COAP_CONTENT, "there", -1);
	assert_int_equal(last_fetched(c, 1, 1)->by, LWM2M_BY_ADDRESS);
	comes_because_of_it(c);
	assert_answered(bench_of(c, 0), 1, "there");
	/* One that is late is of no interest. */
	bench_answer(b, &m, COAP_CONTENT, "there", -1);
	assert_true(bench_silent(b));
	assert_int_equal(c->nodes[1].fetched_count, 1);
	cluster_free(c);
}

static void an_rst_leads_by_its_address(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct coap_message m;

	(void)state;
	(void)ask(bench_of(c, 0), LWM2M_READ, "/3/0/0");
	m = bench_receive(bench_of(c, 0));
	send_empty(bench_of(c, 1), COAP_RST, m.mid);
	assert_int_equal(last_fetched(c, 1, 1)->by, LWM2M_BY_ADDRESS);
	comes_because_of_it(c);
	assert_int_equal(bench_of(c, 0)->answers, 1);
	assert_int_equal(bench_of(c, 0)->answer.outcome, LWM2M_REJECTED);
	/* A ping is answered by anybody. */
	c->nodes[2].fetches = true;
	send_empty(bench_of(c, 2), COAP_CON, 5);
	assert_int_equal(bench_receive(bench_of(c, 2)).type, COAP_RST);
	lwm2m_server_input(bench_of(c, 2)->server, &bench_of(c, 2)->peer, span_str("no message"));
	assert_int_equal(c->nodes[2].fetched_count, 0);
	cluster_free(c);
}

static void a_send_leads_by_its_address(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *b = bench_of(c, 1);
	struct coap_message m;

	(void)state;
	coap_message_init(&m, COAP_CON, COAP_POST, 40, bench_token(4));
	assert_int_equal(coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/dp")), 0);
	assert_int_equal(coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, 110), 0);
	m.payload = span_str("[{\"n\":\"/3303/0/5700\",\"v\":21}]");
	bench_input(b, &m);
	assert_int_equal(last_fetched(c, 1, 1)->by, LWM2M_BY_ADDRESS);
	comes_because_of_it(c);
	bench_store_all(b);
	bench_expect(b, 40, COAP_CHANGED);
	cluster_free(c);
}

/* ---- a device that is on its way ---- */

static void who_is_leaving_is_not_heard(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *a = bench_of(c, 0);
	struct coap_token token = observe_at(c);
	struct coap_message m;
	const struct fetched *f = c->nodes[0].fetched;

	(void)state;
	(void)ask(a, LWM2M_READ, "/3/0/0");
	m = bench_receive(a);
	c->nodes[0].fetches = true;
	give(c, 0);
	bench_answer(a, &m, COAP_CONTENT, "x", -1);
	bench_request(a, COAP_POST, 2, location, "", NULL);
	bench_notify(a, COAP_CON, 900, token, 8, COAP_CONTENT, "22");
	assert_int_equal(address_parse("192.0.2.99:1000", &a->peer), 0); /* and wherever it is */
	bench_request(a, COAP_POST, 3, location, "", NULL);
	bench_request(a, COAP_POST, 4, "/rd", QUERY, "</3/0>");
	bench_notify(a, COAP_CON, 901, token, 9, COAP_CONTENT, "23");
	assert_int_equal(c->nodes[0].fetched_count, 6);
	for (unsigned i = 0; i < 6; i++) {
		assert_true(f[i].leaving);
		assert_string_equal(f[i].endpoint, "dev-1");
	}
	assert_int_equal(f[0].by, LWM2M_BY_ADDRESS);
	assert_int_equal(f[3].by, LWM2M_BY_ID);
	assert_int_equal(f[4].by, LWM2M_BY_ENDPOINT);
	assert_int_equal(f[5].by, LWM2M_BY_TOKEN);
	for (unsigned i = 0; i < 6; i++) /* asked or not: it is leaving */
		input_fetched(&c->nodes[0], i);
	assert_true(bench_silent(a));
	assert_int_equal(a->write_count, 2);
	assert_int_equal(a->answers, 1); /* the Observe */
	/* Somebody else is served. */
	bench_request(a, COAP_POST, 7, "/rd", "ep=dev-2&lwm2m=1.1", "</3/0>");
	input_fetched(&c->nodes[0], 6);
	bench_store_all(a);
	bench_expect(a, 7, COAP_CREATED);
	lwm2m_server_given(a->server, span_str("dev-1"), LWM2M_KEPT);
	cluster_free(c);
}

/* ---- who may speak for whom ---- */

static void a_stored_device_is_the_one_that_is_wanted(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *b = bench_of(c, 1);
	const struct bench_device *d = bench_device(bench_of(c, 0), "dev-1");
	struct store_device stored = {.key = {STORE_MANAGEMENT, span_str("dev-1")},
				      .hot = d->hot,
				      .record = span_of(d->record, d->record_len)};
	struct lwm2m_wanted w;
	struct coap_token token = {8, {0}};

	(void)state;
	bench_request(b, COAP_POST, 2, location, "", NULL);
	bench_request(b, COAP_POST, 3, "/rd", QUERY, NULL);
	w = wanted_of(&c->nodes[1].fetched[0]);
	assert_true(lwm2m_wanted_is(b->server, &w, &stored));
	c->nodes[1].fetched[0].name[9] ^= 1; /* another id of the same hash */
	assert_false(lwm2m_wanted_is(b->server, &w, &stored));
	w = wanted_of(&c->nodes[1].fetched[1]);
	assert_true(lwm2m_wanted_is(b->server, &w, &stored));
	stored.key.endpoint = span_str("dev-3");
	assert_false(lwm2m_wanted_is(b->server, &w, &stored));
	stored.key.endpoint = span_str("dev-1");
	/* By session: whose credential it is decides. */
	w.secure = true;
	assert_false(lwm2m_wanted_is(b->server, &w, &stored));
	w.claim = span_str("dev-1");
	assert_true(lwm2m_wanted_is(b->server, &w, &stored));
	w.claim = span_str("dev-2");
	assert_false(lwm2m_wanted_is(b->server, &w, &stored));
	/* By address, whichever socket it came to. */
	w = (struct lwm2m_wanted){.by = LWM2M_BY_ADDRESS, .from = &b->peer};
	b->peer.listener++;
	assert_true(lwm2m_wanted_is(b->server, &w, &stored));
	b->peer.port++;
	assert_false(lwm2m_wanted_is(b->server, &w, &stored));
	/* The token of a request is in no record; that of an observation is, or is not. */
	w = (struct lwm2m_wanted){.by = LWM2M_BY_TOKEN, .name = span_of(token.bytes, 8), .from = &b->peer};
	assert_true(lwm2m_wanted_is(b->server, &w, &stored));
	token.bytes[4] = 0x80;
	assert_false(lwm2m_wanted_is(b->server, &w, &stored));
	stored.record.len = 5;
	assert_false(lwm2m_wanted_is(b->server, &w, &stored));
	cluster_free(c);
}

/* ---- after a deregistration ---- */

static void take_tombstone(struct cluster *c, unsigned to)
{
	struct store_device stored = {.key = {STORE_MANAGEMENT, span_str("dev-1")},
				      .hot = bench_of(c, 0)->writes[1].hot};

	assert_int_equal(lwm2m_server_take(bench_of(c, to)->server, &stored, span_of(NULL, 0)), 0);
}

static void a_deregistration_is_remembered(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);
	struct bench *a = bench_of(c, 0), *b = bench_of(c, 1);
	const struct store_device tombstone = {.key = {STORE_MANAGEMENT, span_str("dev-1")}};
	struct lwm2m_wanted w;

	(void)state;
	bench_request(a, COAP_DELETE, 2, location, "", NULL);
	bench_store_all(a);
	bench_expect(a, 2, COAP_DELETED);
	bench_request(b, COAP_DELETE, 2, location, "", NULL); /* its answer was lost */
	assert_int_equal(last_fetched(c, 1, 1)->by, LWM2M_BY_ID);
	w = wanted_of(&c->nodes[1].fetched[0]);
	assert_true(lwm2m_wanted_is(b->server, &w, &tombstone));
	take_tombstone(c, 1);
	input_fetched(&c->nodes[1], 0);
	bench_expect(b, 2, COAP_DELETED);
	assert_int_equal(b->write_count, 0);
	/* A new registration lies above it. */
	bench_request(b, COAP_POST, 3, "/rd", QUERY, "</3/0>");
	assert_int_equal(b->write_count, 1);
	assert_int_equal(b->writes[0].hot.fence.node, 2);
	assert_int_equal(b->writes[0].hot.fence.gen, 2);
	assert_int_equal(b->writes[0].hot.number, 3);
	bench_store_all(b);
	bench_expect(b, 3, COAP_CREATED);
	assert_null(lwm2m_find(a->server, span_str("dev-1")));
	cluster_free(c);
}

static void a_tombstone_is_forgotten(void **state)
{
	char location[32];
	struct cluster *c = cluster_that_fetches(location);

	(void)state;
	bench_request(bench_of(c, 0), COAP_DELETE, 2, location, "", NULL);
	bench_store_all(bench_of(c, 0));
	take_tombstone(c, 1);
	assert_int_equal(bench_of(c, 1)->timers.count, 1);
	cluster_advance(c, COAP_EXCHANGE_LIFETIME_MS);
	assert_int_equal(bench_of(c, 1)->timers.count, 0);
	cluster_free(c);
}

/* ---- how it is found in the store ---- */

static void writes_say_by_which_address_it_is_found(void **state)
{
	struct bench *b = bench_new();
	uint8_t old_key[LWM2M_ADDRESS_KEY], new_key[LWM2M_ADDRESS_KEY];
	struct address old, moved;
	const struct bench_write *w;
	char location[32];

	(void)state;
	bench_register(b, 1, QUERY, location);
	assert_int_equal(b->writes[0].index_count, 0); /* nobody needs it */
	b->config.index = true;
	bench_restart(b);
	old = moved = b->peer;
	moved.port++;
	moved.listener = 1;
	(void)lwm2m_address_key(&old, old_key);
	assert_int_equal(lwm2m_address_key(&old, old_key).len, 7);
	assert_int_equal(lwm2m_address_key(&moved, new_key).len, 7);
	bench_request(b, COAP_POST, 2, location, "", NULL);
	w = &b->writes[1];
	assert_int_equal(w->change, STORE_RECORD_KEEP); /* a sign of life: entries expire */
	assert_int_equal(w->index_count, 1);
	assert_int_equal(w->index[0].kind, STORE_INDEX_ADDRESS);
	assert_false(w->index[0].remove);
	assert_memory_equal(w->index[0].key, old_key, 7);
	bench_store_all(b);
	b->peer = moved;
	bench_request(b, COAP_POST, 3, location, "", NULL);
	w = &b->writes[2];
	assert_int_equal(w->index_count, 2);
	assert_memory_equal(w->index[0].key, new_key, 7);
	assert_true(w->index[1].remove);
	assert_memory_equal(w->index[1].key, old_key, 7);
	bench_request(b, COAP_DELETE, 4, location, "", NULL); /* before that is stored */
	w = &b->writes[3];
	assert_int_equal(w->index_count, 1);
	assert_true(w->index[0].remove);
	assert_memory_equal(w->index[0].key, new_key, 7);
	bench_free(b);
}

/* ---- answers as bytes ---- */

static void answers_travel(void **state)
{
	const struct lwm2m_answer answers[] = {
		{.outcome = LWM2M_ANSWERED,
		 .code = COAP_CREATED,
		 .format = COAP_FORMAT_NONE,
		 .payload = span_str("payload"),
		 .location = span_str("3303/1")},
		{.outcome = LWM2M_UNKNOWN, .format = COAP_FORMAT_NONE, .error = "nobody knows"},
		{.outcome = LWM2M_QUEUED, .request_id = span_str("0123"), .expires_ms = 1700000000000},
		{.outcome = LWM2M_INVALID, .error = ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		_cleanup_buffer_ struct buffer bytes = buffer_of(4096);
		const struct lwm2m_answer *a = &answers[i];
		struct lwm2m_answer b;

		assert_int_equal(lwm2m_answer_encode(a, &bytes), 0);
		assert_int_equal(lwm2m_answer_decode(buffer_span(&bytes), &b), 0);
		assert_int_equal(b.outcome, a->outcome);
		assert_int_equal(b.code, a->code);
		assert_int_equal(b.format, a->format);
		assert_int_equal(b.expires_ms, a->expires_ms);
		assert_true(span_equal(b.payload, a->payload));
		assert_true(span_equal(b.location, a->location));
		assert_true(span_equal(b.request_id, a->request_id));
		assert_int_equal(b.error != NULL, a->error != NULL);
		if (a->error)
			assert_string_equal(b.error, a->error);
		for (size_t len = 0; len < bytes.len; len++)
			assert_int_equal(lwm2m_answer_decode(span_of(bytes.data, len), &b), -EPROTO);
		buffer_u8(&bytes, 0);
		assert_int_equal(lwm2m_answer_decode(buffer_span(&bytes), &b), -EPROTO);
	}
}

static void what_is_no_answer_is_refused(void **state)
{
	_cleanup_buffer_ struct buffer bytes = buffer_of(4096), small = buffer_of(10);
	const struct lwm2m_answer a = {.outcome = LWM2M_UNKNOWN, .error = "words"};
	struct lwm2m_answer b;

	(void)state;
	assert_int_equal(lwm2m_answer_encode(&a, &small), -ENOSPC);
	assert_int_equal(lwm2m_answer_encode(&a, &bytes), 0);
	bytes.data[0]++; /* another format */
	assert_int_equal(lwm2m_answer_decode(buffer_span(&bytes), &b), -EPROTO);
	bytes.data[0]--;
	bytes.data[1]++; /* an outcome of a later version */
	assert_int_equal(lwm2m_answer_decode(buffer_span(&bytes), &b), -EPROTO);
	bytes.data[1]--;
	bytes.data[bytes.len - 3] = 0; /* words with a NUL in them */
	assert_int_equal(lwm2m_answer_decode(buffer_span(&bytes), &b), -EPROTO);
	bytes.data[bytes.len - 3] = 'd';
	bytes.data[bytes.len - 1] = 'x'; /* and without */
	assert_int_equal(lwm2m_answer_decode(buffer_span(&bytes), &b), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_update_leads_by_its_id),
		cmocka_unit_test(what_is_nowhere_is_answered_as_ever),
		cmocka_unit_test(a_register_leads_by_its_endpoint),
		cmocka_unit_test(a_register_in_blocks_waits_too),
		cmocka_unit_test(a_notification_leads_by_its_token),
		cmocka_unit_test(an_answer_leads_by_its_token),
		cmocka_unit_test(an_ack_leads_by_its_address),
		cmocka_unit_test(an_rst_leads_by_its_address),
		cmocka_unit_test(a_send_leads_by_its_address),
		cmocka_unit_test(who_is_leaving_is_not_heard),
		cmocka_unit_test(a_stored_device_is_the_one_that_is_wanted),
		cmocka_unit_test(a_deregistration_is_remembered),
		cmocka_unit_test(a_tombstone_is_forgotten),
		cmocka_unit_test(writes_say_by_which_address_it_is_found),
		cmocka_unit_test(answers_travel),
		cmocka_unit_test(what_is_no_answer_is_refused),
	};

	return cmocka_run_group_tests_name("lwm2m-wanted", tests, NULL, NULL);
}
