/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The loop around the devices: sockets, clock, signals, losses, and the end. Timers of all devices live in
 * one wheel, which is advanced before each sleep of the loop; the loop's own timer only wakes it in time.
 *
 * The end comes in two steps: `stopping` lets each device de-register at the pace at which they began, and a
 * second time limit (or a second signal) ends a wait for answers that do not come.
 */

#include "sim/fleet.h"

#include "base/clock.h"
#include "sim/report.h"
#include "sim/secure.h"

#include <errno.h>
#include <unistd.h>

enum {
	PROGRESS_TERMINAL_MS = 1000,
	PROGRESS_PIPE_MS = 10000,
	PATIENCE_MS = 48000, /* for answers to the last De-register: all its retransmissions */
	REBIND_TICK_MS = 10,
	STOP_WITHIN_MS = 10000, /* the last De-register is sent by then */
};

/* ---- datagrams ---- */

static bool is_lost(struct fleet *f)
{
	return f->options->loss_percent && random_u32(&f->dice) % 100 < f->options->loss_percent;
}

static void on_transmit(void *ctx, uint32_t index, struct span datagram)
{
	struct fleet *f = ctx;

	if (is_lost(f))
		f->lost_out++;
	else
		sockets_send(&f->sockets, index, datagram);
}

static void on_send(void *ctx, const struct address *to, struct span message)
{
	struct fleet *f = ctx;

	if (f->credentials)
		secure_send(&f->devices[device_index(to)], message);
	else
		on_transmit(f, device_index(to), message);
}

static void on_datagram(void *ctx, uint32_t index, struct span datagram)
{
	struct fleet *f = ctx;

	if (is_lost(f))
		f->lost_in++;
	else
		device_receive(&f->devices[index], datagram, clock_mono_ms());
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct fleet *f = poll->data;

	(void)status;
	(void)events;
	sockets_receive(&f->sockets, on_datagram, f);
}

/* ---- the end ---- */

static uint64_t pace_ms(const struct fleet *f, uint32_t index, uint64_t within_ms)
{
	uint64_t ms = f->options->rate ? (uint64_t)index * 1000 / f->options->rate : 0;

	/* All of them within the limit, if there is one and the pace would not manage. */
	if (within_ms && (uint64_t)f->device_count * 1000 / MAX(f->options->rate, (uint64_t)1) > within_ms)
		ms = within_ms * index / f->device_count;
	return ms;
}

static void on_patience_over(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

static void begin_end(struct fleet *f)
{
	uint64_t now_ms = clock_mono_ms();

	if (f->sim.stopping)
		return;
	f->sim.stopping = true;
	for (uint32_t i = 0; i < f->device_count; i++)
		f->unwell += !device_is_well(&f->devices[i]);
	if (f->options->stay || !f->options->deregister || f->sim.ledger.error) {
		uv_stop(&f->loop);
		return;
	}
	for (uint32_t i = 0; i < f->device_count; i++)
		device_stop(&f->devices[i], now_ms + pace_ms(f, i, STOP_WITHIN_MS));
	uv_timer_start(&f->patience, on_patience_over, STOP_WITHIN_MS + PATIENCE_MS, 0);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct fleet *f = signal->data;

	(void)number;
	if (f->signals++) {
		uv_stop(&f->loop);
		return;
	}
	if (f->interactive)
		fputs("\nDe-registering; Ctrl-C again ends at once.\n", stderr);
	begin_end(f);
}

static void on_duration_over(uv_timer_t *timer)
{
	begin_end(timer->data);
}

/* ---- time ---- */

static void on_wake(uv_timer_t *timer)
{
	(void)timer; /* the loop goes round, and that is all */
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct fleet *f = prepare->data;
	int64_t wait_ms;

	timers_advance(&f->sim.timers, clock_mono_ms());
	if (f->sim.ledger.error)
		begin_end(f);
	if (f->sim.stopping && f->sim.states[DEVICE_STOPPED] == f->device_count) {
		uv_stop(&f->loop);
		return;
	}
	wait_ms = timers_wait_ms(&f->sim.timers);
	if (wait_ms < 0)
		uv_timer_stop(&f->wake);
	else
		uv_timer_start(&f->wake, on_wake, (uint64_t)wait_ms, 0);
}

/* Devices take turns, spread over the interval: by now, device i has changed its port as often as i's time
 * came. */
static void on_rebind(uv_timer_t *timer)
{
	struct fleet *f = timer->data;
	uint64_t passed_ms = clock_mono_ms() - f->sim.begun_ms;
	uint64_t due = passed_ms * f->device_count / f->options->rebind_ms;

	for (; f->rebinds_due < due && !f->sim.stopping; f->rebinds_due++)
		if (sockets_rebind(&f->sockets, (uint32_t)(f->rebinds_due % f->device_count)) == 0)
			f->rebinds++;
}

static void on_progress(uv_timer_t *timer)
{
	report_progress(timer->data, stderr);
}

/* ---- beginning ---- */

static int check_room(struct fleet *f)
{
	const struct sim_options *options = f->options;
	uint32_t room = 0;
	int rc = sockets_reserve((uint32_t)options->count, &room);

	if (rc < 0)
		fprintf(stderr, "shoal-sim: cannot raise the limit of open files: %s\n", strerror(-rc));
	else if (room < options->count && sockets_can_share(&options->address))
		f->share = true;
	else if (room < options->count) {
		fprintf(stderr,
			"shoal-sim: %llu devices need %llu open files, one for each; the hard limit allows "
			"%u "
			"devices. Raise it (ulimit -Hn, LimitNOFILE= of systemd), or run several shoal-sim "
			"with another --prefix each\n",
			(unsigned long long)options->count,
			(unsigned long long)options->count + SOCKETS_FDS_SPARE, room);
		rc = -EMFILE;
	}
	return rc;
}

static int open_files(struct fleet *f)
{
	const struct sim_options *options = f->options;
	char text[ADDRESS_TEXT];
	int rc = ledger_open(&f->sim.ledger, options->ledger);

	if (rc < 0) {
		fprintf(stderr, "shoal-sim: --ledger %s: %s\n", options->ledger, strerror(-rc));
		return rc;
	}
	rc = sockets_open(&f->sockets, &options->address, (uint32_t)options->count, f->share);
	if (rc == -EADDRINUSE || rc == -EAGAIN)
		fprintf(stderr,
			"shoal-sim: no free UDP port for device %u: widen net.ipv4.ip_local_port_range\n",
			f->sockets.count);
	else if (rc < 0)
		fprintf(stderr, "shoal-sim: cannot open a socket for device %u to %s: %s\n", f->sockets.count,
			address_format(&options->address, text), strerror(-rc));
	return rc;
}

static int make_devices(struct fleet *f, uint64_t now_ms)
{
	f->devices = calloc(f->options->count, sizeof(*f->devices));
	if (!f->devices)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->options->count; i++) {
		int rc = device_init(&f->devices[i], &f->sim, i);

		f->device_count = i + 1;
		if (rc < 0)
			return rc;
		device_start(&f->devices[i], now_ms + pace_ms(f, i, 0));
	}
	return 0;
}

static void init_handles(struct fleet *f)
{
	uv_loop_t *loop = &f->loop;

	/* None of these can fail: they fill in memory, and the descriptor is one that epoll takes. */
	uv_poll_init(loop, &f->poll, f->sockets.epoll);
	uv_prepare_init(loop, &f->prepare);
	uv_timer_init(loop, &f->wake);
	uv_timer_init(loop, &f->progress);
	uv_timer_init(loop, &f->duration);
	uv_timer_init(loop, &f->patience);
	uv_timer_init(loop, &f->rebind);
	uv_signal_init(loop, &f->terminate);
	uv_signal_init(loop, &f->interrupt);
	f->poll.data = f->prepare.data = f->progress.data = f->duration.data = f->rebind.data = f;
	f->terminate.data = f->interrupt.data = f;
}

static void start_handles(struct fleet *f)
{
	uint64_t every_ms = f->interactive ? PROGRESS_TERMINAL_MS : PROGRESS_PIPE_MS;

	uv_poll_start(&f->poll, UV_READABLE, on_readable);
	uv_prepare_start(&f->prepare, on_prepare);
	uv_timer_start(&f->progress, on_progress, every_ms, every_ms);
	if (f->options->duration_ms)
		uv_timer_start(&f->duration, on_duration_over, f->options->duration_ms, 0);
	if (f->options->rebind_ms) {
		uint64_t tick_ms = MAX(f->options->rebind_ms / f->device_count, (uint64_t)REBIND_TICK_MS);

		uv_timer_start(&f->rebind, on_rebind, tick_ms, tick_ms);
	}
	uv_signal_start(&f->terminate, on_signal, SIGTERM);
	uv_signal_start(&f->interrupt, on_signal, SIGINT);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static int run_loop(struct fleet *f)
{
	int rc = uv_loop_init(&f->loop);

	if (rc < 0)
		return rc;
	init_handles(f);
	start_handles(f);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	uv_walk(&f->loop, close_handle, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	return uv_loop_close(&f->loop);
}

/* What most devices that are not there suffer from. */
static const char *hint(const struct fleet *f)
{
	const struct sim_stats *s = &f->sim.stats;
	enum dtls_cause most = DTLS_CAUSE_NONE;

	for (unsigned i = 0; i < ARRAY_SIZE(s->handshakes_failed); i++)
		if (s->handshakes_failed[i] > s->handshakes_failed[most])
			most = (enum dtls_cause)i;
	if (most == DTLS_UNKNOWN_IDENTITY || most == DTLS_BAD_CERTIFICATE)
		return "does the server know their credentials (--write-credentials)?";
	if (most == DTLS_WRONG_KEY)
		return "the server has other keys for them";
	return s->registrations || s->handshakes ? "see the counts" : "is the server running there?";
}

static void explain(const struct fleet *f)
{
	char server[ADDRESS_TEXT];

	if (f->interactive)
		fputc('\n', stderr);
	if (f->unwell)
		fprintf(stderr, "shoal-sim: %u of %u devices were not registered at %s://%s; %s\n", f->unwell,
			f->device_count, f->options->coaps ? "coaps" : "coap",
			address_format(&f->options->address, server), hint(f));
	if (f->left)
		fprintf(stderr, "shoal-sim: %u devices could not de-register\n", f->left);
	if (f->sim.ledger.error)
		fprintf(stderr, "shoal-sim: --ledger %s: %s\n", f->options->ledger,
			strerror(-f->sim.ledger.error));
}

/* What the exit code is to say. */
static enum fleet_end judge(struct fleet *f)
{
	f->ended_ms = clock_mono_ms();
	if (f->options->deregister && !f->options->stay)
		f->left = f->sim.stats.not_deregistered + f->device_count - f->sim.states[DEVICE_STOPPED];
	explain(f);
	return f->unwell || f->left || f->sim.ledger.error ? FLEET_UNWELL : FLEET_WELL;
}

int fleet_run(struct fleet *f, const struct sim_options *options)
{
	uint64_t now_ms = clock_mono_ms();
	int rc;

	*f = (struct fleet){
		.options = options, .sockets = {.epoll = -1}, .interactive = isatty(STDERR_FILENO)};
	random_init_seed(&f->dice, options->seed);
	rc = sim_init(&f->sim, options, now_ms, clock_wall_ms(), on_send, f);
	if (rc == 0 && options->coaps)
		rc = credentials_new(options, stderr, &f->credentials);
	f->sim.credentials = f->credentials;
	f->sim.transmit = on_transmit;
	f->sim.transmit_ctx = f;
	if (rc == 0)
		rc = check_room(f);
	if (rc == 0)
		rc = open_files(f);
	if (rc == 0)
		rc = make_devices(f, now_ms);
	if (rc == 0)
		rc = run_loop(f);
	if (rc == -ENOMEM)
		fprintf(stderr, "shoal-sim: out of memory\n");
	return rc < 0 ? rc : (int)judge(f);
}

void fleet_deinit(struct fleet *f)
{
	for (uint32_t i = 0; i < f->device_count; i++)
		device_deinit(&f->devices[i]);
	free(f->devices);
	sim_deinit(&f->sim);
	credentials_free(f->credentials);
	sockets_close(&f->sockets);
}
