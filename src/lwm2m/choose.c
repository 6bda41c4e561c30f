/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Which Content-Format to ask for and to write in, when the caller does not say (lwm2m.md, D4 and D5): what
 * the device announced, else what its version must know.
 */

#include "lwm2m/core.h"

/* In order of preference. */
static const uint16_t announced[] = {FORMAT_SENML_CBOR, FORMAT_SENML_JSON, FORMAT_TLV};

static bool find_announced(const struct registration *r, uint16_t *format)
{
	for (size_t i = 0; i < ARRAY_SIZE(announced); i++) {
		if (!registration_supports(r, announced[i]))
			continue;
		*format = announced[i];
		return true;
	}
	return false;
}

uint16_t choose_accept(const struct registration *r)
{
	uint16_t format;

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

uint16_t choose_write(const struct registration *r, const struct path *path, const struct record *items,
		      size_t count)
{
	uint16_t format;

	if (count == 1 && path->depth >= PATH_RESOURCE && path_compare(path, &items[0].path) == 0 &&
	    items[0].value.type != VALUE_NONE)
		return items[0].value.type == VALUE_OPAQUE ? FORMAT_OPAQUE : FORMAT_TEXT;
	if (find_announced(r, &format))
		return format;
	return r->lwm2m.minor == 0 ? FORMAT_TLV : FORMAT_SENML_CBOR;
}
