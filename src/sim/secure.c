/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A device's end of DTLS. dtls/client.h does the work; what is left is to make credentials for the time of a
 * handshake, which is all the time that most of them are needed, and to tell the device how it ended.
 */

#include "sim/secure.h"

#include "dtls/client.h"

#include <errno.h>

struct secure {
	struct dtls_client *client;
	struct dtls_context *own; /* of the handshake under way, if it is not shared */
	uint64_t now_ms;	  /* of what is under way; the client's callbacks have no clock */
};

static uint64_t now_of(const struct device *d)
{
	return MAX(d->secure->now_ms, d->sim->timers.now_ms);
}

static void free_context(struct secure *s)
{
	s->own = dtls_context_free(s->own);
}

/* ---- what the client says ---- */

static void on_send(void *ctx, struct span datagram)
{
	struct device *d = ctx;

	d->sim->transmit(d->sim->transmit_ctx, d->index, datagram);
}

static void on_input(void *ctx, struct span plaintext)
{
	struct device *d = ctx;

	device_message(d, plaintext, now_of(d));
}

static void on_ready(void *ctx)
{
	struct device *d = ctx;

	d->sim->stats.handshakes++;
	d->sim->stats.resumed += dtls_client_is_resumed(d->secure->client);
	free_context(d->secure);
	device_connected(d, now_of(d));
}

static void on_ended(void *ctx, enum dtls_client_end why)
{
	struct device *d = ctx;
	struct sim_stats *stats = &d->sim->stats;

	free_context(d->secure);
	if (why == DTLS_CLIENT_FAILED) {
		const struct dtls_failure *failure = dtls_client_failure(d->secure->client);

		stats->handshakes_failed[failure ? failure->cause : DTLS_INTERNAL_ERROR]++;
	} else {
		stats->sessions_ended++;
	}
	device_disconnected(d, why == DTLS_CLIENT_FAILED, now_of(d));
}

static const struct dtls_client_host host = {
	.send = on_send,
	.input = on_input,
	.ready = on_ready,
	.ended = on_ended,
};

/* ---- from the device ---- */

/* The number of the device, as far as it fits: the server has to send it back, and nothing else is asked. */
static struct span own_cid(const struct device *d, uint8_t cid[DTLS_CID_OWN])
{
	int len = d->sim->options->own_cid_len;
	uint64_t number = htobe64((uint64_t)d->index + 1);

	memcpy(cid, &number, sizeof(number));
	return len <= 0 ? span_of(NULL, 0) : span_of(cid + DTLS_CID_OWN - len, (size_t)len);
}

int secure_init(struct device *d)
{
	uint8_t cid[DTLS_CID_OWN];
	struct dtls_client_options options = {
		.host = &host,
		.timers = &d->sim->timers,
		.server = d->sim->options->address,
		.own_cid = own_cid(d, cid),
		.resume = d->sim->options->resume,
	};

	if (!d->sim->credentials)
		return 0;
	d->secure = calloc(1, sizeof(*d->secure));
	if (!d->secure)
		return -ENOMEM;
	d->secure->client = dtls_client_new(&options, d);
	return d->secure->client ? 0 : -ENOMEM;
}

void secure_deinit(struct device *d)
{
	if (!d->secure)
		return;
	dtls_client_free(d->secure->client);
	free_context(d->secure);
	free(d->secure);
	d->secure = NULL;
}

bool secure_is_ready(const struct device *d)
{
	return !d->secure || dtls_client_is_ready(d->secure->client);
}

bool secure_is_busy(const struct device *d)
{
	return d->secure && dtls_client_is_busy(d->secure->client);
}

static void refuse(struct device *d, uint64_t now_ms)
{
	d->sim->stats.handshakes_failed[DTLS_INTERNAL_ERROR]++;
	device_disconnected(d, true, now_ms);
}

void secure_connect(struct device *d, uint64_t now_ms)
{
	char name[DEVICE_NAME];
	uint8_t cid[DTLS_CID_OWN];
	struct presented p;
	int rc = credentials_present(d->sim->credentials, d->index, device_name(d, name), &p);
	struct dtls_client_options options = {
		.context = p.context,
		.own_cid = own_cid(d, cid),
		.psk_identity = span_of(p.identity, p.identity_len),
		.psk = span_of(p.psk, p.psk_len),
	};

	assert(!secure_is_busy(d));
	d->secure->now_ms = now_ms;
	free_context(d->secure);
	if (rc < 0) {
		presented_deinit(&p);
		refuse(d, now_ms);
		return;
	}
	if (p.own) {
		d->secure->own = p.context;
		p.own = false;
	}
	dtls_client_prepare(d->secure->client, &options);
	rc = dtls_client_start(d->secure->client, now_ms);
	presented_deinit(&p);
	if (rc < 0)
		refuse(d, now_ms);
}

void secure_close(struct device *d)
{
	if (!d->secure)
		return;
	dtls_client_close(d->secure->client, d->sim->options->close_notify);
	free_context(d->secure);
}

void secure_send(struct device *d, struct span message)
{
	/* What is lost for want of a session is repeated as what the network loses. */
	(void)dtls_client_send(d->secure->client, message);
}

void secure_input(struct device *d, struct span datagram, uint64_t now_ms)
{
	d->secure->now_ms = now_ms;
	dtls_client_input(d->secure->client, datagram, sim_wall_ms(d->sim, now_ms), now_ms);
}
