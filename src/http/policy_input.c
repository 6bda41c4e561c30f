/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* JSON of policies, read by jansson. A member that is not known is refused: it would be a wish nobody
 * fulfils. */

#include "http/policy_input.h"

#include "codec/codec.h"
#include "http/json_depth.h"

#include <jansson.h>
#include <stdio.h>

enum { NESTING_MAX = 4 };

static void json_cleanup(json_t **j)
{
	json_decref(*j);
}

struct parse {
	struct arena *arena;
	struct policy *out;
	bool pattern;
	char *error;
};

static const char *read_text(const json_t *value, size_t max, struct arena *arena, struct span *out)
{
	struct span text = {0};

	if (json_is_string(value))
		text = span_of(json_string_value(value), json_string_length(value));
	if (text.len == 0 || text.len > max || memchr(text.data, 0, text.len))
		return "a text of at least one character, and not too many, is expected";
	*out = arena_dup(arena, text);
	return out->data ? NULL : "out of memory";
}

static const char *read_pattern(struct parse *p, const json_t *value)
{
	return p->pattern ? read_text(value, POLICY_PATTERN_MAX, p->arena, &p->out->pattern)
			  : "it is for one device here, and cannot be given";
}

static const char *read_attributes(struct parse *p, const json_t *value)
{
	return p->pattern ? read_text(value, POLICY_ATTRIBUTES_MAX, p->arena, &p->out->attributes)
			  : "of one device they are written by PUT .../attributes";
}

static const char *read_format(struct parse *p, const json_t *value)
{
	const struct codec *codec =
		json_is_string(value) ? codec_find_name(span_str(json_string_value(value))) : NULL;

	if (!codec)
		return "it is none of TEXT, OPAQUE, CBOR, SENML_JSON, SENML_CBOR, TLV, JSON";
	p->out->format = codec->format;
	return NULL;
}

static const char *read_list(const json_t *value, struct path paths[POLICY_PATHS_MAX], size_t *count)
{
	size_t i;
	json_t *item;

	if (!json_is_array(value) || json_array_size(value) > POLICY_PATHS_MAX)
		return "a list of at most 32 paths is expected";
	json_array_foreach (value, i, item) {
		struct span text = json_is_string(item)
					   ? span_of(json_string_value(item), json_string_length(item))
					   : span_of(NULL, 0);

		if (text.len == 0 || !path_parse(text, &paths[i]))
			return "it has a path such as /3303/0/5700 in another form";
		for (size_t k = 0; k < i; k++)
			if (path_compare(&paths[k], &paths[i]) == 0)
				return "it has a path twice";
	}
	*count = json_array_size(value);
	return NULL;
}

static const char *read_paths(struct parse *p, const json_t *value)
{
	return read_list(value, p->out->paths, &p->out->path_count);
}

static const char *read_composite(struct parse *p, const json_t *value)
{
	return read_list(value, p->out->composite, &p->out->composite_count);
}

static const struct {
	const char *name;
	const char *(*read)(struct parse *p, const json_t *value);
} members[] = {
	{"pattern", read_pattern},	 {"paths", read_paths},	  {"composite", read_composite},
	{"attributes", read_attributes}, {"format", read_format},
};

static const char *read_member(struct parse *p, const char *name, const json_t *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const char *wrong;

		if (strcmp(members[i].name, name) != 0)
			continue;
		wrong = members[i].read(p, value);
		if (!wrong)
			return NULL;
		snprintf(p->error, POLICY_ERROR, "%s: %s", name, wrong);
		return p->error;
	}
	snprintf(p->error, POLICY_ERROR, "%.40s: there is no such member", name);
	return p->error;
}

const char *policy_parse(struct span body, bool pattern, struct arena *arena, struct policy *out,
			 char error[POLICY_ERROR])
{
	_cleanup_(json_cleanup) json_t *root = NULL;
	struct parse p = {arena, out, pattern, error};
	const char *name, *wrong = NULL;
	char words[160];
	json_error_t why;
	json_t *value;

	*out = (struct policy){.format = FORMAT_NONE};
	if (json_depth_is(body, NESTING_MAX) && body.len > 0)
		root = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(root))
		return "the body is no JSON object";
	json_object_foreach (root, name, value)
		if (!wrong)
			wrong = read_member(&p, name, value);
	if (!wrong && pattern && out->pattern.len == 0)
		return "pattern is missing: which endpoints, as in sensor-*";
	/* Of one device nothing at all may be declared, too. */
	if (!wrong && (pattern || out->path_count + out->composite_count > 0))
		wrong = policy_check(out, words);
	if (!wrong || wrong == error)
		return wrong;
	snprintf(error, POLICY_ERROR, "%s", wrong);
	return error;
}
