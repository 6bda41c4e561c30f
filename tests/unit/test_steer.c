/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Sockets that share a port: who gets which datagram, with the kernel's help and without. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/steer.h"
#include "net/udp.h"

enum { NODES = 4, NOBODY = 255, WAIT_MS = 2000 };

static int fds[NODES];
static uint16_t port;
static struct steer *steer;
static uint8_t slots[STEER_SLOTS];

/* The wildcard of both families, or IPv4 alone where there is no IPv6. */
static void share_port(void)
{
	struct address any;
	struct udp_socket *first;
	struct udp_socket *again;

	assert_int_equal(address_parse("[::]:0", &any), 0);
	assert_int_equal(udp_open_shared(&any, NODES, fds), 0);
	assert_int_equal(udp_adopt(dup(fds[0]), 0, &first), 0);
	port = udp_local(first).port;
	udp_free(first);
	assert_int_not_equal(port, 0);
	/* Whoever does not share gets nothing. */
	any.port = port;
	assert_int_equal(udp_open(&any, 0, &again), -EADDRINUSE);
}

static int set_up(void **state)
{
	(void)state;
	share_port();
	for (size_t i = 0; i < STEER_SLOTS; i++)
		slots[i] = (uint8_t)(rand() % NODES);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < NODES; i++)
		close(fds[i]);
	steer = steer_free(steer);
	return 0;
}

/* False where this is not permitted: then the test says so. */
static bool can_steer(void)
{
	int err = steer_new(&steer);

	if (err == -EPERM || err == -EACCES) {
		print_message("not permitted here, needs CAP_BPF and CAP_NET_ADMIN\n");
		return false;
	}
	assert_int_equal(err, 0);
	assert_int_equal(steer_attach(steer, fds, NODES), 0);
	assert_int_equal(steer_set_slots(steer_tables(steer).slots, slots), 0);
	assert_int_equal(steer_set_live(steer_tables(steer).live, (1 << NODES) - 1), 0);
	return true;
}

/* A client of its own address; -1: there is no IPv6. */
static int client(bool ip6)
{
	struct sockaddr_in6 to6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(ip6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);

	to4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, ip6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4,
		    ip6 ? sizeof(to6) : sizeof(to4)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Which node got it. */
static int sent_to(int from, const void *data, size_t len)
{
	struct pollfd polls[NODES];
	char got[64];
	int node = -1;

	assert_int_equal(send(from, data, len, 0), (ssize_t)len);
	for (size_t i = 0; i < NODES; i++)
		polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	assert_int_equal(poll(polls, NODES, WAIT_MS), 1);
	for (int i = 0; i < NODES; i++)
		if (polls[i].revents)
			node = i;
	assert_int_equal(recv(fds[node], got, sizeof(got), 0), (ssize_t)len);
	return node;
}

enum { RECORD = 11 + STEER_CID_LEN + 2 };

static void write_record(uint8_t record[RECORD], uint8_t type, unsigned format, unsigned slot)
{
	memset(record, 0, RECORD);
	record[0] = type;
	record[1] = 0xFE;
	record[2] = 0xFD;
	record[11] = (uint8_t)(format << 4 | slot >> 8);
	record[12] = (uint8_t)slot;
	for (int i = 13; i < 19; i++)
		record[i] = (uint8_t)rand();
}

static int record_to(int from, uint8_t type, unsigned format, unsigned slot)
{
	uint8_t record[RECORD];

	write_record(record, type, format, slot);
	return sent_to(from, record, sizeof(record));
}

static void records_go_by_their_slot(void **state)
{
	unsigned families = 0;

	(void)state;
	if (!can_steer())
		skip();
	for (int ip6 = 0; ip6 < 2; ip6++) {
		int from = client(ip6);

		if (from < 0)
			continue;
		families++;
		for (unsigned slot = 0; slot < STEER_SLOTS; slot += 13)
			assert_int_equal(record_to(from, STEER_RECORD_TYPE, STEER_CID_FORMAT, slot),
					 slots[slot]);
		assert_int_equal(record_to(from, STEER_RECORD_TYPE, STEER_CID_FORMAT, STEER_SLOTS - 1),
				 slots[STEER_SLOTS - 1]);
		close(from);
	}
	assert_in_range(families, 1, 2);
}

static void slots_move_at_once(void **state)
{
	int from;

	(void)state;
	if (!can_steer())
		skip();
	from = client(false);
	for (int node = 0; node < NODES; node++) {
		slots[0x123] = (uint8_t)node;
		assert_int_equal(steer_set_slots(steer_tables(steer).slots, slots), 0);
		assert_int_equal(record_to(from, STEER_RECORD_TYPE, STEER_CID_FORMAT, 0x123), node);
	}
	close(from);
}

/* What has no connection id of ours; the length of what was sent. */
static size_t others(unsigned i, uint8_t bytes[RECORD])
{
	switch (i) {
	case 0: /* a ClientHello */
		write_record(bytes, 22, STEER_CID_FORMAT, 7);
		return RECORD;
	case 1: /* another format */
		write_record(bytes, STEER_RECORD_TYPE, STEER_CID_FORMAT + 1, 7);
		return RECORD;
	case 2: /* too short to be a record */
		write_record(bytes, STEER_RECORD_TYPE, STEER_CID_FORMAT, 7);
		return RECORD - 1;
	case 3: /* CoAP */
		memcpy(bytes, "\x40\x01\x12\x34", 4);
		return 4;
	default: /* of a slot that is nobody's here */
		write_record(bytes, STEER_RECORD_TYPE, STEER_CID_FORMAT, 4000);
		return RECORD;
	}
}

static void all_else_stays_with_its_address(void **state)
{
	unsigned used = 0;
	int probe = client(true);

	(void)state;
	if (!can_steer())
		skip();
	slots[4000] = NOBODY;
	assert_int_equal(steer_set_slots(steer_tables(steer).slots, slots), 0);
	for (int c = 0; c < 64; c++) {
		int from = client(c % 2 && probe >= 0), first = -1;

		for (unsigned i = 0; i < 5; i++) {
			uint8_t bytes[RECORD];
			size_t len = others(i, bytes);
			int node = sent_to(from, bytes, len);

			assert_true(first < 0 || node == first);
			first = node;
		}
		used |= 1U << first;
		close(from);
	}
	assert_int_equal(used,
			 (1 << NODES) - 1); /* 32 addresses, 4 nodes: one is left out once in 2,500 runs */
}

static void who_is_dead_gets_nothing(void **state)
{
	(void)state;
	if (!can_steer())
		skip();
	/* Its socket is open still: a supervisor may have it. */
	assert_int_equal(steer_set_live(steer_tables(steer).live, 1 << 2), 0);
	for (size_t i = 0; i < STEER_SLOTS; i++)
		slots[i] = i % 2 ? 2 : NOBODY;
	assert_int_equal(steer_set_slots(steer_tables(steer).slots, slots), 0);
	for (unsigned c = 0; c < 16; c++) {
		int from = client(false);

		assert_int_equal(record_to(from, 22, 0, 0), 2);
		assert_int_equal(record_to(from, STEER_RECORD_TYPE, STEER_CID_FORMAT, c), 2);
		close(from);
	}
	/* Now it is closed, and nobody said so: slots of it fall to those who live. */
	memset(slots, 1, sizeof(slots));
	assert_int_equal(steer_set_slots(steer_tables(steer).slots, slots), 0);
	close(fds[1]);
	{
		int from = client(false);

		assert_int_equal(record_to(from, STEER_RECORD_TYPE, STEER_CID_FORMAT, 9), 2);
		/* And if nobody lives, the kernel finds somebody. */
		assert_int_equal(steer_set_live(steer_tables(steer).live, 0), 0);
		assert_int_not_equal(record_to(from, STEER_RECORD_TYPE, STEER_CID_FORMAT, 9), 1);
		close(from);
	}
	fds[1] = dup(fds[0]);
}

static void without_privileges_the_kernel_shares(void **state)
{
	int status;
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0) {
		int from, node;

		if (getuid() == 0 && setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		if (steer_new(&steer) >= 0 || steer)
			_exit(2);
		from = client(false);
		node = record_to(from, STEER_RECORD_TYPE, STEER_CID_FORMAT, 1);
		_exit(node == record_to(from, STEER_RECORD_TYPE, STEER_CID_FORMAT, 2) ? 0 : 3);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(records_go_by_their_slot),
		CASE(slots_move_at_once),
		CASE(all_else_stays_with_its_address),
		CASE(who_is_dead_gets_nothing),
		CASE(without_privileges_the_kernel_shares),
	};

	return cmocka_run_group_tests_name("steer", tests, NULL, NULL);
}
