/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The least a device can be and still be one: it registers with two links, updates, lets itself be observed
 * at /3/0/9, notifies, and answers reads. It has one message under way at a time, known by its message id.
 * Leaves out retransmission: what is lost has to be seen.
 */

#include "bench/fleet.h"

#include "base/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

enum { FORMAT_TEXT = 0, FORMAT_LINK = 40, FORMAT_SENML_CBOR = 112 };

static const char links[] = "</1/0>,</3/0>";

int fleet_init(struct fleet *f)
{
	void *devices = mmap(NULL, AIR_DEVICES_MAX * sizeof(struct device), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*f = (struct fleet){.devices = devices};
	return devices == MAP_FAILED ? -errno : 0;
}

void fleet_deinit(struct fleet *f)
{
	munmap(f->devices, AIR_DEVICES_MAX * sizeof(struct device));
}

const char *fleet_endpoint(uint32_t device, char text[ENDPOINT_TEXT])
{
	snprintf(text, ENDPOINT_TEXT, "urn:imei:%015" PRIu32, device);
	return text;
}

static uint32_t divisor(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

void fleet_resize(struct fleet *f, uint32_t count)
{
	f->count = count;
	f->position = 0;
	/* The golden section of a circle: no step comes back close to where one was, and all places are met.
	 */
	f->stride = MAX((uint32_t)((double)count * 0.618), 1U);
	while (count && divisor(f->stride, count) != 1)
		f->stride++;
}

uint32_t fleet_pick(struct fleet *f)
{
	f->position = (uint32_t)(((uint64_t)f->position + f->stride) % f->count);
	return f->position;
}

/* ---- what it says ---- */

static struct coap_token token_of(const struct device *d, uint32_t device)
{
	struct coap_token token = {.len = 8};
	struct writer w = writer_of(token.bytes, sizeof(token.bytes));

	writer_u32(&w, device);
	writer_u16(&w, d->mid);
	writer_u16(&w, (uint16_t)(d->mid * 40503U));
	return token;
}

static void start_request(struct coap_message *m, struct device *d, uint32_t device)
{
	d->mid++;
	coap_message_init(m, COAP_CON, COAP_POST, d->mid, token_of(d, device));
	(void)coap_add(m, COAP_OPTION_URI_PATH, span_str("rd"));
}

static size_t encode(const struct coap_message *m, uint8_t *out)
{
	int len = coap_encode(m, out, AIR_DATAGRAM_MAX);

	assert(len > 0);
	return (size_t)len;
}

size_t fleet_register(struct fleet *f, uint32_t device, uint8_t *out)
{
	char endpoint[ENDPOINT_TEXT], ep[ENDPOINT_TEXT + 3];
	struct coap_message m;

	snprintf(ep, sizeof(ep), "ep=%s", fleet_endpoint(device, endpoint));
	start_request(&m, &f->devices[device], device);
	(void)coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, FORMAT_LINK);
	(void)coap_add(&m, COAP_OPTION_URI_QUERY, span_str("lwm2m=1.1"));
	(void)coap_add(&m, COAP_OPTION_URI_QUERY, span_str(ep));
	(void)coap_add(&m, COAP_OPTION_URI_QUERY, span_str("b=U"));
	(void)coap_add(&m, COAP_OPTION_URI_QUERY, span_str("lt=86400"));
	m.payload = span_str(links);
	return encode(&m, out);
}

size_t fleet_update(struct fleet *f, uint32_t device, uint8_t *out)
{
	struct device *d = &f->devices[device];
	struct coap_message m;

	start_request(&m, d, device);
	(void)coap_add(&m, COAP_OPTION_URI_PATH, span_of(d->location, d->location_len));
	return encode(&m, out);
}

/* [{-2: "/3/0/9", 2: value}] or "value": the battery's level. */
static struct span level(uint16_t format, unsigned value, uint8_t payload[16])
{
	struct writer w = writer_of(payload, 16);

	if (format == FORMAT_SENML_CBOR) {
		static const uint8_t before[] = {0x81, 0xA2, 0x21, 0x66, '/',  '3',
						 '/',  '0',  '/',  '9',	 0x02, 0x18};

		writer_bytes(&w, span_of(before, sizeof(before)));
		writer_u8(&w, (uint8_t)(24 + value % 76));
	} else {
		writer_u8(&w, (uint8_t)('0' + value / 10 % 10));
		writer_u8(&w, (uint8_t)('0' + value % 10));
	}
	return writer_span(&w);
}

static size_t notify(struct fleet *f, uint32_t device, enum coap_type type, uint8_t *out)
{
	struct device *d = &f->devices[device];
	struct coap_message m;
	uint8_t payload[16];

	d->mid++;
	f->notifications++;
	coap_message_init(&m, type, COAP_CONTENT, d->mid, d->observed);
	(void)coap_add_uint(&m, COAP_OPTION_OBSERVE, f->notifications & 0xFFFFFF);
	(void)coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, FORMAT_SENML_CBOR);
	m.payload = level(FORMAT_SENML_CBOR, f->notifications, payload);
	return encode(&m, out);
}

size_t fleet_notify_con(struct fleet *f, uint32_t device, uint8_t *out)
{
	return notify(f, device, COAP_CON, out);
}

size_t fleet_notify_non(struct fleet *f, uint32_t device, uint8_t *out)
{
	return notify(f, device, COAP_NON, out);
}

/* ---- what it is told ---- */

/* The location of 2.01: /rd/<id>. */
static bool note_location(struct device *d, const struct coap_message *m)
{
	const struct coap_option *first = coap_find(m, COAP_OPTION_LOCATION_PATH);
	const struct coap_option *id = first ? coap_find_next(m, first) : NULL;

	if (!id || id->len == 0 || id->len > LOCATION_MAX)
		return false;
	d->location_len = (uint8_t)id->len;
	memcpy(d->location, id->value, id->len);
	return true;
}

/* 2.04 to an Update, 2.01 to a Register, nothing to a notification. */
static enum fleet_input take_answer(struct device *d, const struct coap_message *m)
{
	if (m->type != COAP_ACK)
		return FLEET_REFUSAL;
	if (m->code == COAP_CREATED)
		return note_location(d, m) ? FLEET_ANSWER : FLEET_REFUSAL;
	return m->code == COAP_CHANGED || m->code == COAP_EMPTY ? FLEET_ANSWER : FLEET_REFUSAL;
}

static size_t answer(struct fleet *f, struct device *d, const struct coap_message *request, uint8_t *out)
{
	uint16_t accept = coap_format(request, COAP_OPTION_ACCEPT);
	uint16_t format =
		accept == FORMAT_SENML_CBOR && coap_path_is(request, "/3/0/9") ? accept : FORMAT_TEXT;
	struct coap_message m;
	uint8_t payload[16];
	uint32_t observe;

	coap_message_init(&m, COAP_ACK, COAP_CONTENT, request->mid, request->token);
	if (coap_find_uint(request, COAP_OPTION_OBSERVE, &observe) && observe == 0) {
		d->observed = request->token;
		(void)coap_add_uint(&m, COAP_OPTION_OBSERVE, ++f->notifications & 0xFFFFFF);
	}
	(void)coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, format);
	m.payload = format == FORMAT_TEXT && !coap_path_is(request, "/3/0/9") ? span_str("bench")
									      : level(format, 42, payload);
	return encode(&m, out);
}

enum fleet_input fleet_input(struct fleet *f, uint32_t device, struct span datagram, uint16_t *mid,
			     uint8_t *out, size_t *len)
{
	struct device *d = &f->devices[device];
	struct coap_message m;

	if (coap_parse(datagram, &m) != COAP_PARSED)
		return FLEET_STRAY;
	*mid = m.mid;
	if (m.type == COAP_ACK || m.type == COAP_RST)
		return take_answer(d, &m);
	if (m.type != COAP_CON || m.code != COAP_GET)
		return FLEET_STRAY;
	*len = answer(f, d, &m, out);
	return FLEET_REQUEST;
}
