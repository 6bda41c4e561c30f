/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A client of dtls/client.h for each device, made when it is first needed. Raw keys of a device are kept,
 * because making them costs the generator more than a handshake costs the server.
 *
 * Leaves out resumption: what is measured is the whole handshake.
 */

#include "bench/secure.h"

#include "dtls/client.h"
#include "sim/rawkey.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

struct endpoint {
	struct secure *secure;
	struct dtls_client *client;
	struct dtls_context *own; /* of a raw key */
	uint32_t device;
};

struct secure {
	enum secure_mode mode;
	const struct secure_host *host;
	void *ctx;
	struct timers timers;
	struct dtls_context *shared; /* of PSK */
	struct endpoint **endpoints; /* AIR_DEVICES_MAX */
	uint32_t behind;	     /* none from here on is there */
};

/* ---- what clients say ---- */

static void on_send(void *ctx, struct span datagram)
{
	const struct endpoint *e = ctx;

	e->secure->host->send(e->secure->ctx, e->device, datagram);
}

static void on_input(void *ctx, struct span plaintext)
{
	const struct endpoint *e = ctx;

	e->secure->host->input(e->secure->ctx, e->device, plaintext);
}

static void on_ready(void *ctx)
{
	const struct endpoint *e = ctx;

	e->secure->host->done(e->secure->ctx, e->device, true);
}

static void on_ended(void *ctx, enum dtls_client_end why)
{
	const struct endpoint *e = ctx;

	if (why == DTLS_CLIENT_FAILED)
		e->secure->host->done(e->secure->ctx, e->device, false);
}

static const struct dtls_client_host client_host = {
	.send = on_send, .input = on_input, .ready = on_ready, .ended = on_ended};

/* ---- credentials ---- */

static int make_context(unsigned credentials, struct span key, struct dtls_context **out)
{
	const struct dtls_context_options options = {
		.role = DTLS_CLIENT, .credentials = credentials, .key = key, .connection_ids = true};
	char words[DTLS_WORDS];
	int err = dtls_context_new(&options, out, words);

	if (err < 0)
		fprintf(stderr, "bench-load: %s\n", words);
	return err;
}

static int make_own(struct endpoint *e)
{
	struct raw_key key;
	char name[ENDPOINT_TEXT];
	int err;

	snprintf(name, sizeof(name), "bench-%06u", e->device + 1);
	err = raw_key_derive(span_str(SECURE_KEY), span_str(name), &key);
	return err < 0 ? err : make_context(DTLS_WITH_RAW_KEY, span_str(key.pem), &e->own);
}

/* ---- life ---- */

int secure_new(enum secure_mode mode, const struct secure_host *host, void *ctx, uint64_t now_ms,
	       struct secure **out)
{
	struct secure *s = calloc(1, sizeof(*s));
	void *endpoints = MAP_FAILED;
	int err = s ? 0 : -ENOMEM;

	if (err == 0) {
		*s = (struct secure){.mode = mode, .host = host, .ctx = ctx};
		timers_init(&s->timers, now_ms);
		endpoints = mmap(NULL, AIR_DEVICES_MAX * sizeof(*s->endpoints), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		err = endpoints == MAP_FAILED ? -ENOMEM : 0;
	}
	if (err == 0)
		s->endpoints = endpoints;
	if (err == 0 && mode == SECURE_PSK)
		err = make_context(DTLS_WITH_PSK, span_of(NULL, 0), &s->shared);
	if (err < 0)
		s = secure_free(s);
	*out = s;
	return err;
}

struct secure *secure_free(struct secure *s)
{
	if (!s)
		return NULL;
	for (uint32_t i = 0; i < s->behind; i++) {
		if (!s->endpoints[i])
			continue;
		dtls_client_free(s->endpoints[i]->client);
		dtls_context_free(s->endpoints[i]->own);
		free(s->endpoints[i]);
	}
	dtls_context_free(s->shared);
	if (s->endpoints)
		munmap(s->endpoints, AIR_DEVICES_MAX * sizeof(*s->endpoints));
	free(s);
	return NULL;
}

static struct endpoint *make_endpoint(struct secure *s, uint32_t device)
{
	const struct dtls_client_options options = {.host = &client_host, .timers = &s->timers};
	struct endpoint *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	*e = (struct endpoint){.secure = s, .device = device};
	e->client = dtls_client_new(&options, e);
	if (!e->client || (s->mode == SECURE_RAW_KEY && make_own(e) < 0)) {
		dtls_client_free(e->client);
		free(e);
		return NULL;
	}
	s->endpoints[device] = e;
	s->behind = MAX(s->behind, device + 1);
	return e;
}

/* ---- sessions ---- */

int secure_start(struct secure *s, uint32_t device, uint64_t now_ms)
{
	struct endpoint *e = s->endpoints[device] ? s->endpoints[device] : make_endpoint(s, device);
	char identity[ENDPOINT_TEXT];
	struct dtls_client_options options = {0};

	if (!e)
		return -ENOMEM;
	options.context = e->own ? e->own : s->shared;
	if (s->mode == SECURE_PSK) {
		options.psk_identity = span_str(fleet_endpoint(device, identity));
		options.psk = span_str(SECURE_KEY);
	}
	dtls_client_prepare(e->client, &options);
	return dtls_client_start(e->client, now_ms);
}

bool secure_is_ready(const struct secure *s, uint32_t device)
{
	return s->endpoints[device] && dtls_client_is_ready(s->endpoints[device]->client);
}

bool secure_is_busy(const struct secure *s, uint32_t device)
{
	return s->endpoints[device] && dtls_client_is_busy(s->endpoints[device]->client);
}

bool secure_send(struct secure *s, uint32_t device, struct span message)
{
	return s->endpoints[device] && dtls_client_send(s->endpoints[device]->client, message);
}

void secure_input(struct secure *s, uint32_t device, struct span datagram, uint64_t now_ms)
{
	if (s->endpoints[device])
		dtls_client_input(s->endpoints[device]->client, datagram, now_ms, now_ms);
}

void secure_advance(struct secure *s, uint64_t now_ms)
{
	timers_advance(&s->timers, now_ms);
}
