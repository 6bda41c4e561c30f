/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Link-format: a walk over links and parameters ends, goes forward, and stays within the text. */

#include "fuzz.h"

#include "coap/linkformat.h"

static void walk_params(const struct link *l)
{
	struct span left = l->params;
	struct link_param p, found;
	char name[32];

	while (link_param_next(&left, &p) == LINK_OK) {
		assert(fuzz_within(p.name, l->params) && fuzz_within(p.value, l->params));
		assert(fuzz_within(p.raw, l->params) && p.value.len <= p.raw.len);
		assert(p.has_value || p.raw.len == 0);
		if (p.name.len >= sizeof(name) || memchr(p.name.data, 0, p.name.len))
			continue;
		memcpy(name, p.name.data, p.name.len);
		name[p.name.len] = '\0';
		assert(link_param_find(l, name, &found));
		assert(span_equal(found.name, p.name) && found.name.data <= p.name.data);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of(data, size);
	struct link_reader r = link_reader_of(text);
	enum link_next next;
	struct link l;

	for (size_t links = 0; (next = link_next(&r, &l)) == LINK_OK; links++) {
		assert(links < size);
		assert(fuzz_within(l.target, text) && fuzz_within(l.params, text));
		walk_params(&l);
	}
	assert(next == LINK_END || next == LINK_ERROR);
	if (next == LINK_END)
		assert(link_next(&r, &l) == LINK_END);
	return 0;
}
