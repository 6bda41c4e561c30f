/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The hard idea is the open loop. A generator that waits for answers slows down with the server and then
 * finds it fast enough; here the clock alone decides what is due, and latency counts from when it was due.
 * Between bursts the generator sleeps: on this machine it shares the processors with whom it measures.
 */

#include "bench/offer.h"

#include "base/bytes.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#define SECOND 1000000000ULL

enum {
	WINDOW = 512,		  /* of a closed loop ... */
	HANDSHAKES = 64,	  /* ... with handshakes: some 11 KiB of the server's memory each */
	AGAIN_NS = 1000000000,	  /* a closed loop repeats what was not answered for so long */
	GIVE_UP_NS = 20000000,	  /* times 1000: a closed loop without any progress */
	DRAIN_NS = 400000000,	  /* after an offer, for what is under way */
	TICK_NS = 500000,	  /* how often a closed loop and the drain look */
	CATCH_UP = 4 * AIR_BATCH, /* datagrams that leave before answers are looked at again */
};

static const struct operation operations[] = {
	{"update", fleet_update, .fresh = false},
	{"register", fleet_register, .fresh = true},
	{"register-again", fleet_register, .fresh = false},
	{"notify-con", fleet_notify_con, .observed = true},
	{"notify-non", fleet_notify_non, .observed = true, .silent = true},
	{"read", NULL, .fresh = false},
	{"handshake", NULL, .handshake = true},
};

static bool is_read(const struct operation *o)
{
	return !o->message && !o->handshake;
}

const struct operation *operation_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].name, name) == 0)
			return &operations[i];
	return NULL;
}

/* ---- clocks ---- */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t = {0};

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* User and kernel time of all threads of a process, those that ended included. */
static int cpu_ns(pid_t pid, uint64_t *out)
{
	clockid_t clock;
	int err = clock_getcpuclockid(pid, &clock);

	if (err == 0)
		*out = clock_ns(clock);
	return -err;
}

static uint64_t now_ms(void)
{
	return now_ns() / 1000000;
}

/* ---- what goes out ---- */

/* The echo knows nothing of sessions. */
static bool is_secure(const struct bench *b)
{
	return b->secure && !b->echo;
}

static void put(struct bench *b, uint32_t device, struct span message)
{
	if (is_secure(b)) {
		(void)secure_send(b->secure, device, message);
		return;
	}
	memcpy(air_next(b->air), message.data, message.len);
	air_send(b->air, device, message.len);
}

static void say(struct bench *b, uint32_t device, fleet_message *message)
{
	uint8_t out[AIR_DATAGRAM_MAX];

	put(b, device, span_of(out, message(&b->fleet, device, out)));
}

/* ---- what comes in ---- */

struct intake {
	struct bench *b;
	uint64_t at_ns;	  /* when the datagram that is looked at arrived: CLOCK_MONOTONIC */
	bool registering; /* a handshake is followed by a Register */
	struct tally *t;
	struct rest *rest; /* NULL: not needed */
	uint64_t real_ns;  /* CLOCK_REALTIME minus CLOCK_MONOTONIC */
	uint64_t last_ns;  /* when the last answer came */
	uint64_t outstanding;
};

static void count_answer(struct intake *in, uint64_t due_ns, uint64_t at_ns, bool good)
{
	in->outstanding--;
	in->last_ns = MAX(in->last_ns, at_ns);
	in->t->answered += good;
	in->t->refused += !good;
	histogram_add(&in->t->latency, at_ns > due_ns ? at_ns - due_ns : 0);
}

/* The echo sends back our own message. */
static enum fleet_input echoed(struct span datagram, uint16_t *mid)
{
	struct reader r = reader_of(span_from(datagram, 2));

	*mid = reader_u16(&r);
	return r.failed ? FLEET_STRAY : FLEET_ANSWER;
}

/* What the device said with this message id is answered. */
static void land(struct intake *in, uint32_t device, uint16_t mid, bool good)
{
	struct flight *flight = fleet_flight(&in->b->fleet.devices[device], mid);

	if (flight->mid != mid || flight->round != in->b->round) {
		in->t->stray++;
		return;
	}
	flight->round = 0;
	count_answer(in, flight->due_ns, in->at_ns, good);
}

/* Of plain CoAP or from a session. */
static void take_message(struct intake *in, uint32_t device, struct span message)
{
	struct bench *b = in->b;
	uint8_t out[AIR_DATAGRAM_MAX];
	size_t len = 0;
	uint16_t mid;
	enum fleet_input what =
		b->echo ? echoed(message, &mid) : fleet_input(&b->fleet, device, message, &mid, out, &len);

	if (what == FLEET_REQUEST)
		put(b, device, span_of(out, len));
	else if (what == FLEET_STRAY)
		in->t->stray++;
	else
		land(in, device, mid, what == FLEET_ANSWER);
}

static void take_datagram(struct intake *in, const struct air_datagram *datagram)
{
	in->at_ns = datagram->at_ns - in->real_ns;
	if (is_secure(in->b))
		secure_input(in->b->secure, datagram->device, datagram->data, now_ms());
	else
		take_message(in, datagram->device, datagram->data);
}

/* ---- sessions ---- */

static void on_wire(void *ctx, uint32_t device, struct span datagram)
{
	struct bench *b = ctx;

	if (datagram.len > AIR_DATAGRAM_MAX)
		return;
	memcpy(air_next(b->air), datagram.data, datagram.len);
	air_send(b->air, device, datagram.len);
}

static void on_message(void *ctx, uint32_t device, struct span message)
{
	take_message(((struct bench *)ctx)->intake, device, message);
}

static void on_handshake(void *ctx, uint32_t device, bool good)
{
	struct bench *b = ctx;
	struct device *d = &b->fleet.devices[device];

	if (good && b->intake->registering) {
		d->mid--; /* the handshake departed under the number of the Register */
		say(b, device, fleet_register);
	} else {
		land(b->intake, device, d->mid, good);
	}
}

int secure_all(struct bench *b, unsigned mode)
{
	static const struct secure_host host = {.send = on_wire, .input = on_message, .done = on_handshake};

	b->secure = secure_free(b->secure);
	if (mode > SECURE_RAW_KEY)
		return -EINVAL;
	return mode ? secure_new((enum secure_mode)mode, &host, b, now_ms(), &b->secure) : 0;
}

/* Begins a handshake, which is under way like a message. */
static int shake_hands(struct bench *b, uint32_t device)
{
	b->fleet.devices[device].mid++;
	return secure_start(b->secure, device, now_ms());
}

static void take_http(void *ctx, uint64_t due_ns, bool good)
{
	count_answer(ctx, due_ns, now_ns(), good);
}

static int receive(struct intake *in)
{
	const struct air_datagram *batch;
	size_t count;

	do {
		count = air_receive(in->b->air, &batch);
		for (size_t i = 0; i < count; i++)
			take_datagram(in, &batch[i]);
	} while (count == AIR_BATCH);
	if (is_secure(in->b))
		secure_advance(in->b->secure, now_ms());
	in->t->not_sent += air_flush(in->b->air);
	return in->rest ? rest_receive(in->rest, take_http, in) : 0;
}

/* `attentive`: an answer wakes us; else only the clock does. */
static void sleep_until(const struct intake *in, uint64_t until_ns, bool attentive)
{
	struct pollfd fds[2] = {{air_fd(in->b->air), POLLIN, 0}, {-1, POLLIN, 0}};
	uint64_t now = now_ns(), wait = until_ns > now ? until_ns - now : 0;
	struct timespec left = {(time_t)(wait / SECOND), (long)(wait % SECOND)};

	if (in->rest)
		fds[1].fd = rest_fd(in->rest);
	(void)ppoll(fds, attentive ? 2 : 0, &left, NULL);
}

static void begin(struct bench *b, struct intake *in, struct tally *t, struct rest *rest)
{
	*t = (struct tally){0};
	*in = (struct intake){.b = b, .t = t, .rest = rest, .last_ns = now_ns()};
	in->real_ns = clock_ns(CLOCK_REALTIME) - now_ns();
	b->round++;
	b->intake = in;
}

/* ---- offers ---- */

/* Notes that the newest message of a device is under way. */
static void depart(struct intake *in, uint32_t device, uint64_t due_ns)
{
	struct device *d = &in->b->fleet.devices[device];
	struct flight *flight = fleet_flight(d, d->mid);

	/* What was there is lost by now, or will be a stray. */
	in->outstanding += flight->round != in->b->round;
	*flight = (struct flight){due_ns, in->b->round, d->mid};
}

static int send_datagram(struct bench *b, const struct offer *o, struct intake *in, uint64_t due_ns)
{
	uint32_t device = o->operation->fresh ? b->fresh++ : fleet_pick(&b->fleet);
	int err = 0;

	if (o->operation->handshake)
		err = shake_hands(b, device);
	else
		say(b, device, o->operation->message);
	depart(in, device, due_ns);
	return err;
}

static int send_read(struct bench *b, struct intake *in, uint64_t due_ns)
{
	char endpoint[ENDPOINT_TEXT], path[64 + ENDPOINT_TEXT];

	snprintf(path, sizeof(path), "/api/clients/%s/3/0/1",
		 fleet_endpoint(fleet_pick(&b->fleet), endpoint));
	in->outstanding++;
	return rest_request(b->rest, "GET", path, due_ns);
}

/* Sends what is due, but not so much that answers would have to wait. */
static int send_due(struct bench *b, const struct offer *o, struct intake *in, uint64_t began_ns,
		    uint64_t due)
{
	struct tally *t = in->t;
	int err = 0;

	for (unsigned i = 0; err == 0 && i < CATCH_UP && t->sent < due; i++) {
		uint64_t due_ns = began_ns + (uint64_t)((double)t->sent / o->rate * (double)SECOND);

		if (!is_read(o->operation))
			err = send_datagram(b, o, in, due_ns);
		else if (rest_idle(b->rest) == 0)
			return 0;
		else
			err = send_read(b, in, due_ns);
		t->sent++;
	}
	t->not_sent += air_flush(b->air);
	return err;
}

static int offer_until(struct bench *b, const struct offer *o, struct intake *in, uint64_t began_ns)
{
	struct tally *t = in->t;
	uint64_t total = (uint64_t)(o->rate * o->seconds), end_ns = began_ns + (uint64_t)(o->seconds * 1e9);
	bool read = is_read(o->operation);
	int err = 0;

	for (uint64_t now = began_ns; err == 0 && now < end_ns && t->sent < total; now = now_ns()) {
		uint64_t due = MIN(total, (uint64_t)((double)(now - began_ns) / 1e9 * o->rate) + 1);
		uint64_t next_ns;

		if (due >= t->sent + o->burst || due == total)
			err = send_due(b, o, in, began_ns, due);
		if (err == 0)
			err = receive(in);
		next_ns =
			began_ns + (uint64_t)((double)MIN(t->sent + o->burst - 1, total - 1) / o->rate * 1e9);
		now = now_ns();
		if (next_ns < now)
			t->lag_ns = MAX(t->lag_ns, now - next_ns);
		if (next_ns > now || (read && rest_idle(b->rest) == 0))
			sleep_until(in, MAX(next_ns, read ? now + TICK_NS : 0), read);
	}
	t->not_sent += total - t->sent;
	return err;
}

static int drain(const struct offer *o, struct intake *in)
{
	bool silent = o->operation->silent && !in->b->echo;
	int err = 0;

	in->last_ns = now_ns();
	while (err == 0 && (in->outstanding || silent) && now_ns() < in->last_ns + DRAIN_NS) {
		sleep_until(in, now_ns() + TICK_NS, is_read(o->operation));
		err = receive(in);
	}
	return err;
}

static int check(const struct bench *b, const struct operation *o, const char **why)
{
	*why = "the offer could not be made";
	if (!b->fleet.count && !o->fresh)
		*why = "no device is registered";
	else if (o->observed && (!b->fleet.count || !b->fleet.devices[0].observed.len))
		*why = "the devices are not observed";
	else if (o->handshake && !is_secure(b))
		*why = "the devices do not speak DTLS";
	else if (is_read(o) && (!b->rest || b->echo))
		*why = "there is no connection to the northbound interface";
	else
		return 0;
	return -EINVAL;
}

int offer_run(struct bench *b, const struct offer *o, struct tally *t, const char **why)
{
	uint32_t fresh = b->fresh;
	uint64_t server_ns = 0, server_end_ns = 0, own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID), began_ns;
	struct intake in;
	int err = check(b, o->operation, why);

	begin(b, &in, t, is_read(o->operation) ? b->rest : NULL);
	if (err == 0 && o->operation->fresh && b->fresh + (uint64_t)(o->rate * o->seconds) >= AIR_DEVICES_MAX)
		err = -EOVERFLOW;
	if (err == 0)
		err = cpu_ns(b->pid, &server_ns);
	began_ns = now_ns();
	if (err == 0)
		err = offer_until(b, o, &in, began_ns);
	if (err == 0)
		err = drain(o, &in);
	if (err == 0)
		err = cpu_ns(b->pid, &server_end_ns);
	if (b->echo)
		b->fresh = fresh; /* they are as unknown to shoald as before */
	t->server_cpu_ns = server_end_ns - server_ns;
	t->own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_ns;
	t->wall_ns = now_ns() - began_ns;
	return err;
}

/* ---- closed loops ---- */

static int send_register(struct intake *in, uint32_t device)
{
	struct bench *b = in->b;
	int err = 0;

	if (is_secure(b) && !secure_is_ready(b->secure, device))
		err = shake_hands(b, device);
	else
		say(b, device, fleet_register);
	depart(in, device, now_ns());
	return err;
}

/* What was sent a while ago and not answered. */
static int repeat_registers(struct intake *in, uint32_t behind)
{
	const struct bench *b = in->b;

	int err = 0;

	for (uint32_t i = b->fleet.count; err == 0 && i < behind; i++) {
		struct device *d = &b->fleet.devices[i];
		const struct flight *flight = fleet_flight(d, d->mid);

		if (flight->round != b->round || flight->due_ns + AGAIN_NS > now_ns())
			continue;
		if (is_secure(b) && secure_is_busy(b->secure, i))
			continue; /* it repeats its flights itself */
		d->mid--;	  /* the same message */
		err = send_register(in, i);
	}
	return err;
}

static int stalled(const struct intake *in, const char *what, const char **why)
{
	if (in->t->refused) {
		*why = what;
		return -EPROTO;
	}
	return now_ns() < in->last_ns + GIVE_UP_NS * 1000ULL ? 0 : -ETIMEDOUT;
}

int register_all(struct bench *b, uint32_t count, const char **why)
{
	uint64_t again_ns = now_ns() + AGAIN_NS;
	uint32_t next = b->fleet.count, window = is_secure(b) ? HANDSHAKES : WINDOW;
	struct intake in;
	struct tally t;
	int err = 0;

	*why = "devices are not registered";
	begin(b, &in, &t, NULL);
	in.registering = true;
	while (err == 0 && (next < count || in.outstanding)) {
		while (err == 0 && next < count && in.outstanding < window)
			err = send_register(&in, next++);
		if (err == 0 && now_ns() > again_ns) {
			err = repeat_registers(&in, next);
			again_ns = now_ns() + AGAIN_NS;
		}
		t.not_sent += air_flush(b->air);
		sleep_until(&in, now_ns() + TICK_NS, true);
		if (err == 0)
			err = receive(&in);
		if (err == 0)
			err = stalled(&in, "a Register was refused", why);
	}
	b->fresh = MAX(b->fresh, count);
	if (err == 0)
		fleet_resize(&b->fleet, count);
	return err;
}

int observe_all(struct bench *b, const char **why)
{
	char endpoint[ENDPOINT_TEXT], path[64 + ENDPOINT_TEXT];
	struct intake in;
	struct tally t;
	uint32_t next = 0;
	int err = b->rest ? 0 : -ENOTCONN;

	*why = "devices are not observed";
	begin(b, &in, &t, b->rest);
	while (err == 0 && (next < b->fleet.count || in.outstanding)) {
		while (err == 0 && next < b->fleet.count && rest_idle(b->rest)) {
			snprintf(path, sizeof(path), "/api/clients/%s/3/0/9/observe",
				 fleet_endpoint(next++, endpoint));
			in.outstanding++;
			err = rest_request(b->rest, "POST", path, now_ns());
		}
		sleep_until(&in, now_ns() + TICK_NS, true);
		if (err == 0)
			err = receive(&in);
		if (err == 0)
			err = stalled(&in, "an observation was refused", why);
	}
	return err;
}
