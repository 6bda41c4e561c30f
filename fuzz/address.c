/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Addresses, CoAP URIs, paths, versions and decimal numbers in text: what was understood is written and
 * understood alike. */

#include "fuzz.h"

#include "base/address.h"
#include "coap/uri.h"

static void check_address(const char *text)
{
	struct address a, b;
	char again[ADDRESS_TEXT];

	if (address_parse(text, &a) < 0)
		return;
	assert(address_parse(address_format(&a, again), &b) == 0);
	assert(address_equal(&a, &b));
}

static void check_path(struct span text)
{
	struct path p, q;
	char again[PATH_TEXT];

	if (!path_parse(text, &p))
		return;
	assert(path_parse(span_str(path_format(&p, again)), &q));
	assert(path_compare(&p, &q) == 0);
	for (unsigned depth = 0; depth <= p.depth; depth++) {
		struct path base = path_up_to(p, depth);
		size_t len = path_format_tail(&p, depth, again);

		assert(path_is_within(&p, &base));
		assert(path_parse_below(&base, span_of(again, len), &q) && path_compare(&p, &q) == 0);
	}
}

/* A value that was made of text is written to text which makes the same value. */
static void check_values(struct span text)
{
	for (unsigned type = VALUE_NONE + 1; type < VALUE_TYPES; type++) {
		struct value v = {.type = VALUE_STRING, .bytes = text}, w = {.type = VALUE_STRING};
		char again[VALUE_TEXT];
		size_t len;

		if (!utf8_valid(text) || !value_coerce(&v, (enum value_type)type, NULL))
			continue;
		assert(v.type == type);
		len = value_format(&v, again);
		if (len == 0)
			continue;
		w.bytes = span_of(again, len);
		assert(value_coerce(&w, (enum value_type)type, NULL) && value_equal(&v, &w));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_of(data, size);
	_cleanup_free_ char *text = span_dup(all);
	struct object_version version;
	struct coap_uri uri;
	uint64_t number;

	assert(text);
	check_address(text);
	check_path(all);
	check_values(all);
	if (coap_uri_parse(text, &uri) == 0)
		assert(uri.address.port != 0 && uri.address.family != 0);
	if (span_to_uint(all, 65535, &number))
		assert(number <= 65535);
	object_version_parse(all, &version);
	return 0;
}
