/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Datagrams over the loopback interface, on ports that the kernel picks. What a healthy kernel will not do on
 * demand is done by socket() and sendmmsg() below, which stand in front of libc's.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/udp.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SERVER = 3, CLIENT = 9 };

static bool kernel_without_ip6;
static int kernel_room = -1; /* datagrams that still fit; -1: no limit */

int socket(int domain, int type, int protocol)
{
	if (domain == AF_INET6 && kernel_without_ip6) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	return (int)syscall(SYS_socket, domain, type, protocol);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	if (kernel_room == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (kernel_room > 0) {
		count = MIN(count, (unsigned)kernel_room);
		kernel_room -= (int)count;
	}
	return (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}

static struct udp_socket *open_at(const char *text, uint8_t listener)
{
	struct udp_socket *s = NULL;
	struct address at;

	assert_int_equal(address_parse(text, &at), 0);
	assert_int_equal(udp_open(&at, listener, &s), 0);
	assert_non_null(s);
	return s;
}

/* Where a client reaches `s`, which is bound to any address, by `host`. */
static struct address reach(const struct udp_socket *s, const char *host)
{
	char text[ADDRESS_TEXT];
	struct address to;

	snprintf(text, sizeof(text), "%s:%u", host, udp_local(s).port);
	assert_int_equal(address_parse(text, &to), 0);
	return to;
}

/* A batch, waited for; 0 after two seconds without one. */
static int receive(struct udp_socket *s, const struct datagram **batch)
{
	struct pollfd ready = {.fd = udp_fd(s), .events = POLLIN};

	poll(&ready, 1, 2000);
	return udp_receive(s, batch);
}

static void assert_text(const struct datagram *d, const char *text)
{
	assert_true(span_is(span_of(d->data, d->len), text));
	assert_false(d->truncated);
}

/* One datagram there and one back, and both addresses right on either side. */
static void exchange(const char *server_at, const char *client_at, const char *host)
{
	struct udp_socket *server = open_at(server_at, SERVER), *client = open_at(client_at, CLIENT);
	struct address to = reach(server, host), peer;
	const struct datagram *batch;

	udp_send(client, &to, span_str("ping"));
	udp_flush(client);
	assert_int_equal(receive(server, &batch), 1);
	assert_text(&batch[0], "ping");
	peer = batch[0].peer;
	assert_int_equal(peer.listener, SERVER);
	assert_int_equal(peer.port, udp_local(client).port);
	assert_int_equal(peer.family, to.family);
	assert_memory_equal(peer.ip, to.ip, sizeof(peer.ip));
	udp_send(server, &peer, span_str("pong"));
	udp_flush(server);
	assert_int_equal(receive(client, &batch), 1);
	assert_text(&batch[0], "pong");
	to.listener = CLIENT;
	assert_true(address_equal(&batch[0].peer, &to));
	assert_int_equal(udp_stats(server)->received, 1);
	assert_int_equal(udp_stats(server)->received_bytes, 4);
	assert_int_equal(udp_stats(server)->sent, 1);
	assert_int_equal(udp_stats(server)->sent_bytes, 4);
	assert_null(udp_free(server));
	assert_null(udp_free(client));
}

static bool has_ip6(void)
{
	struct address at;
	struct udp_socket *s = NULL;
	int rc;

	assert_int_equal(address_parse("[::1]:0", &at), 0);
	rc = udp_open(&at, 0, &s);
	udp_free(s);
	assert_true(rc == 0 || rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL);
	return rc == 0;
}

static void ip4_goes_both_ways(void **state)
{
	(void)state;
	exchange("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1");
}

static void the_wildcard_serves_ip4(void **state)
{
	(void)state;
	exchange(":0", "127.0.0.1:0", "127.0.0.1");
	exchange("0.0.0.0:0", "127.0.0.1:0", "127.0.0.1");
	exchange(":0", ":0", "127.0.0.1");
}

/* Without IPv6 in this kernel the wildcard has to have fallen back to IPv4. */
static void the_wildcard_serves_ip6_where_there_is_any(void **state)
{
	struct udp_socket *s;

	(void)state;
	if (has_ip6()) {
		exchange(":0", "[::1]:0", "[::1]");
		exchange("[::1]:0", "[::1]:0", "[::1]");
		return;
	}
	s = open_at(":0", SERVER);
	assert_true(udp_local(s).family == 4 || udp_local(s).family == 6);
	udp_free(s);
}

static void nothing_there_is_no_error(void **state)
{
	struct udp_socket *s = open_at("127.0.0.1:0", SERVER);
	const struct datagram *batch;

	(void)state;
	assert_int_equal(udp_receive(s, &batch), 0);
	udp_flush(s);
	assert_int_equal(udp_stats(s)->received, 0);
	assert_int_equal(udp_stats(s)->sent, 0);
	udp_free(s);
}

static void datagrams_move_in_batches_and_in_order(void **state)
{
	enum { COUNT = UDP_BATCH * 2 + 10 };
	struct udp_socket *server = open_at("127.0.0.1:0", SERVER), *client = open_at("127.0.0.1:0", CLIENT);
	struct address to = reach(server, "127.0.0.1");
	unsigned next = 0, largest = 0;
	char text[16];

	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(text, sizeof(text), "%0*u", (int)(i % 7 + 3), i);
		udp_send(client, &to, span_str(text));
	}
	/* Two full queues went out by themselves. */
	assert_int_equal(udp_stats(client)->sent, UDP_BATCH * 2);
	udp_flush(client);
	assert_int_equal(udp_stats(client)->sent, COUNT);
	while (next < COUNT) {
		const struct datagram *batch;
		int n = receive(server, &batch);

		assert_true(n > 0 && n <= UDP_BATCH);
		largest = MAX(largest, (unsigned)n);
		for (int i = 0; i < n; i++, next++) {
			snprintf(text, sizeof(text), "%0*u", (int)(next % 7 + 3), next);
			assert_text(&batch[i], text);
			assert_int_equal(batch[i].peer.port, udp_local(client).port);
		}
	}
	assert_int_equal(largest, UDP_BATCH);
	udp_free(server);
	udp_free(client);
}

static void empty_and_largest_datagrams_arrive_whole(void **state)
{
	struct udp_socket *server = open_at("127.0.0.1:0", SERVER), *client = open_at("127.0.0.1:0", CLIENT);
	struct address to = reach(server, "127.0.0.1");
	static uint8_t large[UDP_DATAGRAM_MAX + 1];
	const struct datagram *batch;

	(void)state;
	memset(large, 'x', sizeof(large));
	udp_send(client, &to, (struct span){NULL, 0});
	udp_send(client, &to, span_of(large, UDP_DATAGRAM_MAX));
	udp_flush(client);
	assert_int_equal(receive(server, &batch), 2);
	assert_text(&batch[0], "");
	assert_int_equal(batch[1].len, UDP_DATAGRAM_MAX);
	assert_false(batch[1].truncated);
	assert_memory_equal(batch[1].data, large, UDP_DATAGRAM_MAX);
	udp_send(client, &to, span_of(large, sizeof(large)));
	udp_flush(client);
	assert_int_equal(udp_stats(client)->sent, 2);
	assert_int_equal(udp_stats(client)->send_dropped, 1);
	udp_free(server);
	udp_free(client);
}

static void a_longer_datagram_is_marked(void **state)
{
	struct udp_socket *server = open_at("127.0.0.1:0", SERVER);
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(udp_local(server).port)};
	static uint8_t large[UDP_DATAGRAM_MAX + 1];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	const struct datagram *batch;

	(void)state;
	assert_int_equal(sendto(fd, large, sizeof(large), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(large));
	assert_int_equal(sendto(fd, "ok", 2, 0, (struct sockaddr *)&to, sizeof(to)), 2);
	assert_int_equal(receive(server, &batch), 2);
	assert_true(batch[0].truncated);
	assert_int_equal(batch[0].len, UDP_DATAGRAM_MAX);
	assert_text(&batch[1], "ok");
	assert_int_equal(udp_stats(server)->truncated, 1);
	close(fd);
	udp_free(server);
}

/* One that cannot be sent takes none of the others along, wherever it stands in the queue. */
static void what_cannot_be_sent_is_dropped_alone(void **state)
{
	struct udp_socket *server = open_at("127.0.0.1:0", SERVER), *client = open_at("127.0.0.1:0", CLIENT);
	struct address to = reach(server, "127.0.0.1"), ip6, none = to;
	const struct datagram *batch;

	(void)state;
	assert_int_equal(address_parse("[2001:db8::1]:5683", &ip6), 0);
	/* The kernel refuses port 0. */
	none.port = 0;
	udp_send(client, &none, span_str("lost"));
	udp_send(client, &to, span_str("one"));
	udp_send(client, &none, span_str("lost"));
	udp_send(client, &ip6, span_str("lost"));
	udp_send(client, &to, span_str("two"));
	udp_send(client, &none, span_str("lost"));
	udp_flush(client);
	assert_int_equal(udp_stats(client)->sent, 2);
	assert_int_equal(udp_stats(client)->sent_bytes, 6);
	assert_int_equal(udp_stats(client)->send_dropped, 4);
	assert_int_equal(receive(server, &batch), 2);
	assert_text(&batch[0], "one");
	assert_text(&batch[1], "two");
	udp_free(server);
	udp_free(client);
}

/* As the network would: nothing waits, and the next flush starts afresh. */
static void what_the_kernel_has_no_room_for_is_dropped(void **state)
{
	struct udp_socket *server = open_at("127.0.0.1:0", SERVER), *client = open_at("127.0.0.1:0", CLIENT);
	struct address to = reach(server, "127.0.0.1");
	const struct datagram *batch;

	(void)state;
	for (int i = 0; i < 5; i++)
		udp_send(client, &to, span_str("early"));
	kernel_room = 2;
	udp_flush(client);
	kernel_room = -1;
	udp_send(client, &to, span_str("late"));
	udp_flush(client);
	assert_int_equal(udp_stats(client)->sent, 3);
	assert_int_equal(udp_stats(client)->send_dropped, 3);
	assert_int_equal(receive(server, &batch), 3);
	assert_text(&batch[1], "early");
	assert_text(&batch[2], "late");
	udp_free(server);
	udp_free(client);
}

static void without_ip6_the_wildcard_falls_back(void **state)
{
	struct udp_socket *s = NULL;
	struct address at;

	(void)state;
	kernel_without_ip6 = true;
	exchange(":0", "127.0.0.1:0", "127.0.0.1");
	s = open_at("[::]:0", SERVER);
	assert_int_equal(udp_local(s).family, 4);
	s = udp_free(s);
	/* One that was asked for by name is not replaced by something else. */
	assert_int_equal(address_parse("[::1]:0", &at), 0);
	assert_int_equal(udp_open(&at, 0, &s), -EAFNOSUPPORT);
	assert_null(s);
	kernel_without_ip6 = false;
}

/* An ICMP "port unreachable" comes back here; it must not look like an error of the socket. */
static void a_peer_that_is_gone_is_no_error(void **state)
{
	struct udp_socket *client = open_at("127.0.0.1:0", CLIENT), *gone = open_at("127.0.0.1:0", SERVER);
	struct address to = reach(gone, "127.0.0.1");
	const struct datagram *batch;
	int on = 1;

	(void)state;
	udp_free(gone);
	/* Ask the kernel to report it, which it otherwise would not on an unconnected socket. */
	assert_int_equal(setsockopt(udp_fd(client), IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
	udp_send(client, &to, span_str("x"));
	udp_flush(client);
	assert_int_equal(receive(client, &batch), 0);
	assert_int_equal(udp_stats(client)->receive_errors, 1);
	udp_free(client);
}

static void errors_of_binding_are_told(void **state)
{
	struct udp_socket *s = open_at("127.0.0.1:0", SERVER), *other = NULL;
	struct address at = udp_local(s);

	(void)state;
	assert_int_equal(udp_open(&at, 0, &other), -EADDRINUSE);
	assert_int_equal(address_parse("192.0.2.1:0", &at), 0);
	assert_int_equal(udp_open(&at, 0, &other), -EADDRNOTAVAIL);
	at = (struct address){0};
	assert_int_equal(udp_open(&at, 0, &other), -EAFNOSUPPORT);
	assert_null(other);
	assert_null(udp_free(NULL));
	udp_free(s);
}

static int option_of(const struct udp_socket *s, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(udp_fd(s), level, option, &value, &len), 0);
	return value;
}

static void the_socket_is_set_up_for_a_server(void **state)
{
	int plain = socket(AF_INET, SOCK_DGRAM, 0), before = 0;
	struct udp_socket *s = open_at("127.0.0.1:0", SERVER);
	socklen_t len = sizeof(before);

	(void)state;
	assert_int_equal(getsockopt(plain, SOL_SOCKET, SO_RCVBUF, &before, &len), 0);
	close(plain);
	assert_true(option_of(s, SOL_SOCKET, SO_RCVBUF) > before);
	assert_int_equal(option_of(s, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_OMIT);
	assert_int_equal(udp_local(s).listener, SERVER);
	udp_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ip4_goes_both_ways),
		cmocka_unit_test(the_wildcard_serves_ip4),
		cmocka_unit_test(the_wildcard_serves_ip6_where_there_is_any),
		cmocka_unit_test(nothing_there_is_no_error),
		cmocka_unit_test(datagrams_move_in_batches_and_in_order),
		cmocka_unit_test(empty_and_largest_datagrams_arrive_whole),
		cmocka_unit_test(a_longer_datagram_is_marked),
		cmocka_unit_test(what_cannot_be_sent_is_dropped_alone),
		cmocka_unit_test(what_the_kernel_has_no_room_for_is_dropped),
		cmocka_unit_test(without_ip6_the_wildcard_falls_back),
		cmocka_unit_test(a_peer_that_is_gone_is_no_error),
		cmocka_unit_test(errors_of_binding_are_told),
		cmocka_unit_test(the_socket_is_set_up_for_a_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
