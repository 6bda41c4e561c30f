/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The registration of one device. At most one of Register, Update, De-register and Send is under way;
 * whatever else becomes necessary meanwhile is a bit in `wanted`, and `device_act` begins the most important
 * of it when the way is free: after each datagram, after each exchange, and when the timer of the state
 * fires.
 *
 *     IDLE --> REGISTERING --2.01--> REGISTERED --Update fails--> REGISTERING
 *                 |  ^                   |--Reboot--> BOOTING --> REGISTERING
 *              error  pause              `--Disable--> DEREGISTERING --> DISABLED --> REGISTERING
 *                 v  |
 *               WAITING                  at the end: DEREGISTERING --> STOPPED
 *
 * With DTLS, CONNECTING stands before REGISTERING if there is no session. A registered device that wants to
 * say something without one begins a handshake, too, and stays registered: `device_act` comes back when that
 * is over. Leaves out bootstrap and more than one server.
 */

#include "sim/device.h"

#include "sim/answer.h"
#include "sim/content.h"
#include "sim/observation.h"
#include "sim/secure.h"
#include "sim/send.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum {
	BOOT_MS = 2000,
	RETRY_DOUBLINGS = 6,
	UPDATE_MARGIN_MS = 93000, /* MAX_TRANSMIT_WAIT: an Update that gets lost is repeated in time */
	LINKS_LIMIT = 64 << 10,
};

static void on_timer(struct timer *t, uint64_t now_ms);

struct address device_address(const struct sim *s, uint32_t index)
{
	struct address a = {.family = 4, .port = s->options->address.port};

	memcpy(a.ip, &index, sizeof(index));
	return a;
}

uint32_t device_index(const struct address *a)
{
	uint32_t index;

	memcpy(&index, a->ip, sizeof(index));
	return index;
}

const char *device_name(const struct device *d, char name[DEVICE_NAME])
{
	return name_of_device(d->sim->options, d->sim->credentials, d->index, name);
}

static bool is_version_1_0(const struct device *d)
{
	return d->sim->model.lwm2m.minor == 0;
}

static void enter(struct device *d, enum device_state state)
{
	d->sim->states[d->state]--;
	d->sim->states[state]++;
	d->state = (uint8_t)state;
}

/* UINT64_MAX: never. At the end of the simulation the timer is that of device_stop and no other. */
static void set_timer(struct device *d, uint64_t at_ms)
{
	if (d->sim->stopping)
		return;
	if (at_ms == UINT64_MAX)
		timer_cancel(&d->sim->timers, &d->timer);
	else
		timer_set(&d->sim->timers, &d->timer, at_ms, on_timer);
}

void device_woke(struct device *d, uint64_t now_ms)
{
	d->awake_until_ms = now_ms + d->sim->options->awake_ms;
}

/* Queue mode is a letter of the binding in 1.0 and a parameter of its own later. */
static bool sleeps(const struct device *d)
{
	return is_version_1_0(d) ? strchr(d->objects.binding, 'Q') != NULL : d->sim->options->queue_mode;
}

static bool is_asleep(const struct device *d, uint64_t now_ms)
{
	return sleeps(d) && now_ms > d->awake_until_ms && !d->peer.exchanges && !secure_is_busy(d);
}

/* ---- the requests of the registration interface ---- */

struct coap_token device_next_token(struct device *d)
{
	struct coap_token token = {.len = 6};

	memcpy(token.bytes, &d->index, 4);
	d->last_token++;
	memcpy(token.bytes + 4, &d->last_token, 2);
	return token;
}

/* Query parameters of one request: text that the message borrows. */
struct query {
	char text[4][DEVICE_NAME + 16];
	unsigned count;
};

static void add_query(struct coap_message *m, struct query *q, const char *format, ...) PRINTF_LIKE(3, 4);

static void add_query(struct coap_message *m, struct query *q, const char *format, ...)
{
	char *text = q->text[q->count++];
	va_list args;
	int rc;

	assert(q->count <= ARRAY_SIZE(q->text));
	va_start(args, format);
	vsnprintf(text, sizeof(q->text[0]), format, args);
	va_end(args);
	rc = coap_add(m, COAP_OPTION_URI_QUERY, span_str(text));
	assert(rc == 0); /* a few of 48 */
	(void)rc;
}

/* The list of objects, as what the next request carries. */
static void take_links(struct device *d, uint64_t now_ms)
{
	char name[DEVICE_NAME];
	const struct objects_env env = content_env(d, now_ms, name);
	struct buffer links = buffer_of(LINKS_LIMIT);

	if (!is_version_1_0(d)) {
		buffer_str(&links, "</>;rt=\"oma.lwm2m\";ct=\"");
		content_formats(d->sim, &links);
		buffer_str(&links, "\"");
	}
	objects_links(&d->objects, &env, &links);
	coap_upload_begin(&d->upload, links);
}

/* As much of it as goes into this message. */
static void add_links(const struct device *d, struct coap_message *m)
{
	int rc = coap_add_uint(m, COAP_OPTION_CONTENT_FORMAT, 40);

	rc |= coap_upload_fill(&d->upload, m);
	assert(rc == 0); /* a few options of 48 */
	(void)rc;
}

/* Whether a response only asks for the next block of what is under way. */
static bool wants_more(struct device *d, enum coap_outcome outcome, const struct coap_message *response)
{
	return outcome == COAP_RESPONSE && coap_upload_take(&d->upload, response) == COAP_UPLOAD_NEXT;
}

bool device_request(struct device *d, struct coap_message *m, coap_done *done, uint64_t now_ms)
{
	assert(!d->exchange);
	if (coap_start(&d->sim->coap, &d->peer, m, now_ms, done, d, &d->exchange) < 0)
		return false;
	device_woke(d, now_ms);
	return true;
}

/* Whether the response means success; counts it if it is an error. */
static bool is_ok(struct device *d, enum coap_outcome outcome, const struct coap_message *response,
		  uint8_t expected)
{
	if (outcome != COAP_RESPONSE)
		return false;
	if (response->code == expected)
		return true;
	d->sim->stats.refused_by_server[response->code]++;
	return false;
}

/* ---- Register ---- */

/* The pause before the next attempt: doubles, and is spread by a quarter so that a fleet does not march. */
static uint64_t pause_ms(struct device *d, const struct coap_message *response)
{
	uint64_t ms = d->sim->options->retry_ms << MIN(d->failures, (uint32_t)RETRY_DOUBLINGS);
	uint32_t max_age_s;

	if (response && response->code == COAP_SERVICE_UNAVAILABLE &&
	    coap_find_uint(response, COAP_OPTION_MAX_AGE, &max_age_s))
		ms = MAX(ms, (uint64_t)max_age_s * 1000);
	return ms - ms / 8 + (ms / 4 * random_u32(&d->sim->random) >> 32);
}

static void wait_and_retry(struct device *d, const struct coap_message *response, uint64_t now_ms)
{
	uint64_t ms = pause_ms(d, response);

	d->failures++;
	enter(d, DEVICE_WAITING);
	set_timer(d, now_ms + ms);
}

/* Location-Path as "/rd/abc"; only what can stand in a line of the ledger. False if there is none such. */
static bool take_location(struct device *d, const struct coap_message *response)
{
	struct writer w = writer_of(d->location, sizeof(d->location) - 1);

	for (const struct coap_option *o = coap_find(response, COAP_OPTION_LOCATION_PATH); o;
	     o = coap_find_next(response, o)) {
		for (unsigned i = 0; i < o->len; i++)
			if (!isgraph(o->value[i]) || o->value[i] == '/')
				return false;
		writer_u8(&w, '/');
		writer_bytes(&w, coap_value(o));
	}
	d->location[writer_len(&w)] = '\0';
	return !w.failed && writer_len(&w) > 1;
}

static uint64_t update_due_ms(const struct device *d, uint64_t now_ms)
{
	uint64_t lifetime_ms = (uint64_t)d->objects.lifetime_s * 1000;
	uint64_t interval_ms = d->sim->options->update_ms;
	uint64_t margin_ms = MIN((uint64_t)UPDATE_MARGIN_MS, lifetime_ms / 2);
	uint64_t due_ms = lifetime_ms ? lifetime_ms - margin_ms : UINT64_MAX; /* 0: lives for ever */

	if (interval_ms)
		due_ms = MIN(due_ms, interval_ms);
	return due_ms == UINT64_MAX ? UINT64_MAX : now_ms + due_ms;
}

static void post_register(struct device *d, uint64_t now_ms);

static void on_registered(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
			  uint64_t now_ms)
{
	struct device *d = ctx;
	char name[DEVICE_NAME];

	d->exchange = NULL;
	if (wants_more(d, outcome, response)) {
		post_register(d, now_ms);
		return;
	}
	coap_upload_deinit(&d->upload);
	if (!is_ok(d, outcome, response, COAP_CREATED) || !take_location(d, response)) {
		if (outcome != COAP_RESPONSE)
			secure_close(d);
		wait_and_retry(d, response, now_ms);
		return;
	}
	ledger_write(&d->sim->ledger, "ack register %s %s", device_name(d, name),
		     strrchr(d->location, '/') + 1);
	d->sim->stats.registrations++;
	d->failures = 0;
	d->was_registered = true;
	d->reconnected = false;
	enter(d, DEVICE_REGISTERED);
	set_timer(d, update_due_ms(d, now_ms));
	send_start(d, now_ms);
	device_act(d, now_ms);
}

/* Register, or its next block: the same options each time, they are the name of the transfer. */
static void post_register(struct device *d, uint64_t now_ms)
{
	struct coap_message m;
	struct query query = {.count = 0};
	char name[DEVICE_NAME];
	int rc;

	coap_message_init(&m, COAP_CON, COAP_POST, 0, device_next_token(d));
	rc = coap_add(&m, COAP_OPTION_URI_PATH, span_str("rd"));
	assert(rc == 0);
	(void)rc;
	add_query(&m, &query, "ep=%s", device_name(d, name));
	add_query(&m, &query, "lt=%u", d->objects.lifetime_s);
	add_query(&m, &query, "lwm2m=1.%u", d->sim->model.lwm2m.minor);
	add_query(&m, &query, "b=%s", d->objects.binding);
	if (sleeps(d) && !is_version_1_0(d)) {
		rc = coap_add(&m, COAP_OPTION_URI_QUERY, span_str("Q"));
		assert(rc == 0);
	}
	add_links(d, &m);
	if (!device_request(d, &m, on_registered, now_ms))
		wait_and_retry(d, NULL, now_ms);
}

static void connected_register(struct device *d, uint64_t now_ms)
{
	enter(d, DEVICE_REGISTERING);
	take_links(d, now_ms);
	post_register(d, now_ms);
}

static void begin_register(struct device *d, uint64_t now_ms)
{
	/* A new registration begins without observations, at both ends. */
	observation_clear(d, now_ms);
	d->wanted = 0;
	timer_cancel(&d->sim->timers, &d->timer);
	if (secure_is_ready(d)) {
		connected_register(d, now_ms);
		return;
	}
	enter(d, DEVICE_CONNECTING);
	if (!secure_is_busy(d))
		secure_connect(d, now_ms);
}

void device_lost(struct device *d, bool silent, uint64_t now_ms)
{
	if (d->state != DEVICE_REGISTERED)
		return;
	if (silent && d->secure && !d->reconnected) {
		d->reconnected = true;
		secure_close(d);
		d->wanted |= WANT_UPDATE;
		device_act(d, now_ms);
		return;
	}
	d->sim->stats.lost_registrations++;
	observation_clear(d, now_ms);
	d->wanted |= WANT_REGISTER;
	device_act(d, now_ms);
}

/* ---- Update ---- */

static void post_update(struct device *d, uint64_t now_ms);

static void on_updated(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
		       uint64_t now_ms)
{
	struct device *d = ctx;
	char name[DEVICE_NAME];

	d->exchange = NULL;
	if (wants_more(d, outcome, response)) {
		post_update(d, now_ms);
		return;
	}
	coap_upload_deinit(&d->upload);
	if (!is_ok(d, outcome, response, COAP_CHANGED)) {
		d->wanted |= d->updating; /* unless it has to register again */
		device_lost(d, outcome != COAP_RESPONSE, now_ms);
		return;
	}
	d->failures = 0;
	d->reconnected = false;
	ledger_write(&d->sim->ledger, "ack update %s", device_name(d, name));
	d->sim->stats.updates++;
	set_timer(d, update_due_ms(d, now_ms));
	device_act(d, now_ms);
}

static void post_update(struct device *d, uint64_t now_ms)
{
	struct query query = {.count = 0};
	struct coap_message m;
	int rc;

	coap_message_init(&m, COAP_CON, COAP_POST, 0, device_next_token(d));
	rc = coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str(d->location));
	assert(rc == 0); /* it came in one message */
	(void)rc;
	if (d->updating & WANT_LIFETIME)
		add_query(&m, &query, "lt=%u", d->objects.lifetime_s);
	if (d->updating & WANT_BINDING)
		add_query(&m, &query, "b=%s", d->objects.binding);
	if (d->updating & WANT_LINKS)
		add_links(d, &m);
	if (!device_request(d, &m, on_updated, now_ms)) {
		d->wanted |= d->updating;
		set_timer(d, now_ms + pause_ms(d, NULL));
	}
}

static void begin_update(struct device *d, uint64_t now_ms)
{
	d->updating = d->wanted & WANT_ANY_UPDATE;
	d->wanted &= (uint8_t)~WANT_ANY_UPDATE;
	timer_cancel(&d->sim->timers, &d->timer);
	coap_upload_deinit(&d->upload);
	if (d->updating & WANT_LINKS)
		take_links(d, now_ms);
	post_update(d, now_ms);
}

/* ---- De-register ---- */

static void stopped(struct device *d)
{
	secure_close(d);
	timer_cancel(&d->sim->timers, &d->timer);
	enter(d, DEVICE_STOPPED);
}

static void deregistered(struct device *d, bool ok, uint64_t now_ms)
{
	if (d->sim->stopping) {
		d->sim->stats.not_deregistered += !ok;
		stopped(d);
		return;
	}
	enter(d, DEVICE_DISABLED);
	set_timer(d, now_ms + (uint64_t)d->objects.disable_timeout_s * 1000);
}

static void post_deregister(struct device *d, uint64_t now_ms);

static void on_deregistered(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
			    uint64_t now_ms)
{
	struct device *d = ctx;
	bool ok = is_ok(d, outcome, response, COAP_DELETED);
	char name[DEVICE_NAME];

	d->exchange = NULL;
	if (outcome != COAP_RESPONSE && d->secure && !d->reconnected) {
		d->reconnected = true;
		secure_close(d);
		secure_connect(d, now_ms);
		return;
	}
	if (ok) {
		ledger_write(&d->sim->ledger, "ack deregister %s", device_name(d, name));
		d->sim->stats.deregistrations++;
	}
	deregistered(d, ok, now_ms);
}

static void post_deregister(struct device *d, uint64_t now_ms)
{
	struct coap_message m;
	int rc;

	coap_message_init(&m, COAP_CON, COAP_DELETE, 0, device_next_token(d));
	rc = coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str(d->location));
	assert(rc == 0);
	(void)rc;
	if (!device_request(d, &m, on_deregistered, now_ms))
		deregistered(d, false, now_ms);
}

static void begin_deregister(struct device *d, uint64_t now_ms)
{
	observation_clear(d, now_ms);
	d->wanted = 0;
	enter(d, DEVICE_DEREGISTERING);
	timer_cancel(&d->sim->timers, &d->timer);
	if (secure_is_ready(d))
		post_deregister(d, now_ms);
	else if (!secure_is_busy(d))
		secure_connect(d, now_ms);
}

/* ---- what to do next ---- */

static void drop_exchange(struct device *d, uint64_t now_ms)
{
	if (d->exchange)
		coap_cancel(&d->sim->coap, d->exchange, now_ms);
	d->exchange = NULL;
}

/* Forgets what is in a device's memory. The answers already given are kept, or a retransmitted Reboot would
 * start another one. */
static void reboot(struct device *d, uint64_t now_ms)
{
	drop_exchange(d, now_ms);
	observation_clear(d, now_ms);
	attributes_deinit(&d->attributes);
	content_forget(d);
	send_forget(d);
	secure_close(d);
	d->wanted = 0;
	enter(d, DEVICE_BOOTING);
	set_timer(d, now_ms + BOOT_MS);
}

/* A registered device has no session: begins a handshake, unless one is under way or comes after a pause. */
static void reconnect(struct device *d, uint64_t now_ms)
{
	bool pauses = d->failures && timer_is_set(&d->timer);

	if (!d->wanted || pauses || secure_is_busy(d))
		return;
	device_woke(d, now_ms);
	secure_connect(d, now_ms);
}

void device_connected(struct device *d, uint64_t now_ms)
{
	device_woke(d, now_ms);
	if (d->state == DEVICE_CONNECTING)
		connected_register(d, now_ms);
	else if (d->state == DEVICE_DEREGISTERING)
		post_deregister(d, now_ms);
	else
		device_act(d, now_ms);
}

void device_disconnected(struct device *d, bool failed, uint64_t now_ms)
{
	if (d->state == DEVICE_CONNECTING) {
		wait_and_retry(d, NULL, now_ms);
	} else if (d->state == DEVICE_DEREGISTERING && failed) {
		deregistered(d, false, now_ms);
	} else if (d->state == DEVICE_REGISTERED) {
		/* Also if the server ended it: a fleet whose sessions all end does not come back as one. */
		set_timer(d, now_ms + pause_ms(d, NULL));
		d->failures += failed;
	}
}

void device_act(struct device *d, uint64_t now_ms)
{
	if (d->state != DEVICE_REGISTERED || d->sim->stopping)
		return;
	if (d->wanted & WANT_REBOOT)
		reboot(d, now_ms);
	else if (d->exchange)
		return; /* its end leads here again */
	else if (!secure_is_ready(d))
		reconnect(d, now_ms);
	else if (d->wanted & WANT_DISABLE)
		begin_deregister(d, now_ms);
	else if (d->wanted & WANT_REGISTER)
		begin_register(d, now_ms);
	else if (d->wanted & WANT_ANY_UPDATE)
		begin_update(d, now_ms);
	else if (d->wanted & WANT_SEND)
		send_begin(d, now_ms);
}

/* The end of the simulation, for this device. */
static void stop_now(struct device *d, uint64_t now_ms)
{
	if (d->state == DEVICE_STOPPED || d->state == DEVICE_DEREGISTERING)
		return;
	drop_exchange(d, now_ms);
	if (d->state == DEVICE_REGISTERED) {
		begin_deregister(d, now_ms);
		return;
	}
	observation_clear(d, now_ms);
	stopped(d);
}

static void on_timer(struct timer *t, uint64_t now_ms)
{
	struct device *d = container_of(t, struct device, timer);

	if (d->sim->stopping)
		stop_now(d, now_ms);
	else if (d->state == DEVICE_REGISTERED) {
		d->wanted |= WANT_UPDATE;
		device_act(d, now_ms);
	} else
		begin_register(d, now_ms);
}

/* ---- from outside ---- */

int device_init(struct device *d, struct sim *s, uint32_t index)
{
	const struct address address = device_address(s, index);
	const struct sim_options *options = s->options;
	bool letter_q = options->queue_mode && s->model.lwm2m.minor == 0;

	*d = (struct device){.sim = s, .index = index, .state = DEVICE_IDLE};
	s->states[DEVICE_IDLE]++;
	list_init(&d->observations);
	coap_peer_init(&s->coap, &d->peer, &address, &s->params);
	if (send_init(d) < 0 || secure_init(d) < 0)
		return -ENOMEM;
	return objects_init(&d->objects, random_u32(&s->random), (uint32_t)(options->lifetime_ms / 1000),
			    letter_q ? "UQ" : "U", options->ledger != NULL, (uint32_t)options->instances);
}

void device_deinit(struct device *d)
{
	observation_clear(d, d->sim->timers.now_ms);
	timer_cancel(&d->sim->timers, &d->timer);
	secure_deinit(d);
	coap_peer_deinit(&d->sim->coap, &d->peer);
	coap_upload_deinit(&d->upload);
	send_deinit(d);
	content_forget(d);
	attributes_deinit(&d->attributes);
	objects_deinit(&d->objects);
}

void device_start(struct device *d, uint64_t at_ms)
{
	set_timer(d, at_ms);
}

void device_stop(struct device *d, uint64_t at_ms)
{
	assert(d->sim->stopping);
	if (d->state != DEVICE_STOPPED && d->state != DEVICE_DEREGISTERING)
		timer_set(&d->sim->timers, &d->timer, at_ms, on_timer);
}

bool device_is_well(const struct device *d)
{
	return d->was_registered && d->failures == 0;
}

/* Whether a device in this state has anything to say to requests. */
static bool is_reachable(const struct device *d)
{
	return d->state == DEVICE_REGISTERING || d->state == DEVICE_REGISTERED ||
	       d->state == DEVICE_DEREGISTERING;
}

static void on_request(struct device *d, const struct coap_message *m, struct span datagram, uint64_t now_ms)
{
	if (is_reachable(d))
		answer_request(d, m, datagram, now_ms);
	else if (m->type == COAP_CON)
		coap_reset(&d->sim->coap, &d->peer.address, m->mid);
}

void device_message(struct device *d, struct span datagram, uint64_t now_ms)
{
	struct coap_message m;

	switch (coap_input(&d->sim->coap, &d->peer.address, datagram, now_ms, &m)) {
	case COAP_INPUT_REQUEST:
		on_request(d, &m, datagram, now_ms);
		break;
	case COAP_INPUT_RESPONSE:
		/* Of an exchange that was given up: nobody wants it any more. */
		if (m.type == COAP_CON)
			coap_reset(&d->sim->coap, &d->peer.address, m.mid);
		break;
	case COAP_INPUT_RESET:
		observation_reset(d, m.mid, now_ms);
		break;
	case COAP_INPUT_DONE:
		break;
	}
	device_act(d, now_ms);
}

void device_receive(struct device *d, struct span datagram, uint64_t now_ms)
{
	if (d->state == DEVICE_BOOTING || is_asleep(d, now_ms))
		d->sim->stats.unheard++;
	else if (d->secure)
		secure_input(d, datagram, now_ms);
	else
		device_message(d, datagram, now_ms);
}
