/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The daemon's settings from an INI file or a command line. Wrong ones are refused with words and right ones
 * without; what was accepted is within its range, and lists can be walked.
 */

#include "fuzz.h"

#include "daemon/settings.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 32 };

static void check_number(const struct setting *s, const void *at)
{
	uint64_t v = *(const uint64_t *)at;

	/* 0 of a setting without default: never set. */
	if (s->fallback || v)
		assert(v >= s->min && (s->max == 0 || v <= s->max));
}

static void check_choice(const struct setting *s, const void *at)
{
	unsigned v = *(const unsigned *)at, count = 0;

	while (s->choices[count])
		count++;
	assert(v < count);
}

static void check_list(const void *at)
{
	const char *cursor = *(char *const *)at;
	struct span item;

	while (settings_list_next(&cursor, &item))
		assert(item.len > 0);
}

static void check_values(const struct daemon_settings *values)
{
	for (size_t i = 0; i < daemon_schema.count; i++) {
		const struct setting *s = &daemon_schema.settings[i];
		const void *at = (const char *)values + s->offset;

		if (s->type == SETTING_UINT || s->type == SETTING_DURATION || s->type == SETTING_SIZE)
			check_number(s, at);
		else if (s->type == SETTING_CHOICE)
			check_choice(s, at);
		else if (s->type == SETTING_LIST)
			check_list(at);
	}
}

static int load_file(struct daemon_settings *values, struct span text, FILE *error)
{
	int fd = memfd_create("settings", MFD_CLOEXEC), rc;
	char path[64];

	assert(fd >= 0);
	if (text.len)
		assert(write(fd, text.data, text.len) == (ssize_t)text.len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = settings_load_file(&daemon_schema, values, path, error);
	close(fd);
	return rc;
}

/* Arguments are separated by line breaks. */
static int load_arguments(struct daemon_settings *values, struct span text, FILE *error)
{
	_cleanup_free_ char *copy = span_dup(text);
	char *argv[ARGUMENTS_MAX + 1] = {0}, *rest = copy, *argument;
	int argc = 0;

	assert(copy);
	while (argc < ARGUMENTS_MAX && (argument = strsep(&rest, "\n")))
		argv[argc++] = argument;
	return settings_load_arguments(&daemon_schema, values, argc, argv, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_from(span_of(data, size), 1);
	struct daemon_settings values = {0};
	_cleanup_free_ char *said = NULL;
	size_t said_len = 0;
	FILE *error = open_memstream(&said, &said_len);
	int rc;

	assert(error && settings_init(&daemon_schema, &values) == 0);
	check_values(&values);
	rc = size && data[0] & 1 ? load_arguments(&values, text, error) : load_file(&values, text, error);
	fclose(error);
	assert(rc == 0 || rc == -EINVAL);
	assert((rc == 0) == (said_len == 0));
	if (rc == 0)
		check_values(&values);
	settings_deinit(&daemon_schema, &values);
	return 0;
}
