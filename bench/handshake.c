/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What a DTLS handshake costs a server, in microseconds of CPU: by pre-shared key, and by certificates of
 * both sides, TLS_*_WITH_AES_128_CCM_8, in memory. Nobody verifies a chain: the server makes one ECDSA
 * signature, verifies one, and does one ECDH.
 *
 *   bench-handshake        prints a line NAME MICROSECONDS for each
 *
 * GnuTLS alone, without cookie and connection id, is the floor for the handshake of src/dtls, which has both
 * sides' connection ids. Only what the server does is timed, from making the session to freeing it. The four
 * take turns, many times, and the best round of each counts, because what others do on the machine can only
 * add.
 */

#include "dtls/handshake.h"

#include <errno.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <time.h>

enum {
	ROUNDS = 12,
	PSK_REPEATS = 100,
	ECDSA_REPEATS = 10,
	TURNS = 20,
	PEM_MAX = 2048,
	QUEUE = 16,
	DATAGRAM = 2048
};

static const char psk[] = "0123456789abcdef";
#define PRIORITY                                                                  \
	"NONE:+VERS-DTLS1.2:+COMP-NULL:+AEAD:+SIGN-ECDSA-SHA256:+GROUP-SECP256R1" \
	":+CTYPE-CLI-X509:+CTYPE-SRV-X509:+AES-128-CCM-8:+"
static const char *const priorities[] = {PRIORITY "PSK", PRIORITY "ECDHE-ECDSA"};

/* One end of the library's own kind. */
struct end {
	gnutls_session_t session;
	struct end *peer;
	size_t count, read; /* datagrams that were sent to it, and that it has read */
	size_t lens[QUEUE];
	uint8_t queue[QUEUE][DATAGRAM];
};

struct handshake_bench {
	char key[PEM_MAX], chain[PEM_MAX];
	size_t key_len, chain_len;
	gnutls_priority_t priorities[2]; /* of PSK, of certificates */
	gnutls_psk_server_credentials_t server_psk;
	gnutls_psk_client_credentials_t client_psk;
	gnutls_certificate_credentials_t server_certificate, client_certificate;
	struct dtls_context *contexts[2][2]; /* of PSK, of certificates; of dtls_role */
	struct end ends[2];		     /* of dtls_role */
	uint64_t ns;			     /* of the server */
};

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- the library alone ---- */

static ssize_t pull(gnutls_transport_ptr_t owner, void *out, size_t size)
{
	struct end *e = owner;
	size_t len;

	if (e->read == e->count) {
		e->read = e->count = 0;
		gnutls_transport_set_errno(e->session, EAGAIN);
		return -1;
	}
	len = MIN(e->lens[e->read], size);
	memcpy(out, e->queue[e->read++], len);
	return (ssize_t)len;
}

static int wait_for(gnutls_transport_ptr_t owner, unsigned ms)
{
	const struct end *e = owner;

	(void)ms;
	return e->read < e->count;
}

static ssize_t push(gnutls_transport_ptr_t owner, const void *data, size_t len)
{
	struct end *to = ((struct end *)owner)->peer;

	if (to->count < QUEUE && len <= DATAGRAM) {
		memcpy(to->queue[to->count], data, len);
		to->lens[to->count++] = len;
	}
	return (ssize_t)len;
}

static int give_key(gnutls_session_t session, const char *identity, gnutls_datum_t *out)
{
	(void)session;
	(void)identity;
	out->data = gnutls_malloc(sizeof(psk) - 1);
	if (!out->data)
		return -1;
	memcpy(out->data, psk, sizeof(psk) - 1);
	out->size = sizeof(psk) - 1;
	return 0;
}

static bool start(struct handshake_bench *b, enum dtls_role role, bool by_psk)
{
	struct end *e = &b->ends[role];
	bool server = role == DTLS_SERVER;

	e->peer = &b->ends[1 - role];
	e->count = e->read = 0;
	if (gnutls_init(&e->session, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_DATAGRAM |
					     GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS) < 0 ||
	    gnutls_priority_set(e->session, b->priorities[by_psk ? 0 : 1]) < 0)
		return false;
	if (by_psk)
		gnutls_credentials_set(e->session, GNUTLS_CRD_PSK,
				       server ? (void *)b->server_psk : (void *)b->client_psk);
	else
		gnutls_credentials_set(e->session, GNUTLS_CRD_CERTIFICATE,
				       server ? b->server_certificate : b->client_certificate);
	if (server && !by_psk)
		gnutls_certificate_server_set_request(e->session, GNUTLS_CERT_REQUIRE);
	gnutls_dtls_set_mtu(e->session, 1200);
	gnutls_transport_set_ptr(e->session, e);
	gnutls_transport_set_pull_function(e->session, pull);
	gnutls_transport_set_pull_timeout_function(e->session, wait_for);
	gnutls_transport_set_push_function(e->session, push);
	return true;
}

static bool library(struct handshake_bench *b, bool by_psk)
{
	int server = GNUTLS_E_AGAIN, client = GNUTLS_E_AGAIN;
	uint64_t began;
	bool good;

	good = start(b, DTLS_CLIENT, by_psk);
	began = cpu_ns();
	good = start(b, DTLS_SERVER, by_psk) && good;
	b->ns += cpu_ns() - began;
	for (unsigned turn = 0; good && turn < TURNS && (server < 0 || client < 0); turn++) {
		if (client < 0)
			client = gnutls_handshake(b->ends[DTLS_CLIENT].session);
		began = cpu_ns();
		if (server < 0)
			server = gnutls_handshake(b->ends[DTLS_SERVER].session);
		b->ns += cpu_ns() - began;
	}
	gnutls_deinit(b->ends[DTLS_CLIENT].session);
	began = cpu_ns();
	gnutls_deinit(b->ends[DTLS_SERVER].session);
	b->ns += cpu_ns() - began;
	return good && server == 0 && client == 0;
}

/* ---- ours ---- */

static void carry(struct dtls_handshake *from, struct dtls_handshake *to)
{
	struct span datagram;

	while (dtls_handshake_next_datagram(from, &datagram)) {
		struct reader r = reader_of(datagram);
		struct dtls_record record;

		while (dtls_record_parse(&r, DTLS_CID_OWN, &record) == 0)
			dtls_handshake_input(to, &record);
	}
}

static enum dtls_progress run(struct dtls_handshake *h)
{
	enum dtls_progress progress = dtls_handshake_run(h, 0, true);

	if (progress == DTLS_NEED_PSK)
		dtls_handshake_set_psk(h, span_str(psk));
	else if (progress == DTLS_NEED_PEER)
		dtls_handshake_accept_peer(h, true);
	else
		return progress;
	return dtls_handshake_run(h, 0, true);
}

static bool ours(struct handshake_bench *b, bool by_psk)
{
	struct dtls_context **contexts = b->contexts[by_psk ? 0 : 1];
	struct dtls_handshake_options options = {.own_cid = span_str("12345678")};
	struct dtls_handshake *server, *client;
	enum dtls_progress at_server = DTLS_WAITING, at_client = DTLS_WAITING;
	uint64_t began = cpu_ns();

	server = dtls_handshake_new(contexts[DTLS_SERVER], &options, 0);
	b->ns += cpu_ns() - began;
	if (by_psk) {
		options.psk_identity = span_str("device");
		options.psk = span_str(psk);
	}
	client = dtls_handshake_new(contexts[DTLS_CLIENT], &options, 0);
	for (unsigned turn = 0;
	     server && client && turn < TURNS && (at_server != DTLS_DONE || at_client != DTLS_DONE); turn++) {
		at_client = run(client);
		began = cpu_ns();
		carry(client, server);
		at_server = run(server);
		b->ns += cpu_ns() - began;
		carry(server, client);
	}
	dtls_handshake_free(client);
	began = cpu_ns();
	dtls_handshake_free(server);
	b->ns += cpu_ns() - began;
	return at_server == DTLS_DONE && at_client == DTLS_DONE;
}

static const struct {
	const char *name;
	bool (*run)(struct handshake_bench *b, bool by_psk);
	bool by_psk;
} measurements[] = {
	{"psk_library_us", library, true},
	{"psk_us", ours, true},
	{"ecdsa_library_us", library, false},
	{"ecdsa_us", ours, false},
};

/* ---- what it needs ---- */

static bool make_certificate(struct handshake_bench *b)
{
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t crt = NULL;
	time_t now = time(NULL);
	bool good;

	b->key_len = sizeof(b->key);
	b->chain_len = sizeof(b->chain);
	good = gnutls_x509_privkey_init(&key) == 0 && gnutls_x509_crt_init(&crt) == 0 &&
	       gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0 &&
	       gnutls_x509_crt_set_version(crt, 3) == 0 && gnutls_x509_crt_set_serial(crt, "\1", 1) == 0 &&
	       gnutls_x509_crt_set_dn(crt, "CN=server", NULL) == 0 &&
	       gnutls_x509_crt_set_key(crt, key) == 0 &&
	       gnutls_x509_crt_set_activation_time(crt, now - 60) == 0 &&
	       gnutls_x509_crt_set_expiration_time(crt, now + 3600) == 0 &&
	       gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) == 0 &&
	       gnutls_x509_privkey_export(key, GNUTLS_X509_FMT_PEM, b->key, &b->key_len) == 0 &&
	       gnutls_x509_crt_export(crt, GNUTLS_X509_FMT_PEM, b->chain, &b->chain_len) == 0;
	if (crt)
		gnutls_x509_crt_deinit(crt);
	if (key)
		gnutls_x509_privkey_deinit(key);
	return good;
}

static bool set_up_library(struct handshake_bench *b)
{
	gnutls_datum_t key = {(unsigned char *)b->key, (unsigned)b->key_len};
	gnutls_datum_t chain = {(unsigned char *)b->chain, (unsigned)b->chain_len};
	gnutls_datum_t secret = {(unsigned char *)(uintptr_t)psk, sizeof(psk) - 1};

	/* Shared, as a server does it: to read them costs as much as a handshake by PSK. */
	for (size_t i = 0; i < ARRAY_SIZE(priorities); i++)
		if (gnutls_priority_init(&b->priorities[i], priorities[i], NULL) < 0)
			return false;
	if (gnutls_psk_allocate_server_credentials(&b->server_psk) < 0 ||
	    gnutls_psk_allocate_client_credentials(&b->client_psk) < 0 ||
	    gnutls_psk_set_client_credentials(b->client_psk, "device", &secret, GNUTLS_PSK_KEY_RAW) < 0 ||
	    gnutls_certificate_allocate_credentials(&b->server_certificate) < 0 ||
	    gnutls_certificate_allocate_credentials(&b->client_certificate) < 0)
		return false;
	gnutls_psk_set_server_credentials_function(b->server_psk, give_key);
	return gnutls_certificate_set_x509_key_mem(b->server_certificate, &chain, &key,
						   GNUTLS_X509_FMT_PEM) >= 0 &&
	       gnutls_certificate_set_x509_key_mem(b->client_certificate, &chain, &key,
						   GNUTLS_X509_FMT_PEM) >= 0;
}

static bool set_up_ours(struct handshake_bench *b)
{
	char words[DTLS_WORDS];

	for (size_t i = 0; i < 4; i++) {
		struct dtls_context_options o = {.role = (enum dtls_role)(i % 2), .connection_ids = true};

		o.credentials = i < 2 ? DTLS_WITH_PSK : DTLS_WITH_X509;
		o.suite = i < 2 ? 0xC0A8 : 0xC0AE;
		o.ask = DTLS_ASK_REQUIRED;
		if (i >= 2) {
			o.key = span_of(b->key, b->key_len);
			o.chain = span_of(b->chain, b->chain_len);
		}
		if (dtls_context_new(&o, &b->contexts[i / 2][i % 2], words) < 0) {
			fprintf(stderr, "bench-handshake: %s\n", words);
			return false;
		}
	}
	return true;
}

static void tear_down(struct handshake_bench *b)
{
	for (size_t i = 0; i < 4; i++)
		dtls_context_free(b->contexts[i / 2][i % 2]);
	for (size_t i = 0; i < ARRAY_SIZE(b->priorities); i++)
		if (b->priorities[i])
			gnutls_priority_deinit(b->priorities[i]);
	if (b->server_psk)
		gnutls_psk_free_server_credentials(b->server_psk);
	if (b->client_psk)
		gnutls_psk_free_client_credentials(b->client_psk);
	if (b->server_certificate)
		gnutls_certificate_free_credentials(b->server_certificate);
	if (b->client_certificate)
		gnutls_certificate_free_credentials(b->client_certificate);
	free(b);
}

/* Microseconds for one; 0 if it went wrong. */
static double measure(struct handshake_bench *b, size_t which)
{
	unsigned repeats = measurements[which].by_psk ? PSK_REPEATS : ECDSA_REPEATS;

	b->ns = 0;
	for (unsigned i = 0; i < repeats; i++)
		if (!measurements[which].run(b, measurements[which].by_psk))
			return 0;
	return (double)b->ns / repeats / 1000;
}

int main(void)
{
	double best[ARRAY_SIZE(measurements)] = {0};
	struct handshake_bench *b = calloc(1, sizeof(*b));
	bool good = b && make_certificate(b) && set_up_library(b) && set_up_ours(b);

	for (unsigned round = 0; round < ROUNDS && good; round++)
		for (size_t i = 0; i < ARRAY_SIZE(measurements) && good; i++) {
			double took = measure(b, i);

			good = took > 0;
			if (round == 0 || took < best[i])
				best[i] = took;
		}
	if (b)
		tear_down(b);
	if (!good) {
		fprintf(stderr, "bench-handshake: it went wrong\n");
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(measurements); i++)
		printf("%s %.1f\n", measurements[i].name, best[i]);
	return 0;
}
