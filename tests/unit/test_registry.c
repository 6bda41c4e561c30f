/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Object definitions: the built-in ones, their versions, and which of them a device means. */

#include "model/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int make_registry(void **state)
{
	*state = registry_new();
	return *state ? 0 : -1;
}

static int free_registry(void **state)
{
	*state = registry_free(*state);
	return 0;
}

static const struct object_def *find(void **state, uint16_t id, uint8_t major, uint8_t minor)
{
	return registry_find(*state, id, (struct object_version){major, minor});
}

/* "0-12" style lists of resource ids, for what each version has. */
static void check_version(void **state, uint16_t id, struct object_version version, const char *expected)
{
	const struct object_def *o = registry_find(*state, id, version);
	char text[512] = "";
	size_t len = 0;

	assert_non_null(o);
	assert_int_equal(o->version.major, version.major);
	assert_int_equal(o->version.minor, version.minor);
	for (size_t i = 0; i < o->resource_count; i++) {
		size_t last = i;

		while (last + 1 < o->resource_count && o->resources[last + 1].id == o->resources[last].id + 1)
			last++;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", len ? " " : "",
					o->resources[i].id);
		if (last > i)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "-%u", o->resources[last].id);
		i = last;
	}
	assert_string_equal(text, expected);
}

static void check_resources(void **state, uint16_t id, uint8_t minor, const char *expected)
{
	check_version(state, id, (struct object_version){1, minor}, expected);
}

static void each_version_has_its_resources(void **state)
{
	check_resources(state, 0, 0, "0-12");
	check_resources(state, 0, 1, "0-17");
	check_resources(state, 0, 2, "0-30");
	check_resources(state, 1, 0, "0-8");
	check_resources(state, 1, 1, "0-23");
	check_resources(state, 1, 2, "0-27");
	check_resources(state, 2, 0, "0-3");
	check_resources(state, 2, 1, "0-3");
	check_resources(state, 3, 0, "0-22");
	check_resources(state, 3, 1, "0-22");
	check_resources(state, 3, 2, "0-22");
	check_resources(state, 4, 0, "0-10");
	check_resources(state, 4, 1, "0-11");
	check_resources(state, 4, 2, "0-12");
	check_resources(state, 4, 3, "0-13");
	check_resources(state, 5, 0, "0-3 5-9");
	check_resources(state, 5, 1, "0-3 5-13");
	check_resources(state, 5, 2, "0-3 5-14");
	check_resources(state, 6, 0, "0-6");
	check_resources(state, 7, 0, "0-8");
	check_resources(state, 9, 0, "0-18");
	check_resources(state, 9, 1, "0-22");
	check_resources(state, 10, 0, "0-11");
	check_resources(state, 10, 1, "0-5 7-14");
	check_resources(state, 11, 0, "0-25");
	check_resources(state, 11, 1, "0-33");
	check_resources(state, 16, 0, "0-3");
	check_resources(state, 19, 0, "0-5");
	check_resources(state, 20, 0, "4010-4015");
	check_resources(state, 21, 0, "0-5");
	check_resources(state, 21, 1, "0-6");
	check_version(state, 21, (struct object_version){2, 0}, "0-6");
	check_resources(state, 22, 0, "0-4");
	check_resources(state, 22, 1, "0-6");
	check_resources(state, 23, 0, "0-2");
	check_resources(state, 24, 0, "0-8");
	check_resources(state, 25, 0, "0-2");
	check_version(state, 25, (struct object_version){2, 0}, "0-1 3");
	check_resources(state, 26, 0, "0-1");
	check_resources(state, 33629, 0, "0-3 5-17");
	check_resources(state, 3303, 0, "5601-5605 5700-5701");
	check_resources(state, 3303, 1, "5518 5601-5605 5700-5701 5750 6042 6049-6050");
}

/* What holds for every definition, so that a slip in a source table shows. */
static void definitions_are_sound(void **state)
{
	const struct object_def *o, *last = NULL;
	size_t count = 0;

	for (; (o = registry_at(*state, count)); last = o, count++) {
		assert_true(!last || last->id < o->id ||
			    (last->id == o->id && (last->version.major < o->version.major ||
						   (last->version.major == o->version.major &&
						    last->version.minor < o->version.minor))));
		assert_true(*o->name && *o->description);
		assert_int_equal(o->lwm2m_version.major, 1);
		assert_true(o->lwm2m_version.minor <= 2);
		for (size_t i = 0; i < o->resource_count; i++) {
			const struct resource_def *r = &o->resources[i];

			assert_true(i == 0 || o->resources[i - 1].id < r->id);
			assert_true(*r->name && r->range && r->units);
			assert_int_equal(r->description[strlen(r->description) - 1], '.');
			assert_true(r->type < VALUE_TYPES);
			assert_int_equal(r->type == VALUE_NONE, r->operations == RESOURCE_EXECUTE);
			/* Only the bootstrap server writes keys. */
			assert_int_equal(r->operations == 0, o->id == 0 || o->id == 21 || o->id == 23);
			assert_ptr_equal(object_resource(o, r->id), r);
		}
		assert_null(object_resource(o, 65534));
		assert_null(object_resource(o, 4444));
	}
	/* 0 to 7; 9, 10, 11; 16, 19, 20; 21 to 26; 3303, 33629. */
	assert_int_equal(count, 3 + 3 + 2 + 3 + 4 + 3 + 1 + 1 + 2 + 2 + 2 + 1 + 1 + 1 + 3 + 2 + 1 + 1 + 2 +
					1 + 2 + 1);
	assert_null(registry_at(*state, count + 1));
}

static void knows_the_particulars(void **state)
{
	const struct resource_def *r = object_resource(find(state, 3, 1, 2), 11);

	assert_string_equal(r->name, "Error Code");
	assert_true(r->multiple && r->mandatory);
	assert_int_equal(r->operations, RESOURCE_READ);
	assert_int_equal(r->type, VALUE_INTEGER);
	assert_string_equal(r->range, "0..32");
	assert_string_equal(object_resource(find(state, 3, 1, 1), 11)->range, "0..8");
	/* A type that changed between versions. */
	assert_int_equal(object_resource(find(state, 0, 1, 1), 16)->type, VALUE_INTEGER);
	assert_int_equal(object_resource(find(state, 0, 1, 2), 16)->type, VALUE_UNSIGNED);
	r = object_resource(find(state, 1, 1, 0), 1);
	assert_int_equal(r->operations, RESOURCE_READ | RESOURCE_WRITE);
	assert_string_equal(r->units, "s");
	assert_true(find(state, 1, 1, 0)->multiple && find(state, 1, 1, 0)->mandatory);
	assert_false(find(state, 3, 1, 0)->multiple);
	assert_false(find(state, 5, 1, 0)->mandatory);
}

/* lwm2m.md, 1.10, as lines: id, operations, type, "*" if it has instances, "!" if it must be there. */
static void agrees_with_the_catalogue(void **state)
{
	static const struct {
		uint16_t object;
		struct object_version version;
		const char *summary;
	} cases[] = {
		{9,
		 {1, 0},
		 "0RS! 1RS! 2WO 3WS 4E! 5RL 6E! 7RI! 8RWB 9RI! 10E! 11E! 12RB! 13RWL 14WS 15WS 16RS 17RL* "
		 "18RI"},
		{21, {2, 0}, "0O! 1O! 2O! 3I 4I 5O 6O"},
		{21, {1, 0}, "0S! 1S! 2S! 3I 4I 5S"},
		{22, {1, 1}, "0RWC*! 1RS! 2RWB 3RWC* 4RWI 5RWI 6RO"},
		{23, {1, 0}, "0S! 1I! 2S!"},
		{24, {1, 0}, "0RWB 1RWS 2RWS 3RWB 4RWU 5RWU 6RWS! 7RWS 8RWO"},
		{25, {2, 0}, "0RS! 1RS! 3RC!"},
		{25, {1, 0}, "0RS! 1RWS! 2RL"},
		{26, {1, 0}, "0RU! 1RC!"},
		{33629,
		 {1, 0},
		 "0WO! 1RWS! 2E! 3RI! 5RI! 6RS 7RS 8RI* 9RI! 10E 11RWI 12RT 13RWU 14RS! 15RS! 16RL* 17RL*"},
		{10, {1, 1}, "0RWS 1RWI 2RWS 3RL 4RWI 5RWI 7RWO 8RWO 9RWO 10RWO 11RL*! 12RU 13RWU 14RWU"},
		{16, {1, 0}, "0RWS*! 1E 2RO* 3RI"},
		{19, {1, 0}, "0RWO*! 1RWI 2RWT 3RWS 4RWS 5RWI"},
		{20, {1, 0}, "4010RWI 4011E 4012E 4013RI 4014RO! 4015RWI"},
	};
	static const char types[VALUE_TYPES] = {
		[VALUE_STRING] = 'S', [VALUE_INTEGER] = 'I', [VALUE_UNSIGNED] = 'U',
		[VALUE_FLOAT] = 'F',  [VALUE_BOOLEAN] = 'B', [VALUE_OPAQUE] = 'O',
		[VALUE_TIME] = 'T',   [VALUE_OBJLNK] = 'L',  [VALUE_CORELNK] = 'C',
	};

	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		const struct object_def *o = registry_find(*state, cases[c].object, cases[c].version);
		char text[512] = "";
		size_t len = 0;

		assert_non_null(o);
		for (size_t i = 0; i < o->resource_count; i++) {
			const struct resource_def *r = &o->resources[i];
			char type[2] = {types[r->type], '\0'};

			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u%s%s%s%s%s%s",
						i ? " " : "", r->id, r->operations & RESOURCE_READ ? "R" : "",
						r->operations & RESOURCE_WRITE ? "W" : "",
						r->operations & RESOURCE_EXECUTE ? "E" : "", type,
						r->multiple ? "*" : "", r->mandatory ? "!" : "");
		}
		assert_string_equal(text, cases[c].summary);
	}
}

/* What comes with an enabler is there under the version that an absent `ver` means. */
static void has_what_is_meant_by_default(void **state)
{
	static const uint16_t core[] = {0, 1, 2, 3, 4, 5, 6, 7, 21, 23, 24, 25, 26};

	for (size_t i = 0; i < ARRAY_SIZE(core); i++)
		for (uint8_t minor = 0; minor < 3; minor++) {
			struct object_version v =
				object_version_default(core[i], (struct object_version){1, minor});
			const struct object_def *o = registry_find(*state, core[i], v);

			assert_non_null(o);
			assert_int_equal(o->version.major, v.major);
			assert_int_equal(o->version.minor, v.minor);
		}
}

static void falls_back_to_a_lower_minor(void **state)
{
	assert_int_equal(find(state, 3, 1, 9)->version.minor, 2);
	assert_int_equal(find(state, 6, 1, 1)->version.minor, 0);
	assert_null(find(state, 3, 2, 0));
	assert_null(find(state, 3, 0, 9));
	assert_null(find(state, 8, 1, 0));
	assert_null(find(state, 65535, 255, 255));
	assert_null(find(state, 3302, 1, 1));
	/* Never across a major version: a key is bytes in one and text in the other. */
	assert_int_equal(find(state, 21, 1, 7)->version.minor, 1);
	assert_int_equal(find(state, 21, 2, 7)->version.major, 2);
	assert_null(find(state, 21, 3, 0));
	assert_int_equal(find(state, 25, 1, 1)->version.major, 1);
	assert_int_equal(find(state, 3303, 1, 255)->version.minor, 1);
}

/* A definition on the heap as a loader makes it; name and version tell them apart. */
static struct object_def *make_definition(uint16_t id, uint8_t major, uint8_t minor, const char *name)
{
	struct object_def *o = calloc(1, sizeof(*o) + sizeof(struct resource_def));
	struct resource_def *r = (struct resource_def *)(o + 1);

	assert_non_null(o);
	*r = (struct resource_def){.id = 77, .type = VALUE_STRING, .name = "x", .range = "", .units = ""};
	*o = (struct object_def){
		.id = id, .version = {major, minor}, .name = name, .resources = r, .resource_count = 1};
	return o;
}

static void takes_definitions(void **state)
{
	size_t before = 0, after = 0;

	while (registry_at(*state, before))
		before++;
	for (uint16_t id = 500; id > 400; id--)
		assert_int_equal(registry_take(*state, make_definition(id, 1, 0, "new")), 0);
	assert_int_equal(registry_take(*state, make_definition(450, 2, 1, "newer")), 0);
	assert_int_equal(registry_take(*state, make_definition(3, 1, 1, "replaced")), 0);
	while (registry_at(*state, after))
		after++;
	assert_int_equal(after, before + 101);
	for (size_t i = 1; i < after; i++)
		assert_true(registry_at(*state, i - 1)->id <= registry_at(*state, i)->id);
	assert_string_equal(find(state, 450, 1, 0)->name, "new");
	assert_string_equal(find(state, 450, 2, 3)->name, "newer");
	assert_string_equal(find(state, 3, 1, 1)->name, "replaced");
	assert_string_equal(find(state, 3, 1, 2)->name, "Device");
	assert_string_equal(find(state, 3, 1, 0)->name, "Device");
}

static void names_urns(void **state)
{
	char text[64];
	struct object_def o = {.id = 3, .version = {1, 1}};

	assert_string_equal(object_urn(find(state, 3, 1, 0), text), "urn:oma:lwm2m:oma:3");
	assert_string_equal(object_urn(find(state, 3, 1, 1), text), "urn:oma:lwm2m:oma:3:1.1");
	assert_string_equal(object_urn(find(state, 3303, 1, 1), text), "urn:oma:lwm2m:ext:3303:1.1");
	o.id = 10241;
	assert_string_equal(object_urn(&o, text), "urn:oma:lwm2m:x:10241:1.1");
	o.id = 65534;
	o.version = (struct object_version){255, 255};
	assert_string_equal(object_urn(&o, text), "urn:oma:lwm2m:x:65534:255.255");
}

static void parses_versions(void **state)
{
	static const char *const bad[] = {"",	  "1",	  "1.",	   ".1",    "01.0",    "1.00",
					  "1.x",  "x.1",  "1.0.",  "1.0.x", "1.0.2.3", " 1.0",
					  "1.0 ", "-1.0", "256.0", "1.256"};
	struct object_version v = {9, 9};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (object_version_parse(span_str(bad[i]), &v))
			fail_msg("%s was taken for a version", bad[i]);
	assert_int_equal(v.major, 9);
	assert_true(object_version_parse(span_str("1.1"), &v));
	assert_true(v.major == 1 && v.minor == 1);
	assert_true(object_version_parse(span_str("1.0.2"), &v));
	assert_true(v.major == 1 && v.minor == 0);
	assert_true(object_version_parse(span_str("255.10"), &v));
	assert_true(v.major == 255 && v.minor == 10);
}

static void knows_default_versions(void **state)
{
	/* lwm2m.md, 1.2: object, then its version by LwM2M 1.0, 1.1 and 1.2. */
	static const struct {
		uint16_t object;
		const char *versions[3];
	} cases[] = {
		{0, {"1.0", "1.1", "1.2"}},  {1, {"1.0", "1.1", "1.2"}},    {2, {"1.0", "1.0", "1.1"}},
		{3, {"1.0", "1.1", "1.2"}},  {4, {"1.0", "1.2", "1.3"}},    {5, {"1.0", "1.0", "1.1"}},
		{6, {"1.0", "1.0", "1.0"}},  {7, {"1.0", "1.0", "1.0"}},    {21, {"1.0", "1.0", "2.0"}},
		{23, {"1.0", "1.0", "1.0"}}, {3303, {"1.0", "1.0", "1.0"}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (uint8_t minor = 0; minor < 3; minor++) {
			struct object_version v =
				object_version_default(cases[i].object, (struct object_version){1, minor});
			struct object_version expected;

			assert_true(object_version_parse(span_str(cases[i].versions[minor]), &expected));
			assert_int_equal(v.major, expected.major);
			assert_int_equal(v.minor, expected.minor);
		}
	/* Versions nobody has written yet. */
	assert_int_equal(object_version_default(3, (struct object_version){1, 7}).minor, 2);
	assert_int_equal(object_version_default(3, (struct object_version){2, 0}).minor, 2);
	assert_int_equal(object_version_default(3, (struct object_version){0, 9}).minor, 0);
}

static void sees_the_model_of_a_device(void **state)
{
	static const struct declared_object declared[] = {{3303, {1, 1}}, {3, {1, 0}}, {4, {3, 0}}};
	struct model m = {.registry = *state, .lwm2m = {1, 1}, .declared = declared, .declared_count = 3};

	assert_int_equal(model_object(&m, 1)->version.minor, 1);
	assert_int_equal(model_object(&m, 3)->version.minor, 0);
	assert_int_equal(model_object(&m, 3303)->version.minor, 1);
	assert_null(model_object(&m, 4));
	assert_null(model_object(&m, 9999));
	assert_string_equal(model_resource(&m, 3303, 6050)->name, "Fractional Timestamp");
	assert_null(model_resource(&m, 3303, 1));
	assert_null(model_resource(&m, 4, 0));
	assert_null(model_resource(&m, 9999, 0));
	/* What only a newer minor has is known, in the form in which it first came. */
	m.lwm2m = (struct object_version){1, 2};
	assert_int_equal(model_object(&m, 5)->version.minor, 1);
	assert_null(object_resource(model_object(&m, 5), 14));
	assert_int_equal(model_resource(&m, 5, 14)->type, VALUE_BOOLEAN);
	assert_null(model_resource(&m, 5, 15));
	assert_null(model_resource(&m, 5, 4));
	/* But never across a major version. */
	assert_int_equal(registry_take(*state, make_definition(5, 2, 0, "other")), 0);
	assert_null(model_resource(&m, 5, 77));
	m.lwm2m = (struct object_version){1, 0};
	assert_string_equal(model_resource(&m, 5, 0)->name, "Package");
	assert_int_equal(model_resource(&m, 5, 10)->operations, RESOURCE_EXECUTE);
}

#define WITH_REGISTRY(test) cmocka_unit_test_setup_teardown(test, make_registry, free_registry)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_REGISTRY(each_version_has_its_resources),
		WITH_REGISTRY(definitions_are_sound),
		WITH_REGISTRY(knows_the_particulars),
		WITH_REGISTRY(agrees_with_the_catalogue),
		WITH_REGISTRY(has_what_is_meant_by_default),
		WITH_REGISTRY(falls_back_to_a_lower_minor),
		WITH_REGISTRY(takes_definitions),
		WITH_REGISTRY(names_urns),
		WITH_REGISTRY(sees_the_model_of_a_device),
		cmocka_unit_test(parses_versions),
		cmocka_unit_test(knows_default_versions),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
