/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * A DTLS endpoint and clients, in memory and virtual time. The test is the network: it may lose, keep and
 * repeat datagrams, and say where they come from.
 */

#include "dtls_pair.h"

#include "dtls/client.h"
#include "dtls/endpoint.h"

enum { CLIENTS = 4, QUEUE = 64, SEALED_MAX = 20000 };

struct world;

struct device {
	struct world *world;
	struct dtls_client *client;
	struct address address;
	unsigned ready, ended, got;
	enum dtls_client_end why;
	char text[64];
};

struct packet_kept {
	struct address from; /* or of the device it goes to */
	bool to_device;
	size_t len;
	uint8_t bytes[DATAGRAM_MAX];
};

struct world {
	struct timers timers;
	struct random random;
	uint64_t now_ms, wall_ms;
	struct dtls_context *server, *client;
	struct dtls_endpoint_config config;
	struct dtls_endpoint *endpoint;
	struct device devices[CLIENTS];

	/* the network */
	struct packet_kept queue[QUEUE];
	unsigned queued;
	struct packet_kept last; /* the newest datagram to the endpoint */
	unsigned lose_to_client; /* that many are lost */
	unsigned sent, answers;
	size_t bytes_in, bytes_out;

	/* the host */
	bool slow;    /* answers are given by the test */
	bool refuse;  /* the credential is gone */
	bool echo;    /* what comes is sent back */
	bool threads; /* jobs wait for the test */
	struct dtls_job *job;
	uint64_t ticket;
	struct address association; /* the newest */
	unsigned spent, established, closed, refused, inputs, asked;
	bool closed_bound;
	enum dtls_end closed_why;
	enum dtls_cause cause;
	char identity[DTLS_IDENTITY_MAX + 1], endpoint_name[64], text[64];
	uint64_t number;
	struct buffer resumption_id, resumption;
	bool elsewhere; /* what is unknown is not looked at any further */
	unsigned unknown;
	size_t unknown_cid_len;
	/* Numbers of all protected records to devices, in the order in which they were sealed. */
	uint64_t *sealed;
	size_t sealed_count;
};

static const char key[] = "0123456789abcdef";

/* ---- the endpoint's host ---- */

static inline struct device *device_at(struct world *w, const struct address *at)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (w->devices[i].client && address_equal(&w->devices[i].address, at))
			return &w->devices[i];
	return NULL;
}

static inline void enqueue(struct world *w, const struct address *at, bool to_device, struct span datagram)
{
	struct packet_kept *p = &w->queue[w->queued++];

	assert_in_range(w->queued, 1, QUEUE);
	assert_in_range(datagram.len, 0, DATAGRAM_MAX);
	p->from = *at;
	p->to_device = to_device;
	p->len = datagram.len;
	if (datagram.len)
		memcpy(p->bytes, datagram.data, datagram.len);
}

/* type 1, version 2, epoch 2, number 6 */
static inline void note_sealed(struct world *w, struct span datagram)
{
	struct reader r = reader_of(span_from(datagram, 3));

	if (reader_u16(&r) != DTLS_EPOCH || !w->sealed)
		return;
	assert_in_range(w->sealed_count, 0, SEALED_MAX - 1);
	w->sealed[w->sealed_count++] = reader_uint(&r, 6);
}

static inline void host_send(void *ctx, const struct address *to, struct span datagram)
{
	struct world *w = ctx;

	w->answers++;
	w->bytes_out += datagram.len;
	note_sealed(w, datagram);
	if (w->lose_to_client)
		w->lose_to_client--;
	else
		enqueue(w, to, true, datagram);
}

static inline void host_input(void *ctx, const struct address *association, uint64_t number,
			      struct span plaintext)
{
	struct world *w = ctx;

	w->inputs++;
	w->association = *association;
	w->number = number;
	snprintf(w->text, sizeof(w->text), "%.*s", (int)plaintext.len, (const char *)plaintext.data);
	if (w->echo)
		assert_true(dtls_endpoint_send(w->endpoint, association, plaintext));
}

static inline void host_established(void *ctx, const struct address *association,
				    const struct dtls_claim *claim)
{
	struct world *w = ctx;

	w->established++;
	w->association = *association;
	snprintf(w->endpoint_name, sizeof(w->endpoint_name), "%.*s", (int)claim->endpoint.len,
		 (const char *)claim->endpoint.data);
}

static inline void host_closed(void *ctx, const struct address *association, enum dtls_end why, bool bound)
{
	struct world *w = ctx;

	assert_null(dtls_endpoint_peer_address(w->endpoint, association));
	w->closed++;
	w->closed_why = why;
	w->closed_bound = bound;
}

static inline void answer_psk(struct world *w)
{
	dtls_endpoint_psk(w->endpoint, w->ticket, w->refuse ? span_of(NULL, 0) : span_str(key),
			  span_str("dev"), w->now_ms);
}

static inline void host_find_psk(void *ctx, uint64_t ticket, struct span identity)
{
	struct world *w = ctx;

	w->asked++;
	w->ticket = ticket;
	snprintf(w->identity, sizeof(w->identity), "%.*s", (int)identity.len, (const char *)identity.data);
	if (!w->slow)
		answer_psk(w);
}

static inline void host_find_peer(void *ctx, uint64_t ticket, const struct span *chain, size_t count,
				  bool raw_key)
{
	struct world *w = ctx;

	(void)chain;
	(void)raw_key;
	assert_in_range(count, 1, DTLS_CHAIN_MAX);
	w->asked++;
	dtls_endpoint_peer(w->endpoint, ticket, !w->refuse, false, span_str("dev"), w->now_ms);
}

static inline void host_find_ticket(void *ctx, uint64_t ticket, struct span id)
{
	struct world *w = ctx;
	bool known = span_equal(id, buffer_span(&w->resumption_id));

	dtls_endpoint_ticket(w->endpoint, ticket, known ? buffer_span(&w->resumption) : span_of(NULL, 0),
			     w->now_ms);
}

static inline void host_keep_ticket(void *ctx, struct span id, struct span resumption)
{
	struct world *w = ctx;

	w->resumption_id.len = w->resumption.len = 0;
	buffer_bytes(&w->resumption_id, id);
	buffer_bytes(&w->resumption, resumption);
}

static inline void host_run(void *ctx, struct dtls_job *job)
{
	struct world *w = ctx;

	if (w->threads) {
		assert_null(w->job);
		w->job = job;
		return;
	}
	dtls_job_run(job);
	dtls_job_done(job, w->now_ms);
}

static inline void host_refused(void *ctx, const struct dtls_refusal *r)
{
	struct world *w = ctx;

	w->refused++;
	w->cause = r->failure->cause;
	snprintf(w->identity, sizeof(w->identity), "%.*s", (int)r->identity.len,
		 (const char *)r->identity.data);
}

static inline void host_spent(void *ctx, const struct address *association)
{
	struct world *w = ctx;

	assert_true(address_equal(association, &w->association));
	w->spent++;
}

static inline uint64_t host_wall(void *ctx)
{
	return ((struct world *)ctx)->wall_ms;
}

static inline bool host_unknown(void *ctx, const struct address *from, struct span cid, struct span datagram)
{
	struct world *w = ctx;

	assert_true(from->family == 4 && datagram.len > 0);
	w->unknown++;
	w->unknown_cid_len = cid.len;
	return w->elsewhere;
}

/* ---- the devices' host ---- */

static inline void device_send(void *ctx, struct span datagram)
{
	struct device *d = ctx;

	enqueue(d->world, &d->address, false, datagram);
}

static inline void pump_one(struct world *w)
{
	struct packet_kept p = w->queue[0];
	struct span datagram = span_of(p.bytes, p.len);
	struct device *d = device_at(w, &p.from);

	memmove(w->queue, w->queue + 1, --w->queued * sizeof(p));
	if (p.to_device) {
		if (d)
			dtls_client_input(d->client, datagram, w->wall_ms, w->now_ms);
		return;
	}
	w->last = p;
	w->sent++;
	w->bytes_in += p.len;
	dtls_endpoint_input(w->endpoint, &p.from, datagram, w->now_ms);
}

/* Until nothing is on its way. */
static inline void pump(struct world *w)
{
	while (w->queued)
		pump_one(w);
}

static inline void to_endpoint(struct world *w, const struct address *from, struct span datagram)
{
	enqueue(w, from, false, datagram);
	pump(w);
}

static inline void start(struct world *w, struct device *d)
{
	assert_int_equal(dtls_client_start(d->client, w->now_ms), 0);
	pump(w);
}

static inline void device_input(void *ctx, struct span plaintext)
{
	struct device *d = ctx;

	d->got++;
	snprintf(d->text, sizeof(d->text), "%.*s", (int)plaintext.len, (const char *)plaintext.data);
}

static inline void device_ready(void *ctx)
{
	((struct device *)ctx)->ready++;
}

static inline void device_ended(void *ctx, enum dtls_client_end why)
{
	struct device *d = ctx;

	d->ended++;
	d->why = why;
}

static const struct dtls_client_host device_host = {device_send, device_input, device_ready, device_ended};

/* ---- the world ---- */

static inline struct dtls_context *context_of(const struct dtls_context_options *options)
{
	char words[DTLS_WORDS] = "";
	struct dtls_context *context;

	if (dtls_context_new(options, &context, words) < 0)
		fail_msg("no context: %s", words);
	return context;
}

static inline void open_endpoint(struct world *w)
{
	const struct dtls_host host = {w,
				       host_send,
				       host_input,
				       host_established,
				       host_closed,
				       host_find_psk,
				       host_find_peer,
				       host_find_ticket,
				       host_keep_ticket,
				       host_run,
				       host_refused,
				       host_wall,
				       host_unknown,
				       host_spent};
	struct dtls_cookie_keys keys = {.period = 7, .current = "secret"};

	w->endpoint = dtls_endpoint_new(&w->config, &host, w->server, &w->timers, &w->random);
	assert_non_null(w->endpoint);
	dtls_endpoint_set_cookie_keys(w->endpoint, &keys);
}

static inline struct world *world_with(struct dtls_context_options server, struct dtls_context_options client)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->now_ms = 1000000;
	w->wall_ms = 1700000000000;
	w->resumption_id = w->resumption = buffer_of(4096);
	timers_init(&w->timers, w->now_ms);
	random_init_seed(&w->random, 1);
	server.role = DTLS_SERVER;
	client.role = DTLS_CLIENT;
	w->server = context_of(&server);
	w->client = context_of(&client);
	dtls_endpoint_config_init(&w->config);
	w->config.connection_ids = server.connection_ids;
	open_endpoint(w);
	return w;
}

static inline struct world *world_new(bool cid)
{
	return world_with((struct dtls_context_options){.credentials = DTLS_WITH_PSK,
							.connection_ids = cid,
							.resumption = true},
			  (struct dtls_context_options){
				  .credentials = DTLS_WITH_PSK, .connection_ids = cid, .resumption = true});
}

static inline void world_free(struct world *w)
{
	for (size_t i = 0; i < CLIENTS; i++)
		dtls_client_free(w->devices[i].client);
	dtls_endpoint_free(w->endpoint);
	dtls_context_free(w->server);
	dtls_context_free(w->client);
	buffer_deinit(&w->resumption_id);
	buffer_deinit(&w->resumption);
	free(w->sealed);
	free(w);
}

static inline struct device *device_new(struct world *w, unsigned i, const char *identity, const char *psk)
{
	struct device *d = &w->devices[i];
	struct dtls_client_options options = {
		.context = w->client,
		.host = &device_host,
		.timers = &w->timers,
		.psk_identity = span_str(identity),
		.psk = span_str(psk),
		.resume = true,
	};
	char text[32];

	d->world = w;
	snprintf(text, sizeof(text), "192.0.2.%u:5000", i + 1);
	assert_int_equal(address_parse(text, &d->address), 0);
	d->client = dtls_client_new(&options, d);
	assert_non_null(d->client);
	return d;
}

static inline void pass(struct world *w, uint64_t ms)
{
	w->wall_ms += ms;
	w->now_ms += ms;
	timers_advance(&w->timers, w->now_ms);
	pump(w);
}

/* In steps, as a loop would. */
static inline void pass_slowly(struct world *w, uint64_t ms)
{
	for (uint64_t end = w->now_ms + ms; w->now_ms < end;)
		pass(w, 500);
}

static inline void connect_now(struct world *w, struct device *d)
{
	unsigned ready = d->ready;

	start(w, d);
	assert_int_equal(d->ready, ready + 1);
}

static inline struct dtls_endpoint_stats stats_of(const struct world *w)
{
	struct dtls_endpoint_stats s;

	dtls_endpoint_stats(w->endpoint, &s);
	return s;
}

/* One message there and back. */
static inline void assert_talks(struct world *w, struct device *d, const char *text)
{
	unsigned inputs = w->inputs, got = d->got;

	w->echo = true;
	assert_true(dtls_client_send(d->client, span_str(text)));
	pump(w);
	assert_int_equal(w->inputs, inputs + 1);
	assert_string_equal(w->text, text);
	assert_int_equal(d->got, got + 1);
	assert_string_equal(d->text, text);
}

static inline void move_to(struct device *d, const char *text)
{
	assert_int_equal(address_parse(text, &d->address), 0);
}
