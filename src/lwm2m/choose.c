/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Which Content-Format to ask for and to write in, when the caller does not say (lwm2m.md, D4 and D5): what
 * the device was seen to understand, else what it announced, else what its version must know. What it refuses
 * is replaced by the next best, and both are remembered until it registers anew.
 */

#include "lwm2m/core.h"

/* In order of preference; a write that is refused goes on to the next. */
static const uint16_t formats[] = {FORMAT_SENML_CBOR, FORMAT_TLV, FORMAT_SENML_JSON};

void choose_reset(struct device *d)
{
	d->good_read = d->good_single = d->good_write = COAP_FORMAT_NONE;
	d->bare_read = false;
}

static bool find_announced(const struct registration *r, uint16_t *format)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (!registration_supports(r, formats[i]))
			continue;
		*format = formats[i];
		return true;
	}
	return false;
}

uint16_t choose_accept(const struct device *d, const struct registration *r)
{
	uint16_t format;

	if (d->bare_read)
		return COAP_FORMAT_NONE;
	if (d->good_read != COAP_FORMAT_NONE)
		return d->good_read;
	if (find_announced(r, &format))
		return format;
	/* Devices of 1.0 may stay silent on an Accept they do not know; they answer in a format of their own
	 * without one. */
	return r->lwm2m.minor == 0 ? COAP_FORMAT_NONE : FORMAT_SENML_CBOR;
}

uint16_t choose_composite(const struct registration *r)
{
	return !registration_supports(r, FORMAT_SENML_CBOR) && registration_supports(r, FORMAT_SENML_JSON)
		       ? FORMAT_SENML_JSON
		       : FORMAT_SENML_CBOR;
}

uint16_t choose_write(const struct device *d, const struct registration *r, const struct path *path,
		      const struct record *items, size_t count)
{
	uint16_t format;

	if (count == 1 && path->depth >= PATH_RESOURCE && path_compare(path, &items[0].path) == 0 &&
	    items[0].value.type != VALUE_NONE) {
		if (items[0].value.type == VALUE_OPAQUE)
			return FORMAT_OPAQUE;
		return d->good_single != COAP_FORMAT_NONE ? d->good_single : FORMAT_TEXT;
	}
	if (d->good_write != COAP_FORMAT_NONE)
		return d->good_write;
	if (find_announced(r, &format))
		return format;
	return r->lwm2m.minor == 0 ? FORMAT_TLV : FORMAT_SENML_CBOR;
}

uint16_t choose_next_write(const struct registration *r, uint8_t *refused, uint16_t format)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i] == format)
			*refused |= (uint8_t)(1u << i);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		bool known = r->lwm2m.minor > 0 || formats[i] == FORMAT_TLV ||
			     registration_supports(r, formats[i]);

		if (known && !(*refused & 1u << i))
			return formats[i];
	}
	return COAP_FORMAT_NONE;
}

void choose_learn(struct operation *op, uint8_t code)
{
	struct device *d = op->device;

	if (coap_class(code) != 2)
		return;
	if (op->bare)
		d->bare_read = true;
	if (op->accept_chosen)
		d->good_read = op->accept;
	if (op->write_chosen && op->single && op->out.format != FORMAT_OPAQUE)
		d->good_single = op->out.format;
	else if (op->write_chosen && !op->single)
		d->good_write = op->out.format;
}
