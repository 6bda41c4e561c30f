/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* See proxy.h. A thread that serves one connection at a time, as a store has one. */

#include "proxy.h"

#include "contract.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STEP_MS = 2 };

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path))
		abort();
	strcpy(a.sun_path, path);
	return a;
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Passes on what there is. False: that side has ended. */
static bool pass(int from, int to, bool *got)
{
	static _Thread_local char block[65536];
	ssize_t n = read(from, block, sizeof(block));

	*got = n > 0;
	if (n <= 0)
		return false;
	if (to < 0)
		return true;
	for (ssize_t done = 0, w; done < n; done += w) {
		w = write(to, block + done, (size_t)(n - done));
		if (w <= 0)
			return false;
	}
	return true;
}

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) > 0;
}

/* One step of a connection. False: it is over. */
static bool step(struct proxy *p, int client, int server)
{
	int mode = atomic_load(&p->mode);
	bool got = false;

	if (mode == PROXY_CUT)
		return false;
	if (mode == PROXY_STALL) {
		usleep(STEP_MS * 1000);
		return true;
	}
	if (readable(client, STEP_MS) && !pass(client, server, &got))
		return false;
	if (!readable(server, 0))
		return true;
	/* Asked now, and not before it was waited: what comes after it was set is lost. */
	if (atomic_load(&p->mode) == PROXY_LOSE_ANSWER) {
		(void)pass(server, -1, &got);
		atomic_store(&p->mode, PROXY_PASS);
		return false;
	}
	return pass(server, client, &got);
}

static void *run(void *arg)
{
	struct proxy *p = arg;

	while (!atomic_load(&p->stop)) {
		int client, server;

		if (!readable(p->listener, STEP_MS))
			continue;
		client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
		server = client < 0 || atomic_load(&p->mode) == PROXY_CUT ? -1 : connect_to(p->server);
		while (server >= 0 && !atomic_load(&p->stop) && step(p, client, server))
			;
		atomic_fetch_add(&p->cuts, 1);
		if (server >= 0)
			close(server);
		if (client >= 0)
			close(client);
	}
	return NULL;
}

void proxy_start(struct proxy *p, const char *directory)
{
	struct sockaddr_un a;

	snprintf(p->path, sizeof(p->path), "%s/proxy.sock", directory);
	snprintf(p->server, sizeof(p->server), "%s/redis.sock", directory);
	atomic_store(&p->mode, PROXY_PASS);
	atomic_store(&p->cuts, 0);
	atomic_store(&p->stop, false);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	a = address_of(p->path);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(p->listener, 8), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
}

void proxy_stop(struct proxy *p)
{
	atomic_store(&p->stop, true);
	pthread_join(p->thread, NULL);
	close(p->listener);
}
