/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Values of the simulated objects. The one idea is the table `resources`: a row says which resource the
 * device has and where its value is - a constant, a member of the device, or a function -, the model says its
 * type and what may be done with it; so reading, writing, executing and walking are one piece of code each.
 *
 * A temperature is a function of time, instance and device, rather than a state that somebody has to advance:
 * an idle device costs nothing.
 *
 * Long texts (5750) are on the heap, so that a sensor without one costs no more than before.
 *
 * Leaves out everything about messages: formats, options and attributes.
 */

#include "sim/objects.h"

#include "coap/message.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

struct temperature {
	uint16_t id;
	bool measured; /* min and max are valid */
	double min, max;
	char *application; /* on the heap, or NULL: empty */
};

/* Where to look. `objects` is const only in name for a Read: measuring moves min and max. */
struct place {
	struct objects *objects;
	struct temperature *temperature;
	const struct objects_env *env;
};

enum source {
	SOURCE_TEXT,	/* `text` */
	SOURCE_NUMBER,	/* `number` */
	SOURCE_LIST,	/* a multiple resource with the one instance 0: `number` */
	SOURCE_UINT,	/* uint32_t at `offset` */
	SOURCE_FLAG,	/* bool at `offset` */
	SOURCE_STRING,	/* char[size] at `offset` */
	SOURCE_LONG,	/* char * at `offset`, on the heap; up to `size` - 1 bytes; NULL is empty */
	SOURCE_COMPUTE, /* by `compute`; with `assign` also writable */
	SOURCE_ACTION,	/* executable: `action` */
};

struct resource {
	uint16_t object, id;
	uint8_t source;
	uint8_t action;
	uint16_t size;
	size_t offset;	  /* into struct temperature for object 3303, else into struct objects */
	int64_t number;	  /* also the default of what can be written */
	const char *text; /* likewise */
	void (*compute)(const struct place *at, struct value *out);
	void (*assign)(const struct place *at, const struct value *in);
	bool (*accepts)(const struct place *at, const struct value *in);
};

/* ---- values that are computed ---- */

enum { DRIFT_PERIOD_MS = 600000, MEAN_CELSIUS = 20, SWING_CELSIUS = 5, HUNDREDTHS = 100 };

static double measure(const struct place *at)
{
	struct temperature *t = at->temperature;
	uint32_t mix = (at->objects->seed * 64 + t->id) * 0x9E3779B1u;
	double phase = (double)(at->env->wall_ms % DRIFT_PERIOD_MS) / DRIFT_PERIOD_MS + mix / 4294967296.0;
	double noise = (double)((at->env->wall_ms * 0x9E3779B97F4A7C15u) >> 32) / 4294967296.0 - 0.5;
	double value = MEAN_CELSIUS + SWING_CELSIUS * sin(2 * M_PI * phase) + noise / 5;

	value = at->objects->numbered ? (double)at->objects->sequence
				      : round(value * HUNDREDTHS) / HUNDREDTHS;
	t->min = t->measured ? MIN(t->min, value) : value;
	t->max = t->measured ? MAX(t->max, value) : value;
	t->measured = true;
	return value;
}

static void compute_temperature(const struct place *at, struct value *out)
{
	*out = (struct value){.type = VALUE_FLOAT, .real = measure(at)};
}

static void compute_min(const struct place *at, struct value *out)
{
	measure(at);
	*out = (struct value){.type = VALUE_FLOAT, .real = at->temperature->min};
}

static void compute_max(const struct place *at, struct value *out)
{
	measure(at);
	*out = (struct value){.type = VALUE_FLOAT, .real = at->temperature->max};
}

static void compute_timestamp(const struct place *at, struct value *out)
{
	*out = (struct value){.type = VALUE_TIME, .integer = (int64_t)(at->env->wall_ms / 1000)};
}

static void compute_serial(const struct place *at, struct value *out)
{
	*out = (struct value){.type = VALUE_STRING, .bytes = at->env->endpoint};
}

/* A battery that is empty after some months. */
static void compute_battery(const struct place *at, struct value *out)
{
	uint64_t hours = at->env->up_ms / 3600000;

	*out = (struct value){.type = VALUE_INTEGER,
			      .integer = (int64_t)(100 - MIN(hours / 24, (uint64_t)99))};
}

static void compute_error(const struct place *at, struct value *out)
{
	*out = (struct value){.type = VALUE_INTEGER, .integer = at->objects->error_code};
}

static void compute_clock(const struct place *at, struct value *out)
{
	*out = (struct value){.type = VALUE_TIME,
			      .integer = (int64_t)(at->env->wall_ms / 1000) + at->objects->clock_offset_s};
}

static void assign_clock(const struct place *at, const struct value *in)
{
	at->objects->clock_offset_s = in->integer - (int64_t)(at->env->wall_ms / 1000);
}

/* Keeps sums with the clock within 64 bits: no year above 292 million. */
static bool accepts_clock(const struct place *at, const struct value *in)
{
	(void)at;
	return in->integer >= -(INT64_C(1) << 53) && in->integer <= INT64_C(1) << 53;
}

/* LwM2M 1.0 has six words; later versions any set of letters. Without U nobody would reach the device. */
static bool accepts_binding(const struct place *at, const struct value *in)
{
	const struct object_version lwm2m = at->env->model->lwm2m;
	bool has_udp = false;

	if (lwm2m.major == 1 && lwm2m.minor == 0)
		return span_is(in->bytes, "U") || span_is(in->bytes, "UQ");
	for (size_t i = 0; i < in->bytes.len; i++) {
		if (!memchr("UTSN", in->bytes.data[i], 4))
			return false;
		has_udp |= in->bytes.data[i] == 'U';
	}
	return has_udp;
}

/* ---- the table ---- */

enum { DEFAULT_DISABLE_TIMEOUT_S = 86400 };

#define CONSTANT_TEXT(object_, id_, text_)                                         \
	{                                                                          \
		.object = object_, .id = id_, .source = SOURCE_TEXT, .text = text_ \
	}
#define CONSTANT_NUMBER(object_, id_, number_)                                           \
	{                                                                                \
		.object = object_, .id = id_, .source = SOURCE_NUMBER, .number = number_ \
	}
#define LIST(object_, id_, number_)                                                    \
	{                                                                              \
		.object = object_, .id = id_, .source = SOURCE_LIST, .number = number_ \
	}
#define UINT(object_, id_, member, default_)                                   \
	{                                                                      \
		.object = object_, .id = id_, .source = SOURCE_UINT,           \
		.offset = offsetof(struct objects, member), .number = default_ \
	}
#define ACTION(object_, id_, action_)                                                    \
	{                                                                                \
		.object = object_, .id = id_, .source = SOURCE_ACTION, .action = action_ \
	}
#define COMPUTED(object_, id_, compute_)                                                    \
	{                                                                                   \
		.object = object_, .id = id_, .source = SOURCE_COMPUTE, .compute = compute_ \
	}
#define STRING(object_, id_, type, member, default_)                                                   \
	.object = object_, .id = id_, .source = SOURCE_STRING, .size = sizeof(((type *)NULL)->member), \
	.offset = offsetof(type, member), .text = default_

static const struct resource resources[] = {
	CONSTANT_NUMBER(1, 0, 1),
	UINT(1, 1, lifetime_s, 86400),
	UINT(1, 2, pmin_s, 0),
	UINT(1, 3, pmax_s, 0),
	ACTION(1, 4, ACTION_DISABLE),
	UINT(1, 5, disable_timeout_s, DEFAULT_DISABLE_TIMEOUT_S),
	{.object = 1, .id = 6, .source = SOURCE_FLAG, .offset = offsetof(struct objects, storing)},
	{STRING(1, 7, struct objects, binding, "U"), .accepts = accepts_binding},
	ACTION(1, 8, ACTION_UPDATE),
	{.object = 1, .id = 23, .source = SOURCE_FLAG, .offset = offsetof(struct objects, muted)},
	CONSTANT_TEXT(3, 0, "shoal"),
	CONSTANT_TEXT(3, 1, "simulated device"),
	COMPUTED(3, 2, compute_serial),
	CONSTANT_TEXT(3, 3, "1.0.0"),
	ACTION(3, 4, ACTION_REBOOT),
	ACTION(3, 5, ACTION_FACTORY_RESET),
	LIST(3, 6, 1),
	LIST(3, 7, 3800),
	LIST(3, 8, 125),
	COMPUTED(3, 9, compute_battery),
	CONSTANT_NUMBER(3, 10, 15),
	{.object = 3, .id = 11, .source = SOURCE_LIST, .compute = compute_error},
	ACTION(3, 12, ACTION_RESET_ERROR),
	{.object = 3,
	 .id = 13,
	 .source = SOURCE_COMPUTE,
	 .compute = compute_clock,
	 .assign = assign_clock,
	 .accepts = accepts_clock},
	{STRING(3, 14, struct objects, utc_offset, "+00:00")},
	{STRING(3, 15, struct objects, timezone, "Etc/UTC")},
	CONSTANT_TEXT(3, 16, "U"),
	CONSTANT_TEXT(3, 17, "sensor"),
	CONSTANT_TEXT(3, 18, "1.0"),
	CONSTANT_TEXT(3, 19, SHOAL_VERSION),
	CONSTANT_NUMBER(3, 20, 0),
	CONSTANT_NUMBER(3, 21, 64),
	COMPUTED(3303, 5518, compute_timestamp),
	COMPUTED(3303, 5601, compute_min),
	COMPUTED(3303, 5602, compute_max),
	CONSTANT_NUMBER(3303, 5603, -40),
	CONSTANT_NUMBER(3303, 5604, 85),
	ACTION(3303, 5605, ACTION_RESET_MEASURED),
	COMPUTED(3303, 5700, compute_temperature),
	CONSTANT_TEXT(3303, 5701, "Cel"),
	{.object = 3303,
	 .id = 5750,
	 .source = SOURCE_LONG,
	 .size = OBJECTS_LONG_TEXT,
	 .offset = offsetof(struct temperature, application)},
};

static const uint16_t object_ids[] = {OBJECT_SERVER, OBJECT_DEVICE, OBJECT_TEMPERATURE};

static const struct resource *find_resource(uint16_t object, uint16_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++)
		if (resources[i].object == object && resources[i].id == id)
			return &resources[i];
	return NULL;
}

static const struct resource_def *definition(const struct objects_env *env, const struct resource *r)
{
	return model_resource(env->model, r->object, r->id);
}

/* ---- places ---- */

static struct temperature *find_temperature(const struct objects *o, uint16_t id)
{
	for (uint32_t i = 0; i < o->temperature_count; i++)
		if (o->temperatures[i].id == id)
			return &o->temperatures[i];
	return NULL;
}

static bool has_instance(const struct objects *o, uint16_t object, uint16_t id)
{
	return object == OBJECT_TEMPERATURE ? find_temperature(o, id) != NULL : id == 0;
}

static bool has_object(uint16_t object)
{
	for (size_t i = 0; i < ARRAY_SIZE(object_ids); i++)
		if (object_ids[i] == object)
			return true;
	return false;
}

/* Security, OSCORE and COSE are the bootstrap server's alone. */
static bool is_hidden(uint16_t object)
{
	return object == 0 || object == 21 || object == 23;
}

uint8_t objects_check(const struct objects *o, const struct objects_env *env, const struct path *path)
{
	const struct resource *r;

	if (path->depth >= PATH_OBJECT && is_hidden(path->ids[0]))
		return COAP_UNAUTHORIZED;
	if (path->depth >= PATH_OBJECT && !has_object(path->ids[0]))
		return COAP_NOT_FOUND;
	if (path->depth >= PATH_INSTANCE && !has_instance(o, path->ids[0], path->ids[1]))
		return COAP_NOT_FOUND;
	if (path->depth < PATH_RESOURCE)
		return 0;
	r = find_resource(path->ids[0], path->ids[2]);
	if (!r || !definition(env, r))
		return COAP_NOT_FOUND;
	if (path->depth == PATH_RESOURCE_INSTANCE && (r->source != SOURCE_LIST || path->ids[3] != 0))
		return COAP_NOT_FOUND;
	return 0;
}

static bool next_resource(const struct objects_env *env, uint16_t object, size_t *cursor, uint16_t *id)
{
	while (*cursor < ARRAY_SIZE(resources)) {
		const struct resource *r = &resources[(*cursor)++];

		if (r->object != object || !definition(env, r))
			continue;
		*id = r->id;
		return true;
	}
	return false;
}

static bool next_instance(const struct objects *o, uint16_t object, size_t *cursor, uint16_t *id)
{
	size_t count = object == OBJECT_TEMPERATURE ? o->temperature_count : 1;

	if (*cursor >= count)
		return false;
	*id = object == OBJECT_TEMPERATURE ? o->temperatures[*cursor].id : 0;
	++*cursor;
	return true;
}

bool objects_next(const struct objects *o, const struct objects_env *env, const struct path *path,
		  size_t *cursor, uint16_t *id)
{
	const struct resource *r;

	switch (path->depth) {
	case PATH_ROOT:
		if (*cursor >= ARRAY_SIZE(object_ids))
			return false;
		*id = object_ids[(*cursor)++];
		return true;
	case PATH_OBJECT:
		return next_instance(o, path->ids[0], cursor, id);
	case PATH_INSTANCE:
		return next_resource(env, path->ids[0], cursor, id);
	case PATH_RESOURCE:
		r = find_resource(path->ids[0], path->ids[2]);
		*id = 0;
		return r && r->source == SOURCE_LIST && (*cursor)++ == 0;
	default:
		return false;
	}
}

static struct place place_of(struct objects *o, const struct objects_env *env, const struct path *path)
{
	return (struct place){
		.objects = o,
		.temperature = path->ids[0] == OBJECT_TEMPERATURE ? find_temperature(o, path->ids[1]) : NULL,
		.env = env,
	};
}

static void *member_of(const struct resource *r, const struct place *at)
{
	char *start = r->object == OBJECT_TEMPERATURE ? (char *)at->temperature : (char *)at->objects;

	return start + r->offset;
}

/* ---- reading ---- */

static struct value value_of(const struct resource *r, const struct place *at)
{
	struct value v = {.type = VALUE_NONE};
	const char *text;

	switch ((enum source)r->source) {
	case SOURCE_TEXT:
		return (struct value){.type = VALUE_STRING, .bytes = span_str(r->text)};
	case SOURCE_NUMBER:
		return (struct value){.type = VALUE_INTEGER, .integer = r->number};
	case SOURCE_UINT:
		return (struct value){.type = VALUE_INTEGER, .integer = *(uint32_t *)member_of(r, at)};
	case SOURCE_FLAG:
		return (struct value){.type = VALUE_BOOLEAN, .boolean = *(bool *)member_of(r, at)};
	case SOURCE_STRING:
		return (struct value){.type = VALUE_STRING, .bytes = span_str(member_of(r, at))};
	case SOURCE_LONG:
		text = *(char **)member_of(r, at);
		return (struct value){.type = VALUE_STRING, .bytes = span_str(text ? text : "")};
	case SOURCE_LIST:
		if (!r->compute)
			return (struct value){.type = VALUE_INTEGER, .integer = r->number};
		r->compute(at, &v);
		return v;
	case SOURCE_COMPUTE:
		r->compute(at, &v);
		return v;
	case SOURCE_ACTION:
		break;
	}
	return v;
}

static int read_resource(const struct resource *r, const struct place *at, struct path path,
			 struct records *out)
{
	struct record record = {.path = path, .value = value_of(r, at)};
	const struct resource_def *def = definition(at->env, r);

	if (r->source == SOURCE_LIST && path.depth == PATH_RESOURCE)
		record.path = path_child(path, 0);
	/* All values are of the model's type, or fit into it: a test reads each one. */
	if (!value_coerce(&record.value, (enum value_type)def->type, out->arena))
		return -EINVAL;
	return records_add(out, &record);
}

static int read_instance(const struct place *at, const struct path *path, struct records *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		const struct resource *r = &resources[i];
		const struct resource_def *def = r->object == path->ids[0] ? definition(at->env, r) : NULL;
		int rc;

		if (!def || !(def->operations & RESOURCE_READ))
			continue;
		rc = read_resource(r, at, path_child(*path, r->id), out);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_object(struct objects *o, const struct objects_env *env, const struct path *path,
		       struct records *out)
{
	const struct record none = {.path = *path};
	size_t cursor = 0;
	uint16_t id;

	while (next_instance(o, path->ids[0], &cursor, &id)) {
		const struct path below = path_child(*path, id);
		const struct place at = place_of(o, env, &below);
		int rc = read_instance(&at, &below, out);

		if (rc < 0)
			return rc;
	}
	return cursor ? 0 : records_add(out, &none);
}

static int read_root(struct objects *o, const struct objects_env *env, struct records *out)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(object_ids) && rc == 0; i++)
		rc = read_object(o, env, &(struct path){.ids = {object_ids[i]}, .depth = PATH_OBJECT}, out);
	return rc;
}

uint8_t objects_read(struct objects *o, const struct objects_env *env, const struct path *path,
		     struct records *out)
{
	const struct place at = place_of(o, env, path);
	uint8_t code = objects_check(o, env, path);
	const struct resource *r;
	int rc;

	if (code)
		return code;
	if (path->depth == PATH_ROOT)
		rc = read_root(o, env, out);
	else if (path->depth == PATH_OBJECT)
		rc = read_object(o, env, path, out);
	else if (path->depth == PATH_INSTANCE)
		rc = read_instance(&at, path, out);
	else {
		r = find_resource(path->ids[0], path->ids[2]);
		if (!(definition(env, r)->operations & RESOURCE_READ))
			return COAP_METHOD_NOT_ALLOWED;
		rc = read_resource(r, &at, *path, out);
	}
	return rc < 0 ? COAP_INTERNAL_SERVER_ERROR : COAP_CONTENT;
}

/* ---- writing ---- */

/* Whether this value can be stored there; `v` gets the type in which store_value wants it. */
static bool value_fits(const struct resource *r, const struct place *at, struct value *v, struct arena *arena)
{
	static const uint8_t wanted[] = {[SOURCE_UINT] = VALUE_UNSIGNED,
					 [SOURCE_FLAG] = VALUE_BOOLEAN,
					 [SOURCE_STRING] = VALUE_STRING,
					 [SOURCE_LONG] = VALUE_STRING};
	enum value_type type = r->source == SOURCE_COMPUTE ? VALUE_TIME : (enum value_type)wanted[r->source];

	if (!value_coerce(v, type, arena))
		return false;
	if (r->source == SOURCE_UINT && v->unsigned_ > UINT32_MAX)
		return false;
	if ((r->source == SOURCE_STRING || r->source == SOURCE_LONG) &&
	    (v->bytes.len >= r->size || (v->bytes.len && memchr(v->bytes.data, 0, v->bytes.len))))
		return false;
	return !r->accepts || r->accepts(at, v);
}

/* False if there is no memory; then the old text stays. */
static bool store_long(char **to, struct span text)
{
	char *copy = text.len ? strndup((const char *)text.data, text.len) : NULL;

	if (text.len && !copy)
		return false;
	free(*to);
	*to = copy;
	return true;
}

static bool store_value(const struct resource *r, const struct place *at, const struct value *v)
{
	char *text;

	switch ((enum source)r->source) {
	case SOURCE_UINT:
		*(uint32_t *)member_of(r, at) = (uint32_t)v->unsigned_;
		break;
	case SOURCE_FLAG:
		*(bool *)member_of(r, at) = v->boolean;
		break;
	case SOURCE_STRING:
		text = member_of(r, at);
		if (v->bytes.len)
			memcpy(text, v->bytes.data, v->bytes.len);
		text[v->bytes.len] = '\0';
		break;
	case SOURCE_LONG:
		return store_long(member_of(r, at), v->bytes);
	case SOURCE_COMPUTE:
		r->assign(at, v);
		break;
	default:
		break;
	}
	return true;
}

static void store_default(const struct resource *r, const struct place *at)
{
	struct value v = {.type = VALUE_NONE};

	if (r->source == SOURCE_UINT)
		v.unsigned_ = (uint64_t)r->number;
	else if (r->source == SOURCE_STRING)
		v.bytes = span_str(r->text);
	else if (r->source == SOURCE_LONG)
		v.bytes = span_of(NULL, 0);
	else if (r->source == SOURCE_FLAG)
		v.boolean = false;
	else
		return;
	store_value(r, at, &v); /* an empty text needs no memory */
}

/* Says only that there is nothing in this object or instance. */
static bool is_empty(const struct record *r)
{
	return r->path.depth < PATH_RESOURCE && r->value.type == VALUE_NONE;
}

/* The row for one record of a Write, if it may be written; NULL if there is nothing to write. */
static uint8_t check_record(struct objects *o, const struct objects_env *env, const struct path *base,
			    const struct record *in, const struct resource **row)
{
	const struct place at = place_of(o, env, &in->path);
	const struct resource *r;
	struct value v = in->value;
	uint8_t code;

	*row = NULL;
	if (is_empty(in))
		return 0;
	if (!path_is_within(&in->path, base) || in->path.depth < PATH_RESOURCE)
		return COAP_BAD_REQUEST;
	code = objects_check(o, env, &in->path);
	if (code)
		return code;
	r = find_resource(in->path.ids[0], in->path.ids[2]);
	if (!(definition(env, r)->operations & RESOURCE_WRITE))
		return COAP_METHOD_NOT_ALLOWED;
	if (in->misfit || in->value.type == VALUE_NONE || !value_fits(r, &at, &v, NULL))
		return COAP_BAD_REQUEST;
	*row = r;
	return 0;
}

static bool names(const struct records *in, uint16_t resource)
{
	for (size_t i = 0; i < in->count; i++)
		if (in->items[i].path.depth >= PATH_RESOURCE && in->items[i].path.ids[2] == resource)
			return true;
	return false;
}

/* The writable resources of an instance that a replacing Write leaves out: the mandatory ones must be there.
 */
static uint8_t replace_rest(const struct place *at, const struct path *base, const struct records *in,
			    bool apply)
{
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		const struct resource *r = &resources[i];
		const struct resource_def *def = r->object == base->ids[0] ? definition(at->env, r) : NULL;

		if (!def || !(def->operations & RESOURCE_WRITE) || names(in, r->id))
			continue;
		if (def->mandatory)
			return COAP_BAD_REQUEST;
		if (apply)
			store_default(r, at);
	}
	return 0;
}

static unsigned effect_of(const struct resource *r)
{
	if (r->object != OBJECT_SERVER)
		return 0;
	return r->id == 1 ? EFFECT_LIFETIME : r->id == 7 ? EFFECT_BINDING : 0;
}

static uint8_t apply_record(struct objects *o, const struct objects_env *env, const struct path *base,
			    const struct record *in, unsigned *effects)
{
	const struct place at = place_of(o, env, &in->path);
	const struct resource *r;
	struct value v = in->value;

	if (check_record(o, env, base, in, &r) || !r)
		return 0;
	value_fits(r, &at, &v, NULL);
	if (!store_value(r, &at, &v))
		return COAP_INTERNAL_SERVER_ERROR;
	*effects |= effect_of(r);
	return 0;
}

uint8_t objects_write(struct objects *o, const struct objects_env *env, const struct path *base,
		      const struct records *in, bool replace, unsigned *effects)
{
	const struct place at = place_of(o, env, base);
	bool whole = replace && base->depth == PATH_INSTANCE;
	const struct resource *r = NULL;
	uint8_t code = objects_check(o, env, base);

	if (code)
		return code;
	if (base->depth == PATH_OBJECT)
		return COAP_METHOD_NOT_ALLOWED;
	for (size_t i = 0; i < in->count && !code; i++)
		code = check_record(o, env, base, &in->items[i], &r);
	if (!code && whole)
		code = replace_rest(&at, base, in, false);
	if (code)
		return code;
	if (whole)
		replace_rest(&at, base, in, true);
	for (size_t i = 0; i < in->count && !code; i++)
		code = apply_record(o, env, base, &in->items[i], effects);
	return code ? code : COAP_CHANGED;
}

/* ---- executing ---- */

static void reset_defaults(struct objects *o, const struct objects_env *env)
{
	const struct path device = {.ids = {OBJECT_DEVICE, 0}, .depth = PATH_INSTANCE};
	const struct path server = {.ids = {OBJECT_SERVER, 0}, .depth = PATH_INSTANCE};
	const struct place at = place_of(o, env, &device);
	uint32_t lifetime_s = o->lifetime_s;

	for (size_t i = 0; i < ARRAY_SIZE(resources); i++)
		if (resources[i].object == device.ids[0] || resources[i].object == server.ids[0])
			store_default(&resources[i], &at);
	o->lifetime_s = lifetime_s; /* the account is the factory's */
	o->clock_offset_s = 0;
}

uint8_t objects_execute(struct objects *o, const struct objects_env *env, const struct path *path,
			enum objects_action *action)
{
	const struct place at = place_of(o, env, path);
	uint8_t code = objects_check(o, env, path);
	const struct resource *r;

	if (code)
		return code;
	r = path->depth == PATH_RESOURCE ? find_resource(path->ids[0], path->ids[2]) : NULL;
	if (!r || !(definition(env, r)->operations & RESOURCE_EXECUTE))
		return COAP_METHOD_NOT_ALLOWED;
	*action = (enum objects_action)r->action;
	if (*action == ACTION_RESET_ERROR)
		o->error_code = 0;
	else if (*action == ACTION_RESET_MEASURED)
		at.temperature->measured = false;
	else if (*action == ACTION_FACTORY_RESET)
		reset_defaults(o, env);
	return COAP_CHANGED;
}

/* ---- instances ---- */

/* Keeps the order. NULL if there is no room. */
static struct temperature *insert_temperature(struct objects *o, uint16_t id)
{
	uint32_t at = o->temperature_count;
	struct temperature *grown;

	if (at == TEMPERATURES_MAX)
		return NULL;
	grown = realloc(o->temperatures, (at + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	o->temperatures = grown;
	while (at > 0 && grown[at - 1].id > id)
		at--;
	memmove(&grown[at + 1], &grown[at], (o->temperature_count - at) * sizeof(*grown));
	grown[at] = (struct temperature){.id = id};
	o->temperature_count++;
	return &grown[at];
}

static void remove_temperature(struct objects *o, struct temperature *t)
{
	size_t behind = o->temperature_count - (size_t)(t - o->temperatures) - 1;

	free(t->application);
	memmove(t, t + 1, behind * sizeof(*t));
	o->temperature_count--;
}

/* The instance that a Create names, or the lowest one that is free. */
static uint16_t choose_id(const struct objects *o, const struct records *in)
{
	uint16_t id = 0;

	if (in->count && in->items[0].path.depth >= PATH_INSTANCE && in->items[0].path.ids[1] != PATH_ID_NONE)
		return in->items[0].path.ids[1];
	while (find_temperature(o, id))
		id++;
	return id;
}

/*
 * Values for a new instance. What cannot be written may be named all the same (Core 1.1.1, 6.3.7: mandatory
 * resources have to be), and is ours to measure.
 */
static uint8_t fill_instance(struct objects *o, const struct objects_env *env, const struct path *path,
			     const struct records *in)
{
	const struct place at = place_of(o, env, path);

	for (size_t i = 0; i < in->count; i++) {
		const struct record *record = &in->items[i];
		const struct resource *r = find_resource(path->ids[0], record->path.ids[2]);
		struct value v = record->value;

		if (is_empty(record))
			continue;
		if (record->path.depth != PATH_RESOURCE || record->path.ids[1] != in->items[0].path.ids[1])
			return COAP_BAD_REQUEST;
		if (!r || !definition(env, r))
			return COAP_NOT_FOUND;
		if (!(definition(env, r)->operations & RESOURCE_WRITE))
			continue;
		if (record->misfit || !value_fits(r, &at, &v, NULL))
			return COAP_BAD_REQUEST;
		if (!store_value(r, &at, &v))
			return COAP_INTERNAL_SERVER_ERROR;
	}
	return 0;
}

uint8_t objects_create(struct objects *o, const struct objects_env *env, const struct path *base,
		       const struct records *in, uint16_t *id)
{
	uint8_t code = objects_check(o, env, base);
	struct temperature *created;
	struct path path;

	if (code)
		return code;
	if (base->depth != PATH_OBJECT || base->ids[0] != OBJECT_TEMPERATURE)
		return COAP_METHOD_NOT_ALLOWED;
	*id = choose_id(o, in);
	if (find_temperature(o, *id))
		return COAP_BAD_REQUEST;
	created = insert_temperature(o, *id);
	if (!created)
		return COAP_INTERNAL_SERVER_ERROR;
	path = path_child(*base, *id);
	code = fill_instance(o, env, &path, in);
	if (code) {
		remove_temperature(o, created);
		return code;
	}
	return COAP_CREATED;
}

uint8_t objects_delete(struct objects *o, const struct objects_env *env, const struct path *path)
{
	uint8_t code = objects_check(o, env, path);

	if (code)
		return code;
	if (path->depth != PATH_INSTANCE || path->ids[0] != OBJECT_TEMPERATURE)
		return COAP_METHOD_NOT_ALLOWED;
	remove_temperature(o, find_temperature(o, path->ids[1]));
	return COAP_DELETED;
}

/* ---- the whole ---- */

int objects_init(struct objects *o, uint32_t seed, uint32_t lifetime_s, const char *binding, bool numbered,
		 uint32_t sensors)
{
	*o = (struct objects){.seed = seed,
			      .lifetime_s = lifetime_s,
			      .disable_timeout_s = DEFAULT_DISABLE_TIMEOUT_S,
			      .numbered = numbered,
			      .utc_offset = "+00:00",
			      .timezone = "Etc/UTC"};
	snprintf(o->binding, sizeof(o->binding), "%s", binding);
	assert(sensors <= TEMPERATURES_MAX);
	for (uint32_t id = 0; id < sensors; id++)
		if (!insert_temperature(o, (uint16_t)id))
			return -ENOMEM;
	return 0;
}

void objects_deinit(struct objects *o)
{
	for (uint32_t i = 0; i < o->temperature_count; i++)
		free(o->temperatures[i].application);
	free(o->temperatures);
	o->temperatures = NULL;
	o->temperature_count = 0;
}

bool objects_is_numeric(const struct objects_env *env, const struct path *path)
{
	const struct resource *r =
		path->depth >= PATH_RESOURCE ? find_resource(path->ids[0], path->ids[2]) : NULL;
	const struct resource_def *def = r ? definition(env, r) : NULL;

	if (!def || (def->multiple && path->depth == PATH_RESOURCE))
		return false;
	return def->type == VALUE_INTEGER || def->type == VALUE_UNSIGNED || def->type == VALUE_FLOAT;
}

bool objects_shows_temperature(const struct path *path)
{
	if (path->depth == PATH_ROOT)
		return true;
	return path->ids[0] == OBJECT_TEMPERATURE &&
	       (path->depth < PATH_RESOURCE || path->ids[2] == RESOURCE_SENSOR_VALUE);
}

void objects_version(const struct objects_env *env, uint16_t object, struct buffer *out)
{
	const struct object_def *def = model_object(env->model, object);
	const char *quote = env->model->lwm2m.minor == 0 ? "\"" : "";

	if (def && (def->version.major != 1 || def->version.minor != 0))
		buffer_printf(out, ";ver=%s%u.%u%s", quote, def->version.major, def->version.minor, quote);
}

void objects_links(const struct objects *o, const struct objects_env *env, struct buffer *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(object_ids); i++) {
		_cleanup_buffer_ struct buffer version = buffer_of(32);
		size_t cursor = 0;
		uint16_t id;

		objects_version(env, object_ids[i], &version);
		if (version.len || !next_instance(o, object_ids[i], &(size_t){0}, &id))
			buffer_printf(out, "%s</%u>%s", out->len ? "," : "", object_ids[i],
				      version.len ? (const char *)version.data : "");
		while (next_instance(o, object_ids[i], &cursor, &id))
			buffer_printf(out, "%s</%u/%u>", out->len ? "," : "", object_ids[i], id);
	}
}
