/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The order of notifications at the borders of RFC 7641, 3.4: half the circle, and 128 seconds. */

#include "coap_test.h"

#include "coap/observe.h"

static void test_order(void **state)
{
	static const struct {
		uint32_t v1, v2;
		uint64_t t2_ms; /* the first came at 1000 */
		bool newer;
	} cases[] = {
		{1, 2, 1000, true},
		{2, 1, 1000, false},
		{5, 5, 1000, false}, /* a duplicate */
		{5, 5, 129000, false},
		{5, 5, 129001, true},
		{2, 1, 129000, false},
		{2, 1, 129001, true}, /* the number says nothing any more */
		{0, (1 << 23) - 1, 1000, true},
		{0, 1 << 23, 1000, false},
		{(1 << 23) + 1, 0, 1000, true},
		{1 << 23, 0, 1000, false},
		{0xffffff, 0, 1000, true}, /* it wraps */
		{0, 0xffffff, 1000, false},
		{0xfffffe, 1, 1000, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (coap_observe_is_newer(cases[i].v1, 1000, cases[i].v2, cases[i].t2_ms) != cases[i].newer)
			fail_msg("case %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_order)};

	return cmocka_run_group_tests_name("coap_observe", tests, NULL, NULL);
}
