/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Streams between two ends on one loop, over unix sockets and TCP on loopback, plain and with TLS; and
 * against raw sockets that do what no stream of ours would.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "net/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { GOT_MAX = 4 << 20, WORDS = 400 };

/* One end of a stream, and what happened to it. */
struct end {
	struct bench *bench;
	struct net_stream *s;
	struct buffer got;
	unsigned opened, closed, chunks, drained;
	int err;
	char words[WORDS];
	char identity[64];
	bool echo, close_when_opened, close_on_data;
};

struct bench {
	uv_loop_t loop;
	struct net_server *server;
	bool server_is_gone;
	struct end client, peer;
	unsigned accepted;
	bool refuse;
	char path[64];
};

static void on_opened(void *ctx, struct net_stream *s)
{
	struct end *e = ctx;
	struct span identity = net_stream_psk_identity(s);

	e->opened++;
	snprintf(e->identity, sizeof(e->identity), "%.*s", (int)identity.len, identity.data);
	if (e->close_when_opened)
		net_stream_close(s);
}

static void on_data(void *ctx, struct net_stream *s, struct span data)
{
	struct end *e = ctx;

	assert_int_equal(e->closed, 0);
	assert_int_equal(e->opened, 1);
	e->chunks++;
	buffer_bytes(&e->got, data);
	if (e->echo)
		assert_int_equal(net_stream_write(s, data), 0);
	if (e->close_on_data)
		net_stream_close(s);
}

static void on_drained(void *ctx, struct net_stream *s)
{
	struct end *e = ctx;

	assert_int_equal(net_stream_buffered(s), 0);
	e->drained++;
}

static void on_closed(void *ctx, int err, const char *words)
{
	struct end *e = ctx;

	e->closed++;
	e->err = err;
	e->s = NULL;
	snprintf(e->words, sizeof(e->words), "%s", words);
}

static const struct net_stream_handlers handlers = {on_opened, on_data, on_drained, on_closed};

static const struct net_stream_handlers *on_accept(void *ctx, struct net_stream *s, void **stream_ctx)
{
	struct bench *b = ctx;

	if (b->refuse)
		return NULL;
	b->accepted++;
	b->peer.s = s;
	*stream_ctx = &b->peer;
	return &handlers;
}

static void on_server_closed(void *ctx)
{
	((struct bench *)ctx)->server_is_gone = true;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->client = (struct end){.bench = b, .got = buffer_of(GOT_MAX)};
	b->peer = (struct end){.bench = b, .got = buffer_of(GOT_MAX)};
	snprintf(b->path, sizeof(b->path), "/tmp/shoal-stream-%d.sock", getpid());
	assert_int_equal(uv_loop_init(&b->loop), 0);
	*state = b;
	return 0;
}

/* Everything is closed, and then nothing is left on the loop: no handle leaks. */
static int teardown(void **state)
{
	struct bench *b = *state;

	if (b->client.s)
		net_stream_close(b->client.s);
	if (b->peer.s)
		net_stream_close(b->peer.s);
	net_server_free(b->server, on_server_closed, b);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(b->server_is_gone, b->server != NULL);
	assert_true(b->client.closed <= 1 && b->peer.closed <= 1);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	buffer_deinit(&b->client.got);
	buffer_deinit(&b->peer.got);
	unlink(b->path);
	free(b);
	return 0;
}

#define RUN_UNTIL(b, condition)                                        \
	do {                                                           \
		uint64_t until_ = uv_hrtime() + UINT64_C(10000000000); \
		while (!(condition) && uv_hrtime() < until_) {         \
			if (!uv_run(&(b)->loop, UV_RUN_NOWAIT))        \
				break;                                 \
			usleep(200);                                   \
		}                                                      \
		assert_true(condition);                                \
	} while (0)

static void listen_tcp(struct bench *b, struct net_tls *tls)
{
	struct net_server_options o = {.host = "127.0.0.1", .tls = tls};

	assert_int_equal(net_server_listen(&b->loop, &o, on_accept, b, &b->server), 0);
}

static void connect_tcp(struct bench *b, struct net_tls *tls, const char *name)
{
	struct net_stream_options o = {.host = "127.0.0.1", .tls = tls, .server_name = name};

	o.port = net_server_port(b->server);
	assert_int_equal(net_stream_connect(&b->loop, &o, &handlers, &b->client, &b->client.s), 0);
	/* Nothing is called from within a call. */
	assert_int_equal(b->client.opened + b->client.closed, 0);
}

static int raw_connect(const struct bench *b)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(net_server_port(b->server))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void assert_echo(struct bench *b)
{
	b->peer.echo = true;
	assert_int_equal(net_stream_write(b->client.s, span_str("hello")), 0);
	RUN_UNTIL(b, b->client.got.len == 5);
	assert_memory_equal(b->client.got.data, "hello", 5);
}

/* ---- a resolver that asks nobody: it stands before the system's ---- */

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	static const uint8_t last_octets[] = {2, 1};
	struct answer {
		struct addrinfo info;
		struct sockaddr_in at;
	} * answers;

	if (strcmp(name, "two.test") != 0)
		return EAI_NONAME;
	assert_int_equal(hints->ai_socktype, SOCK_STREAM);
	answers = calloc(2, sizeof(*answers));
	for (size_t i = 0; i < 2; i++) {
		answers[i].at = (struct sockaddr_in){.sin_family = AF_INET,
						     .sin_port = htons((uint16_t)atoi(service))};
		answers[i].at.sin_addr.s_addr = htonl(0x7f000000 | last_octets[i]);
		answers[i].info.ai_addr = (struct sockaddr *)&answers[i].at;
		answers[i].info.ai_next = i ? NULL : &answers[1].info;
	}
	*out = &answers->info;
	return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
	free(info);
}

/* ---- plain ---- */

static void test_unix(void **state)
{
	struct bench *b = *state;
	struct net_server_options so = {.path = b->path};
	struct net_stream_options o = {.path = b->path};

	assert_int_equal(net_server_listen(&b->loop, &so, on_accept, b, &b->server), 0);
	assert_int_equal(net_stream_connect(&b->loop, &o, &handlers, &b->client, &b->client.s), 0);
	/* Before it is open. */
	assert_int_equal(net_stream_write(b->client.s, span_str("early ")), 0);
	b->peer.echo = true;
	RUN_UNTIL(b, b->client.got.len == 6);
	assert_memory_equal(b->client.got.data, "early ", 6);
	net_stream_close(b->client.s);
	assert_int_equal(b->client.closed, 0);
	assert_int_equal(net_stream_write(b->client.s, span_str("late")), -EPIPE);
	RUN_UNTIL(b, b->client.closed && b->peer.closed);
	assert_int_equal(b->client.err, -ECANCELED);
	assert_int_equal(b->peer.err, 0);
}

/* The socket of a process that was killed is in nobody's way; that of a living one is. */
static void test_unix_stale(void **state)
{
	struct bench *b = *state;
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct net_server_options so = {.path = b->path};
	struct net_server *second;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(name.sun_path, b->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	close(fd);
	assert_int_equal(net_server_listen(&b->loop, &so, on_accept, b, &b->server), 0);
	assert_int_equal(net_server_listen(&b->loop, &so, on_accept, b, &second), -EADDRINUSE);
}

static void test_tcp(void **state)
{
	struct bench *b = *state;
	char expected[32];

	listen_tcp(b, NULL);
	connect_tcp(b, NULL, NULL);
	assert_echo(b);
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", net_server_port(b->server));
	assert_string_equal(net_stream_peer(b->client.s), expected);
	assert_memory_equal(net_stream_peer(b->peer.s), "127.0.0.1:", 10);
	assert_int_equal(net_server_stats(b->server)->open, 1);
	net_stream_close(b->peer.s);
	RUN_UNTIL(b, b->client.closed);
	assert_int_equal(b->client.err, 0);
	assert_int_equal(net_server_stats(b->server)->open, 0);
}

/* The first of its addresses is one where nobody listens. */
static void test_name(void **state)
{
	struct bench *b = *state;
	struct net_stream_options o = {.host = "two.test"};

	listen_tcp(b, NULL);
	o.port = net_server_port(b->server);
	assert_int_equal(net_stream_connect(&b->loop, &o, &handlers, &b->client, &b->client.s), 0);
	RUN_UNTIL(b, b->client.opened);
	assert_echo(b);
}

static void test_connect_fails(void **state)
{
	struct bench *b = *state;
	struct net_stream_options refused = {.host = "127.0.0.1"},
				  unknown = {.host = "nowhere.invalid", .port = 1};
	struct net_stream_options missing = {.path = "/nonexistent/x.sock"}, nothing = {.host = "a"};

	assert_int_equal(net_stream_connect(&b->loop, &nothing, &handlers, &b->client, &b->client.s),
			 -EINVAL);
	listen_tcp(b, NULL);
	refused.port = net_server_port(b->server);
	net_server_free(b->server, on_server_closed, b);
	RUN_UNTIL(b, b->server_is_gone);
	b->server = NULL;
	b->server_is_gone = false;
	assert_int_equal(net_stream_connect(&b->loop, &refused, &handlers, &b->client, &b->client.s), 0);
	RUN_UNTIL(b, b->client.closed);
	assert_int_equal(b->client.err, -ECONNREFUSED);
	assert_non_null(strstr(b->client.words, "connection refused"));
	b->client.closed = 0;
	assert_int_equal(net_stream_connect(&b->loop, &unknown, &handlers, &b->client, &b->client.s), 0);
	RUN_UNTIL(b, b->client.closed);
	assert_int_equal(b->client.err, -EHOSTUNREACH);
	assert_memory_equal(b->client.words, "nowhere.invalid:1: the name cannot be", 37);
	b->client.closed = 0;
	assert_int_equal(net_stream_connect(&b->loop, &missing, &handlers, &b->client, &b->client.s), 0);
	RUN_UNTIL(b, b->client.closed);
	assert_int_equal(b->client.err, -ENOENT);
	assert_int_equal(b->client.opened, 0);
}

/* The first of these closes while the name is being resolved, the second while connecting. */
static void test_close_early(void **state)
{
	struct bench *b = *state;
	struct net_stream_options name = {.host = "two.test", .port = 9}, number = {.host = "127.0.0.1"};

	listen_tcp(b, NULL);
	number.port = net_server_port(b->server);
	assert_int_equal(net_stream_connect(&b->loop, &name, &handlers, &b->client, &b->client.s), 0);
	net_stream_close(b->client.s);
	RUN_UNTIL(b, b->client.closed);
	assert_int_equal(b->client.err, -ECANCELED);
	b->client.closed = 0;
	assert_int_equal(net_stream_connect(&b->loop, &number, &handlers, &b->client, &b->client.s), 0);
	net_stream_close(b->client.s);
	RUN_UNTIL(b, b->client.closed);
	assert_int_equal(b->client.err, -ECANCELED);
	assert_int_equal(b->client.opened, 0);
}

static void test_close_in_callbacks(void **state)
{
	struct bench *b = *state;

	listen_tcp(b, NULL);
	b->client.close_when_opened = true;
	connect_tcp(b, NULL, NULL);
	RUN_UNTIL(b, b->client.closed && b->peer.closed);
	b->client = (struct end){.bench = b, .got = buffer_of(GOT_MAX)};
	b->peer = (struct end){.bench = b, .got = buffer_of(GOT_MAX), .close_on_data = true};
	connect_tcp(b, NULL, NULL);
	assert_int_equal(net_stream_write(b->client.s, span_str("go")), 0);
	RUN_UNTIL(b, b->client.closed && b->peer.closed);
	assert_int_equal(b->peer.err, -ECANCELED);
	assert_int_equal(b->peer.chunks, 1);
}

/* Bytes written in one turn come in one piece. */
static void test_coalesced(void **state)
{
	struct bench *b = *state;
	struct span parts[] = {span_str("12"), span_str(""), span_str("34")};

	listen_tcp(b, NULL);
	connect_tcp(b, NULL, NULL);
	RUN_UNTIL(b, b->client.opened && b->peer.opened);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(net_stream_writev(b->client.s, parts, ARRAY_SIZE(parts)), 0);
	RUN_UNTIL(b, b->peer.got.len == 4000);
	assert_int_equal(b->peer.chunks, 1);
	assert_int_equal(b->client.drained, 1);
	for (size_t i = 0; i < 4000; i++)
		assert_int_equal(b->peer.got.data[i], "1234"[i % 4]);
}

/* A peer that does not read: writes fail when the buffer is full, and go on when it reads again. */
static void test_slow_reader(void **state)
{
	struct bench *b = *state;
	static uint8_t block[10000], sink[1 << 16];
	size_t written = 0, read_back = 0;
	int fd, err = 0;

	listen_tcp(b, NULL);
	fd = raw_connect(b);
	RUN_UNTIL(b, b->peer.opened);
	for (int turn = 0; turn < 10000 && err == 0; turn++) {
		err = net_stream_write(b->peer.s, span_of(block, sizeof(block)));
		if (err == 0)
			written += sizeof(block);
		assert_true(net_stream_buffered(b->peer.s) <= NET_STREAM_BUFFER_MAX);
		uv_run(&b->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(err, -ENOBUFS);
	assert_true(net_stream_buffered(b->peer.s) > NET_STREAM_BUFFER_MAX - sizeof(block));
	while (read_back < written) {
		ssize_t n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT);

		read_back += n > 0 ? (size_t)n : 0;
		uv_run(&b->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(read_back, written);
	assert_int_equal(net_stream_buffered(b->peer.s), 0);
	assert_int_equal(net_stream_write(b->peer.s, span_of(block, sizeof(block))), 0);
	close(fd);
}

static void test_refused(void **state)
{
	struct bench *b = *state;

	listen_tcp(b, NULL);
	b->refuse = true;
	connect_tcp(b, NULL, NULL);
	RUN_UNTIL(b, b->client.closed);
	assert_int_equal(net_server_stats(b->server)->refused, 1);
	assert_int_equal(b->peer.closed, 0);
}

static void test_streams_max(void **state)
{
	struct bench *b = *state;
	struct net_server_options o = {.host = "127.0.0.1", .streams_max = 2};
	int fds[3];
	char byte;

	assert_int_equal(net_server_listen(&b->loop, &o, on_accept, b, &b->server), 0);
	fds[0] = raw_connect(b);
	RUN_UNTIL(b, b->peer.opened == 1);
	net_stream_close(b->peer.s);
	RUN_UNTIL(b, b->peer.closed == 1);
	b->peer.closed = b->peer.opened = 0;
	fds[1] = raw_connect(b);
	RUN_UNTIL(b, b->accepted == 2);
	connect_tcp(b, NULL, NULL);
	/* The third counts for the same `peer`, which sees two closings at the end. */
	RUN_UNTIL(b, b->accepted == 3);
	fds[2] = raw_connect(b);
	RUN_UNTIL(b, net_server_stats(b->server)->refused == 1);
	RUN_UNTIL(b, recv(fds[2], &byte, 1, MSG_DONTWAIT) == 0);
	assert_int_equal(b->accepted, 3);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	RUN_UNTIL(b, b->peer.closed == 1);
	b->peer.closed = 0;
}

/* ---- TLS ---- */

struct certificates {
	gnutls_datum_t trust, chain, key;
};

static gnutls_x509_crt_t make_certificate(gnutls_x509_privkey_t key, const char *name,
					  gnutls_x509_crt_t issuer, gnutls_x509_privkey_t issuer_key)
{
	gnutls_x509_crt_t c;

	assert_int_equal(gnutls_x509_crt_init(&c), 0);
	assert_int_equal(gnutls_x509_crt_set_version(c, 3), 0);
	assert_int_equal(gnutls_x509_crt_set_serial(c, issuer ? "\2" : "\1", 1), 0);
	assert_int_equal(gnutls_x509_crt_set_key(c, key), 0);
	assert_int_equal(gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, name,
						       (unsigned)strlen(name)),
			 0);
	gnutls_x509_crt_set_activation_time(c, time(NULL) - 60);
	gnutls_x509_crt_set_expiration_time(c, time(NULL) + 3600);
	if (issuer)
		assert_int_equal(gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, name,
								      (unsigned)strlen(name),
								      GNUTLS_FSAN_SET),
				 0);
	else
		assert_int_equal(gnutls_x509_crt_set_basic_constraints(c, 1, -1), 0);
	assert_int_equal(gnutls_x509_crt_sign2(c, issuer ? issuer : c, issuer_key, GNUTLS_DIG_SHA256, 0), 0);
	return c;
}

static gnutls_x509_privkey_t make_key(void)
{
	gnutls_x509_privkey_t key;

	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
						      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
			 0);
	return key;
}

static void make_certificates(struct certificates *out)
{
	gnutls_x509_privkey_t ca_key = make_key(), key = make_key();
	gnutls_x509_crt_t ca = make_certificate(ca_key, "test CA", NULL, ca_key);
	gnutls_x509_crt_t c = make_certificate(key, "store.test", ca, ca_key);

	assert_int_equal(gnutls_x509_crt_export2(ca, GNUTLS_X509_FMT_PEM, &out->trust), 0);
	assert_int_equal(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, &out->chain), 0);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &out->key), 0);
	gnutls_x509_crt_deinit(ca);
	gnutls_x509_crt_deinit(c);
	gnutls_x509_privkey_deinit(ca_key);
	gnutls_x509_privkey_deinit(key);
}

static void free_certificates(struct certificates *c)
{
	gnutls_free(c->trust.data);
	gnutls_free(c->chain.data);
	gnutls_free(c->key.data);
}

static struct span span_of_datum(gnutls_datum_t d)
{
	return span_of(d.data, d.size);
}

static struct net_tls *tls_of(const struct net_tls_options *o)
{
	char words[NET_TLS_WORDS];
	struct net_tls *tls = NULL;

	assert_int_equal(net_tls_new(o, &tls, words), 0);
	return tls;
}

/* The client believes in the authority of `trusted`, and shows the certificate `shown`, if any. With `mutual`
 * the server wants one by its own authority. */
static void start_x509(struct bench *b, const struct certificates *server, const struct certificates *trusted,
		       const char *name, bool mutual, const struct certificates *shown)
{
	struct net_tls *st = tls_of(&(struct net_tls_options){
		.server = true,
		.chain = span_of_datum(server->chain),
		.key = span_of_datum(server->key),
		.trust = span_of_datum(mutual ? server->trust : (gnutls_datum_t){0})});
	struct net_tls_options co = {.trust = span_of_datum(trusted->trust)};
	struct net_tls *ct;

	if (shown) {
		co.chain = span_of_datum(shown->chain);
		co.key = span_of_datum(shown->key);
	}
	ct = tls_of(&co);
	listen_tcp(b, st);
	connect_tcp(b, ct, name);
	/* Streams and server keep what they need. */
	net_tls_free(st);
	net_tls_free(ct);
}

static void test_tls(void **state)
{
	struct bench *b = *state;
	struct certificates c;
	uint8_t *big = calloc(1, 900000);

	make_certificates(&c);
	for (size_t i = 0; i < 900000; i++)
		big[i] = (uint8_t)(i * 31 >> 3);
	start_x509(b, &c, &c, "store.test", false, NULL);
	assert_int_equal(net_stream_write(b->client.s, span_of(big, 900000)), 0);
	RUN_UNTIL(b, b->peer.got.len == 900000);
	assert_memory_equal(b->peer.got.data, big, 900000);
	assert_int_equal(net_stream_write(b->peer.s, span_str("bye")), 0);
	/* What was written before the closing still goes. */
	net_stream_close(b->peer.s);
	RUN_UNTIL(b, b->client.closed);
	assert_int_equal(b->client.got.len, 3);
	assert_int_equal(b->client.err, 0);
	free_certificates(&c);
	free(big);
}

static void test_tls_mutual(void **state)
{
	struct bench *b = *state;
	struct certificates c;

	make_certificates(&c);
	start_x509(b, &c, &c, "store.test", true, &c);
	RUN_UNTIL(b, b->peer.opened && b->client.opened);
	assert_echo(b);
	free_certificates(&c);
}

static void test_tls_client_without_certificate(void **state)
{
	struct bench *b = *state;
	struct certificates c;

	make_certificates(&c);
	start_x509(b, &c, &c, "store.test", true, NULL);
	RUN_UNTIL(b, b->peer.closed && b->client.closed);
	assert_int_equal(b->peer.opened, 0);
	assert_int_equal(b->peer.err, -EACCES);
	assert_int_equal(b->client.err, -EACCES);
	free_certificates(&c);
}

static void test_tls_client_of_another_authority(void **state)
{
	struct bench *b = *state;
	struct certificates c, other;

	make_certificates(&c);
	make_certificates(&other);
	start_x509(b, &c, &c, "store.test", true, &other);
	RUN_UNTIL(b, b->peer.closed && b->client.closed);
	assert_int_equal(b->peer.opened, 0);
	assert_int_equal(b->peer.err, -EACCES);
	assert_int_equal(b->client.err, -EACCES);
	free_certificates(&c);
	free_certificates(&other);
}

static void test_tls_wrong_name(void **state)
{
	struct bench *b = *state;
	struct certificates c;

	make_certificates(&c);
	start_x509(b, &c, &c, "other.test", false, NULL);
	RUN_UNTIL(b, b->peer.closed && b->client.closed);
	assert_int_equal(b->client.opened + b->peer.opened, 0);
	assert_int_equal(b->client.err, -EACCES);
	assert_non_null(strstr(b->client.words, "name"));
	assert_int_equal(b->peer.err, -EACCES);
	free_certificates(&c);
}

static void test_tls_wrong_authority(void **state)
{
	struct bench *b = *state;
	struct certificates c, other;

	make_certificates(&c);
	make_certificates(&other);
	start_x509(b, &c, &other, "store.test", false, NULL);
	RUN_UNTIL(b, b->peer.closed && b->client.closed);
	assert_int_equal(b->client.opened + b->peer.opened, 0);
	assert_int_equal(b->client.err, -EACCES);
	free_certificates(&c);
	free_certificates(&other);
}

static void test_tls_options(void **state)
{
	struct net_tls_options half = {.chain = span_str("x")}, bare = {.server = true};
	struct net_tls_options rubbish = {.trust = span_str("no certificate")};
	struct net_tls *tls = NULL, *ct;
	struct bench *b = *state;
	char words[NET_TLS_WORDS];
	struct net_stream_options no_name = {.path = "/tmp/x"};
	struct certificates c;

	assert_int_equal(net_tls_new(&half, &tls, words), -EINVAL);
	assert_int_equal(net_tls_new(&bare, &tls, words), -EINVAL);
	assert_int_equal(net_tls_new(&rubbish, &tls, words), -EINVAL);
	assert_true(strlen(words) > 0);
	assert_null(tls);
	make_certificates(&c);
	/* A certificate that could be anybody's is worth nothing. */
	ct = tls_of(&(struct net_tls_options){.trust = span_of_datum(c.trust)});
	no_name.tls = ct;
	assert_int_equal(net_stream_connect(&b->loop, &no_name, &handlers, &b->client, &b->client.s),
			 -EINVAL);
	net_tls_free(ct);
	free_certificates(&c);
}

static size_t find_psk(void *ctx, struct span identity, uint8_t key[NET_TLS_KEY_MAX])
{
	const char *known = ctx;

	if (!span_is(identity, known))
		return 0;
	memset(key, 7, 32);
	return 32;
}

static void start_psk(struct bench *b, const char *identity, uint8_t fill)
{
	uint8_t key[32];
	struct net_tls *st = tls_of(&(struct net_tls_options){.server = true,
							      .tls13_only = true,
							      .find_psk = find_psk,
							      .ctx = (void *)(uintptr_t) "node 1"});
	struct net_tls *ct;

	memset(key, fill, sizeof(key));
	ct = tls_of(&(struct net_tls_options){
		.tls13_only = true, .psk_identity = span_str(identity), .psk = span_of(key, sizeof(key))});
	listen_tcp(b, st);
	connect_tcp(b, ct, NULL);
	net_tls_free(st);
	net_tls_free(ct);
}

static void test_psk(void **state)
{
	struct bench *b = *state;

	start_psk(b, "node 1", 7);
	RUN_UNTIL(b, b->peer.opened && b->client.opened);
	assert_echo(b);
	assert_string_equal(b->peer.identity, "node 1");
	assert_string_equal(b->client.identity, "");
}

static void assert_psk_refused(struct bench *b)
{
	RUN_UNTIL(b, b->peer.closed && b->client.closed);
	assert_int_equal(b->client.opened + b->peer.opened, 0);
	assert_int_equal(b->client.err, -EACCES);
	assert_int_equal(b->peer.err, -EACCES);
	assert_non_null(strstr(b->client.words, "pre-shared key"));
	assert_non_null(strstr(b->peer.words, "pre-shared key"));
}

static void test_psk_wrong_key(void **state)
{
	start_psk(*state, "node 1", 8);
	assert_psk_refused(*state);
}

static void test_psk_unknown(void **state)
{
	start_psk(*state, "node 2", 7);
	assert_psk_refused(*state);
}

/* ---- TLS against those who do not play along ---- */

static void test_peer_leaves_in_handshake(void **state)
{
	struct bench *b = *state;
	static const uint8_t begin[] = {0x16, 3, 1, 1, 0};
	int fd;

	start_psk(b, "node 1", 7);
	net_stream_close(b->client.s);
	RUN_UNTIL(b, b->client.closed && b->peer.closed);
	b->peer.closed = 0;
	fd = raw_connect(b);
	assert_int_equal(send(fd, begin, sizeof(begin), 0), sizeof(begin));
	RUN_UNTIL(b, b->accepted == 2);
	close(fd);
	RUN_UNTIL(b, b->peer.closed);
	assert_int_equal(b->peer.err, -ECONNRESET);
	assert_int_equal(b->peer.opened, 0);
}

static void test_no_tls_at_all(void **state)
{
	struct bench *b = *state;
	int fd;

	start_psk(b, "node 1", 7);
	RUN_UNTIL(b, b->client.opened && b->peer.opened);
	net_stream_close(b->client.s);
	RUN_UNTIL(b, b->client.closed && b->peer.closed);
	b->peer.closed = b->peer.opened = 0;
	fd = raw_connect(b);
	assert_int_equal(send(fd, "PING\r\nPING\r\n", 12, 0), 12);
	RUN_UNTIL(b, b->peer.closed);
	assert_int_equal(b->peer.err, -EPROTO);
	close(fd);
}

/* A stranger who says nothing is let go. */
static void test_open_timeout(void **state)
{
	struct bench *b = *state;
	struct net_tls *st = tls_of(&(struct net_tls_options){
		.server = true, .find_psk = find_psk, .ctx = (void *)(uintptr_t) "x"});
	struct net_server_options o = {.host = "127.0.0.1", .tls = st, .open_ms = 50};
	int fd;

	assert_int_equal(net_server_listen(&b->loop, &o, on_accept, b, &b->server), 0);
	net_tls_free(st);
	fd = raw_connect(b);
	RUN_UNTIL(b, b->peer.closed);
	assert_int_equal(b->peer.err, -ETIMEDOUT);
	close(fd);
}

/* ---- tiny chunks: a middleman hands every byte on alone ---- */

struct middleman {
	uv_thread_t thread;
	int listener, to_server, to_client;
	uint16_t port;
	size_t passed;
};

static bool pass_byte(int from, int to)
{
	char byte;

	return recv(from, &byte, 1, 0) == 1 && send(to, &byte, 1, MSG_NOSIGNAL) == 1;
}

static void run_middleman(void *arg)
{
	struct middleman *m = arg;
	int one = 1;
	fd_set set;

	m->to_client = accept(m->listener, NULL, NULL);
	setsockopt(m->to_client, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
	for (;;) {
		FD_ZERO(&set);
		FD_SET(m->to_client, &set);
		FD_SET(m->to_server, &set);
		if (select(MAX(m->to_client, m->to_server) + 1, &set, NULL, NULL, NULL) < 0)
			break;
		if (FD_ISSET(m->to_client, &set) && !pass_byte(m->to_client, m->to_server))
			break;
		if (FD_ISSET(m->to_server, &set) && !pass_byte(m->to_server, m->to_client))
			break;
		m->passed++;
	}
	close(m->to_client);
	close(m->to_server);
	close(m->listener);
}

static void start_middleman(struct bench *b, struct middleman *m)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	m->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(m->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(m->listener, 1), 0);
	assert_int_equal(getsockname(m->listener, (struct sockaddr *)&at, &len), 0);
	m->port = ntohs(at.sin_port);
	m->to_server = raw_connect(b);
	assert_int_equal(uv_thread_create(&m->thread, run_middleman, m), 0);
}

static void test_tiny_chunks(void **state)
{
	struct bench *b = *state;
	struct middleman m = {0};
	uint8_t key[32];
	struct net_tls *st = tls_of(&(struct net_tls_options){
		.server = true, .find_psk = find_psk, .ctx = (void *)(uintptr_t) "node 1"});
	struct net_tls *ct;
	struct net_stream_options o = {.host = "127.0.0.1"};

	memset(key, 7, sizeof(key));
	ct = tls_of(&(struct net_tls_options){.psk_identity = span_str("node 1"),
					      .psk = span_of(key, sizeof(key))});
	listen_tcp(b, st);
	start_middleman(b, &m);
	o.port = m.port;
	o.tls = ct;
	assert_int_equal(net_stream_connect(&b->loop, &o, &handlers, &b->client, &b->client.s), 0);
	assert_echo(b);
	net_stream_close(b->client.s);
	RUN_UNTIL(b, b->client.closed && b->peer.closed);
	assert_int_equal(b->peer.err, 0);
	assert_int_equal(uv_thread_join(&m.thread), 0);
	assert_true(m.passed > 500);
	net_tls_free(st);
	net_tls_free(ct);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_unix),
		TEST(test_unix_stale),
		TEST(test_tcp),
		TEST(test_name),
		TEST(test_connect_fails),
		TEST(test_close_early),
		TEST(test_close_in_callbacks),
		TEST(test_coalesced),
		TEST(test_slow_reader),
		TEST(test_refused),
		TEST(test_streams_max),
		TEST(test_tls),
		TEST(test_tls_mutual),
		TEST(test_tls_client_without_certificate),
		TEST(test_tls_client_of_another_authority),
		TEST(test_tls_wrong_name),
		TEST(test_tls_wrong_authority),
		TEST(test_tls_options),
		TEST(test_psk),
		TEST(test_psk_wrong_key),
		TEST(test_psk_unknown),
		TEST(test_peer_leaves_in_handshake),
		TEST(test_no_tls_at_all),
		TEST(test_open_timeout),
		TEST(test_tiny_chunks),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
