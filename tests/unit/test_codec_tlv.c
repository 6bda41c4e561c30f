/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* OMA TLV: the vectors, how much clients wrap, all forms of lengths and ids, all types, and what is refused.
 */

#include "codec_fixture.h"

static void decode_hex(void **state, const char *base, const char *hex, const char *expected)
{
	struct fixture *f = *state;

	expect_decoded(f, FORMAT_TLV, base, from_hex(f, hex), expected);
}

static void encode_hex(void **state, const char *base, const char *records, const char *hex)
{
	struct fixture *f = *state;

	expect_encoded(f, FORMAT_TLV, base, records, from_hex(f, hex));
}

static void vectors(void **state)
{
	check_vectors(*state, FORMAT_TLV);
	decode_hex(state, "/3/0", "830b410000", "/3/0/11/0 INTEGER 0");
	/* The number from before IANA is the same codec. */
	expect_decoded(*state, FORMAT_OLD_TLV, "/3/0/11", from_hex(*state, "830b410000"),
		       "/3/0/11/0 INTEGER 0");
}

/* leshan#460: the instance around its resources is optional, and so is all that the path says already. */
static void wrapping_is_optional(void **state)
{
	decode_hex(state, "/3", "080003 C10964", "/3/0/9 INTEGER 100");
	decode_hex(state, "/3/0", "080003 C10964", "/3/0/9 INTEGER 100");
	decode_hex(state, "/3/0/9", "080003 C10964", "/3/0/9 INTEGER 100");
	decode_hex(state, "/3/0", "C10964", "/3/0/9 INTEGER 100");
	decode_hex(state, "/3/0/9", "C10964", "/3/0/9 INTEGER 100");
	decode_hex(state, "/3/0/6", "080008 8606 410001 410105", "/3/0/6/0 INTEGER 1\n/3/0/6/1 INTEGER 5");
	decode_hex(state, "/3/0/6", "410001 410105", "/3/0/6/0 INTEGER 1\n/3/0/6/1 INTEGER 5");
	decode_hex(state, "/3/0/6/1", "410105", "/3/0/6/1 INTEGER 5");
	decode_hex(state, "/3/0/6/1", "8306410105", "/3/0/6/1 INTEGER 5");
	decode_hex(state, "/3/0/6/1", "080005 8306410105", "/3/0/6/1 INTEGER 5");
	/* An object that can have one instance only has that one. */
	decode_hex(state, "/3", "C10964", "/3/0/9 INTEGER 100");
	/* Otherwise the client is to choose it. */
	decode_hex(state, "/1", "C10164", "/1/65535/1 INTEGER 100");
}

static void only_what_was_asked_for(void **state)
{
	struct fixture *f = *state;

	expect_refused(f, FORMAT_TLV, "/3/0", from_hex(f, "080103 C10964"), CODEC_MALFORMED);
	expect_refused(f, FORMAT_TLV, "/3/0/9", from_hex(f, "C10A64"), CODEC_MALFORMED);
	expect_refused(f, FORMAT_TLV, "/3/0/6/1", from_hex(f, "410005"), CODEC_MALFORMED);
	/* But where a link in the answer leads to. */
	decode_hex(state, "/65/0", "080008 8600 440000410001  080106 C10141 C10205",
		   "/65/0/0/0 OBJLNK 65:1\nextra /65/1/1 STRING A\nextra /65/1/2 INTEGER 5");
}

static void empty_things(void **state)
{
	decode_hex(state, "/3/0", "8006", "/3/0/6 NONE");
	decode_hex(state, "/3/0/6", "8006", "/3/0/6 NONE");
	decode_hex(state, "/2", "0000 0001", "/2/0 NONE\n/2/1 NONE");
	decode_hex(state, "/3/0", "C000", "/3/0/0 STRING ");
	/* What is there holds against what is said to be empty, wherever that stands. */
	decode_hex(state, "/3", "0000 080003 C10964", "/3/0/9 INTEGER 100");
	decode_hex(state, "/3", "080003 C10964 0000", "/3/0/9 INTEGER 100");
	decode_hex(state, "/3/0", "0000 C10964 8006", "/3/0/9 INTEGER 100\n/3/0/6 NONE");
	decode_hex(state, "/3/0", "8006 0000 86 06 410001 410105", "/3/0/6/0 INTEGER 1\n/3/0/6/1 INTEGER 5");
	decode_hex(state, "/2", "0000 0001 080103 C10105", "/2/0 NONE\n/2/1/1 INTEGER 5");
	encode_hex(state, "/3/0", "/3/0/6 NONE", "8006");
	encode_hex(state, "/3/0", "/3/0 NONE", "");
	encode_hex(state, "/2", "/2/0 NONE\n/2/1 NONE", "0000 0001");
	encode_hex(state, "/2", "/2 NONE", "");
	encode_hex(state, "/2", "", "");
	encode_hex(state, "/3/0", "/3/0/0 STRING ", "C000");
}

static void integers_of_all_widths(void **state)
{
	/* A length of 0 is 0; signs count; what has the wrong length but is digits is a number, too. */
	decode_hex(state, "/3/0/9", "C009", "/3/0/9 INTEGER 0");
	decode_hex(state, "/3/0/9", "C109FF", "/3/0/9 INTEGER -1");
	decode_hex(state, "/3/0/9", "C2098000", "/3/0/9 INTEGER -32768");
	decode_hex(state, "/3/0/9", "C409FFFFFFFE", "/3/0/9 INTEGER -2");
	decode_hex(state, "/3/0/9", "C809087FFFFFFFFFFFFFFF", "/3/0/9 INTEGER 9223372036854775807");
	decode_hex(state, "/3/0/9", "C809088000000000000000", "/3/0/9 INTEGER -9223372036854775808");
	decode_hex(state, "/1/0/13", "C00D", "/1/0/13 UNSIGNED_INTEGER 0");
	decode_hex(state, "/1/0/13", "C10DFF", "/1/0/13 UNSIGNED_INTEGER 255");
	decode_hex(state, "/1/0/13", "C80D08FFFFFFFFFFFFFFFF",
		   "/1/0/13 UNSIGNED_INTEGER 18446744073709551615");
	decode_hex(state, "/3/0/13", "C40DFFFFFFFF", "/3/0/13 TIME -1");
	decode_hex(state, "/3/0/13", "C00D", "/3/0/13 TIME 0");
	decode_hex(state, "/1/0/1", "C501\"86400\"", "/1/0/1 INTEGER 86400");
	decode_hex(state, "/1/0/1", "C301\"-12\"", "/1/0/1 INTEGER -12");
	decode_hex(state, "/1/0/1", "C3010A0B0C", "misfit /1/0/1 OPAQUE 0a0b0c");
	encode_hex(state, "/3/0", "/3/0/9 INTEGER -128", "C10980");
	encode_hex(state, "/3/0", "/3/0/9 INTEGER 128", "C2090080");
	encode_hex(state, "/3/0", "/3/0/9 INTEGER -32769", "C409FFFF7FFF");
	encode_hex(state, "/3/0", "/3/0/9 INTEGER 2147483648", "C809080000000080000000");
	encode_hex(state, "/1/0", "/1/0/13 UNSIGNED_INTEGER 255", "C10DFF");
	encode_hex(state, "/1/0", "/1/0/13 UNSIGNED_INTEGER 65535", "C20DFFFF");
	encode_hex(state, "/1/0", "/1/0/13 UNSIGNED_INTEGER 4294967295", "C40DFFFFFFFF");
	encode_hex(state, "/1/0", "/1/0/13 UNSIGNED_INTEGER 4294967296", "C80D080000000100000000");
	encode_hex(state, "/3/0", "/3/0/13 TIME 0", "C10D00");
}

static void floats(void **state)
{
	decode_hex(state, "/6/0/0", "C40041B33333", "/6/0/0 FLOAT 22.399999618530273");
	decode_hex(state, "/6/0/0", "C800084036666666666666", "/6/0/0 FLOAT 22.4");
	/* Integers where a float should be. */
	decode_hex(state, "/6/0/0", "C10016", "/6/0/0 FLOAT 22.0");
	decode_hex(state, "/6/0/0", "C200FFEA", "/6/0/0 FLOAT -22.0");
	decode_hex(state, "/6/0/0", "C000", "/6/0/0 FLOAT 0.0");
	decode_hex(state, "/6/0/0", "C500\"22.44\"", "/6/0/0 FLOAT 22.44");
	decode_hex(state, "/6/0/0", "C300ABCDEF", "misfit /6/0/0 OPAQUE abcdef");
}

static void booleans_and_links(void **state)
{
	decode_hex(state, "/1/0/6", "C10600", "/1/0/6 BOOLEAN 0");
	decode_hex(state, "/1/0/6", "C10601", "/1/0/6 BOOLEAN 1");
	decode_hex(state, "/1/0/6", "C006", "/1/0/6 BOOLEAN 0");
	decode_hex(state, "/1/0/6", "C2060001", "/1/0/6 BOOLEAN 1");
	decode_hex(state, "/1/0/6", "C10602", "misfit /1/0/6 OPAQUE 02");
	decode_hex(state, "/1/0/10", "C40A000B0003", "/1/0/10 OBJLNK 11:3");
	decode_hex(state, "/1/0/10", "C40AFFFFFFFF", "/1/0/10 OBJLNK 65535:65535");
	decode_hex(state, "/1/0/10", "C60A\"11:123\"", "/1/0/10 OBJLNK 11:123");
	decode_hex(state, "/1/0/10", "C20A000B", "misfit /1/0/10 OPAQUE 000b");
	encode_hex(state, "/1/0", "/1/0/10 OBJLNK 65535:65535", "C40AFFFFFFFF");
	encode_hex(state, "/1/0", "/1/0/6 INTEGER 1", "C10601");
	encode_hex(state, "/6/0", "/6/0/0 FLOAT 22.5", "C40041B40000");
	encode_hex(state, "/6/0", "/6/0/0 FLOAT 22.4", "C800084036666666666666");
	encode_hex(state, "/6/0", "/6/0/0 FLOAT inf", "C4007F800000");
	encode_hex(state, "/6/0", "/6/0/0 FLOAT nan", "C4007FC00000");
	encode_hex(state, "/6/0", "/6/0/0 FLOAT 1e300", "C800087E37E43C8800759C");
	encode_hex(state, "/6/0", "/6/0/0 INTEGER 22", "C40041B00000");
}

static void strings_and_models(void **state)
{
	decode_hex(state, "/3/0", "C300\"K\"C3B6", "/3/0/0 STRING K\xC3\xB6");
	decode_hex(state, "/3/0", "C200\"K\"F6", "misfit /3/0/0 OPAQUE 4bf6");
	decode_hex(state, "/3/0", "C10405", "misfit /3/0/4 OPAQUE 05");
	/* One value of a multiple resource, and instances of a single one. */
	decode_hex(state, "/3/0", "C10605", "misfit /3/0/6 INTEGER 5");
	decode_hex(state, "/3/0", "8309410005", "misfit /3/0/9/0 INTEGER 5");
	/* A resource of a newer version of the object (lwm2m.md, 1.11). */
	decode_hex(state, "/5/0", "C10E01", "/5/0/14 BOOLEAN 1");
	/* Nobody knows what it is. */
	decode_hex(state, "/9999/0", "C10964 8306410000", "/9999/0/9 OPAQUE 64\n/9999/0/6/0 OPAQUE 00");
	decode_hex(state, "/3/0", "C16364", "/3/0/99 OPAQUE 64");
	((struct fixture *)*state)->c.model = NULL;
	decode_hex(state, "/3/0", "C10964", "/3/0/9 OPAQUE 64");
	encode_hex(state, "/3/0", "/3/0/9 INTEGER 100", "C10964");
}

/* Every width of id and length, with the shortest written. */
static void all_length_forms(void **state)
{
	static const struct {
		size_t len;
		const char *head, *head16;
	} cases[] = {
		{7, "C700", "E7012C"},
		{8, "C80008", "E8012C08"},
		{255, "C800FF", "E8012CFF"},
		{256, "D0000100", "F0012C0100"},
		{65535, "D000FFFF", "F0012CFFFF"},
		{65536, "D800010000", "F8012C010000"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned wide = 0; wide < 2; wide++) {
			struct span head = from_hex(f, wide ? cases[i].head16 : cases[i].head);
			struct record record = {.path = {{9999, 0, wide ? 300 : 0}, 3},
						.value = {.type = VALUE_OPAQUE}};
			struct records list = records_of(&f->arena);
			uint8_t *bytes = arena_alloc(&f->arena, cases[i].len), *block;

			memset(bytes, 'x', cases[i].len);
			record.value.bytes = span_of(bytes, cases[i].len);
			set_base(f, "/9999/0");
			f->out.len = 0;
			assert_int_equal(codec_encode(&f->c, FORMAT_TLV, &record, 1, &f->out), CODEC_OK);
			assert_int_equal(f->out.len, head.len + cases[i].len);
			assert_memory_equal(f->out.data, head.data, head.len);
			assert_int_equal(decode_exact(f, FORMAT_TLV, buffer_span(&f->out), &list, &block),
					 CODEC_OK);
			assert_int_equal(list.count, 1);
			assert_true(value_equal(&list.items[0].value, &record.value));
			assert_int_equal(path_compare(&list.items[0].path, &record.path), 0);
			free(block);
		}
	}
	/* Lengths that could be shorter are fine to read. */
	decode_hex(state, "/3/0", "C8090164", "/3/0/9 INTEGER 100");
	decode_hex(state, "/3/0", "D009000164", "/3/0/9 INTEGER 100");
	decode_hex(state, "/3/0", "D80900000164", "/3/0/9 INTEGER 100");
	decode_hex(state, "/3/0", "F8000900000164", "/3/0/9 INTEGER 100");
}

static void refuses_what_is_no_tlv(void **state)
{
	static const struct {
		const char *base, *hex;
	} cases[] = {
		{"/3/0", "C1"},
		{"/3/0", "C109"},
		{"/3/0", "C20964"},
		{"/3/0", "E100"},
		{"/3/0", "C809"},
		{"/3/0", "C80902FF"},
		{"/3/0", "D80900"},
		{"/3/0", "D809FFFFFF00"},
		{"/3/0", "C10964C1"},
		{"/3/0", "410064"},		/* a resource instance of no resource */
		{"/3/0", "0800038306410000"},	/* a multiple resource longer than what it is in */
		{"/3/0", "080005 0000 C10964"}, /* an instance in an instance */
		{"/3/0", "8503 C10964"},	/* a resource in a resource */
		{"/3/0", "080003 410064"},	/* a resource instance in an instance */
		{"/3/0", "E1FFFF64"},		/* no id */
		{"/3", "20FFFF"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_refused(f, FORMAT_TLV, cases[i].base, from_hex(f, cases[i].hex), CODEC_MALFORMED);
	expect_refused(f, FORMAT_TLV, "/", from_hex(f, "C10964"), CODEC_UNSUPPORTED);
}

static void creates_without_an_id(void **state)
{
	struct fixture *f = *state;
	const struct record items[] = {
		{.path = {{EVERY_TYPE, PATH_ID_NONE, 1}, 3},
		 .value = {.type = VALUE_STRING, .bytes = span_str("a")}},
		{.path = {{EVERY_TYPE, PATH_ID_NONE, 2}, 3}, .value = {.type = VALUE_INTEGER, .integer = 5}},
	};

	set_base(f, "/42800");
	assert_int_equal(codec_encode(&f->c, FORMAT_TLV, items, 2, &f->out), CODEC_OK);
	assert_true(span_equal(buffer_span(&f->out), from_hex(f, "C10161 C10205")));
	f->out.len = 0;
	assert_int_equal(codec_encode(&f->c, FORMAT_SENML_CBOR, items, 2, &f->out), CODEC_MISFIT);
	assert_int_equal(codec_encode(&f->c, FORMAT_SENML_JSON, items, 2, &f->out), CODEC_MISFIT);
	/* With an id: ETS 1630, whose text spells the second header 80 00 2B, which would be empty. */
	encode_hex(state, "/16", "/16/1/0/0 STRING Host Device ID #1\n/16/1/0/1 STRING Host Device Model #1",
		   "08012E 88002B 480011\"Host Device ID #1\" 480114\"Host Device Model #1\"");
}

static void refuses_what_tlv_cannot_say(void **state)
{
	struct fixture *f = *state;

	expect_not_encoded(f, FORMAT_TLV, "/3/0", "/3/0/9 INTEGER@1000 1\n/3/0/9 INTEGER@2000 2",
			   CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_TLV, "/3/0", "/3/0/6/0 INTEGER@1000 1\n/3/0/6/0 INTEGER@2000 2",
			   CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_TLV, "/3/0", "/3/0/9 STRING full", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_TLV, "/3/0", "/3/0/6/0 NONE", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_TLV, "/3/0", "/3/0/6 NONE\n/3/0/6/0 INTEGER 1", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_TLV, "/3/0", "/3/0/6 INTEGER 1", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_TLV, "/3/0", "/3/0/9/0 INTEGER 1", CODEC_MISFIT);
	expect_not_encoded(f, FORMAT_TLV, "/", "/3/0/9 INTEGER 1", CODEC_UNSUPPORTED);
	/* A time alone is left out. */
	encode_hex(state, "/3/0", "/3/0/9 INTEGER@1000 1", "C10901");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_FIXTURE(vectors),
		WITH_FIXTURE(wrapping_is_optional),
		WITH_FIXTURE(only_what_was_asked_for),
		WITH_FIXTURE(empty_things),
		WITH_FIXTURE(integers_of_all_widths),
		WITH_FIXTURE(floats),
		WITH_FIXTURE(booleans_and_links),
		WITH_FIXTURE(strings_and_models),
		WITH_FIXTURE(all_length_forms),
		WITH_FIXTURE(refuses_what_is_no_tlv),
		WITH_FIXTURE(creates_without_an_id),
		WITH_FIXTURE(refuses_what_tlv_cannot_say),
	};

	return cmocka_run_group_tests_name("codec_tlv", tests, NULL, NULL);
}
