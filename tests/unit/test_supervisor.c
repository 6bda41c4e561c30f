/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Nodes on one machine, which are stubs here: who serves, who is started again, and how all of it ends. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/supervisor.h"
#include "net/udp.h"

enum { NODES = 3, CLIENTS = 48, DEADLINE_MS = 20000 };

static pid_t supervisor;
static uint16_t port;
static int clients[CLIENTS];

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A node which answers what it gets with its number; "die" ends it. */
static int answering(void *ctx, const struct shared *shared)
{
	(void)ctx;
	shared_say_ready(shared);
	for (;;) {
		struct pollfd p = {.fd = shared->fds[0], .events = POLLIN};
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		char text[16] = "", answer = (char)('0' + shared->index);

		(void)poll(&p, 1, -1);
		if (recvfrom(p.fd, text, sizeof(text) - 1, 0, (struct sockaddr *)&from, &len) < 0)
			continue;
		if (strcmp(text, "die") == 0)
			abort();
		if (strcmp(text, "leave") == 0)
			return 3;
		(void)sendto(p.fd, &answer, 1, 0, (struct sockaddr *)&from, len);
	}
}

static int hopeless(void *ctx, const struct shared *shared)
{
	(void)ctx;
	/* One finds it, the others have to be stopped. */
	return shared->index == 1 ? SUPERVISOR_HOPELESS : answering(ctx, shared);
}

static uint16_t free_port(const struct address *at)
{
	struct address found;
	int fd;

	assert_int_equal(udp_open_shared(at, 1, &fd), 0);
	assert_int_equal(udp_bound(fd, &found), 0);
	close(fd);
	return found.port;
}

static void supervise(bool steer, int (*run)(void *ctx, const struct shared *shared))
{
	struct supervisor_config config;
	struct address at;
	struct log log;

	assert_int_equal(address_parse("[::]:0", &at), 0);
	at.port = port = free_port(&at);
	log_init(&log, STDERR_FILENO, LOG_ERROR);
	supervisor_config_init(&config);
	config.nodes = NODES;
	config.ports = &at;
	config.port_count = 1;
	config.steer = steer;
	config.pause_ms = 1500;
	config.log = &log;
	config.run = run;
	supervisor = fork();
	if (supervisor == 0)
		_exit(supervisor_run(&config));
	assert_true(supervisor > 0);
}

static int wait_for_end(void)
{
	int status;

	for (uint64_t began = now(); now() - began < DEADLINE_MS;) {
		if (waitpid(supervisor, &status, WNOHANG) == supervisor) {
			supervisor = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
		}
		usleep(5000);
	}
	fail_msg("the supervisor goes on");
	return -1;
}

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < CLIENTS; i++)
		clients[i] = socket(AF_INET, SOCK_DGRAM, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < CLIENTS; i++)
		close(clients[i]);
	if (supervisor)
		kill(supervisor, SIGKILL);
	return 0;
}

static void say(int client, const char *text)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)sendto(client, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to));
}

/* The number of who answers this client within `ms`, or -1. What came late before is thrown away. */
static int ask(int client, int ms)
{
	struct pollfd p = {.fd = client, .events = POLLIN};
	char answer;

	while (recv(client, &answer, 1, MSG_DONTWAIT) >= 0)
		;
	say(client, "?");
	if (poll(&p, 1, ms) != 1 || recv(client, &answer, 1, MSG_DONTWAIT) != 1)
		return -1;
	return answer - '0';
}

/* Until all nodes were heard. */
static void wait_for_all(void)
{
	unsigned heard = 0;

	for (uint64_t began = now(); heard != (1 << NODES) - 1 && now() - began < DEADLINE_MS;) {
		heard = 0;
		for (size_t i = 0; i < CLIENTS; i++) {
			int node = ask(clients[i], 50);

			heard |= node < 0 ? 0 : 1U << node;
		}
	}
	assert_int_equal(heard, (1 << NODES) - 1);
}

static void who_dies_is_started_again(bool steer, const char *how)
{
	int node;

	supervise(steer, answering);
	wait_for_all();
	node = ask(clients[0], 1000);
	assert_in_range(node, 0, NODES - 1);
	say(clients[0], how);
	/* Its devices are served by the others meanwhile, at once or when they ask again. */
	for (uint64_t began = now();; usleep(1000)) {
		int other = ask(clients[0], 20);

		if (other >= 0 && other != node)
			break;
		assert_true(now() - began < 1400); /* before it is started again */
	}
	wait_for_all();
	assert_int_equal(kill(supervisor, SIGTERM), 0);
	assert_int_equal(wait_for_end(), 0);
	assert_int_equal(ask(clients[0], 50), -1);
}

static void a_steered_node_is_started_again(void **state)
{
	(void)state;
	who_dies_is_started_again(true, "die");
}

static void an_unsteered_node_is_started_again(void **state)
{
	(void)state;
	who_dies_is_started_again(false, "leave");
}

static void wrong_settings_end_all(void **state)
{
	(void)state;
	supervise(true, hopeless);
	assert_int_equal(wait_for_end(), SUPERVISOR_HOPELESS);
	assert_int_equal(ask(clients[0], 50), -1);
}

static void nodes_do_not_outlive_the_supervisor(void **state)
{
	(void)state;
	supervise(true, answering);
	wait_for_all();
	assert_int_equal(kill(supervisor, SIGKILL), 0);
	assert_int_equal(wait_for_end(), -SIGKILL);
	for (uint64_t began = now(); ask(clients[0], 20) >= 0; usleep(1000))
		assert_true(now() - began < DEADLINE_MS);
}

/* A node that does not end when it is asked to. */
static int stubborn(void *ctx, const struct shared *shared)
{
	signal(SIGTERM, SIG_IGN);
	return answering(ctx, shared);
}

static void the_second_signal_kills(void **state)
{
	(void)state;
	supervise(true, stubborn);
	wait_for_all();
	assert_int_equal(kill(supervisor, SIGTERM), 0);
	usleep(100000);
	assert_int_not_equal(ask(clients[0], 1000), -1);
	assert_int_equal(kill(supervisor, SIGINT), 0);
	assert_int_equal(wait_for_end(), 0);
	assert_int_equal(ask(clients[0], 50), -1);
}

static void a_port_in_use_is_said(void **state)
{
	struct address at;
	struct udp_socket *other;

	(void)state;
	assert_int_equal(address_parse("[::]:0", &at), 0);
	assert_int_equal(udp_open(&at, 0, &other), 0);
	at = udp_local(other);
	supervisor = fork();
	if (supervisor == 0) {
		struct supervisor_config config;
		struct log log;

		log_init(&log, open("/dev/null", O_WRONLY), LOG_ERROR);
		supervisor_config_init(&config);
		config.nodes = NODES;
		config.ports = &at;
		config.port_count = 1;
		config.log = &log;
		config.run = answering;
		_exit(supervisor_run(&config));
	}
	assert_int_equal(wait_for_end(), 1);
	udp_free(other);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_steered_node_is_started_again), CASE(an_unsteered_node_is_started_again),
		CASE(wrong_settings_end_all),	       CASE(nodes_do_not_outlive_the_supervisor),
		CASE(the_second_signal_kills),	       CASE(a_port_in_use_is_said),
	};

	return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
