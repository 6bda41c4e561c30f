/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A DTLS client on Mbed TLS 2.28: each packet on standard input becomes a record, each record a packet on
 * standard output (a SOCK_SEQPACKET socket keeps them apart). It ends when standard input does, and then says
 * close_notify.
 *
 *     mbedtls_client HOST PORT SUITE psk IDENTITY KEY        KEY in hexadecimal digits
 *     mbedtls_client HOST PORT SUITE x509 CA CERTIFICATE KEY
 *     mbedtls_client --resume ...        ends its session and resumes it before it talks
 *
 * Left out: everything about CoAP, which the test speaks through it.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/timing.h>

enum { PACKET_MAX = 2048, PAUSE_US = 300000, PSK_MAX = 64 };

struct client {
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context random;
	mbedtls_ssl_config config;
	mbedtls_ssl_context ssl;
	mbedtls_net_context net;
	mbedtls_timing_delay_context timer;
	mbedtls_x509_crt trust, certificate;
	mbedtls_pk_context key;
	int suites[2];
};

/* Ends the program with the library's words. */
static void check(int err, const char *what)
{
	char words[128];

	if (err >= 0)
		return;
	mbedtls_strerror(err, words, sizeof(words));
	fprintf(stderr, "mbedtls_client: %s: %s (-0x%04x)\n", what, words, (unsigned)-err);
	exit(1);
}

static void use_psk(struct client *c, char **argv)
{
	unsigned char key[PSK_MAX];
	size_t len = strlen(argv[1]) / 2;

	for (size_t i = 0; i < len && i < sizeof(key); i++) {
		char digits[3] = {argv[1][2 * i], argv[1][2 * i + 1], 0};

		key[i] = (unsigned char)strtoul(digits, NULL, 16);
	}
	check(mbedtls_ssl_conf_psk(&c->config, key, len, (const unsigned char *)argv[0], strlen(argv[0])),
	      "PSK");
}

static void use_x509(struct client *c, char **argv)
{
	check(mbedtls_x509_crt_parse_file(&c->trust, argv[0]), argv[0]);
	check(mbedtls_x509_crt_parse_file(&c->certificate, argv[1]), argv[1]);
	check(mbedtls_pk_parse_keyfile(&c->key, argv[2], NULL), argv[2]);
	mbedtls_ssl_conf_ca_chain(&c->config, &c->trust, NULL);
	check(mbedtls_ssl_conf_own_cert(&c->config, &c->certificate, &c->key), "certificate");
}

static void init(struct client *c)
{
	mbedtls_entropy_init(&c->entropy);
	mbedtls_ctr_drbg_init(&c->random);
	mbedtls_ssl_config_init(&c->config);
	mbedtls_ssl_init(&c->ssl);
	mbedtls_net_init(&c->net);
	mbedtls_x509_crt_init(&c->trust);
	mbedtls_x509_crt_init(&c->certificate);
	mbedtls_pk_init(&c->key);
	check(mbedtls_ctr_drbg_seed(&c->random, mbedtls_entropy_func, &c->entropy, NULL, 0), "seed");
	check(mbedtls_ssl_config_defaults(&c->config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_DATAGRAM,
					  MBEDTLS_SSL_PRESET_DEFAULT),
	      "defaults");
	mbedtls_ssl_conf_rng(&c->config, mbedtls_ctr_drbg_random, &c->random);
}

static void deinit(struct client *c)
{
	mbedtls_ssl_free(&c->ssl);
	mbedtls_ssl_config_free(&c->config);
	mbedtls_net_free(&c->net);
	mbedtls_x509_crt_free(&c->trust);
	mbedtls_x509_crt_free(&c->certificate);
	mbedtls_pk_free(&c->key);
	mbedtls_ctr_drbg_free(&c->random);
	mbedtls_entropy_free(&c->entropy);
}

static void handshake(struct client *c, const char *host, const char *port)
{
	int err;

	check(mbedtls_net_connect(&c->net, host, port, MBEDTLS_NET_PROTO_UDP), "connect");
	mbedtls_ssl_set_timer_cb(&c->ssl, &c->timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
	mbedtls_ssl_set_bio(&c->ssl, &c->net, mbedtls_net_send, mbedtls_net_recv, mbedtls_net_recv_timeout);
	do
		err = mbedtls_ssl_handshake(&c->ssl);
	while (err == MBEDTLS_ERR_SSL_WANT_READ || err == MBEDTLS_ERR_SSL_WANT_WRITE);
	check(err, "handshake");
}

/* Another handshake, from another port, by the session id of the one before; not at once, because the server
 * may take some time to store what it needs for that. */
static void resume(struct client *c, const char *host, const char *port)
{
	mbedtls_ssl_session session;

	mbedtls_ssl_session_init(&session);
	check(mbedtls_ssl_get_session(&c->ssl, &session), "session");
	(void)mbedtls_ssl_close_notify(&c->ssl);
	mbedtls_net_free(&c->net);
	usleep(PAUSE_US);
	check(mbedtls_ssl_session_reset(&c->ssl), "reset");
	check(mbedtls_ssl_set_session(&c->ssl, &session), "resume");
	mbedtls_ssl_session_free(&session);
	handshake(c, host, port);
}

static void connect_to(struct client *c, const char *host, const char *port, const char *suite)
{
	c->suites[0] = mbedtls_ssl_get_ciphersuite_id(suite);
	if (!c->suites[0])
		check(MBEDTLS_ERR_SSL_BAD_INPUT_DATA, suite);
	mbedtls_ssl_conf_ciphersuites(&c->config, c->suites);
	check(mbedtls_ssl_setup(&c->ssl, &c->config), "setup");
	check(mbedtls_ssl_set_hostname(&c->ssl, "localhost"), "hostname");
	handshake(c, host, port);
}

/* One record, or the end of the session: false. */
static int receive(struct client *c)
{
	unsigned char packet[PACKET_MAX];
	int len;

	do {
		len = mbedtls_ssl_read(&c->ssl, packet, sizeof(packet));
		if (len == MBEDTLS_ERR_SSL_WANT_READ)
			return 1;
		if (len == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
			return 0;
		check(len, "read");
		if (write(STDOUT_FILENO, packet, (size_t)len) != len)
			return 0;
	} while (mbedtls_ssl_get_bytes_avail(&c->ssl) > 0);
	return 1;
}

static void talk(struct client *c)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = c->net.fd, .events = POLLIN}};
	unsigned char packet[PACKET_MAX];

	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents) {
			ssize_t len = read(STDIN_FILENO, packet, sizeof(packet));

			if (len <= 0)
				break;
			check(mbedtls_ssl_write(&c->ssl, packet, (size_t)len), "write");
		}
		if (fds[1].revents && !receive(c))
			return;
	}
	(void)mbedtls_ssl_close_notify(&c->ssl);
}

int main(int argc, char **argv)
{
	struct client c = {0};
	int resumes = argc > 1 && strcmp(argv[1], "--resume") == 0;

	argc -= resumes;
	argv += resumes;
	init(&c);
	if (argc == 7 && strcmp(argv[4], "psk") == 0) {
		use_psk(&c, argv + 5);
	} else if (argc == 8 && strcmp(argv[4], "x509") == 0) {
		use_x509(&c, argv + 5);
	} else {
		fprintf(stderr, "usage: mbedtls_client [--resume] HOST PORT SUITE psk IDENTITY KEY | x509 CA "
				"CERTIFICATE KEY\n");
		return 2;
	}
	connect_to(&c, argv[1], argv[2], argv[3]);
	if (resumes)
		resume(&c, argv[1], argv[2]);
	/* From here on a datagram that is no record for us must not stop the program. */
	check(mbedtls_net_set_nonblock(&c.net), "nonblocking");
	mbedtls_ssl_set_bio(&c.ssl, &c.net, mbedtls_net_send, mbedtls_net_recv, NULL);
	talk(&c);
	deinit(&c);
	return 0;
}
