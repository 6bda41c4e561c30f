/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Devices in queue mode that sleep, wake and keep silent at random, backends that ask them all the time, a
 * network and a store that fail, a process that dies: and what must hold of queued requests whatever happens.
 *
 *   - what was told to be queued ends exactly once, as an event;
 *   - of one device, those that are answered are answered in the order in which they were queued;
 *   - an Execute reaches the device in one message at most, however often that is sent.
 */

#include <stdarg.h>
#include <stdio.h>

#include "script.h"

enum { DEVICES_MAX = 64, ASKED_MAX = 20000, AWAKE_MS = 20000, UPDATE_MS = 60000, STEP_MS = 500 };

struct sleeper {
	struct address address;
	char endpoint[16];
	char id[REGISTRATION_ID + 1]; /* of its registration; "": none */
	uint16_t mid;
	uint64_t awake_until_ms, next_ms;
	size_t last_answered; /* the place in its queue of the last request that was answered */
};

struct asked {
	char id[REQUEST_ID + 1]; /* "": not queued, or not known */
	size_t device, place;	 /* among those that were queued */
	unsigned ends;
	uint16_t mid; /* of the message that brought it; 0: none yet */
	struct queue_soak *soak;
};

struct queue_soak {
	const struct soak_options *options;
	char *error;
	bool calm; /* devices answer, networks and stores work */
	struct world world;
	struct random random;
	struct sleeper devices[DEVICES_MAX];
	size_t asked_count, queued, answered;
	struct asked asked[ASKED_MAX];
};

static void fail(struct queue_soak *k, const char *format, ...) PRINTF_LIKE(2, 3);
static void fail(struct queue_soak *k, const char *format, ...)
{
	va_list args;

	if (k->error[0])
		return;
	va_start(args, format);
	vsnprintf(k->error, 400, format, args);
	va_end(args);
}

static uint32_t below(struct queue_soak *k, uint32_t limit)
{
	return random_u32(&k->random) % limit;
}

/* ---- devices ---- */

static void say(struct queue_soak *k, struct sleeper *d, const struct coap_message *m)
{
	uint8_t data[COAP_MESSAGE_MAX];
	int len = coap_encode(m, data, sizeof(data));

	if (len <= 0)
		abort();
	d->awake_until_ms = k->world.mono_ms + AWAKE_MS;
	world_send(&k->world, &d->address, span_of(data, (size_t)len));
}

/* Its Register, or its Update; again and again until it is answered, with a new message id each time. */
static void wake(struct queue_soak *k, struct sleeper *d)
{
	struct coap_message m;
	char query[64];

	coap_message_init(&m, COAP_CON, COAP_POST, ++d->mid,
			  (struct coap_token){2, {(uint8_t)(d->mid >> 8), (uint8_t)d->mid}});
	(void)coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("rd"));
	if (d->id[0]) {
		(void)coap_add(&m, COAP_OPTION_URI_PATH, span_str(d->id));
	} else {
		snprintf(query, sizeof(query), "ep=%s&lt=86400&lwm2m=1.1&b=U&Q", d->endpoint);
		(void)coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str(query));
		m.payload = span_str("</3/0>");
	}
	say(k, d, &m);
	d->next_ms = k->world.mono_ms + 1000 + below(k, k->calm ? AWAKE_MS : UPDATE_MS);
}

static void note_execute(struct queue_soak *k, const struct coap_message *m)
{
	char text[32];
	size_t n;

	snprintf(text, sizeof(text), "%.*s", (int)MIN(m->payload.len, 31),
		 m->payload.len ? (const char *)m->payload.data : "");
	if (sscanf(text, "0='%zu'", &n) != 1 || n >= k->asked_count)
		fail(k, "an Execute that nobody asked for: %s", text);
	else if (k->asked[n].mid && k->asked[n].mid != m->mid)
		fail(k, "Execute %zu came in two messages", n);
	else
		k->asked[n].mid = m->mid;
}

static void hear_request(struct queue_soak *k, struct sleeper *d, const struct coap_message *m)
{
	struct coap_message reply;

	if (m->code == COAP_POST)
		note_execute(k, m);
	if (!k->calm && below(k, 100) < 20)
		return; /* it hears, acts, and says nothing */
	coap_message_init(&reply, COAP_ACK, m->code == COAP_POST ? COAP_CHANGED : COAP_CONTENT, m->mid,
			  m->token);
	if (m->code != COAP_POST) {
		(void)coap_add_uint(&reply, COAP_OPTION_CONTENT_FORMAT, 0);
		reply.payload = span_str("5");
	}
	say(k, d, &reply);
}

static void arrive(void *ctx, const struct address *to, struct span datagram)
{
	struct queue_soak *k = ctx;
	struct sleeper *d = NULL;
	const struct coap_option *o;
	struct coap_message m;

	for (unsigned i = 0; i < k->options->devices; i++)
		if (address_equal(&k->devices[i].address, to))
			d = &k->devices[i];
	if (!d || coap_parse(datagram, &m) != COAP_PARSED || k->world.mono_ms > d->awake_until_ms)
		return;
	if (coap_is_request(m.code)) {
		hear_request(k, d, &m);
	} else if (m.type == COAP_ACK && m.code == COAP_CREATED && m.mid == d->mid) {
		o = coap_find(&m, COAP_OPTION_LOCATION_PATH);
		o = o ? coap_find_next(&m, o) : NULL;
		if (o)
			snprintf(d->id, sizeof(d->id), "%.*s", o->len, (const char *)o->value);
	} else if (m.type == COAP_ACK && m.code == COAP_NOT_FOUND && m.mid == d->mid) {
		d->id[0] = 0;
		d->next_ms = k->world.mono_ms;
	}
}

/* ---- backends ---- */

static void answered(void *ctx, const struct lwm2m_answer *answer)
{
	struct asked *a = ctx;

	if (a->soak->world.dying || answer->outcome != LWM2M_QUEUED)
		return;
	snprintf(a->id, sizeof(a->id), "%.*s", (int)answer->request_id.len,
		 (const char *)answer->request_id.data);
	a->place = ++a->soak->queued;
}

static void ask(struct queue_soak *k)
{
	size_t device = below(k, k->options->devices);
	struct device *d = lwm2m_find(k->world.server, span_str(k->devices[device].endpoint));
	struct asked *a = &k->asked[k->asked_count];
	char arguments[32], error[160];
	bool acts = below(k, 2);
	struct lwm2m_request r = {.operation = acts ? LWM2M_EXECUTE : LWM2M_READ,
				  .path = {{3, 0, acts ? 4 : 9}, 3},
				  .format = FORMAT_NONE,
				  .path_format = FORMAT_NONE,
				  .instance = PATH_ID_NONE,
				  .timeout_ms = 5000,
				  .ttl_ms = below(k, 10) ? LWM2M_TTL_DEFAULT : 60000};
	uint64_t ticket;

	if (!d || k->asked_count == ASKED_MAX)
		return;
	*a = (struct asked){.device = device, .soak = k};
	snprintf(arguments, sizeof(arguments), "0='%zu'", k->asked_count++);
	if (acts)
		r.arguments = span_str(arguments);
	(void)!lwm2m_request(k->world.server, d, &r, answered, a, &ticket, error);
}

static void taken_back(void *ctx, enum lwm2m_cancelled result)
{
	(void)ctx;
	(void)result; /* its end is an event, if it has one */
}

static void take_back(struct queue_soak *k)
{
	const struct asked *a =
		k->asked_count ? &k->asked[k->asked_count - 1 - below(k, (uint32_t)MIN(k->asked_count, 50))]
			       : NULL;
	struct device *d = a ? lwm2m_find(k->world.server, span_str(k->devices[a->device].endpoint)) : NULL;

	if (d && a->id[0])
		(void)!lwm2m_queue_cancel(k->world.server, d, span_str(a->id), taken_back, k);
}

/* ---- the course of things ---- */

static void advance(struct queue_soak *k, uint64_t ms)
{
	for (uint64_t end = k->world.mono_ms + ms; k->world.mono_ms < end && !k->error[0];) {
		for (unsigned i = 0; i < k->options->devices; i++)
			if (k->world.mono_ms >= k->devices[i].next_ms)
				wake(k, &k->devices[i]);
		if (!k->calm && below(k, 100) < 30)
			ask(k);
		if (!k->calm && below(k, 100) < 2)
			take_back(k);
		world_advance(&k->world, STEP_MS);
	}
}

static struct asked *find_asked(struct queue_soak *k, struct span id)
{
	for (size_t i = 0; i < k->asked_count; i++)
		if (span_equal(span_str(k->asked[i].id), id))
			return &k->asked[i];
	return NULL;
}

static void check_end(struct queue_soak *k, const struct lwm2m_event *e)
{
	struct asked *a = find_asked(k, e->request_id);
	size_t place = a ? a->place : 0;
	struct sleeper *d = a ? &k->devices[a->device] : NULL;

	if (!a) /* its caller died with the process, or before it was told */
		return;
	if (++a->ends > 1)
		fail(k, "request %zu ended twice, at last as %s", place, queued_state_name(e->state));
	if (e->state != QUEUED_ANSWERED)
		return;
	k->answered++;
	if (d->last_answered > place)
		fail(k, "%s: request %zu was answered after %zu", d->endpoint, place, d->last_answered);
	d->last_answered = place;
}

static void check_ends(struct queue_soak *k)
{
	for (size_t i = 0; i < k->world.store.event_count; i++) {
		const struct stored_event *stored = &k->world.store.events[i];
		struct lwm2m_event e;

		if (lwm2m_event_decode(stored->type, span_str(stored->endpoint),
				       span_of(stored->body, stored->len), &e) < 0)
			fail(k, "an event that cannot be decoded");
		else if (e.type == EVENT_REQUEST_ENDED)
			check_end(k, &e);
	}
	for (size_t i = 0; i < k->asked_count; i++)
		if (k->asked[i].id[0] && k->asked[i].ends != 1)
			fail(k, "request %zu (%s) ended %u times", i, k->asked[i].id, k->asked[i].ends);
}

static void set_faults(struct queue_soak *k, bool on)
{
	struct network *n = &k->world.network;

	n->loss = on ? k->options->loss : 0;
	n->duplicate = on ? k->options->duplicate : 0;
	n->reorder = on ? k->options->reorder : 0;
	n->delay_max_ms = 200;
	k->world.store.fail_permille = on ? k->options->fail_permille : 0;
	k->world.store.delay_max_ms = 30;
	k->calm = !on;
}

static void run(struct queue_soak *k)
{
	uint64_t part_ms = k->options->seconds * 1000ULL / (k->options->crashes + 1);

	set_faults(k, true);
	for (unsigned i = 0; i <= k->options->crashes; i++) {
		advance(k, part_ms);
		if (i < k->options->crashes)
			world_crash(&k->world, below(k, (uint32_t)world_pending_writes(&k->world) + 1));
	}
	/* Whatever waits is answered, or expires. */
	set_faults(k, false);
	advance(k, 1200000);
	check_ends(k);
}

bool soak_queue_run(const struct soak_options *o, char error[400], char summary[200])
{
	struct queue_soak *k = calloc(1, sizeof(*k));

	if (!k || o->devices > DEVICES_MAX)
		abort();
	error[0] = 0;
	k->options = o;
	k->error = error;
	random_init_seed(&k->random, o->seed);
	world_init(&k->world, o->seed);
	k->world.config.awake_ms = AWAKE_MS;
	k->world.config.queue.ttl_ms = 600000;
	k->world.arrive = arrive;
	k->world.ctx = k;
	for (unsigned i = 0; i < o->devices; i++) {
		struct sleeper *d = &k->devices[i];
		char address[32];

		snprintf(d->endpoint, sizeof(d->endpoint), "dev-%u", i);
		snprintf(address, sizeof(address), "192.0.2.1:%u", 10000 + i);
		if (address_parse(address, &d->address) < 0)
			abort();
		d->next_ms = k->world.mono_ms + below(k, UPDATE_MS);
	}
	world_start(&k->world);
	run(k);
	snprintf(summary, 200, "%zu requests, %zu queued, %zu answered", k->asked_count, k->queued,
		 k->answered);
	world_deinit(&k->world);
	free(k);
	if (!error[0] && (o->seconds < 100 || strtoul(strchr(summary, ',') + 2, NULL, 10) > 0))
		return true;
	if (!error[0])
		snprintf(error, 400, "nothing was queued");
	return false;
}
