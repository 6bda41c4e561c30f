/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Link-format as devices in the field write it. Each case is text and what is read from it, written back in
 * one strict form: `target|name|name=value|...` per link, a link without target as `-`, the end as `.`, an
 * error as `!`.
 */

#include "coap_test.h"

#include "base/random.h"
#include "coap/linkformat.h"

static void add(char *out, size_t size, const char *prefix, struct span s)
{
	size_t len = strlen(out);

	snprintf(out + len, size - len, "%s%.*s", prefix, (int)s.len, s.len ? (const char *)s.data : "");
}

static void read_all(struct span text, char *out, size_t size)
{
	struct link_reader r = link_reader_of(text);
	enum link_next got;
	struct link link;

	out[0] = '\0';
	while ((got = link_next(&r, &link)) == LINK_OK) {
		struct span left = link.params;
		struct link_param param;

		add(out, size, "", link.target.data ? link.target : span_str("-"));
		while ((got = link_param_next(&left, &param)) == LINK_OK) {
			add(out, size, "|", param.name);
			if (param.has_value)
				add(out, size, "=", param.value);
		}
		if (got == LINK_ERROR)
			add(out, size, "|!", span_str(""));
		add(out, size, " ", span_str(""));
	}
	add(out, size, got == LINK_END ? "." : "!", span_str(""));
}

static const struct {
	const char *text;
	const char *expected;
} cases[] = {
	{"", "."},
	{" \r\n\t", "."},
	{"</1/0>", "/1/0 ."},
	{"</1>,</3/0>", "/1 /3/0 ."},
	{"</>;rt=\"oma.lwm2m\";ct=110,</1>;ver=1.1,</3/0>", "/|rt=oma.lwm2m|ct=110 /1|ver=1.1 /3/0 ."},
	{"</lwm2m>;rt=\"oma.lwm2m\", </lwm2m/1/0>", "/lwm2m|rt=oma.lwm2m /lwm2m/1/0 ."},
	/* Version on the object, quoted as in 1.0 or bare, and on an instance. */
	{"</33>;ver=\"1.1\"", "/33|ver=1.1 ."},
	{"</44/0>;ver=2.2", "/44/0|ver=2.2 ."},
	/* Formats: a quoted list, one number, the parameter twice (leshan#1229). */
	{"</>;ct=\"110 112 60\"", "/|ct=110 112 60 ."},
	{"</>;ct=110;ct=112", "/|ct=110|ct=112 ."},
	{"</>;ct=\"60,110\",</1>", "/|ct=60,110 /1 ."},
	/* Deeper than an instance (mbed-client#126), trailing slash, objects that must not be there. */
	{"</3/0/11/0>,</1/>,</0>", "/3/0/11/0 /1/ /0 ."},
	/* Blanks in every place. */
	{"  </1/0> , </3/0> ; ver = 1.0 ;\r\n\t</x>", "/1/0 /3/0|ver=1.0|</x> ."},
	{"< /1/0 >\t;\tver\t=\t\"1.0\"\t,\n</2>", "/1/0|ver=1.0 /2 ."},
	/* Empty links and parameters. */
	{",,</1>,, ,</2>,", "/1 /2 ."},
	{"</1>;;ver=1.0;", "/1|ver=1.0 ."},
	/* Parameters nobody knows, without value, with an empty one. */
	{"</1>;obs;x=;y=\"\";title*=UTF-8'de'%c3%a4", "/1|obs|x=|y=|title*=UTF-8'de'%c3%a4 ."},
	{"</1>;a=b=c", "/1|a=b=c ."},
	/* Separators and escapes inside quotes are text. */
	{"</1>;t=\"a;b,c>d\",</2>", "/1|t=a;b,c>d /2 ."},
	{"</1>;t=\"a\\\"b\\\\\",</2>", "/1|t=a\\\"b\\\\ /2 ."},
	/* Bootstrap-Discover of 1.0 begins with what is no link (OMA#534), later ones with the root. */
	{"lwm2m=\"1.0\",</0/0>,</0/0>;ssid=101", "-|lwm2m=1.0 /0/0 /0/0|ssid=101 ."},
	{"lwm2m=1.0, </1/>", "-|lwm2m=1.0 /1/ ."},
	{"</>;lwm2m=1.1,</0/1>;ssid=101;uri=\"coaps://192.0.2.1:5684\"",
	 "/|lwm2m=1.1 /0/1|ssid=101|uri=coaps://192.0.2.1:5684 ."},
	{"<>", " ."},
	/* Not link-format. */
	{"hello", "!"},
	{"</1>,hello", "/1 !"},
	{"</1", "!"},
	{"<", "!"},
	{"<a=b", "!"},
	{"</1>x", "!"},
	{"</1></2>", "!"},
	{"</1> </2>", "!"},
	{"</1>;t=\"a", "!"},
	{"</1>;t=\"a\\\"", "!"},
	{"</1>;t=\"a\\", "!"},
	{"{\"a\":1}", "!"},
	{"</1>,</2>;t=\"", "/1 !"},
	/* A link whose parameters are wrong stays a link: those before the fault count. */
	{"</1>;a=1;=2;b=3,</2>", "/1|a=1|! /2 ."},
	{"</1>;a=\"x\"y,</2>", "/1|! /2 ."},
	{"</1>;a=\"x\"y\"z\",</2>", "/1|! /2 ."},
	{"</1>;a=x\"y\",</2>", "/1|! /2 ."},
	{"</1>;\"a\",</2>", "/1|! /2 ."},
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span exact = exact_copy(span_str(cases[i].text));
		char got[512];

		read_all(exact, got, sizeof(got));
		if (strcmp(got, cases[i].expected) != 0)
			fail_msg("<%s> gave <%s>", cases[i].text, got);
		free((void *)exact.data);
	}
}

static void test_param_find(void **state)
{
	struct link_reader r = link_reader_of(span_str("</>;rt=\"oma.lwm2m\";ct=110;ct=112;obs;=;late=1"));
	struct link link;
	struct link_param param;

	(void)state;
	assert_int_equal(link_next(&r, &link), LINK_OK);
	assert_true(link_param_find(&link, "rt", &param));
	assert_text(param.value, "oma.lwm2m");
	assert_text(param.raw, "\"oma.lwm2m\"");
	assert_true(link_param_find(&link, "ct", &param));
	assert_text(param.value, "110"); /* the first */
	assert_text(param.raw, "110");
	assert_true(link_param_find(&link, "obs", &param));
	assert_false(param.has_value);
	assert_int_equal(param.raw.len, 0);
	assert_false(link_param_find(&link, "c", &param));
	assert_false(link_param_find(&link, "ctx", &param));
	assert_false(link_param_find(&link, "late", &param)); /* behind the fault */
	/* Parameters need not come from a link. */
	assert_false(link_param_find(&(struct link){.params = span_str("rt=\"open")}, "rt", &param));
	assert_true(link_param_find(&(struct link){.params = span_str("rt=\"shut\"")}, "rt", &param));
}

/* After an error the reader stays where it is: nobody loops for ever, nothing more is read. */
static void test_error_is_final(void **state)
{
	struct link_reader r = link_reader_of(span_str("</1>,oops,</2>"));
	struct link link;

	(void)state;
	assert_int_equal(link_next(&r, &link), LINK_OK);
	assert_int_equal(link_next(&r, &link), LINK_ERROR);
	assert_int_equal(link_next(&r, &link), LINK_ERROR);
}

static void test_mutations(void **state)
{
	static const char alphabet[] = "<>/;,=\"\\ \n.0aZ";
	struct random r;
	char got[8192];

	(void)state;
	random_init_seed(&r, 6690);
	for (unsigned n = 0; n < 300000; n++) {
		struct bytes text = {.len = 0};
		struct span exact;

		bytes_add(&text, span_str(cases[n % ARRAY_SIZE(cases)].text));
		for (unsigned k = random_u32(&r) % 4; k > 0 && text.len; k--)
			text.data[random_u32(&r) % text.len] =
				(uint8_t)alphabet[random_u32(&r) % (sizeof(alphabet) - 1)];
		if (text.len)
			text.len -= random_u32(&r) % text.len;
		exact = exact_copy(bytes_span(&text));
		read_all(exact, got, sizeof(got));
		/* It came to an end, and said which one. */
		assert_true(strlen(got) > 0 && strchr(".!", got[strlen(got) - 1]));
		free((void *)exact.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_param_find),
		cmocka_unit_test(test_error_is_final),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("coap_linkformat", tests, NULL, NULL);
}
