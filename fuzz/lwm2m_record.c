/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bytes from the store as the record of a device (type 0) or the body of an event (its type): what was read
 * is written in a form that is read back alike, and written alike from then on.
 */

#include "fuzz.h"

#include "lwm2m/event.h"

enum { OUT_MAX = 4 << 20, OBSERVATIONS_MAX = 256, DECLARED_MAX = 64 };

/* All observations of a record, on the heap. False: they end in what is none. */
static bool list(const struct registration *r, struct observation *out, size_t *count)
{
	struct span left = r->observations;

	*count = 0;
	while (*count < OBSERVATIONS_MAX && observation_next(&left, &out[*count])) {
		struct span paths = out[*count].paths;
		struct path p;

		assert(out[*count].token.len <= 8 && out[*count].path.depth <= PATH_RESOURCE_INSTANCE);
		while (paths_next(&paths, &p))
			assert(p.depth <= PATH_RESOURCE_INSTANCE);
		++*count;
	}
	return left.len == 0;
}

static bool rewrite(struct span record, struct buffer *out)
{
	_cleanup_free_ struct observation *o = calloc(OBSERVATIONS_MAX, sizeof(*o));
	struct registration r;
	size_t count;
	bool whole;

	assert(o);
	if (registration_decode(record, &r) < 0)
		return false;
	whole = list(&r, o, &count);
	assert(registration_encode(&r, o, count, out) == 0);
	/* What was written before there were sessions has no length of one. */
	assert(!whole || out->len <= record.len + 2);
	return true;
}

static void check_record(struct span record)
{
	_cleanup_buffer_ struct buffer first = buffer_of(OUT_MAX), second = buffer_of(OUT_MAX);

	if (!rewrite(record, &first))
		return;
	assert(rewrite(buffer_span(&first), &second));
	assert(span_equal(buffer_span(&first), buffer_span(&second)));
}

/* The registration of an event, as the record that its encoder wants. */
static void write_registration(const struct lwm2m_event *e, struct buffer *out)
{
	_cleanup_free_ struct observation *o = calloc(OBSERVATIONS_MAX, sizeof(*o));
	size_t count;

	assert(o);
	if (e->type == EVENT_REQUEST_ENDED)
		assert(queued_encode(&e->request, out) == 0);
	if (e->type != EVENT_REGISTERED && e->type != EVENT_UPDATED && e->type != EVENT_DEREGISTERED)
		return;
	list(&e->registration, o, &count);
	assert(registration_encode(&e->registration, o, count, out) == 0);
}

static bool rewrite_event(uint8_t type, struct span body, struct buffer *out)
{
	_cleanup_buffer_ struct buffer record = buffer_of(OUT_MAX);
	struct declared_object declared[DECLARED_MAX];
	struct lwm2m_event e;
	struct span paths;
	struct path p;

	if (lwm2m_event_decode(type, span_str("ep"), body, &e) < 0)
		return false;
	assert(e.type == type && e.path.depth <= PATH_RESOURCE_INSTANCE);
	for (paths = e.paths; paths_next(&paths, &p);)
		assert(p.depth <= PATH_RESOURCE_INSTANCE);
	if (type == EVENT_NOTIFICATION || type == EVENT_SEND)
		assert(lwm2m_event_model(&e, fuzz_registry(), declared, DECLARED_MAX).declared_count <=
		       DECLARED_MAX);
	write_registration(&e, &record);
	assert(lwm2m_event_encode(&e, buffer_span(&record), out) == 0);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct buffer first = buffer_of(OUT_MAX), second = buffer_of(OUT_MAX);
	struct span bytes = span_from(span_of(data, size), 1);
	uint8_t type = size ? data[0] : 0;

	if (type == 0) {
		check_record(bytes);
	} else if (rewrite_event(type, bytes, &first)) {
		assert(rewrite_event(type, buffer_span(&first), &second));
		assert(span_equal(buffer_span(&first), buffer_span(&second)));
	}
	return 0;
}
