/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A DTLS client on wolfSSL 5.5: each packet on standard input becomes a record, each record a packet on
 * standard output (a SOCK_SEQPACKET socket keeps them apart). It ends when standard input does, and then says
 * close_notify.
 *
 *     wolfssl_client ADDRESS PORT SUITE CA CERTIFICATE KEY
 *     wolfssl_client --resume ...        ends its session and resumes it before it talks
 *
 * Left out: PSK, of which Debian's wolfSSL has no suite that we have, and everything about CoAP.
 */

#include <wolfssl/options.h>
/* Has to come after. */
#include <wolfssl/ssl.h>

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKET_MAX = 2048, PAUSE_US = 300000, STEP_MS = 1000 };

static void fail(const char *what, const char *words)
{
	fprintf(stderr, "wolfssl_client: %s: %s\n", what, words);
	exit(1);
}

static void check(WOLFSSL *ssl, int result, const char *what)
{
	char words[WOLFSSL_MAX_ERROR_SZ];

	if (result == WOLFSSL_SUCCESS)
		return;
	wolfSSL_ERR_error_string((unsigned long)(ssl ? wolfSSL_get_error(ssl, result) : result), words);
	fail(what, words);
}

static int open_socket(WOLFSSL *ssl, const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST};
	struct addrinfo *found;
	int fd, err = getaddrinfo(host, port, &hints, &found);

	if (err)
		fail(host, gai_strerror(err));
	fd = socket(found->ai_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0)
		fail(host, "cannot connect");
	check(ssl, wolfSSL_set_dtls_fd_connected(ssl, fd), "socket");
	freeaddrinfo(found);
	return fd;
}

static void handshake(WOLFSSL *ssl, int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	wolfSSL_dtls_set_using_nonblock(ssl, 1);
	for (int result; (result = wolfSSL_connect(ssl)) != WOLFSSL_SUCCESS;) {
		if (wolfSSL_get_error(ssl, result) != WOLFSSL_ERROR_WANT_READ)
			check(ssl, result, "handshake");
		if (poll(&readable, 1, STEP_MS) == 0 && wolfSSL_dtls_got_timeout(ssl) != WOLFSSL_SUCCESS)
			fail("handshake", "no answer");
	}
}

static WOLFSSL *new_session(WOLFSSL_CTX *context)
{
	WOLFSSL *ssl = wolfSSL_new(context);

	if (!ssl)
		fail("session", "out of memory");
	return ssl;
}

/* Another handshake, from another port, by the session id of the one before; not at once, because the server
 * may take some time to store what it needs for that. */
static void resume(WOLFSSL_CTX *context, WOLFSSL **ssl, int *fd, const char *host, const char *port)
{
	WOLFSSL_SESSION *session = wolfSSL_get1_session(*ssl);

	if (!session)
		fail("session", "it has none");
	(void)wolfSSL_shutdown(*ssl);
	wolfSSL_free(*ssl);
	close(*fd);
	usleep(PAUSE_US);
	*ssl = new_session(context);
	check(*ssl, wolfSSL_set_session(*ssl, session), "resume");
	wolfSSL_SESSION_free(session);
	*fd = open_socket(*ssl, host, port);
	handshake(*ssl, *fd);
}

/* What has come; false at the end of the session. */
static int receive(WOLFSSL *ssl)
{
	char packet[PACKET_MAX];
	int len;

	while ((len = wolfSSL_read(ssl, packet, sizeof(packet))) > 0)
		if (write(STDOUT_FILENO, packet, (size_t)len) != len)
			return 0;
	if (wolfSSL_get_error(ssl, len) == WOLFSSL_ERROR_WANT_READ)
		return 1;
	if (wolfSSL_get_error(ssl, len) != WOLFSSL_ERROR_ZERO_RETURN)
		check(ssl, len, "read");
	return 0;
}

static void talk(WOLFSSL *ssl, int fd)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	char packet[PACKET_MAX];

	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents) {
			ssize_t len = read(STDIN_FILENO, packet, sizeof(packet));

			if (len <= 0)
				break;
			if (wolfSSL_write(ssl, packet, (int)len) != len)
				fail("write", "refused");
		}
		if (fds[1].revents && !receive(ssl))
			return;
	}
	(void)wolfSSL_shutdown(ssl);
}

int main(int argc, char **argv)
{
	int resumes = argc > 1 && strcmp(argv[1], "--resume") == 0;
	WOLFSSL_CTX *context;
	WOLFSSL *ssl;
	int fd;

	argc -= resumes;
	argv += resumes;
	if (argc != 7) {
		fprintf(stderr, "usage: wolfssl_client [--resume] ADDRESS PORT SUITE CA CERTIFICATE KEY\n");
		return 2;
	}
	wolfSSL_Init();
	context = wolfSSL_CTX_new(wolfDTLSv1_2_client_method());
	if (!context)
		fail("context", "out of memory");
	check(NULL, wolfSSL_CTX_set_cipher_list(context, argv[3]), argv[3]);
	check(NULL, wolfSSL_CTX_load_verify_locations(context, argv[4], NULL), argv[4]);
	check(NULL, wolfSSL_CTX_use_certificate_file(context, argv[5], WOLFSSL_FILETYPE_PEM), argv[5]);
	check(NULL, wolfSSL_CTX_use_PrivateKey_file(context, argv[6], WOLFSSL_FILETYPE_PEM), argv[6]);
	ssl = new_session(context);
	fd = open_socket(ssl, argv[1], argv[2]);
	handshake(ssl, fd);
	if (resumes)
		resume(context, &ssl, &fd, argv[1], argv[2]);
	talk(ssl, fd);
	wolfSSL_free(ssl);
	wolfSSL_CTX_free(context);
	wolfSSL_Cleanup();
	close(fd);
	return 0;
}
