/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Devices that act at random over a bad network, while the server crashes and its store fails (all by one
 * seed), and what must hold whatever happens:
 *
 *   - everything that was acknowledged to a device is in the event list exactly once; what was not, at most
 * once (but a non-confirmable message which the network doubles around a crash: nothing remembers it)
 *   - nothing is in the event list that no device sent
 *   - an acknowledged registration is known until the device ends or replaces it
 *   - no Execute acts twice; every request of the northbound side ends once, unless the process that had it
 * died
 *   - when the network is good again, what was observed is observed
 *
 * The hard idea: each message carries a number of its own (as lifetime, as value), so that an event says
 * which message made it. A device waits longer than the slowest datagram before it sends again what it gave
 * up, for without that even a perfect server could be overtaken.
 *
 * Leaves out lifetimes that end, block-wise transfers and queue mode: scripts look at these.
 */

#include <stdarg.h>
#include <stdio.h>

#include "script.h"

enum {
	STEP_MS = 100,
	ACK_TIMEOUT_MS = 2000,
	TRIES = 5,
	PAUSE_MIN_MS = 700,
	PAUSE_MAX_MS = 6000,
	GIVE_UP_MS = 8000, /* longer than any datagram is under way */
	SLOWEST_MS = 2500,
	LIFETIME_BASE = 100000,
	REPLIES = 8,
	FINAL_MS = 400000,
	SETTLED_MS = 50000, /* no copy of an Observe comes later (RFC 7252, MAX_TRANSMIT_SPAN) */
};

enum kind { KIND_REGISTER, KIND_UPDATE, KIND_DEREGISTER, KIND_NOTIFY, KIND_SEND };

struct marker {
	enum kind kind;
	bool acked, confirmable;
	unsigned seen;
	char id[REGISTRATION_ID + 1]; /* DEREGISTER */
};

struct reply {
	uint16_t mid;
	size_t len;
	uint8_t data[128];
};

struct soak_device {
	struct address address;
	char endpoint[16];
	uint16_t next_mid;
	bool registered, observed;
	char id[REGISTRATION_ID + 1];
	struct coap_token observation;
	uint64_t observed_ms; /* since when */
	uint32_t sequence;
	struct reply replies[REPLIES]; /* to requests of the server, for their retransmissions */
	unsigned reply_next;
	bool busy; /* a confirmable message is out */
	enum kind kind;
	size_t marker;
	uint16_t mid;
	uint8_t datagram[512];
	size_t len;
	unsigned tries;
	uint64_t timeout_ms, next_ms;
};

struct soak_request {
	struct soak *soak;
	unsigned ended;
	bool orphaned; /* the process that had it died */
	bool observes;
	size_t device;
};

struct soak {
	struct soak_options options;
	struct world world;
	struct random random;
	struct soak_device *devices;
	struct marker *markers;
	size_t marker_count, marker_cap;
	struct soak_request **requests;
	size_t request_count;
	bool *wanted;	   /* per device: its observation was confirmed to the northbound side */
	uint8_t *executed; /* per request: how often it acted */
	bool final;
	char *error;
};

static void fail(struct soak *k, const char *format, ...) PRINTF_LIKE(2, 3);

static void fail(struct soak *k, const char *format, ...)
{
	va_list args;

	if (k->error[0])
		return; /* the first one counts */
	va_start(args, format);
	vsnprintf(k->error, 400, format, args);
	va_end(args);
}

static uint32_t below(struct soak *k, uint32_t limit)
{
	return random_u32(&k->random) % limit;
}

static size_t marker_new(struct soak *k, enum kind kind)
{
	if (k->marker_count == k->marker_cap) {
		k->marker_cap = k->marker_cap ? k->marker_cap * 2 : 1024;
		k->markers = reallocarray(k->markers, k->marker_cap, sizeof(*k->markers));
		if (!k->markers)
			abort();
	}
	k->markers[k->marker_count] = (struct marker){.kind = kind, .confirmable = true};
	return k->marker_count++;
}

/* ---- what devices send ---- */

static void pause_device(struct soak *k, struct soak_device *d, uint64_t at_least_ms)
{
	d->busy = false;
	d->next_ms = k->world.mono_ms + at_least_ms + PAUSE_MIN_MS + below(k, PAUSE_MAX_MS - PAUSE_MIN_MS);
}

static void transmit(struct soak *k, struct soak_device *d)
{
	d->next_ms = k->world.mono_ms + d->timeout_ms;
	d->timeout_ms *= 2;
	d->tries++;
	world_send(&k->world, &d->address, span_of(d->datagram, d->len));
}

static void begin(struct soak *k, struct soak_device *d, enum kind kind, const struct coap_message *m)
{
	int len = coap_encode(m, d->datagram, sizeof(d->datagram));

	assert(len > 0);
	d->len = (size_t)len;
	d->kind = kind;
	d->mid = m->mid;
	d->tries = 0;
	d->timeout_ms = ACK_TIMEOUT_MS;
	d->busy = m->type == COAP_CON;
	transmit(k, d);
	if (!d->busy)
		pause_device(k, d, 0);
}

static struct coap_token own_token(uint16_t mid)
{
	return (struct coap_token){2, {(uint8_t)(mid >> 8), (uint8_t)mid}};
}

static void add_path(struct coap_message *m, const char *path, const char *query)
{
	int err = coap_add_segments(m, COAP_OPTION_URI_PATH, span_str(path));

	if (!err)
		err = coap_add_segments(m, COAP_OPTION_URI_QUERY, span_str(query));
	assert(!err);
	(void)err;
}

static void send_register(struct soak *k, struct soak_device *d)
{
	struct coap_message m;
	char query[64];

	d->registered = d->observed = false;
	d->marker = marker_new(k, KIND_REGISTER);
	snprintf(query, sizeof(query), "ep=%s&lwm2m=1.1&lt=%zu", d->endpoint, LIFETIME_BASE + d->marker);
	coap_message_init(&m, COAP_CON, COAP_POST, d->next_mid, own_token(d->next_mid));
	d->next_mid++;
	add_path(&m, "/rd", query);
	m.payload = span_str("</1/0>,</3/0>");
	begin(k, d, KIND_REGISTER, &m);
}

static void send_update(struct soak *k, struct soak_device *d)
{
	struct coap_message m;
	char path[32], query[32];

	d->marker = marker_new(k, KIND_UPDATE);
	snprintf(path, sizeof(path), "/rd/%s", d->id);
	snprintf(query, sizeof(query), "lt=%zu", LIFETIME_BASE + d->marker);
	coap_message_init(&m, COAP_CON, COAP_POST, d->next_mid, own_token(d->next_mid));
	d->next_mid++;
	add_path(&m, path, query);
	begin(k, d, KIND_UPDATE, &m);
}

static void send_deregister(struct soak *k, struct soak_device *d)
{
	struct coap_message m;
	char path[32];

	d->marker = marker_new(k, KIND_DEREGISTER);
	memcpy(k->markers[d->marker].id, d->id, sizeof(d->id));
	snprintf(path, sizeof(path), "/rd/%s", d->id);
	coap_message_init(&m, COAP_CON, COAP_DELETE, d->next_mid, own_token(d->next_mid));
	d->next_mid++;
	add_path(&m, path, "");
	d->registered = d->observed = false;
	begin(k, d, KIND_DEREGISTER, &m);
}

static void send_notify(struct soak *k, struct soak_device *d, enum coap_type type)
{
	struct coap_message m;
	char text[24];

	d->marker = marker_new(k, KIND_NOTIFY);
	k->markers[d->marker].confirmable = type == COAP_CON;
	snprintf(text, sizeof(text), "%zu", d->marker);
	coap_message_init(&m, type, COAP_CONTENT, d->next_mid++, d->observation);
	d->sequence++;
	if (coap_add_uint(&m, COAP_OPTION_OBSERVE, d->sequence) < 0)
		abort();
	m.payload = span_str(text);
	begin(k, d, KIND_NOTIFY, &m);
}

static void send_send(struct soak *k, struct soak_device *d)
{
	struct coap_message m;
	char text[64];

	d->marker = marker_new(k, KIND_SEND);
	snprintf(text, sizeof(text), "[{\"n\":\"/3/0/9\",\"v\":%zu}]", d->marker);
	coap_message_init(&m, COAP_CON, COAP_POST, d->next_mid, own_token(d->next_mid));
	d->next_mid++;
	add_path(&m, "/dp", "");
	if (coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, 110) < 0)
		abort();
	m.payload = span_str(text);
	begin(k, d, KIND_SEND, &m);
}

/*
 * A notification that overtakes the answer to its Observe is that answer, and reaches the caller instead of
 * the event list (observe.scn looks at it); so devices wait until this cannot be.
 */
static bool may_notify(const struct soak *k, const struct soak_device *d)
{
	return d->observed && k->world.mono_ms >= d->observed_ms + SETTLED_MS;
}

static void act(struct soak *k, struct soak_device *d)
{
	uint32_t dice = below(k, 100);

	if (!d->registered)
		send_register(k, d);
	else if (k->final)
		pause_device(k, d, 0);
	else if (dice < 1)
		send_deregister(k, d);
	else if (dice < 2)
		send_register(k, d);
	else if (dice < 20)
		send_update(k, d);
	else if (dice < 40)
		send_send(k, d);
	else if (may_notify(k, d))
		send_notify(k, d, dice < 75 ? COAP_CON : COAP_NON);
	else
		pause_device(k, d, 0);
}

static void tick(struct soak *k, struct soak_device *d)
{
	if (k->world.mono_ms < d->next_ms)
		return;
	if (!d->busy) {
		act(k, d);
	} else if (d->tries < TRIES) {
		transmit(k, d);
	} else {
		/* What became of it is unknown; a registration is begun anew. */
		if (d->kind == KIND_REGISTER || d->kind == KIND_DEREGISTER)
			d->registered = false;
		pause_device(k, d, GIVE_UP_MS);
	}
}

/* ---- what devices hear ---- */

static void registered(struct soak *k, struct soak_device *d, const struct coap_message *m)
{
	const struct coap_option *o = coap_find(m, COAP_OPTION_LOCATION_PATH);

	o = o ? coap_find_next(m, o) : NULL;
	if (!o || o->len != REGISTRATION_ID) {
		fail(k, "%s: 2.01 without a location", d->endpoint);
		return;
	}
	memcpy(d->id, o->value, REGISTRATION_ID);
	d->registered = true;
}

static void acknowledged(struct soak *k, struct soak_device *d, const struct coap_message *m)
{
	static const uint8_t expected[] = {[KIND_REGISTER] = COAP_CREATED,
					   [KIND_UPDATE] = COAP_CHANGED,
					   [KIND_DEREGISTER] = COAP_DELETED,
					   [KIND_NOTIFY] = COAP_EMPTY,
					   [KIND_SEND] = COAP_CHANGED};
	char code[8];

	if (m->type == COAP_RST && d->kind == KIND_NOTIFY)
		d->observed = false;
	else if (m->code != expected[d->kind])
		fail(k, "%s: message %zu of kind %d was answered %s", d->endpoint, d->marker, d->kind,
		     coap_code_text(m->code, code));
	else
		k->markers[d->marker].acked = true;
	if (d->kind == KIND_REGISTER && m->code == COAP_CREATED)
		registered(k, d, m);
	pause_device(k, d, 0);
}

static void note_executed(struct soak *k, const struct coap_message *m)
{
	char text[32];
	size_t number;

	snprintf(text, sizeof(text), "%.*s", (int)m->payload.len,
		 m->payload.len ? (const char *)m->payload.data : "");
	if (sscanf(text, "0='%zu'", &number) != 1 || number >= k->request_count)
		fail(k, "an Execute that nobody asked for: %s", text);
	else if (++k->executed[number] > 1)
		fail(k, "request %zu was executed twice", number);
}

static void answer(struct soak *k, struct soak_device *d, const struct coap_message *m)
{
	struct reply *r = &d->replies[d->reply_next++ % REPLIES];
	struct coap_message reply;
	uint32_t observe;
	int len;

	coap_message_init(&reply, COAP_ACK, m->code == COAP_POST ? COAP_CHANGED : COAP_CONTENT, m->mid,
			  m->token);
	if (m->code == COAP_POST)
		note_executed(k, m);
	if (coap_find_uint(m, COAP_OPTION_OBSERVE, &observe) && observe == 0) {
		d->observation = m->token;
		d->observed = true;
		d->observed_ms = k->world.mono_ms;
		if (coap_add_uint(&reply, COAP_OPTION_OBSERVE, ++d->sequence) < 0)
			abort();
	}
	if (m->code == COAP_GET) {
		(void)coap_add_uint(&reply, COAP_OPTION_CONTENT_FORMAT, 0);
		reply.payload = span_str("none");
	}
	len = coap_encode(&reply, r->data, sizeof(r->data));
	assert(len > 0);
	r->len = (size_t)len;
	r->mid = m->mid;
	world_send(&k->world, &d->address, span_of(r->data, r->len));
}

static void hear_request(struct soak *k, struct soak_device *d, const struct coap_message *m)
{
	for (unsigned i = 0; i < REPLIES; i++) {
		if (d->replies[i].len == 0 || d->replies[i].mid != m->mid)
			continue;
		world_send(&k->world, &d->address, span_of(d->replies[i].data, d->replies[i].len));
		return;
	}
	answer(k, d, m);
}

static void arrive(void *ctx, const struct address *to, struct span datagram)
{
	struct soak *k = ctx;
	struct soak_device *d = NULL;
	struct coap_message m;

	for (unsigned i = 0; i < k->options.devices && !d; i++)
		if (address_equal(&k->devices[i].address, to))
			d = &k->devices[i];
	if (!d || coap_parse(datagram, &m) != COAP_PARSED)
		fail(k, "a datagram that is none, or goes nowhere");
	else if (coap_is_request(m.code))
		hear_request(k, d, &m);
	else if (d->busy && m.mid == d->mid && (m.type == COAP_ACK || m.type == COAP_RST))
		acknowledged(k, d, &m);
}

/* ---- northbound ---- */

static void ended(void *ctx, const struct lwm2m_answer *a)
{
	struct soak_request *r = ctx;

	if (r->soak->world.dying)
		return;
	if (r->orphaned)
		fail(r->soak, "a request ended after the process that had it");
	if (++r->ended > 1)
		fail(r->soak, "a request ended twice");
	if (r->observes && a->outcome == LWM2M_ANSWERED && a->code == COAP_CONTENT && !a->error)
		r->soak->wanted[r->device] = true;
}

static void ask(struct soak *k, size_t device)
{
	struct device *d = lwm2m_find(k->world.server, span_str(k->devices[device].endpoint));
	struct soak_request *r = d ? calloc(1, sizeof(*r)) : NULL;
	struct lwm2m_request q = {
		.path = {{3, 0, 0}, 3}, .format = 0, .instance = PATH_ID_NONE, .timeout_ms = 100000};
	char arguments[32], error[160];
	uint64_t ticket;

	if (!r)
		return;
	r->soak = k;
	r->device = device;
	r->observes = !k->wanted[device];
	q.operation = r->observes ? LWM2M_OBSERVE : below(k, 2) ? LWM2M_READ : LWM2M_EXECUTE;
	if (q.operation == LWM2M_OBSERVE)
		q.path.ids[2] = 9;
	if (q.operation == LWM2M_EXECUTE) {
		q.path.ids[2] = 4;
		snprintf(arguments, sizeof(arguments), "0='%zu'", k->request_count);
		q.arguments = span_str(arguments);
	}
	k->requests = reallocarray(k->requests, k->request_count + 1, sizeof(struct soak_request *));
	k->executed = realloc(k->executed, k->request_count + 1);
	if (!k->requests || !k->executed)
		abort();
	k->executed[k->request_count] = 0;
	k->requests[k->request_count++] = r;
	if (lwm2m_request(k->world.server, d, &q, ended, r, &ticket, error) != 0)
		r->ended = 1; /* refused: too many wait */
}

static void crash(struct soak *k)
{
	size_t pending = world_pending_writes(&k->world);

	world_crash(&k->world, pending ? below(k, (uint32_t)pending + 1) : 0);
	for (size_t i = 0; i < k->request_count; i++)
		k->requests[i]->orphaned |= k->requests[i]->ended == 0;
}

/* ---- what must hold ---- */

static bool number_in(struct span payload, const char *before, size_t *number)
{
	char text[128];
	const char *at;

	snprintf(text, sizeof(text), "%.*s", (int)MIN(payload.len, 100),
		 payload.len ? (const char *)payload.data : "");
	at = strstr(text, before);
	return at && sscanf(at + strlen(before), "%zu", number) == 1;
}

/* The message that made this event. False: none did, and that is right. */
static bool marker_of(struct soak *k, const struct lwm2m_event *e, size_t *marker)
{
	switch (e->type) {
	case EVENT_REGISTERED:
	case EVENT_UPDATED:
		*marker = e->registration.lifetime_s - LIFETIME_BASE;
		return true;
	case EVENT_DEREGISTERED:
		for (*marker = 0; *marker < k->marker_count; ++*marker)
			if (strcmp(k->markers[*marker].id, e->registration.id) == 0)
				return true;
		fail(k, "%.*s: the end of a registration that no device ended", (int)e->endpoint.len,
		     (const char *)e->endpoint.data);
		return false;
	case EVENT_NOTIFICATION: /* "none" is the answer to an Observe */
		return number_in(e->payload, "", marker);
	case EVENT_SEND:
		return number_in(e->payload, "\"v\":", marker);
	case EVENT_REQUEST_ENDED: /* no device of a soak is in queue mode */
	case EVENT_AWAKE:
	case EVENT_SLEEPING:
	case EVENT_OBSERVATION_ENDED:
		fail(k, "%.*s: an observation ended, or something else that nobody asked for",
		     (int)e->endpoint.len, (const char *)e->endpoint.data);
	}
	return false;
}

static void count_events(struct soak *k)
{
	static const enum kind kinds[] = {[EVENT_REGISTERED] = KIND_REGISTER,
					  [EVENT_UPDATED] = KIND_UPDATE,
					  [EVENT_DEREGISTERED] = KIND_DEREGISTER,
					  [EVENT_NOTIFICATION] = KIND_NOTIFY,
					  [EVENT_SEND] = KIND_SEND};

	for (size_t i = 0; i < k->world.store.event_count; i++) {
		const struct stored_event *stored = &k->world.store.events[i];
		struct lwm2m_event e;
		size_t marker;

		if (lwm2m_event_decode(stored->type, span_str(stored->endpoint),
				       span_of(stored->body, stored->len), &e) < 0)
			fail(k, "an event that cannot be decoded");
		else if (!marker_of(k, &e, &marker))
			continue;
		else if (marker >= k->marker_count || k->markers[marker].kind != kinds[e.type])
			fail(k, "%s: an event that no message made", stored->endpoint);
		else
			k->markers[marker].seen++;
	}
}

static void check_markers(struct soak *k)
{
	for (size_t i = 0; i < k->marker_count; i++) {
		const struct marker *m = &k->markers[i];

		if (m->seen > 1 && m->confirmable)
			fail(k, "message %zu of kind %d is in the event list %u times", i, m->kind, m->seen);
		if (m->acked && m->seen == 0)
			fail(k, "message %zu of kind %d was acknowledged and is not in the event list", i,
			     m->kind);
	}
	for (size_t i = 0; i < k->request_count; i++)
		if (!k->requests[i]->ended && !k->requests[i]->orphaned)
			fail(k, "request %zu never ended", i);
}

/* ---- the run ---- */

static void advance(struct soak *k, uint64_t ms)
{
	for (uint64_t end_ms = k->world.mono_ms + ms; k->world.mono_ms < end_ms && !k->error[0];) {
		for (unsigned i = 0; i < k->options.devices; i++)
			tick(k, &k->devices[i]);
		if (!k->final && below(k, 20) == 0)
			ask(k, below(k, k->options.devices));
		world_advance(&k->world, STEP_MS);
	}
}

/* The network and the store are good: every device registers once more, and reports once. */
static void finale(struct soak *k)
{
	struct network *n = &k->world.network;

	n->loss = n->duplicate = n->reorder = 0;
	k->world.store.fail_permille = 0;
	k->final = true;
	advance(k, FINAL_MS);
	for (unsigned i = 0; i < k->options.devices; i++)
		k->devices[i].registered = false;
	advance(k, FINAL_MS);
	for (unsigned i = 0; i < k->options.devices && !k->error[0]; i++) {
		struct soak_device *d = &k->devices[i];

		if (!d->registered)
			fail(k, "%s could not register at the end", d->endpoint);
		else if (k->wanted[i] && !d->observed)
			fail(k, "%s: its observation was lost", d->endpoint);
		else if (k->wanted[i])
			send_notify(k, d, COAP_CON);
	}
	advance(k, 1000);
	for (unsigned i = 0; i < k->options.devices; i++)
		if (k->wanted[i] && !k->devices[i].observed)
			fail(k, "%s: its notification at the end was refused", k->devices[i].endpoint);
}

static void init_devices(struct soak *k)
{
	char address[ADDRESS_TEXT];

	for (unsigned i = 0; i < k->options.devices; i++) {
		struct soak_device *d = &k->devices[i];

		snprintf(d->endpoint, sizeof(d->endpoint), "soak-%u", i);
		snprintf(address, sizeof(address), "192.0.2.%u:%u", 1 + i % 250, 5683 + i);
		if (address_parse(address, &d->address) < 0)
			abort();
		d->next_mid = (uint16_t)random_u32(&k->random);
		d->next_ms = k->world.mono_ms + below(k, PAUSE_MAX_MS);
	}
}

static void summarise(struct soak *k, char summary[200])
{
	size_t acked = 0;
	struct lwm2m_stats stats;

	for (size_t i = 0; i < k->marker_count; i++)
		acked += k->markers[i].acked;
	lwm2m_stats(k->world.server, &stats);
	snprintf(summary, 200,
		 "%zu messages, %zu acknowledged, %zu events, %zu requests, %llu duplicates since the last "
		 "crash",
		 k->marker_count, acked, k->world.store.event_count, k->request_count,
		 (unsigned long long)stats.duplicates);
}

static void soak_deinit(struct soak *k)
{
	world_deinit(&k->world);
	for (size_t i = 0; i < k->request_count; i++)
		free(k->requests[i]);
	free(k->requests);
	free(k->executed);
	free(k->wanted);
	free(k->markers);
	free(k->devices);
}

bool soak_run(const struct soak_options *o, char error[400], char summary[200])
{
	struct soak k = {.options = *o, .error = error};

	error[0] = 0;
	world_init(&k.world, o->seed);
	k.world.arrive = arrive;
	k.world.ctx = &k;
	random_init_seed(&k.random, o->seed + 2);
	k.devices = calloc(o->devices, sizeof(*k.devices));
	k.wanted = calloc(o->devices, sizeof(*k.wanted));
	if (!k.devices || !k.wanted)
		abort();
	init_devices(&k);
	k.world.network.loss = o->loss;
	k.world.network.duplicate = o->duplicate;
	k.world.network.reorder = o->reorder;
	k.world.network.delay_min_ms = 10;
	k.world.network.delay_max_ms = SLOWEST_MS / 5;
	k.world.store.fail_permille = o->fail_permille;
	k.world.store.delay_max_ms = 50;
	world_start(&k.world);
	for (unsigned i = 0; i <= o->crashes && !error[0]; i++) {
		advance(&k, o->seconds * 1000ull / (o->crashes + 1));
		if (i < o->crashes)
			crash(&k);
	}
	if (!error[0])
		finale(&k);
	if (!error[0]) {
		count_events(&k);
		check_markers(&k);
	}
	summarise(&k, summary);
	soak_deinit(&k);
	return !error[0];
}
