/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Which objects and resources there are. All versions of all definitions lie in one index, sorted by a key of
 * object, major and minor version, so that "this version, else the nearest lower minor" is one binary search.
 * A definition is one block on the heap, whether it was made from a source table here or from a file by
 * somebody else; the index owns it. Leaves out reading definition files.
 */

#include "model/registry.h"

#include "model/builtin.h"

#include <errno.h>
#include <stdio.h>

struct registry {
	struct object_def **index; /* ascending by key */
	size_t count;
	size_t cap;
};

static uint32_t key_of(uint16_t object, struct object_version version)
{
	return (uint32_t)object << 16 | (uint32_t)version.major << 8 | version.minor;
}

static uint32_t key_at(const struct registry *r, size_t i)
{
	return key_of(r->index[i]->id, r->index[i]->version);
}

/* How many definitions have a key up to this one. */
static size_t count_up_to(const struct registry *r, uint32_t key)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (key_at(r, middle) <= key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool make_room(struct registry *r)
{
	size_t cap = r->cap ? r->cap * 2 : 32;
	struct object_def **index;

	if (r->count < r->cap)
		return true;
	index = realloc(r->index, cap * sizeof(*index));
	if (!index)
		return false;
	r->index = index;
	r->cap = cap;
	return true;
}

int registry_take(struct registry *r, struct object_def *definition)
{
	uint32_t key = key_of(definition->id, definition->version);
	size_t at = count_up_to(r, key);

	if (at && key_at(r, at - 1) == key) {
		free(r->index[at - 1]);
		r->index[at - 1] = definition;
		return 0;
	}
	if (!make_room(r)) {
		free(definition);
		return -ENOMEM;
	}
	memmove(&r->index[at + 1], &r->index[at], (r->count - at) * sizeof(r->index[0]));
	r->index[at] = definition;
	r->count++;
	return 0;
}

static const struct builtin_family *const families[] = {&builtin_basic, &builtin_further};

/* The rows that hold in one version. */
static size_t select_resources(const struct builtin_object *o, size_t version, struct resource_def *out)
{
	size_t count = 0;

	for (size_t i = 0; i < o->resource_count; i++) {
		const struct builtin_resource *row = &o->resources[i];

		if (version < row->since || version > row->until)
			continue;
		out[count++] = (struct resource_def){.id = row->id,
						     .operations = row->operations,
						     .type = row->type,
						     .multiple = row->multiple,
						     .mandatory = row->mandatory,
						     .name = row->name,
						     .range = row->range,
						     .units = row->units,
						     .description = row->description};
	}
	return count;
}

static int add_builtin(struct registry *r, const struct builtin_object *o, size_t version)
{
	const struct builtin_version *v = &o->versions[version];
	struct resource_def *resources;
	struct object_def *def = malloc(sizeof(*def) + o->resource_count * sizeof(*resources));

	if (!def)
		return -ENOMEM;
	resources = (struct resource_def *)(def + 1);
	*def = (struct object_def){.id = o->id,
				   .version = v->version,
				   .lwm2m_version = v->lwm2m,
				   .multiple = o->multiple,
				   .mandatory = o->mandatory,
				   .name = o->name,
				   .description = o->description,
				   .resources = resources,
				   .resource_count = select_resources(o, version, resources)};
	return registry_take(r, def);
}

/* The built-in definition of exactly this version. False if there is none. */
static bool find_builtin(uint32_t key, const struct builtin_object **out, size_t *version)
{
	for (size_t f = 0; f < ARRAY_SIZE(families); f++)
		for (size_t i = 0; i < families[f]->count; i++) {
			*out = &families[f]->objects[i];
			for (*version = 0; *version < (*out)->version_count; ++*version)
				if (key_of((*out)->id, (*out)->versions[*version].version) == key)
					return true;
		}
	return false;
}

bool registry_remove(struct registry *r, uint16_t object, struct object_version version,
		     enum object_origin origin)
{
	uint32_t key = key_of(object, version);
	size_t at = count_up_to(r, key), which;
	const struct builtin_object *builtin;

	if (at == 0 || key_at(r, at - 1) != key || r->index[at - 1]->origin != origin)
		return false;
	free(r->index[at - 1]);
	memmove(&r->index[at - 1], &r->index[at], (r->count - at) * sizeof(r->index[0]));
	r->count--;
	/* There is room for it: one has just gone. Without memory for itself it stays away. */
	if (find_builtin(key, &builtin, &which))
		(void)add_builtin(r, builtin, which);
	return true;
}

struct registry *registry_new_empty(void)
{
	return calloc(1, sizeof(struct registry));
}

struct registry *registry_new(void)
{
	struct registry *r = registry_new_empty();

	if (!r)
		return NULL;
	for (size_t f = 0; f < ARRAY_SIZE(families); f++)
		for (size_t i = 0; i < families[f]->count; i++) {
			const struct builtin_object *o = &families[f]->objects[i];

			for (size_t v = 0; v < o->version_count; v++)
				if (add_builtin(r, o, v) < 0)
					return registry_free(r);
		}
	return r;
}

struct registry *registry_free(struct registry *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < r->count; i++)
		free(r->index[i]);
	free(r->index);
	free(r);
	return NULL;
}

const struct object_def *registry_find(const struct registry *r, uint16_t object,
				       struct object_version version)
{
	size_t at = count_up_to(r, key_of(object, version));
	const struct object_def *def = at ? r->index[at - 1] : NULL;

	return def && def->id == object && def->version.major == version.major ? def : NULL;
}

const struct object_def *registry_at(const struct registry *r, size_t index)
{
	return index < r->count ? r->index[index] : NULL;
}

const struct resource_def *object_resource(const struct object_def *o, uint16_t resource)
{
	size_t low = 0, high = o->resource_count;

	/* Ids often have no gaps. */
	if (resource < high && o->resources[resource].id == resource)
		return &o->resources[resource];
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (o->resources[middle].id == resource)
			return &o->resources[middle];
		if (o->resources[middle].id < resource)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const char *object_urn(const struct object_def *o, char text[64])
{
	/* Classes of the registry: OMA's own, other bodies', vendors'. */
	const char *class = o->id < 2048 ? "oma" : o->id <= 10240 ? "ext" : "x";
	int len = snprintf(text, 64, "urn:oma:lwm2m:%s:%u", class, o->id);

	if (o->version.major != 1 || o->version.minor != 0)
		snprintf(text + len, 64 - (size_t)len, ":%u.%u", o->version.major, o->version.minor);
	return text;
}

/* One number of a version; no leading zeros. */
static bool parse_number(struct span *s, uint8_t *out)
{
	size_t digits = 0;
	uint64_t value;

	while (digits < s->len && s->data[digits] >= '0' && s->data[digits] <= '9')
		digits++;
	if (!span_to_uint(span_of(s->data, digits), UINT8_MAX, &value) || (digits > 1 && s->data[0] == '0'))
		return false;
	*s = span_from(*s, digits);
	*out = (uint8_t)value;
	return true;
}

static bool skip_point(struct span *s)
{
	if (s->len == 0 || s->data[0] != '.')
		return false;
	*s = span_from(*s, 1);
	return true;
}

bool object_version_parse(struct span text, struct object_version *out)
{
	struct object_version version;
	uint8_t third;

	if (!parse_number(&text, &version.major) || !skip_point(&text) ||
	    !parse_number(&text, &version.minor))
		return false;
	if (text.len && (!skip_point(&text) || !parse_number(&text, &third) || text.len))
		return false;
	*out = version;
	return true;
}

/* Versions that came with LwM2M 1.0, 1.1 and 1.2, where they are not all 1.0. */
static const struct {
	uint16_t object;
	struct object_version by_enabler[3];
} core_versions[] = {
	{0, {{1, 0}, {1, 1}, {1, 2}}},	{1, {{1, 0}, {1, 1}, {1, 2}}}, {2, {{1, 0}, {1, 0}, {1, 1}}},
	{3, {{1, 0}, {1, 1}, {1, 2}}},	{4, {{1, 0}, {1, 2}, {1, 3}}}, {5, {{1, 0}, {1, 0}, {1, 1}}},
	{21, {{1, 0}, {1, 0}, {2, 0}}},
};

struct object_version object_version_default(uint16_t object, struct object_version lwm2m)
{
	size_t enabler = lwm2m.major > 1 ? 2 : lwm2m.major < 1 ? 0 : MIN(lwm2m.minor, 2);

	for (size_t i = 0; i < ARRAY_SIZE(core_versions); i++)
		if (core_versions[i].object == object)
			return core_versions[i].by_enabler[enabler];
	return (struct object_version){1, 0};
}

const struct object_def *model_object(const struct model *m, uint16_t object)
{
	for (size_t i = 0; i < m->declared_count; i++)
		if (m->declared[i].object == object)
			return registry_find(m->registry, object, m->declared[i].version);
	return registry_find(m->registry, object, object_version_default(object, m->lwm2m));
}

const struct resource_def *model_resource(const struct model *m, uint16_t object, uint16_t resource)
{
	const struct object_def *o = model_object(m, object);
	const struct resource_def *found = o ? object_resource(o, resource) : NULL;
	size_t at;

	if (!o || found)
		return found;
	/* A newer minor version only adds to an older one, and clients know more than they declare. */
	for (at = count_up_to(m->registry, key_of(object, o->version)); at < m->registry->count && !found;
	     at++) {
		o = m->registry->index[at];
		if (o->id != object || o->version.major != m->registry->index[at - 1]->version.major)
			break;
		found = object_resource(o, resource);
	}
	return found;
}
