/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Policies as data: what is a good one, whom it is for, and its bytes. What follows from them: policies.c. */

#include "lwm2m/policy.h"

#include <errno.h>
#include <stdio.h>

#include "lwm2m/core.h"
#include "lwm2m/wire.h"

enum { POLICY_VERSION = 1 };

bool policy_name_valid(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			     c == '-' || c == '_' || c == '.';

		if (!plain)
			return false;
	}
	return name.len > 0 && name.len <= POLICY_NAME_MAX;
}

/* The last `*` is remembered: one that stands before it never has to take more. */
bool policy_matches(struct span pattern, struct span endpoint)
{
	size_t p = 0, e = 0, star = SIZE_MAX, from = 0;

	while (e < endpoint.len) {
		if (p < pattern.len && pattern.data[p] == '*') {
			star = p++;
			from = e;
		} else if (p < pattern.len &&
			   (pattern.data[p] == '?' || pattern.data[p] == endpoint.data[e])) {
			p++;
			e++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			e = ++from;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == '*')
		p++;
	return p == pattern.len;
}

static const char *check_path(const struct policy *p, const struct path *path, char words[160])
{
	char text[PATH_TEXT], error[160];
	const char *wrong = NULL;

	if (path->depth == PATH_ROOT)
		return "the root cannot be observed";
	if (p->attributes.len > 0)
		wrong = attributes_check(p->attributes, path, error);
	if (!wrong)
		return NULL;
	snprintf(words, 160, "%s: %.110s", path_format(path, text), wrong);
	return words;
}

const char *policy_check(const struct policy *p, char words[160])
{
	const char *wrong = NULL;

	if (p->path_count + p->composite_count == 0)
		return "it observes nothing: paths or composite is a list of paths";
	if (p->attributes.len > POLICY_ATTRIBUTES_MAX)
		return "the attributes are too long";
	if (p->attributes.len > 0 && p->path_count == 0)
		return "attributes are for single paths";
	for (size_t i = 0; i < p->path_count && !wrong; i++)
		wrong = check_path(p, &p->paths[i], words);
	return wrong;
}

static void write_paths(struct buffer *out, const struct path *paths, size_t count)
{
	buffer_u8(out, (uint8_t)count);
	for (size_t i = 0; i < count; i++)
		write_path(out, &paths[i]);
}

static size_t read_paths(struct reader *r, struct path paths[POLICY_PATHS_MAX])
{
	size_t count = reader_u8(r);

	if (count > POLICY_PATHS_MAX) {
		r->failed = true;
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		read_path(r, &paths[i]);
	return count;
}

int policy_encode(const struct policy *p, struct buffer *out)
{
	buffer_u8(out, POLICY_VERSION);
	write_span32(out, p->pattern);
	write_span32(out, p->attributes);
	buffer_uint(out, p->format, 2);
	write_paths(out, p->paths, p->path_count);
	write_paths(out, p->composite, p->composite_count);
	return out->failed ? -ENOSPC : 0;
}

int policy_decode(struct span body, struct policy *out)
{
	struct reader r = reader_of(body);
	uint8_t version = reader_u8(&r);
	char words[160];

	*out = (struct policy){.pattern = read_span32(&r)};
	out->attributes = read_span32(&r);
	out->format = reader_u16(&r);
	out->path_count = read_paths(&r, out->paths);
	out->composite_count = read_paths(&r, out->composite);
	if (r.failed || version != POLICY_VERSION || out->pattern.len > POLICY_PATTERN_MAX)
		return -EPROTO;
	return policy_check(out, words) ? -EPROTO : 0;
}
