/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Bodies of messages between nodes: what was read is written and read alike. */

#include "fuzz.h"

#include "cluster/member.h"
#include "cluster/message.h"

#define SAME(type, encode, decode)                                         \
	static void type(struct span body)                                 \
	{                                                                  \
		_cleanup_buffer_ struct buffer one = buffer_of(1 << 21);   \
		_cleanup_buffer_ struct buffer two = buffer_of(1 << 21);   \
		struct type first, second;                                 \
                                                                           \
		if (!decode(body, &first))                                 \
			return;                                            \
		encode(&first, &one);                                      \
		assert(!one.failed && decode(buffer_span(&one), &second)); \
		encode(&second, &two);                                     \
		assert(span_equal(buffer_span(&one), buffer_span(&two)));  \
	}

SAME(message_ask, message_ask_encode, message_ask_decode)
SAME(message_given, message_given_encode, message_given_decode)
SAME(message_lost, message_lost_encode, message_lost_decode)
SAME(message_datagram, message_datagram_encode, message_datagram_decode)
SAME(message_changed, message_changed_encode, message_changed_decode)

static void lease(struct span body)
{
	uint8_t one[MEMBER_BODY_MAX], two[MEMBER_BODY_MAX];
	struct writer first = writer_of(one, sizeof(one)), second = writer_of(two, sizeof(two));
	struct member m, n;

	if (!member_decode(body, &m))
		return;
	member_encode(&m, &first);
	assert(!first.failed && member_decode(writer_span(&first), &n));
	member_encode(&n, &second);
	assert(span_equal(writer_span(&first), writer_span(&second)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const read[])(struct span body) = {message_ask,	   message_given,   message_lost,
							 message_datagram, message_changed, lease};

	if (size > 0)
		read[data[0] % ARRAY_SIZE(read)](span_of(data + 1, size - 1));
	return 0;
}
