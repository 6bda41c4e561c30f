/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Bytes from another node as an answer of a device: what is read is written as the same bytes. */

#include "fuzz.h"

#include "lwm2m/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct buffer out = buffer_of(4 << 20);
	_cleanup_copy_ struct span bytes = fuzz_copy(span_of(data, size));
	struct lwm2m_answer answer;

	if (lwm2m_answer_decode(bytes, &answer) < 0)
		return 0;
	assert(answer.outcome <= LWM2M_UNKNOWN);
	assert(fuzz_within(answer.payload, bytes) && fuzz_within(answer.location, bytes) &&
	       fuzz_within(answer.request_id, bytes));
	assert(!answer.error || strlen(answer.error) < bytes.len);
	assert(lwm2m_answer_encode(&answer, &out) == 0);
	assert(span_equal(buffer_span(&out), bytes));
	return 0;
}
