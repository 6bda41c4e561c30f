/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The meaning of SenML records, whatever they are written in. The hard idea is resolution: a name is the base
 * name and the rest put together as text, wherever a client chose to cut ("/3" + "/0/0", "/3/0/" + "0"); base
 * time and base value are added; and what was base once stays it until another comes. Times below 2^28
 * seconds count from now. Which label a value comes under is a hint only: a string under "v" that is a number
 * is one. Leaves out units and sums, which LwM2M does not use.
 */

#include "codec/senml.h"

#include "codec/base64.h"

#include <errno.h>
#include <math.h>

enum { VERSION = 10 };

/* Times below are relative to now (RFC 8428, 4.5.3). */
static const double absolute_from_s = 1 << 28;
/* About the year 33,000: whatever is beyond is no time, and milliseconds of it fit. */
static const double time_max_s = 1e12;

static const struct {
	const char *text;
	int8_t number;
	bool numbered;
} labels[SENML_FIELDS] = {
	[SENML_BASE_NAME] = {"bn", -2, true},	 [SENML_BASE_TIME] = {"bt", -3, true},
	[SENML_BASE_UNIT] = {"bu", -4, true},	 [SENML_BASE_VALUE] = {"bv", -5, true},
	[SENML_BASE_SUM] = {"bs", -6, true},	 [SENML_BASE_VERSION] = {"bver", -1, true},
	[SENML_NAME] = {"n", 0, true},		 [SENML_UNIT] = {"u", 1, true},
	[SENML_VALUE] = {"v", 2, true},		 [SENML_VALUE_STRING] = {"vs", 3, true},
	[SENML_VALUE_BOOLEAN] = {"vb", 4, true}, [SENML_VALUE_DATA] = {"vd", 8, true},
	[SENML_VALUE_LINK] = {"vlo", 0, false},	 [SENML_SUM] = {"s", 5, true},
	[SENML_TIME] = {"t", 6, true},		 [SENML_UPDATE_TIME] = {"ut", 7, true},
};

static const uint32_t value_fields = 1U << SENML_VALUE | 1U << SENML_VALUE_STRING |
				     1U << SENML_VALUE_BOOLEAN | 1U << SENML_VALUE_DATA |
				     1U << SENML_VALUE_LINK;

enum senml_field senml_field_of_text(struct span label)
{
	for (unsigned f = 0; f < SENML_FIELDS; f++)
		if (span_is(label, labels[f].text))
			return f;
	return SENML_UNKNOWN;
}

enum senml_field senml_field_of_number(int64_t label)
{
	enum { LOWEST = -6, HIGHEST = 8 };
	static const uint8_t fields[HIGHEST - LOWEST + 1] = {
		[-6 - LOWEST] = SENML_BASE_SUM,	    [-5 - LOWEST] = SENML_BASE_VALUE,
		[-4 - LOWEST] = SENML_BASE_UNIT,    [-3 - LOWEST] = SENML_BASE_TIME,
		[-2 - LOWEST] = SENML_BASE_NAME,    [-1 - LOWEST] = SENML_BASE_VERSION,
		[0 - LOWEST] = SENML_NAME,	    [1 - LOWEST] = SENML_UNIT,
		[2 - LOWEST] = SENML_VALUE,	    [3 - LOWEST] = SENML_VALUE_STRING,
		[4 - LOWEST] = SENML_VALUE_BOOLEAN, [5 - LOWEST] = SENML_SUM,
		[6 - LOWEST] = SENML_TIME,	    [7 - LOWEST] = SENML_UPDATE_TIME,
		[8 - LOWEST] = SENML_VALUE_DATA,
	};

	return label < LOWEST || label > HIGHEST ? SENML_UNKNOWN : fields[label - LOWEST];
}

const char *senml_text(enum senml_field field)
{
	return labels[field].text;
}

bool senml_number(enum senml_field field, int64_t *label)
{
	*label = labels[field].number;
	return labels[field].numbered;
}

bool senml_must_be_known(struct span label)
{
	return label.len && label.data[label.len - 1] == '_';
}

/* A number, or text that is one, as the narrowest type that holds it. */
bool senml_number_of(struct value *v)
{
	switch (v->type) {
	case VALUE_INTEGER:
	case VALUE_UNSIGNED:
	case VALUE_FLOAT:
		return true;
	case VALUE_STRING:
		return value_coerce(v, VALUE_INTEGER, NULL) || value_coerce(v, VALUE_UNSIGNED, NULL) ||
		       value_coerce(v, VALUE_FLOAT, NULL);
	default:
		return false;
	}
}

static double real_of(const struct value *v)
{
	return v->type == VALUE_INTEGER	   ? (double)v->integer
	       : v->type == VALUE_UNSIGNED ? (double)v->unsigned_
					   : v->real;
}

bool senml_seconds_of(struct value *v, double *out)
{
	if (!senml_number_of(v))
		return false;
	*out = real_of(v);
	return true;
}

/* Adds the base value. Whole numbers stay whole if they can. */
static void add_base_value(struct value *v, const struct value *base)
{
	int64_t sum;

	if (v->type == VALUE_INTEGER && base->type == VALUE_INTEGER &&
	    !__builtin_add_overflow(v->integer, base->integer, &sum))
		v->integer = sum;
	else
		*v = (struct value){.type = VALUE_FLOAT, .real = real_of(v) + real_of(base)};
}

static int take_version(struct senml_input *in, struct value *v)
{
	if (!senml_number_of(v) || real_of(v) > VERSION)
		return codec_malformed(in->d.c, "SenML record %zu: unknown version", in->count);
	return CODEC_OK;
}

struct span senml_below_root(const struct codec_context *c, struct span name)
{
	struct span root = c->root;

	if (root.len == 0 || name.len <= root.len || name.data[root.len] != '/')
		return name;
	return memcmp(name.data, root.data, root.len) == 0 ? span_from(name, root.len) : name;
}

/* A base name that ends with a slash is parsed once for all the names behind it. */
static void take_base_name(struct senml_input *in, struct span name)
{
	in->base_name = name;
	in->has_base_path = name.len && name.data[name.len - 1] == '/' &&
			    path_parse(senml_below_root(in->d.c, name), &in->base_path);
}

static int take_base(struct senml_input *in, struct senml_item *item)
{
	struct value *fields = item->fields;

	if (senml_has(item, SENML_BASE_VERSION) && take_version(in, &fields[SENML_BASE_VERSION]))
		return CODEC_MALFORMED;
	if (senml_has(item, SENML_BASE_NAME)) {
		if (fields[SENML_BASE_NAME].type != VALUE_STRING)
			return codec_malformed(in->d.c, "SenML record %zu: base name is no text", in->count);
		take_base_name(in, fields[SENML_BASE_NAME].bytes);
	}
	if (senml_has(item, SENML_BASE_TIME)) {
		if (!senml_seconds_of(&fields[SENML_BASE_TIME], &in->base_time))
			return codec_malformed(in->d.c, "SenML record %zu: base time is no number",
					       in->count);
		in->has_base_time = true;
	}
	if (senml_has(item, SENML_BASE_VALUE)) {
		if (!senml_number_of(&fields[SENML_BASE_VALUE]))
			return codec_malformed(in->d.c, "SenML record %zu: base value is no number",
					       in->count);
		in->base_value = fields[SENML_BASE_VALUE];
	}
	return CODEC_OK;
}

static bool join_names(const struct senml_input *in, struct span rest, struct path *out)
{
	uint8_t name[SENML_NAME_MAX];
	struct span base = in->base_name;

	if (base.len > sizeof(name) || rest.len > sizeof(name) - base.len)
		return false;
	if (base.len)
		memcpy(name, base.data, base.len);
	if (rest.len)
		memcpy(name + base.len, rest.data, rest.len);
	return path_parse(senml_below_root(in->d.c, span_of(name, base.len + rest.len)), out);
}

static int take_path(struct senml_input *in, struct senml_item *item, struct path *out)
{
	struct span rest = {NULL, 0};

	if (senml_has(item, SENML_NAME)) {
		if (item->fields[SENML_NAME].type != VALUE_STRING)
			return codec_malformed(in->d.c, "SenML record %zu: name is no text", in->count);
		rest = item->fields[SENML_NAME].bytes;
	}
	if (!item->present)
		return codec_malformed(in->d.c, "SenML record %zu is empty", in->count);
	if (in->has_base_path && path_parse_below(&in->base_path, rest, out))
		return CODEC_OK;
	if (!join_names(in, rest, out))
		return codec_malformed(in->d.c, "SenML record %zu: name is no path", in->count);
	return CODEC_OK;
}

bool senml_set_time(const struct codec_context *c, double seconds, struct record *out)
{
	if (!(fabs(seconds) < time_max_s))
		return false;
	out->timed = true;
	out->time_ms = llround(seconds * 1000);
	if (seconds < absolute_from_s)
		out->time_ms += (int64_t)c->now_ms;
	return true;
}

static int take_time(struct senml_input *in, struct senml_item *item, struct record *out)
{
	double seconds = 0;

	if (senml_has(item, SENML_TIME)) {
		if (!senml_seconds_of(&item->fields[SENML_TIME], &seconds))
			return codec_malformed(in->d.c, "SenML record %zu: time is no number", in->count);
	} else if (!in->has_base_time) {
		return CODEC_OK;
	}
	if (!senml_set_time(in->d.c, in->base_time + seconds, out))
		return codec_malformed(in->d.c, "SenML record %zu: time is out of range", in->count);
	return CODEC_OK;
}

static int decode_data(struct senml_input *in, struct value *v)
{
	struct span bytes;
	int rc = base64_decode(v->bytes, in->d.c->arena, &bytes);

	if (rc == BASE64_OK)
		*v = (struct value){.type = VALUE_OPAQUE, .bytes = bytes};
	return rc < 0 ? rc : CODEC_OK; /* what is no Base64 stays a string */
}

static int take_value(struct senml_input *in, struct senml_item *item, struct value *out)
{
	uint32_t present = item->present & value_fields;
	enum senml_field field;

	if (!present) {
		*out = in->base_value; /* NONE, unless there is one */
		return CODEC_OK;
	}
	if (present & (present - 1))
		return codec_malformed(in->d.c, "SenML record %zu has several values", in->count);
	field = (enum senml_field)__builtin_ctz(present);
	*out = item->fields[field];
	if (field == SENML_VALUE) {
		if (senml_number_of(out) && in->base_value.type != VALUE_NONE)
			add_base_value(out, &in->base_value);
	} else if (field == SENML_VALUE_BOOLEAN) {
		(void)value_coerce(out, VALUE_BOOLEAN, NULL);
	} else if (field == SENML_VALUE_LINK) {
		(void)value_coerce(out, VALUE_OBJLNK, NULL);
	} else if (field == SENML_VALUE_DATA && out->type == VALUE_STRING) {
		return decode_data(in, out);
	}
	return CODEC_OK;
}

/* Each name is asked for, one that is the base of those behind it too. */
static int take_listed(struct senml_input *in, const struct senml_item *item, const struct path *path)
{
	struct senml_paths *paths = in->paths;

	if (item->present & (value_fields | 1U << SENML_BASE_VALUE))
		return codec_malformed(in->d.c, "SenML record %zu of a list of names has a value", in->count);
	if (paths->count == paths->max)
		return -ENOMEM;
	paths->list[paths->count++] = *path;
	in->count++;
	return CODEC_OK;
}

int senml_add(struct senml_input *in, struct senml_item *item)
{
	struct record record = {0};
	int rc = take_base(in, item);

	if (rc == CODEC_OK)
		rc = take_path(in, item, &record.path);
	if (rc == CODEC_OK && in->paths)
		return take_listed(in, item, &record.path);
	if (rc == CODEC_OK)
		rc = take_time(in, item, &record);
	if (rc == CODEC_OK)
		rc = take_value(in, item, &record.value);
	if (rc == CODEC_OK && record.value.type != VALUE_NONE && record.path.depth < PATH_RESOURCE)
		rc = codec_malformed(in->d.c, "SenML record %zu: value of no resource", in->count);
	if (rc)
		return rc;
	in->count++;
	return deliver(&in->d, &record);
}

static bool is_absolute(const struct record *item)
{
	return item->timed && item->time_ms >= (int64_t)absolute_from_s * 1000;
}

/*
 * The base time is the whole second in which the first record lies. It would also date records that have no
 * time, and what must be told relative to now cannot be told relative to it: then every time stands for
 * itself.
 */
static void choose_base_time(struct senml_frame *f, const struct record *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!is_absolute(&items[i]))
			return;
	f->has_base_time = count > 0;
	f->base_time_s = count ? items[0].time_ms / 1000 : 0;
}

struct senml_frame senml_frame_of(const struct codec_context *c, const struct record *items, size_t count)
{
	struct senml_frame f = {.base = c->any_path ? (struct path){{0}, 0} : c->base,
				.now_ms = (int64_t)c->now_ms};
	char base[PATH_TEXT];
	bool deeper = false;
	struct writer w;

	for (size_t i = 0; i < count; i++)
		deeper = deeper || items[i].path.depth > f.base.depth;
	w = writer_of(f.base_name, sizeof(f.base_name) - 1); /* what is too long, senml_check refuses */
	writer_bytes(&w, c->root);
	writer_str(&w, path_format(&f.base, base));
	if (deeper && f.base.depth)
		writer_u8(&w, '/');
	*w.pos = '\0';
	choose_base_time(&f, items, count);
	return f;
}

bool senml_name(const struct senml_frame *f, const struct record *item, char text[PATH_TEXT])
{
	return path_format_tail(&item->path, f->base.depth, text) > 0;
}

bool senml_time(const struct senml_frame *f, const struct record *item, struct value *out)
{
	int64_t ms = item->time_ms;

	if (!item->timed)
		return false;
	if (f->has_base_time)
		ms -= f->base_time_s * 1000;
	else if (!is_absolute(item))
		ms -= f->now_ms;
	if (ms % 1000)
		*out = (struct value){.type = VALUE_FLOAT, .real = (double)ms / 1000};
	else
		*out = (struct value){.type = VALUE_INTEGER, .integer = ms / 1000};
	/* A record without name and value would otherwise have nothing in it. */
	return ms != 0 || !f->has_base_time || item->value.type == VALUE_NONE;
}

enum senml_field senml_field_of_type(enum value_type type)
{
	switch (type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
		return SENML_VALUE_STRING;
	case VALUE_BOOLEAN:
		return SENML_VALUE_BOOLEAN;
	case VALUE_OPAQUE:
		return SENML_VALUE_DATA;
	case VALUE_OBJLNK:
		return SENML_VALUE_LINK;
	default:
		return SENML_VALUE;
	}
}

int senml_check(struct codec_context *c, const struct record *items, size_t count)
{
	if (c->root.len > SENML_NAME_MAX - 2 * PATH_TEXT || !utf8_valid(c->root))
		return codec_misfit(c, &c->base, "the prefix of names is too long or no UTF-8");
	for (size_t i = 0; i < count; i++) {
		const struct path *p = &items[i].path;

		for (unsigned d = 0; d < p->depth; d++)
			if (p->ids[d] == PATH_ID_NONE)
				return codec_misfit(c, p, "SenML needs the id of the instance");
		if (items[i].timed && fabs((double)items[i].time_ms) >= time_max_s * 1000)
			return codec_misfit(c, p, "time is out of range");
	}
	return CODEC_OK;
}
