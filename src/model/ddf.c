/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Reads object definition files (OMA DDF, as in the LwM2M registry) with expat.
 *
 * The hard idea: what an element means depends on how deep it lies only, so a table of names for the object
 * and one for the resource are all there is to know; text is gathered until the element ends. Definitions are
 * collected first and added when the whole file was good, each packed with its strings into one block, as the
 * registry wants it.
 *
 * Leaves out what shoal has no use for (Description2, object URN) and does not judge names and ranges.
 */

#include "model/ddf.h"

#include "base/arena.h"
#include "base/bytes.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>

enum { TEXT_MAX = 1 << 16, DEPTH_OBJECT = 2, DEPTH_FIELD = 3, DEPTH_ITEM = 4, DEPTH_ITEM_FIELD = 5 };

enum object_field {
	OBJECT_ID,
	OBJECT_NAME,
	OBJECT_DESCRIPTION,
	OBJECT_VERSION,
	OBJECT_LWM2M,
	OBJECT_MULTIPLE,
	OBJECT_MANDATORY,
	OBJECT_FIELDS
};
enum item_field {
	ITEM_NAME,
	ITEM_OPERATIONS,
	ITEM_MULTIPLE,
	ITEM_MANDATORY,
	ITEM_TYPE,
	ITEM_RANGE,
	ITEM_UNITS,
	ITEM_DESCRIPTION,
	ITEM_FIELDS
};

static const char *const object_names[OBJECT_FIELDS] = {
	[OBJECT_ID] = "ObjectID",
	[OBJECT_NAME] = "Name",
	[OBJECT_DESCRIPTION] = "Description1",
	[OBJECT_VERSION] = "ObjectVersion",
	[OBJECT_LWM2M] = "LWM2MVersion",
	[OBJECT_MULTIPLE] = "MultipleInstances",
	[OBJECT_MANDATORY] = "Mandatory",
};

static const char *const item_names[ITEM_FIELDS] = {
	[ITEM_NAME] = "Name",
	[ITEM_OPERATIONS] = "Operations",
	[ITEM_MULTIPLE] = "MultipleInstances",
	[ITEM_MANDATORY] = "Mandatory",
	[ITEM_TYPE] = "Type",
	[ITEM_RANGE] = "RangeEnumeration",
	[ITEM_UNITS] = "Units",
	[ITEM_DESCRIPTION] = "Description",
};

static const struct {
	const char *name;
	enum value_type type;
} type_names[] = {
	{"", VALUE_NONE},	    {"String", VALUE_STRING},	{"Integer", VALUE_INTEGER},
	{"Float", VALUE_FLOAT},	    {"Boolean", VALUE_BOOLEAN}, {"Opaque", VALUE_OPAQUE},
	{"Time", VALUE_TIME},	    {"Objlnk", VALUE_OBJLNK},	{"Unsigned Integer", VALUE_UNSIGNED},
	{"Corelnk", VALUE_CORELNK},
};

static const struct {
	const char *name;
	uint8_t operations;
} operation_names[] = {
	{"", 0},
	{"R", RESOURCE_READ},
	{"W", RESOURCE_WRITE},
	{"RW", RESOURCE_READ | RESOURCE_WRITE},
	{"E", RESOURCE_EXECUTE},
};

struct parse {
	enum object_origin origin;
	XML_Parser parser;
	struct arena arena; /* all text until the file is done */
	struct buffer text;
	unsigned depth;
	int field; /* whose text is gathered; -1: none's */
	struct span object[OBJECT_FIELDS];
	struct span item[ITEM_FIELDS];
	uint16_t item_id;
	struct resource_def *resources; /* of the present object; strings in the arena */
	size_t resource_count;
	struct object_def **definitions; /* finished */
	size_t definition_count;
	int outcome;
	char *error;
};

static void stop(struct parse *p, int outcome, const char *what)
{
	if (p->outcome)
		return;
	p->outcome = outcome;
	snprintf(p->error, DDF_ERROR, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(p->parser),
		 what);
	XML_StopParser(p->parser, XML_FALSE);
}

static int find_name(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

static const char *attribute(const XML_Char **attributes, const char *name)
{
	for (; *attributes; attributes += 2)
		if (strcmp(attributes[0], name) == 0)
			return attributes[1];
	return "";
}

/* ---- packing ---- */

static size_t text_size(const char *s)
{
	return strlen(s) + 1;
}

static size_t resource_text(const struct resource_def *r)
{
	return text_size(r->name) + text_size(r->range) + text_size(r->units) + text_size(r->description);
}

static const char *pack(char **to, const char *s)
{
	char *at = *to;

	memcpy(at, s, text_size(s));
	*to += text_size(s);
	return at;
}

/* One block: definition, resources, strings. */
static struct object_def *pack_definition(const struct parse *p, const struct object_def *o)
{
	size_t size = sizeof(*o) + p->resource_count * sizeof(struct resource_def) + text_size(o->name) +
		      text_size(o->description);
	struct resource_def *resources;
	struct object_def *def;
	char *text;

	for (size_t i = 0; i < p->resource_count; i++)
		size += resource_text(&p->resources[i]);
	def = malloc(size);
	if (!def)
		return NULL;
	resources = (struct resource_def *)(def + 1);
	text = (char *)(resources + p->resource_count);
	*def = *o;
	def->name = pack(&text, o->name);
	def->description = pack(&text, o->description);
	def->resources = resources;
	def->resource_count = p->resource_count;
	for (size_t i = 0; i < p->resource_count; i++) {
		resources[i] = p->resources[i];
		resources[i].name = pack(&text, p->resources[i].name);
		resources[i].range = pack(&text, p->resources[i].range);
		resources[i].units = pack(&text, p->resources[i].units);
		resources[i].description = pack(&text, p->resources[i].description);
	}
	return def;
}

/* ---- an object is complete ---- */

static const char *text_of(struct span s)
{
	return s.len ? (const char *)s.data : "";
}

static int compare_resources(const void *a, const void *b)
{
	return (int)((const struct resource_def *)a)->id - (int)((const struct resource_def *)b)->id;
}

static bool version_of(struct span text, struct object_version *out)
{
	*out = (struct object_version){1, 0};
	return text.len == 0 || object_version_parse(text, out);
}

static void object_done(struct parse *p)
{
	struct object_def o = {.origin = (uint8_t)p->origin,
			       .multiple = span_is(p->object[OBJECT_MULTIPLE], "Multiple"),
			       .mandatory = span_is(p->object[OBJECT_MANDATORY], "Mandatory"),
			       .name = text_of(p->object[OBJECT_NAME]),
			       .description = text_of(p->object[OBJECT_DESCRIPTION])};
	struct object_def **list;
	uint64_t id;

	if (!span_to_uint(p->object[OBJECT_ID], PATH_ID_NONE - 1, &id))
		return stop(p, DDF_INVALID, "ObjectID is missing or not a number below 65535");
	if (o.name[0] == 0)
		return stop(p, DDF_INVALID, "the object has no Name");
	if (!version_of(p->object[OBJECT_VERSION], &o.version) ||
	    !version_of(p->object[OBJECT_LWM2M], &o.lwm2m_version))
		return stop(p, DDF_INVALID, "ObjectVersion or LWM2MVersion is not a version such as 1.1");
	o.id = (uint16_t)id;
	if (p->resource_count > 1)
		qsort(p->resources, p->resource_count, sizeof(p->resources[0]), compare_resources);
	for (size_t i = 1; i < p->resource_count; i++)
		if (p->resources[i].id == p->resources[i - 1].id)
			return stop(p, DDF_INVALID, "two resources of this object have the same ID");
	list = reallocarray(p->definitions, p->definition_count + 1, sizeof(*list));
	if (!list)
		return stop(p, -ENOMEM, "");
	p->definitions = list;
	list[p->definition_count] = pack_definition(p, &o);
	if (!list[p->definition_count])
		return stop(p, -ENOMEM, "");
	p->definition_count++;
}

static void item_done(struct parse *p)
{
	struct resource_def r = {.id = p->item_id,
				 .multiple = span_is(p->item[ITEM_MULTIPLE], "Multiple"),
				 .mandatory = span_is(p->item[ITEM_MANDATORY], "Mandatory"),
				 .name = text_of(p->item[ITEM_NAME]),
				 .range = text_of(p->item[ITEM_RANGE]),
				 .units = text_of(p->item[ITEM_UNITS]),
				 .description = text_of(p->item[ITEM_DESCRIPTION])};
	struct resource_def *list;
	size_t type = 0, operations = 0;

	while (type < ARRAY_SIZE(type_names) && !span_is(p->item[ITEM_TYPE], type_names[type].name))
		type++;
	while (operations < ARRAY_SIZE(operation_names) &&
	       !span_is(p->item[ITEM_OPERATIONS], operation_names[operations].name))
		operations++;
	if (type == ARRAY_SIZE(type_names))
		return stop(
			p, DDF_INVALID,
			"Type is none of String, Integer, Unsigned Integer, Float, Boolean, Opaque, Time, "
			"Objlnk, Corelnk");
	if (operations == ARRAY_SIZE(operation_names))
		return stop(p, DDF_INVALID, "Operations is none of R, W, RW, E");
	if (p->resource_count == DDF_RESOURCES_MAX)
		return stop(p, DDF_INVALID, "the object has too many resources");
	r.type = (uint8_t)type_names[type].type;
	r.operations = operation_names[operations].operations;
	list = reallocarray(p->resources, p->resource_count + 1, sizeof(*list));
	if (!list)
		return stop(p, -ENOMEM, "");
	p->resources = list;
	list[p->resource_count++] = r;
}

/* ---- expat's view ---- */

static void XMLCALL element_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	struct parse *p = ctx;
	uint64_t id;

	p->depth++;
	p->field = -1;
	p->text.len = 0;
	switch (p->depth) {
	case 1:
		if (strcmp(name, "LWM2M") != 0)
			stop(p, DDF_INVALID, "this is no object definition: its root element is not LWM2M");
		break;
	case DEPTH_OBJECT:
		memset(p->object, 0, sizeof(p->object));
		p->resource_count = 0;
		break;
	case DEPTH_FIELD:
		p->field = find_name(object_names, OBJECT_FIELDS, name);
		break;
	case DEPTH_ITEM:
		memset(p->item, 0, sizeof(p->item));
		if (strcmp(name, "Item") == 0 &&
		    !span_to_uint(span_str(attribute(attributes, "ID")), PATH_ID_NONE - 1, &id))
			stop(p, DDF_INVALID, "the ID of an Item is not a number below 65535");
		else if (strcmp(name, "Item") == 0)
			p->item_id = (uint16_t)id;
		break;
	case DEPTH_ITEM_FIELD:
		p->field = find_name(item_names, ITEM_FIELDS, name);
		break;
	default:
		break;
	}
}

static void XMLCALL element_text(void *ctx, const XML_Char *text, int len)
{
	struct parse *p = ctx;

	if (p->field < 0)
		return;
	buffer_bytes(&p->text, span_of(text, (size_t)len));
	if (p->text.failed)
		stop(p, DDF_INVALID, "a text is too long");
}

static struct span trimmed(const struct buffer *b)
{
	struct span s = buffer_span(b);

	while (s.len > 0 && strchr(" \t\r\n", s.data[s.len - 1]))
		s.len--;
	while (s.len > 0 && strchr(" \t\r\n", s.data[0]))
		s = span_from(s, 1);
	return s;
}

static void XMLCALL element_end(void *ctx, const XML_Char *name)
{
	struct parse *p = ctx;

	if (p->field >= 0) {
		struct span *to = p->depth == DEPTH_FIELD ? &p->object[p->field] : &p->item[p->field];

		*to = arena_dup(&p->arena, trimmed(&p->text));
		if (!to->data)
			stop(p, DDF_INVALID, "the file is too large");
	}
	p->field = -1;
	if (p->depth == DEPTH_ITEM && strcmp(name, "Item") == 0)
		item_done(p);
	else if (p->depth == DEPTH_OBJECT && strcmp(name, "Object") == 0)
		object_done(p);
	p->depth--;
}

/* Entities are how XML parsers are made to read files or to grow without bound; definitions need none. */
static void XMLCALL doctype(void *ctx, const XML_Char *name, const XML_Char *system_id,
			    const XML_Char *public_id, int internal)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)internal;
	stop(ctx, DDF_INVALID, "document type declarations are not allowed");
}

static void parse_xml(struct parse *p, struct span xml)
{
	XML_SetUserData(p->parser, p);
	XML_SetElementHandler(p->parser, element_start, element_end);
	XML_SetCharacterDataHandler(p->parser, element_text);
	XML_SetStartDoctypeDeclHandler(p->parser, doctype);
	if (XML_Parse(p->parser, (const char *)xml.data, (int)xml.len, XML_TRUE) == XML_STATUS_OK ||
	    p->outcome)
		return;
	if (XML_GetErrorCode(p->parser) == XML_ERROR_NO_MEMORY)
		p->outcome = -ENOMEM;
	else
		stop(p, DDF_INVALID, XML_ErrorString(XML_GetErrorCode(p->parser)));
}

static int take_definitions(struct parse *p, struct registry *r, size_t *count)
{
	int err = 0;

	*count = p->definition_count;
	for (size_t i = 0; i < p->definition_count; i++) {
		if (err)
			free(p->definitions[i]);
		else
			err = registry_take(r, p->definitions[i]);
	}
	return err;
}

int ddf_load(struct registry *r, struct span xml, enum object_origin origin, size_t *count,
	     char error[DDF_ERROR])
{
	struct parse p = {.origin = origin, .field = -1, .text = buffer_of(TEXT_MAX), .error = error};
	int err;

	error[0] = 0;
	*count = 0;
	if (xml.len == 0 || xml.len > DDF_SIZE_MAX) {
		snprintf(error, DDF_ERROR, "a definition has 1 byte to 1 MiB");
		return DDF_INVALID;
	}
	p.parser = XML_ParserCreate(NULL);
	if (!p.parser)
		return -ENOMEM;
	arena_init(&p.arena, 4 * (size_t)DDF_SIZE_MAX);
	parse_xml(&p, xml);
	if (!p.outcome && p.definition_count == 0)
		stop(&p, DDF_INVALID, "there is no Object in it");
	err = p.outcome;
	if (!err)
		err = take_definitions(&p, r, count);
	for (size_t i = 0; p.outcome && i < p.definition_count; i++)
		free(p.definitions[i]);
	XML_ParserFree(p.parser);
	arena_deinit(&p.arena);
	buffer_deinit(&p.text);
	free(p.resources);
	free(p.definitions);
	return err;
}
