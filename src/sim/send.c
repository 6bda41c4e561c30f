/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Send. Each interval a value is measured and put behind those not yet sent; then all of them go out as soon
 * as nothing else is under way, several of them each with its time. So a device that was busy, or away from
 * its server, tells afterwards what it measured meanwhile (as much of it as there is room for).
 *
 * What becomes of the values is decided by what the server is known to have: acknowledged or refused (4.00)
 * they are done with; after 4.04, or an error of the server, it has none of them and gets them with the next
 * Send; without an answer it may have them, so they are given up rather than told twice.
 *
 * Leaves out Sends of anything else, and in any format but SenML CBOR.
 */

#include "sim/send.h"

#include "codec/codec.h"
#include "sim/content.h"

#include <errno.h>

enum { SAMPLES_MAX = 64, ENCODE_LIMIT = 64 << 10 };

static const struct path sensor_value = {.ids = {OBJECT_TEMPERATURE, 0, RESOURCE_SENSOR_VALUE},
					 .depth = PATH_RESOURCE};

struct sample {
	uint64_t wall_ms;
	double value;
};

struct sending {
	struct device *device;
	struct timer timer;
	uint64_t due_ms;
	uint32_t count;
	uint32_t under_way; /* how many of the first are in the Send that runs; 0: none runs */
	struct sample samples[SAMPLES_MAX]; /* oldest first */
};

int send_init(struct device *d)
{
	if (!d->sim->options->send_ms)
		return 0;
	d->sending = calloc(1, sizeof(*d->sending));
	if (!d->sending)
		return -ENOMEM;
	d->sending->device = d;
	return 0;
}

void send_deinit(struct device *d)
{
	if (d->sending)
		timer_cancel(&d->sim->timers, &d->sending->timer);
	free(d->sending);
	d->sending = NULL;
}

void send_forget(struct device *d)
{
	if (d->sending)
		d->sending->count = d->sending->under_way = 0;
}

/* ---- measuring ---- */

static void drop(struct sending *s, uint32_t from, uint32_t count)
{
	memmove(&s->samples[from], &s->samples[from + count],
		(s->count - from - count) * sizeof(s->samples[0]));
	s->count -= count;
}

/* Nothing if the sensor was deleted. */
static void measure(struct sending *s, uint64_t now_ms)
{
	_cleanup_arena_ struct arena arena;
	struct device *d = s->device;
	char name[DEVICE_NAME];
	const struct objects_env env = content_env(d, now_ms, name);
	struct records records = records_of(&arena);

	arena_init(&arena, ENCODE_LIMIT);
	/* The oldest makes room, but none that is under way. */
	if (s->count == SAMPLES_MAX && s->under_way < SAMPLES_MAX)
		drop(s, s->under_way, 1);
	if (s->count == SAMPLES_MAX)
		return;
	/* Each value that is told has its own number; one that is then not measured leaves a gap. */
	d->objects.sequence++;
	if (objects_read(&d->objects, &env, &sensor_value, &records) != COAP_CONTENT)
		return;
	s->samples[s->count++] = (struct sample){env.wall_ms, records.items[0].value.real};
}

static void on_due(struct timer *t, uint64_t now_ms)
{
	struct sending *s = container_of(t, struct sending, timer);
	struct device *d = s->device;

	if (d->sim->stopping)
		return;
	s->due_ms += d->sim->options->send_ms;
	timer_set(&d->sim->timers, t, s->due_ms, on_due);
	if (d->state == DEVICE_BOOTING)
		return;
	if (d->objects.muted) {
		drop(s, s->under_way, s->count - s->under_way);
		return;
	}
	measure(s, now_ms);
	d->wanted |= WANT_SEND;
	device_act(d, now_ms);
}

void send_start(struct device *d, uint64_t now_ms)
{
	struct sending *s = d->sending;

	if (!s || timer_is_set(&s->timer))
		return;
	s->due_ms = now_ms + d->sim->options->send_ms;
	timer_set(&d->sim->timers, &s->timer, s->due_ms, on_due);
}

/* ---- sending ---- */

static void on_sent(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
		    uint64_t now_ms);

static bool encode(const struct sending *s, struct buffer *out)
{
	_cleanup_arena_ struct arena arena;
	struct codec_context codec = {.model = &s->device->sim->model,
				      .any_path = true,
				      .now_ms = s->samples[0].wall_ms,
				      .arena = &arena};
	struct record items[SAMPLES_MAX];

	arena_init(&arena, ENCODE_LIMIT);
	for (uint32_t i = 0; i < s->count; i++)
		items[i] = (struct record){.path = sensor_value,
					   .value = {.type = VALUE_FLOAT, .real = s->samples[i].value},
					   .timed = s->count > 1,
					   .time_ms = (int64_t)s->samples[i].wall_ms};
	return codec_encode(&codec, FORMAT_SENML_CBOR, items, s->count, out) == CODEC_OK;
}

/* One message with what is left of d->upload. */
static bool post(struct device *d, uint64_t now_ms)
{
	struct coap_message m;
	int rc;

	coap_message_init(&m, COAP_CON, COAP_POST, 0, device_next_token(d));
	rc = coap_add(&m, COAP_OPTION_URI_PATH, span_str("dp"));
	rc |= coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, FORMAT_SENML_CBOR);
	rc |= coap_upload_fill(&d->upload, &m);
	assert(rc == 0); /* a few options of 48 */
	(void)rc;
	return device_request(d, &m, on_sent, now_ms);
}

static void enter_in_ledger(const struct sending *s)
{
	struct device *d = s->device;
	char name[DEVICE_NAME], path[PATH_TEXT];

	device_name(d, name);
	path_format(&sensor_value, path);
	for (uint32_t i = 0; i < s->under_way; i++)
		ledger_write(&d->sim->ledger, "ack send %s %s %.0f", name, path, s->samples[i].value);
}

static void settle(struct sending *s, uint8_t code, uint64_t now_ms)
{
	struct device *d = s->device;
	uint32_t under_way = s->under_way;
	bool done = code == COAP_CHANGED || code == COAP_BAD_REQUEST || code == COAP_EMPTY;

	if (code == COAP_CHANGED) {
		enter_in_ledger(s);
		d->sim->stats.sends++;
		d->sim->stats.values_sent += under_way;
	} else if (code != COAP_EMPTY)
		d->sim->stats.refused_by_server[code]++;
	s->under_way = 0;
	if (done)
		drop(s, 0, under_way);
	if (code == COAP_EMPTY || code == COAP_NOT_FOUND)
		device_lost(d, code == COAP_EMPTY, now_ms);
	device_act(d, now_ms);
}

static void on_sent(void *ctx, enum coap_outcome outcome, const struct coap_message *response,
		    uint64_t now_ms)
{
	struct device *d = ctx;

	d->exchange = NULL;
	if (outcome == COAP_RESPONSE && coap_upload_take(&d->upload, response) == COAP_UPLOAD_NEXT) {
		if (!post(d, now_ms))
			d->sending->under_way = 0; /* no room now: from the start, with the next value */
		return;
	}
	coap_upload_deinit(&d->upload);
	/* COAP_EMPTY: no answer. */
	settle(d->sending, outcome == COAP_RESPONSE ? response->code : COAP_EMPTY, now_ms);
}

void send_begin(struct device *d, uint64_t now_ms)
{
	struct buffer body = buffer_of(ENCODE_LIMIT);
	struct sending *s = d->sending;

	d->wanted &= (uint8_t)~WANT_SEND;
	if (d->objects.muted)
		s->count = 0;
	if (!s->count)
		return;
	if (!encode(s, &body)) {
		buffer_deinit(&body); /* no memory now: with the next value */
		return;
	}
	coap_upload_begin(&d->upload, body);
	if (post(d, now_ms))
		s->under_way = s->count;
}
