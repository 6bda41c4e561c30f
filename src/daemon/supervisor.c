/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Nodes are children by fork, without exec: sockets, tables and settings are simply there. That asks of this
 * process that it never has threads or a loop of libuv: it sleeps in poll() on signals and on a pipe.
 *
 * The hard idea is what becomes of the datagrams of a node that is dead. With steering its socket stays open
 * here, nobody is pointed to it any more, and the next one takes it up with what is still in it. Without, the
 * kernel would go on to hand a share of all devices to a socket that nobody reads: so it is closed, whereupon
 * the kernel shares among the others, and the next one gets a new socket.
 *
 * Leaves out what a node does, and which slots it has.
 */

#include "daemon/supervisor.h"

#include "net/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct child {
	pid_t pid;		       /* 0: none runs */
	int fds[SUPERVISOR_PORTS_MAX]; /* -1: closed */
	uint64_t began_ms;
	uint64_t due_ms; /* of the next start */
	uint64_t pause_ms;
};

struct supervisor {
	struct supervisor_config config;
	struct address ports[SUPERVISOR_PORTS_MAX]; /* with the numbers that they got */
	struct child children[STEER_NODES_MAX];
	struct steer *steer; /* NULL: the kernel's hash shares, ... */
	int steer_error;     /* ... because of this */
	uint64_t live;
	pid_t pid;
	int signals;
	int ready[2];
	sigset_t before;
	bool stopping;
	int status;
};

/* What a node says. */
struct ready {
	uint32_t index;
	int32_t pid;
};

void supervisor_config_init(struct supervisor_config *c)
{
	*c = (struct supervisor_config){
		.nodes = 1, .steer = true, .pause_ms = 500, .pause_max_ms = 30000, .steady_ms = 60000};
}

void shared_say_ready(const struct shared *s)
{
	struct ready r = {s->index, getpid()};

	/* If nobody is there to hear it, we are about to end. */
	if (write(s->ready_fd, &r, sizeof(r)) < 0)
		return;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- sockets ---- */

static void close_sockets(struct supervisor *s, struct child *c)
{
	for (size_t p = 0; p < s->config.port_count; p++) {
		if (c->fds[p] >= 0)
			close(c->fds[p]);
		c->fds[p] = -1;
	}
}

/* A group per port, and the kernel told how to choose from it. */
static int open_port(struct supervisor *s, size_t port)
{
	int fds[STEER_NODES_MAX], err = udp_open_shared(&s->ports[port], s->config.nodes, fds);

	for (unsigned i = 0; err == 0 && i < s->config.nodes; i++)
		s->children[i].fds[port] = fds[i];
	if (err == 0)
		err = udp_bound(fds[0], &s->ports[port]);
	if (err < 0) {
		char text[ADDRESS_TEXT];

		log_event(s->config.log, LOG_ERROR, "cannot-listen", "address=%s error=\"%s\"",
			  address_format(&s->ports[port], text), strerror(-err));
		return err;
	}
	if (s->steer)
		s->steer_error = steer_attach(s->steer, fds, s->config.nodes);
	if (s->steer_error < 0)
		s->steer = steer_free(s->steer);
	return 0;
}

static int open_ports(struct supervisor *s)
{
	int err = 0;

	if (s->config.steer)
		s->steer_error = steer_new(&s->steer);
	for (size_t p = 0; err == 0 && p < s->config.port_count; p++)
		err = open_port(s, p);
	if (err == 0 && s->steer_error < 0)
		log_event(s->config.log, LOG_WARN, "not-steered",
			  "error=\"%s\" hint=\"the kernel's hash shares the ports: devices move when a node "
			  "comes or goes. CAP_BPF and CAP_NET_ADMIN would let their connection ids decide\"",
			  strerror(-s->steer_error));
	return err;
}

static int reopen_sockets(struct supervisor *s, struct child *c)
{
	int err = 0;

	for (size_t p = 0; err == 0 && p < s->config.port_count; p++)
		if (c->fds[p] < 0)
			err = udp_open_shared(&s->ports[p], 1, &c->fds[p]);
	return err;
}

static void set_live(struct supervisor *s, uint64_t live)
{
	int err;

	s->live = live;
	err = s->steer ? steer_set_live(steer_tables(s->steer).live, live) : 0;
	if (err < 0)
		log_event(s->config.log, LOG_ERROR, "not-steered", "error=\"%s\"", strerror(-err));
}

/* ---- children ---- */

/* In the child: nothing of ours stays open but what is its own. */
static int be_node(struct supervisor *s, unsigned index)
{
	struct shared shared = {.index = index,
				.count = s->config.nodes,
				.fd_count = s->config.port_count,
				.tables = s->steer ? steer_tables(s->steer) : (struct steer_tables){-1, -1},
				.ready_fd = s->ready[1]};
	int status;

	(void)setpgid(0, 0); /* Ctrl-C is the supervisor's, which passes it on, once */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != s->pid)
		raise(SIGTERM); /* it was too late to hear of it */
	memcpy(shared.fds, s->children[index].fds, sizeof(shared.fds));
	for (unsigned i = 0; i < s->config.nodes; i++)
		if (i != index)
			close_sockets(s, &s->children[i]);
	close(s->signals);
	close(s->ready[0]);
	sigprocmask(SIG_SETMASK, &s->before, NULL);
	status = s->config.run(s->config.ctx, &shared);
	steer_free(s->steer);
	close(s->ready[1]);
	return status;
}

static void start_later(struct supervisor *s, struct child *c)
{
	c->due_ms = now() + c->pause_ms;
	c->pause_ms = MIN(c->pause_ms * 2, s->config.pause_max_ms);
}

/* True in the child, when its node has ended. */
static bool start(struct supervisor *s, unsigned index)
{
	struct child *c = &s->children[index];
	int err = reopen_sockets(s, c);
	pid_t pid = err < 0 ? -1 : fork();

	if (pid == 0) {
		s->status = be_node(s, index);
		return true;
	}
	if (pid < 0) {
		log_event(s->config.log, LOG_ERROR, "node-not-started", "index=%u error=\"%s\"", index,
			  strerror(err < 0 ? -err : errno));
		start_later(s, c);
		return false;
	}
	c->pid = pid;
	c->began_ms = now();
	return false;
}

/* True in a child. */
static bool start_due(struct supervisor *s)
{
	for (unsigned i = 0; i < s->config.nodes && !s->stopping; i++)
		if (!s->children[i].pid && s->children[i].due_ms <= now() && start(s, i))
			return true;
	return false;
}

static void kill_all(const struct supervisor *s, int number)
{
	for (unsigned i = 0; i < s->config.nodes; i++)
		if (s->children[i].pid)
			kill(s->children[i].pid, number);
}

static void stop(struct supervisor *s)
{
	kill_all(s, s->stopping ? SIGKILL : SIGTERM);
	s->stopping = true;
}

static void died(struct supervisor *s, unsigned index, int how)
{
	struct child *c = &s->children[index];

	c->pid = 0;
	set_live(s, s->live & ~(UINT64_C(1) << index));
	if (!s->steer)
		close_sockets(s, c);
	if (s->stopping)
		return;
	if (WIFEXITED(how) && WEXITSTATUS(how) == SUPERVISOR_HOPELESS) {
		s->status = SUPERVISOR_HOPELESS;
		stop(s);
		return;
	}
	if (now() - c->began_ms >= s->config.steady_ms)
		c->pause_ms = s->config.pause_ms;
	log_event(s->config.log, LOG_WARN, "node-died", "index=%u %s=%d restart_ms=%" PRIu64, index,
		  WIFSIGNALED(how) ? "signal" : "status", WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how),
		  c->pause_ms);
	start_later(s, c);
}

static void reap(struct supervisor *s)
{
	pid_t pid;
	int how;

	while ((pid = waitpid(-1, &how, WNOHANG)) > 0)
		for (unsigned i = 0; i < s->config.nodes; i++)
			if (s->children[i].pid == pid)
				died(s, i, how);
}

/* ---- what happens ---- */

static void take_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(s);
		else
			stop(s);
	}
}

/* From a node that has died meanwhile it means nothing any more. */
static void take_ready(struct supervisor *s)
{
	struct ready r;

	while (read(s->ready[0], &r, sizeof(r)) == sizeof(r)) {
		if (r.index >= s->config.nodes || s->children[r.index].pid != r.pid)
			continue;
		set_live(s, s->live | UINT64_C(1) << r.index);
		log_event(s->config.log, LOG_INFO, "node-ready", "index=%u pid=%d", r.index, (int)r.pid);
	}
}

static bool any_runs(const struct supervisor *s)
{
	for (unsigned i = 0; i < s->config.nodes; i++)
		if (s->children[i].pid)
			return true;
	return false;
}

static int wait_ms(const struct supervisor *s)
{
	uint64_t at = now(), wait = UINT64_MAX;

	for (unsigned i = 0; i < s->config.nodes && !s->stopping; i++)
		if (!s->children[i].pid)
			wait = MIN(wait, s->children[i].due_ms - MIN(at, s->children[i].due_ms));
	return wait == UINT64_MAX ? -1 : (int)MIN(wait, (uint64_t)INT32_MAX);
}

static int prepare(struct supervisor *s)
{
	sigset_t set;
	int err;

	for (unsigned i = 0; i < s->config.nodes; i++) {
		memset(s->children[i].fds, -1, sizeof(s->children[i].fds));
		s->children[i].pause_ms = s->config.pause_ms;
	}
	if (pipe2(s->ready, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &s->before);
	s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	err = s->signals < 0 ? -errno : open_ports(s);
	return err;
}

static void end(struct supervisor *s)
{
	for (unsigned i = 0; i < s->config.nodes; i++)
		close_sockets(s, &s->children[i]);
	steer_free(s->steer);
	for (size_t i = 0; i < 2; i++)
		if (s->ready[i] >= 0)
			close(s->ready[i]);
	if (s->signals >= 0)
		close(s->signals);
	sigprocmask(SIG_SETMASK, &s->before, NULL);
}

int supervisor_run(const struct supervisor_config *config)
{
	struct supervisor s = {.config = *config, .signals = -1, .ready = {-1, -1}, .pid = getpid()};

	assert(config->nodes > 0 && config->nodes <= STEER_NODES_MAX &&
	       config->port_count <= SUPERVISOR_PORTS_MAX);
	sigprocmask(SIG_SETMASK, NULL, &s.before);
	if (config->port_count)
		memcpy(s.ports, config->ports, config->port_count * sizeof(*config->ports));
	if (prepare(&s) < 0) {
		end(&s);
		return 1;
	}
	while (!s.stopping || any_runs(&s)) {
		struct pollfd polls[] = {{s.signals, POLLIN, 0}, {s.ready[0], POLLIN, 0}};

		if (start_due(&s))
			return s.status;
		(void)poll(polls, ARRAY_SIZE(polls), wait_ms(&s));
		take_ready(&s);
		take_signals(&s);
	}
	end(&s);
	return s.status;
}
