/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* See server.h. The server ends with the test that started it, also if that dies. */

#include "server.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 10000, ARGUMENTS = 32 };

static bool answers(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char answer[8] = "";
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good;

	assert_true(fd >= 0);
	assert_true(strlen(path) < sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	good = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	       write(fd, "PING\r\n", 6) == 6 && read(fd, answer, sizeof(answer) - 1) > 0 &&
	       strncmp(answer, "+PONG", 5) == 0;
	close(fd);
	return good;
}

void server_start(struct place *p, const char *const *options)
{
	const char *args[ARGUMENTS];
	char path[300], log[300];
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/redis.sock", p->directory);
	snprintf(log, sizeof(log), "%s/redis.log", p->directory);
	for (const char *const *fixed = (const char *const[]){"redis-server", "--port", "0", "--save", "",
							      "--appendonly", "no", "--unixsocket", path,
							      "--dir", p->directory, "--logfile", log, NULL};
	     *fixed; fixed++)
		args[n++] = *fixed;
	for (; options && *options; options++) {
		assert_true(n < ARGUMENTS - 1);
		args[n++] = *options;
	}
	args[n] = NULL;
	fflush(NULL);
	p->server = fork();
	assert_true(p->server >= 0);
	if (p->server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(args[0], (char *const *)(uintptr_t)args);
		_exit(127);
	}
	for (uint64_t began = uv_hrtime(); !answers(path); usleep(2000)) {
		if (uv_hrtime() - began > (uint64_t)START_MS * 1000000)
			fail_msg("redis-server does not answer: see %s", log);
	}
}

void server_stop(struct place *p)
{
	if (!p->server)
		return;
	kill(p->server, SIGKILL);
	waitpid(p->server, NULL, 0);
	p->server = 0;
}

const char *server_command(const struct place *p, char *out, size_t size, const char *const *command)
{
	const char *args[ARGUMENTS] = {"redis-cli", "-s", NULL};
	char path[300];
	size_t n = 2, got = 0;
	int fds[2];
	ssize_t len;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/redis.sock", p->directory);
	args[n++] = path;
	for (; *command; command++)
		args[n++] = *command;
	assert_int_equal(pipe2(fds, 0), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execvp(args[0], (char *const *)(uintptr_t)args);
		_exit(127);
	}
	close(fds[1]);
	while (got < size - 1 && (len = read(fds[0], out + got, size - 1 - got)) > 0)
		got += (size_t)len;
	close(fds[0]);
	waitpid(pid, NULL, 0);
	while (got && out[got - 1] == '\n')
		got--;
	out[got] = '\0';
	return out;
}

struct store *second_node(struct fixture *f, uint32_t node)
{
	struct store *s = NULL;

	assert_int_equal(store_open(f->place.url, &f->options, node, &f->loop, &f->log, &s), 0);
	return s;
}

static void set_flag(void *ctx)
{
	*(bool *)ctx = true;
}

void close_node(struct fixture *f, struct store *s)
{
	bool closed = false;

	store_close(s, set_flag, &closed);
	wait_for(f, &closed);
}

void run_for(struct fixture *f, unsigned ms)
{
	for (uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000; uv_hrtime() < end; usleep(500))
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

const char *key_of(struct fixture *f, char letter, char *out, size_t size)
{
	char pattern[32];

	snprintf(pattern, sizeof(pattern), "shoal:{p*}%c*", letter);
	snprintf(out, size, "%s", REDIS("KEYS", pattern));
	assert_true(out[0] == 's' && !strchr(out, '\n'));
	return out;
}

int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}
