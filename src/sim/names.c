/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Names by number and by pattern. Left out: any pattern but one. */

#include "sim/names.h"

#include "base/bytes.h"
#include "sim/credentials.h"

#include <ctype.h>

static const char placeholder[] = "{ep}";

const char *name_of_device(const struct sim_options *options, const struct credentials *credentials,
			   uint32_t index, char name[NAME_OF_DEVICE])
{
	struct span given = credentials ? credentials_endpoint(credentials, index) : span_of(NULL, 0);

	if (given.len)
		snprintf(name, NAME_OF_DEVICE, "%.*s", (int)given.len, (const char *)given.data);
	else
		snprintf(name, NAME_OF_DEVICE, "%s-%06u", options->prefix, index + 1);
	return name;
}

bool name_is_pattern(const char *pattern)
{
	return strstr(pattern, placeholder) != NULL;
}

bool name_expand(const char *pattern, const char *name, char out[NAME_EXPANDED])
{
	struct writer w = writer_of(out, NAME_EXPANDED);
	const char *next;

	for (; (next = strstr(pattern, placeholder)); pattern = next + strlen(placeholder)) {
		writer_bytes(&w, span_of(pattern, (size_t)(next - pattern)));
		writer_str(&w, name);
	}
	writer_str(&w, pattern);
	writer_u8(&w, '\0');
	return !w.failed;
}

static int digit(uint8_t c)
{
	return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

bool name_hex(struct span text, uint8_t *out, size_t max, size_t *len)
{
	*len = text.len / 2;
	if (text.len == 0 || text.len % 2 || *len > max)
		return false;
	for (size_t i = 0; i < *len; i++) {
		int high = digit(text.data[2 * i]), low = digit(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}
