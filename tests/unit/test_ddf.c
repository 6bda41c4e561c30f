/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Object definition files: what they give, and what they are refused for. */

/* cmocka needs these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/ddf.h"

#include <stdio.h>

#define OBJECT(fields, items)                                                         \
	"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<LWM2M xmlns:xsi=\"x\"><Object " \
	"ObjectType=\"MODefinition\">" fields "<Resources>" items                     \
	"</Resources><Description2></Description2></Object></LWM2M>\n"
#define FIELDS                                                                \
	"<Name> Pump </Name><Description1><![CDATA[Moves <water>]]> &amp; "   \
	"more</Description1><ObjectID>33000</ObjectID>"                       \
	"<ObjectURN>urn:oma:lwm2m:x:33000:1.1</ObjectURN><LWM2MVersion>1.1</" \
	"LWM2MVersion><ObjectVersion>1.1</ObjectVersion>"                     \
	"<MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory>"
#define ITEM(id, operations, type)                                                                        \
	"<Item ID=\"" id "\"><Name>N" id "</Name><Operations>" operations                                 \
	"</Operations><MultipleInstances>Single"                                                          \
	"</MultipleInstances><Mandatory>Mandatory</Mandatory><Type>" type "</Type><RangeEnumeration>0..9" \
	"</RangeEnumeration><Units>l/s</Units><Description>D\n</Description></Item>"

static void a_definition_is_added_whole(void **state)
{
	static const char xml[] = OBJECT(FIELDS, ITEM("7", "E", "") ITEM("2", "RW", "Unsigned Integer"));
	struct registry *r = registry_new();
	const struct object_def *o;
	const struct resource_def *resource;
	char error[DDF_ERROR];
	size_t count;

	(void)state;
	assert_int_equal(ddf_load(r, span_str(xml), ORIGIN_FILE, &count, error), DDF_OK);
	assert_int_equal(count, 1);
	o = registry_find(r, 33000, (struct object_version){1, 4});
	assert_non_null(o);
	assert_string_equal(o->name, "Pump");
	assert_string_equal(o->description, "Moves <water> & more");
	assert_true(o->multiple && !o->mandatory);
	assert_int_equal(o->version.minor, 1);
	assert_int_equal(o->resource_count, 2);
	assert_int_equal(o->resources[0].id, 2);
	resource = object_resource(o, 2);
	assert_int_equal(resource->type, VALUE_UNSIGNED);
	assert_int_equal(resource->operations, RESOURCE_READ | RESOURCE_WRITE);
	assert_string_equal(resource->units, "l/s");
	assert_string_equal(resource->range, "0..9");
	assert_string_equal(resource->description, "D");
	assert_true(resource->mandatory && !resource->multiple);
	assert_int_equal(object_resource(o, 7)->operations, RESOURCE_EXECUTE);
	assert_int_equal(ddf_load(r, span_str(xml), ORIGIN_FILE, &count, error),
			 DDF_OK); /* again: replaced */
	registry_free(r);
}

static void what_is_removed_uncovers_what_was_built_in(void **state)
{
	static const char xml[] =
		OBJECT("<Name>Mine</Name><ObjectID>3</ObjectID><ObjectVersion>1.1</ObjectVersion>", "");
	const struct object_version version = {1, 1};
	struct registry *r = registry_new();
	char error[DDF_ERROR];
	size_t count;

	(void)state;
	assert_false(registry_remove(r, 3, version, ORIGIN_STORED));
	assert_int_equal(ddf_load(r, span_str(xml), ORIGIN_STORED, &count, error), DDF_OK);
	assert_string_equal(registry_find(r, 3, version)->name, "Mine");
	assert_false(registry_remove(r, 3, version, ORIGIN_FILE));
	assert_true(registry_remove(r, 3, version, ORIGIN_STORED));
	assert_string_equal(registry_find(r, 3, version)->name, "Device");
	assert_int_equal(registry_find(r, 3, version)->version.minor, 1);
	registry_free(r);
}

static void versions_stand_side_by_side(void **state)
{
	static const char first[] =
		OBJECT("<Name>A</Name><ObjectID>3303</ObjectID><ObjectVersion>1.2</ObjectVersion>",
		       ITEM("1", "R", "Float"));
	static const char second[] =
		OBJECT("<Name>B</Name><ObjectID>3303</ObjectID><ObjectVersion>2.0</ObjectVersion>",
		       ITEM("1", "R", "String"));
	struct registry *r = registry_new();
	char error[DDF_ERROR];
	size_t count;

	(void)state;
	assert_int_equal(ddf_load(r, span_str(second), ORIGIN_FILE, &count, error), DDF_OK);
	assert_int_equal(ddf_load(r, span_str(first), ORIGIN_FILE, &count, error), DDF_OK);
	assert_string_equal(registry_find(r, 3303, (struct object_version){1, 9})->name, "A");
	assert_string_equal(registry_find(r, 3303, (struct object_version){2, 0})->name, "B");
	assert_null(registry_find(r, 3303, (struct object_version){3, 0}));
	assert_string_not_equal(registry_find(r, 3303, (struct object_version){1, 0})->name, "A");
	registry_free(r);
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
	static const struct {
		const char *xml, *error;
	} cases[] = {
		{"", "1 byte"},
		{"<LWM2M>", "line 1: no element found"},
		{"<html></html>", "root element is not LWM2M"},
		{"<LWM2M></LWM2M>", "no Object"},
		{"<!DOCTYPE a [<!ENTITY b \"c\">]><LWM2M>&b;</LWM2M>", "document type"},
		{OBJECT("<Name>A</Name>", ""), "line 2: ObjectID is missing"},
		{OBJECT("<Name>A</Name><ObjectID>65535</ObjectID>", ""), "ObjectID"},
		{OBJECT("<ObjectID>5</ObjectID>", ""), "no Name"},
		{OBJECT("<Name>A</Name><ObjectID>5</ObjectID><ObjectVersion>x</ObjectVersion>", ""),
		 "not a version"},
		{OBJECT(FIELDS, ITEM("x", "R", "String")), "ID of an Item"},
		{OBJECT(FIELDS, ITEM("1", "R", "Text")), "Type is none of"},
		{OBJECT(FIELDS, ITEM("1", "RWE", "String")), "Operations is none of"},
		{OBJECT(FIELDS, ITEM("1", "R", "String") ITEM("1", "R", "String")), "same ID"},
	};
	struct registry *r = registry_new();
	char error[DDF_ERROR];
	size_t count, before = 0;

	(void)state;
	while (registry_at(r, before))
		before++;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(ddf_load(r, span_str(cases[i].xml), ORIGIN_FILE, &count, error),
				 DDF_INVALID);
		if (!strstr(error, cases[i].error))
			fail_msg("'%s' is not in '%s'", cases[i].error, error);
	}
	assert_non_null(registry_at(r, before - 1));
	assert_null(registry_at(r, before));
	registry_free(r);
}

static void a_file_that_ends_anywhere_adds_nothing(void **state)
{
	static const char xml[] = OBJECT(FIELDS, ITEM("7", "E", "") ITEM("2", "RW", "Unsigned Integer"));
	struct registry *r = registry_new();
	char error[DDF_ERROR];
	size_t count;

	(void)state;
	for (size_t len = 1; len < sizeof(xml) - 2; len++) {
		char *cut = malloc(len);

		memcpy(cut, xml, len);
		assert_int_equal(ddf_load(r, span_of(cut, len), ORIGIN_FILE, &count, error), DDF_INVALID);
		free(cut);
	}
	assert_null(registry_find(r, 33000, (struct object_version){1, 1}));
	registry_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_definition_is_added_whole),
		cmocka_unit_test(what_is_removed_uncovers_what_was_built_in),
		cmocka_unit_test(versions_stand_side_by_side),
		cmocka_unit_test(what_is_wrong_is_said_with_its_line),
		cmocka_unit_test(a_file_that_ends_anywhere_adds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
