/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The contract suite: `test_contract BACKEND` runs every theme against that backend, as one stream of TAP. */

#include "child.h"

static const struct theme *const themes[] = {
	&devices_theme, &events_theme, &documents_theme, &requests_theme, &restart_theme, &load_theme,
};

int main(int argc, char **argv)
{
	const struct backend *backend = argc > 1 ? backend_find(argv[1]) : NULL;
	struct CMUnitTest all[256];
	size_t count = 0;

	if (argc > 1 && strcmp(argv[1], "--child") == 0)
		return child_main(argc, argv);
	if (!backend) {
		fprintf(stderr, "usage: test_contract BACKEND\n");
		return 2;
	}
	for (size_t i = 0; i < ARRAY_SIZE(themes); i++) {
		for (size_t j = 0; j < themes[i]->count; j++) {
			assert(count < ARRAY_SIZE(all));
			all[count] = themes[i]->tests[j];
			all[count].setup_func = fixture_setup;
			all[count].teardown_func = fixture_teardown;
			all[count++].initial_state = (void *)(uintptr_t)backend;
		}
	}
	return _cmocka_run_group_tests("contract", all, count, NULL, NULL);
}
