/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * One simulated device with DTLS against an endpoint in memory: the test is the server behind the endpoint,
 * the network that forgets where the device is, and the clock.
 */

#include "sim_test.h"

#include "dtls/client.h"
#include "dtls/endpoint.h"
#include "sim/secure.h"

enum { QUEUE = 32 };

struct packet {
	bool to_device;
	size_t len;
	uint8_t bytes[2048];
};

struct world {
	struct bench b; /* first: the bench is the world */
	struct credentials *credentials;
	struct dtls_context *context;
	struct dtls_endpoint *endpoint;
	struct address device, association; /* where the device is; its newest association */
	struct packet queue[QUEUE];
	unsigned queued;
	bool cut;     /* nothing arrives */
	bool unknown; /* the endpoint knows no key */
	unsigned established, closed;
};

/* ---- the network ---- */

static void enqueue(struct world *w, bool to_device, struct span datagram)
{
	struct packet *p = &w->queue[w->queued++];

	assert_true(w->queued <= QUEUE && datagram.len <= sizeof(p->bytes));
	p->to_device = to_device;
	p->len = datagram.len;
	memcpy(p->bytes, datagram.data, datagram.len);
}

static void pump(struct world *w)
{
	while (w->queued) {
		struct packet p = w->queue[0];
		struct span datagram = span_of(p.bytes, p.len);

		memmove(w->queue, w->queue + 1, --w->queued * sizeof(p));
		if (w->cut)
			continue;
		if (p.to_device)
			device_receive(&w->b.device, datagram, w->b.now_ms);
		else
			dtls_endpoint_input(w->endpoint, &w->device, datagram, w->b.now_ms);
	}
}

/* In steps, as a loop. */
static void pass(struct world *w, uint64_t ms)
{
	for (uint64_t end_ms = w->b.now_ms + ms; w->b.now_ms < end_ms;) {
		w->b.now_ms += MIN((uint64_t)100, end_ms - w->b.now_ms);
		timers_advance(&w->b.sim.timers, w->b.now_ms);
		pump(w);
	}
}

static void transmit(void *ctx, uint32_t index, struct span datagram)
{
	struct world *w = ctx;

	assert_int_equal(index, 0);
	enqueue(w, false, datagram);
}

static void send_message(void *ctx, const struct address *to, struct span message)
{
	struct world *w = ctx;

	(void)to;
	secure_send(&w->b.device, message);
}

/* A message of the server, to the newest association. */
static void carry(struct bench *b, struct span message)
{
	struct world *w = container_of(b, struct world, b);

	assert_true(dtls_endpoint_send(w->endpoint, &w->association, message));
	pump(w);
}

/* ---- the host of the endpoint ---- */

static void host_send(void *ctx, const struct address *to, struct span datagram)
{
	struct world *w = ctx;

	if (address_equal(to, &w->device)) /* else it goes where the device was */
		enqueue(w, true, datagram);
}

static void host_input(void *ctx, const struct address *association, uint64_t number, struct span plaintext)
{
	struct world *w = ctx;

	(void)number;
	assert_true(address_equal(association, &w->association));
	note_sent(&w->b, plaintext);
}

static void host_established(void *ctx, const struct address *association, const struct dtls_claim *claim)
{
	struct world *w = ctx;

	assert_true(span_is(claim->endpoint, "sim-000001"));
	w->established++;
	w->association = *association;
}

static void host_closed(void *ctx, const struct address *association, enum dtls_end why, bool bound)
{
	(void)association;
	(void)why;
	(void)bound;
	((struct world *)ctx)->closed++;
}

static void host_find_psk(void *ctx, uint64_t ticket, struct span identity)
{
	struct world *w = ctx;
	struct presented p;
	int rc = credentials_present(w->credentials, 0, "sim-000001", &p);

	assert_int_equal(rc, 0);
	assert_true(span_is(identity, "id-sim-000001"));
	dtls_endpoint_psk(w->endpoint, ticket, span_of(p.psk, w->unknown ? 0 : p.psk_len),
			  span_str("sim-000001"), w->b.now_ms);
	presented_deinit(&p);
}

static void host_find_peer(void *ctx, uint64_t ticket, const struct span *chain, size_t count, bool raw_key)
{
	struct world *w = ctx;

	(void)chain;
	assert_int_equal(count, 1);
	assert_true(raw_key);
	dtls_endpoint_peer(w->endpoint, ticket, true, true, span_str("sim-000001"), w->b.now_ms);
}

static void host_find_ticket(void *ctx, uint64_t ticket, struct span session_id)
{
	struct world *w = ctx;

	(void)session_id;
	dtls_endpoint_ticket(w->endpoint, ticket, span_of(NULL, 0), w->b.now_ms);
}

static void host_keep_ticket(void *ctx, struct span session_id, struct span resumption)
{
	(void)ctx;
	(void)session_id;
	(void)resumption;
}

static void host_run(void *ctx, struct dtls_job *job)
{
	struct world *w = ctx;

	dtls_job_run(job);
	dtls_job_done(job, w->b.now_ms);
}

static void host_refused(void *ctx, const struct dtls_refusal *refusal)
{
	(void)ctx;
	(void)refusal;
}

static uint64_t host_wall(void *ctx)
{
	return ((struct world *)ctx)->b.now_ms;
}

/* ---- the world ---- */

static void open_endpoint(struct world *w, bool cid)
{
	const struct dtls_host host = {
		.ctx = w,
		.send = host_send,
		.input = host_input,
		.established = host_established,
		.closed = host_closed,
		.find_psk = host_find_psk,
		.find_peer = host_find_peer,
		.find_ticket = host_find_ticket,
		.keep_ticket = host_keep_ticket,
		.run = host_run,
		.refused = host_refused,
		.wall_ms = host_wall,
	};
	struct dtls_cookie_keys keys = {.period = 7, .current = "secret"};
	struct dtls_endpoint_config config;

	dtls_endpoint_config_init(&config);
	config.connection_ids = cid;
	w->endpoint = dtls_endpoint_new(&config, &host, w->context, &w->b.sim.timers, &w->b.sim.random);
	assert_non_null(w->endpoint);
	dtls_endpoint_set_cookie_keys(w->endpoint, &keys);
}

static struct world *world_with(bool cid, uint64_t send_ms)
{
	struct dtls_context_options server = {
		.role = DTLS_SERVER, .credentials = DTLS_WITH_PSK, .connection_ids = cid};
	static char psk[] = "id-{ep}:000102030405060708090a0b0c0d0e0f";
	struct world *w = calloc(1, sizeof(*w));
	char words[DTLS_WORDS];

	assert_non_null(w);
	setup(&w->b, true);
	w->b.carry = carry;
	w->b.options.psk = psk;
	w->b.options.coaps = true;
	w->b.options.send_ms = send_ms;
	w->b.options.own_cid_len = cid ? 3 : -1;
	assert_int_equal(address_parse("192.0.2.1:5000", &w->device), 0);
	assert_int_equal(credentials_new(&w->b.options, stderr, &w->credentials), 0);
	assert_int_equal(
		sim_init(&w->b.sim, &w->b.options, w->b.now_ms, (uint64_t)WALL * SECOND, send_message, w), 0);
	w->b.sim.credentials = w->credentials;
	w->b.sim.transmit = transmit;
	w->b.sim.transmit_ctx = w;
	assert_int_equal(dtls_context_new(&server, &w->context, words), 0);
	open_endpoint(w, cid);
	assert_int_equal(device_init(&w->b.device, &w->b.sim, 0), 0);
	device_start(&w->b.device, w->b.now_ms + 1);
	return w;
}

static struct world *world_new(bool cid)
{
	return world_with(cid, 0);
}

static void world_free(struct world *w)
{
	device_deinit(&w->b.device);
	dtls_endpoint_free(w->endpoint);
	dtls_context_free(w->context);
	sim_deinit(&w->b.sim);
	credentials_free(w->credentials);
	free(w);
}

static struct world *registered(bool cid)
{
	struct world *w = world_new(cid);

	pass(w, 1000);
	assert_int_equal(w->established, 1);
	accept_register(&w->b);
	dtls_endpoint_bind(w->endpoint, &w->association);
	return w;
}

static const struct sim_stats *stats(const struct world *w)
{
	return &w->b.sim.stats;
}

/* The next message of the device, which may take its time. */
static struct coap_message *next(struct world *w)
{
	uint64_t begun_ms = w->b.now_ms;

	while (w->b.head == w->b.tail) {
		assert_true(w->b.now_ms - begun_ms < 1000 * SECOND);
		pass(w, 100);
	}
	return expect(&w->b);
}

static void move(struct world *w, const char *to)
{
	assert_int_equal(address_parse(to, &w->device), 0);
}

/* ---- tests ---- */

static void test_registers_behind_a_handshake(void **state)
{
	struct world *w = registered(true);

	(void)state;
	assert_int_equal(stats(w)->handshakes, 1);
	assert_int_equal(stats(w)->registrations, 1);
	assert_int_equal(get(&w->b, "/3/0/0"), COAP_CONTENT);
	world_free(w);
}

static void test_a_new_port_costs_nothing_with_connection_ids(void **state)
{
	struct world *w = registered(true);

	(void)state;
	move(w, "192.0.2.1:6000");
	assert_true(coap_path_is(next(w), "/rd/abc"));
	answer(&w->b, COAP_CHANGED, NULL);
	assert_int_equal(stats(w)->updates, 1);
	assert_int_equal(stats(w)->handshakes, 1);
	assert_int_equal(get(&w->b, "/3/0/0"), COAP_CONTENT);
	world_free(w);
}

static void test_a_new_port_costs_a_handshake_without(void **state)
{
	struct world *w = registered(false);

	(void)state;
	move(w, "192.0.2.1:6000");
	/* The Update that nobody understands, its retransmissions, a handshake, and the Update again. */
	assert_true(coap_path_is(next(w), "/rd/abc"));
	assert_int_equal(stats(w)->handshakes, 2);
	assert_int_equal(w->established, 2);
	answer(&w->b, COAP_CHANGED, NULL);
	assert_int_equal(stats(w)->updates, 1);
	assert_int_equal(stats(w)->registrations, 1);
	assert_int_equal(stats(w)->lost_registrations, 0);
	assert_true(device_is_well(&w->b.device));
	world_free(w);
}

static void test_silence_behind_a_new_session_is_a_lost_registration(void **state)
{
	struct world *w = registered(true);
	const struct coap_message *m;

	(void)state;
	/* The server is there for handshakes, and answers nothing else. */
	do
		m = next(w);
	while (!coap_path_is(m, "/rd"));
	assert_int_equal(stats(w)->lost_registrations, 1);
	assert_int_equal(stats(w)->handshakes, 2);
	answer(&w->b, COAP_CREATED, "/rd/def");
	assert_int_equal(stats(w)->registrations, 2);
	world_free(w);
}

static void test_an_unknown_registration_is_made_again_in_the_same_session(void **state)
{
	struct world *w = registered(true);

	(void)state;
	assert_true(coap_path_is(next(w), "/rd/abc"));
	answer(&w->b, COAP_NOT_FOUND, NULL);
	assert_true(coap_path_is(next(w), "/rd"));
	assert_int_equal(stats(w)->handshakes, 1);
	assert_int_equal(stats(w)->lost_registrations, 1);
	world_free(w);
}

static void test_a_refused_device_tries_again_and_is_told_why(void **state)
{
	struct world *w = world_new(true);

	(void)state;
	w->unknown = true;
	pass(w, 100);
	assert_int_equal(stats(w)->handshakes_failed[DTLS_UNKNOWN_IDENTITY], 1);
	assert_int_equal(w->b.device.state, DEVICE_WAITING);
	pass(w, 4000); /* the pause is 5 s, more or less an eighth */
	assert_int_equal(stats(w)->handshakes_failed[DTLS_UNKNOWN_IDENTITY], 1);
	pass(w, 2000);
	assert_int_equal(stats(w)->handshakes_failed[DTLS_UNKNOWN_IDENTITY], 2);
	pass(w, 6000); /* now 10 s, more or less an eighth */
	assert_int_equal(stats(w)->handshakes_failed[DTLS_UNKNOWN_IDENTITY], 2);
	w->unknown = false;
	assert_true(coap_path_is(next(w), "/rd"));
	assert_int_equal(stats(w)->handshakes, 1);
	world_free(w);
}

static void test_a_session_that_the_server_ends_is_replaced(void **state)
{
	struct world *w = registered(true);

	(void)state;
	dtls_endpoint_drop(w->endpoint, &w->association, true);
	pump(w);
	assert_int_equal(stats(w)->sessions_ended, 1);
	pass(w, 7000);
	assert_true(coap_path_is(next(w), "/rd/abc"));
	assert_int_equal(stats(w)->handshakes, 2);
	answer(&w->b, COAP_CHANGED, NULL);
	assert_int_equal(stats(w)->registrations, 1);
	world_free(w);
}

static void test_an_unreachable_server_is_asked_with_pauses(void **state)
{
	struct world *w = registered(true);

	(void)state;
	w->cut = true;
	pass(w, 400 * SECOND); /* Update, silence, and handshakes that time out */
	assert_int_equal(w->b.device.state, DEVICE_REGISTERED);
	assert_in_range(stats(w)->handshakes_failed[DTLS_TIMED_OUT], 1, 3);
	w->cut = false;
	assert_true(coap_path_is(next(w), "/rd/abc"));
	answer(&w->b, COAP_CHANGED, NULL);
	assert_int_equal(stats(w)->handshakes, 2);
	assert_int_equal(stats(w)->registrations, 1);
	assert_true(device_is_well(&w->b.device));
	world_free(w);
}

/* What a device wants to say meanwhile does not make it ask more often. */
static void test_a_registered_device_pauses_between_handshakes(void **state)
{
	struct world *w = world_with(true, SECOND);

	(void)state;
	pass(w, 1000);
	accept_register(&w->b);
	w->unknown = true;
	dtls_endpoint_drop(w->endpoint, &w->association, true);
	pump(w);
	pass(w, 20 * SECOND); /* at 1 s, then after 5 s and 10 s */
	assert_in_range(stats(w)->handshakes_failed[DTLS_UNKNOWN_IDENTITY], 2, 4);
	assert_int_equal(w->b.device.state, DEVICE_REGISTERED);
	w->unknown = false;
	pass(w, 40 * SECOND);
	assert_int_equal(stats(w)->handshakes, 2);
	world_free(w);
}

static void test_a_reboot_forgets_the_session(void **state)
{
	struct world *w = registered(true);

	(void)state;
	assert_int_equal(execute(&w->b, "/3/0/4"), COAP_CHANGED);
	assert_true(coap_path_is(next(w), "/rd"));
	assert_int_equal(stats(w)->handshakes, 2);
	world_free(w);
}

static void test_the_end_is_told_if_wanted(void **state)
{
	(void)state;
	for (unsigned notify = 0; notify < 2; notify++) {
		struct world *w = registered(true);

		w->b.options.close_notify = notify;
		w->b.sim.stopping = true;
		device_stop(&w->b.device, w->b.now_ms + 1);
		assert_int_equal(next(w)->code, COAP_DELETE);
		answer(&w->b, COAP_DELETED, NULL);
		pump(w);
		assert_int_equal(w->b.device.state, DEVICE_STOPPED);
		assert_int_equal(w->closed, notify);
		world_free(w);
	}
}

static void test_the_end_finds_a_lost_session(void **state)
{
	struct world *w = registered(false);

	(void)state;
	move(w, "192.0.2.1:6000");
	w->b.sim.stopping = true;
	device_stop(&w->b.device, w->b.now_ms + 1);
	assert_int_equal(next(w)->code, COAP_DELETE);
	assert_int_equal(w->established, 2);
	answer(&w->b, COAP_DELETED, NULL);
	assert_int_equal(w->b.device.state, DEVICE_STOPPED);
	assert_int_equal(stats(w)->not_deregistered, 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers_behind_a_handshake),
		cmocka_unit_test(test_a_new_port_costs_nothing_with_connection_ids),
		cmocka_unit_test(test_a_new_port_costs_a_handshake_without),
		cmocka_unit_test(test_silence_behind_a_new_session_is_a_lost_registration),
		cmocka_unit_test(test_an_unknown_registration_is_made_again_in_the_same_session),
		cmocka_unit_test(test_a_refused_device_tries_again_and_is_told_why),
		cmocka_unit_test(test_a_session_that_the_server_ends_is_replaced),
		cmocka_unit_test(test_an_unreachable_server_is_asked_with_pauses),
		cmocka_unit_test(test_a_registered_device_pauses_between_handshakes),
		cmocka_unit_test(test_a_reboot_forgets_the_session),
		cmocka_unit_test(test_the_end_is_told_if_wanted),
		cmocka_unit_test(test_the_end_finds_a_lost_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
