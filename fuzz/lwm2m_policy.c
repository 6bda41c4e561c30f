/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bytes from the store as a policy: what was read is written in a form that is read back alike. And patterns:
 * what matches does so again with `*` around it.
 */

#include "fuzz.h"

#include "lwm2m/policy.h"

enum { OUT_MAX = 1 << 20 };

static void check_pattern(struct span pattern, struct span endpoint)
{
	_cleanup_buffer_ struct buffer wide = buffer_of(OUT_MAX);

	buffer_u8(&wide, '*');
	buffer_bytes(&wide, pattern);
	buffer_u8(&wide, '*');
	if (policy_matches(pattern, endpoint))
		assert(policy_matches(buffer_span(&wide), endpoint));
	assert(policy_matches(span_str("*"), endpoint));
	if (!pattern.len ||
	    (!memchr(pattern.data, '*', pattern.len) && !memchr(pattern.data, '?', pattern.len)))
		assert(policy_matches(pattern, endpoint) == span_equal(pattern, endpoint));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct buffer first = buffer_of(OUT_MAX), second = buffer_of(OUT_MAX);
	struct span bytes = span_of(data, size);
	size_t cut = size ? data[0] % size : 0;
	struct policy p;

	check_pattern(span_of(data, cut), span_from(bytes, cut));
	if (policy_decode(bytes, &p) < 0)
		return 0;
	assert(p.path_count <= POLICY_PATHS_MAX && p.composite_count <= POLICY_PATHS_MAX);
	assert(policy_encode(&p, &first) == 0 && first.len <= size);
	assert(policy_decode(buffer_span(&first), &p) == 0);
	assert(policy_encode(&p, &second) == 0);
	assert(span_equal(buffer_span(&first), buffer_span(&second)));
	return 0;
}
