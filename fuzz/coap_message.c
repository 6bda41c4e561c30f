/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A datagram as a CoAP message. There is only one way to write a message, so what was parsed must encode to
 * the same bytes; and whatever asks for an option gets values that lie in the datagram.
 */

#include "fuzz.h"

#include "coap/block.h"
#include "coap/message.h"

static void ask(const struct coap_message *m, struct span datagram)
{
	static const uint16_t known[] = {COAP_OPTION_URI_PATH, COAP_OPTION_URI_QUERY, 0};
	uint16_t critical = coap_unknown_critical(m, known);
	struct coap_block block;
	uint32_t number;
	char text[8];

	assert(critical == 0 || critical & 1);
	for (size_t i = 0; i < m->option_count; i++) {
		const struct coap_option *o = coap_find(m, m->options[i].number);

		for (; o; o = coap_find_next(m, o))
			assert(o->number == m->options[i].number && fuzz_within(coap_value(o), datagram));
		if (i)
			assert(m->options[i - 1].number <= m->options[i].number);
		if (coap_find_uint(m, m->options[i].number, &number))
			assert(coap_find(m, m->options[i].number)->len <= 4);
	}
	if (coap_find_block(m, COAP_OPTION_BLOCK1, &block) == COAP_BLOCK_FOUND)
		assert(block.szx <= COAP_SZX_MAX && block.num <= COAP_BLOCK_NUM_MAX);
	coap_format(m, COAP_OPTION_CONTENT_FORMAT);
	coap_path_is(m, "/rd/0");
	coap_code_text(m->code, text);
	coap_code_name(m->code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span datagram = span_of(data, size);
	_cleanup_free_ uint8_t *again = malloc(MAX(size, 1));
	struct coap_message m;
	int len;

	assert(again);
	if (coap_parse(datagram, &m) != COAP_PARSED)
		return 0;
	assert(fuzz_within(m.payload, datagram));
	ask(&m, datagram);
	len = coap_encode(&m, again, size);
	assert(len == (int)size);
	assert(memcmp(again, data, size) == 0);
	assert(coap_encode(&m, again, size - 1) < 0);
	return 0;
}
