/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* What simulated devices authenticate with: derived keys against values of other programs, and files. */

#include "sim/credentials.h"

#include "dtls_test.h"
#include "sim/names.h"
#include "sim/rawkey.h"
#include "sim/rows.h"

#include <errno.h>
#include <unistd.h>

enum { TEXT_MAX = 4096 };

static int rows_of(const char *text, struct credential_rows *rows, char error[TEXT_MAX])
{
	FILE *to = fmemopen(error, TEXT_MAX, "w");
	int rc = credential_rows_parse(span_str(text), "keys.csv", rows, to);

	fclose(to);
	return rc;
}

static void test_rows(void **state)
{
	struct credential_rows rows;
	char error[TEXT_MAX];

	(void)state;
	assert_int_equal(rows_of("Endpoint,note,mode,key,identity\r\n"
				 "a,\"x, \"\"y\"\"\",psk,00ff,\"i\"\"1,2\"\r\n"
				 "\n"
				 "\"b\",,PSK,0A,id",
				 &rows, error),
			 0);
	assert_int_equal(rows.count, 2);
	assert_true(span_is(rows.rows[0].endpoint, "a"));
	assert_true(span_is(rows.rows[0].identity, "i\"1,2"));
	assert_true(span_is(rows.rows[0].key, "00ff"));
	assert_true(span_is(rows.rows[1].endpoint, "b"));
	assert_true(span_is(rows.rows[1].identity, "id"));
	assert_true(span_is(rows.rows[1].key, "0A"));
	credential_rows_free(&rows);
}

static void test_rows_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"endpoint,mode,key\n", "line 1 does not name"},
		{"endpoint,mode,identity,key\na,rpk,,00\n", "line 2 has another mode"},
		{"endpoint,mode,identity,key\na,psk,i,00\n,psk,i,00\n", "line 3 has no endpoint"},
		{"endpoint,mode,identity,key\na b,psk,i,00\n", "line 2 has no endpoint"},
		{"endpoint,mode,identity,key\na,psk,,00\n", "line 2 has no identity"},
		{"endpoint,mode,identity,key\na,psk,i,0\n", "line 2 has a key"},
		{"endpoint,mode,identity,key\na,psk,i\n", "line 2 has a key"},
		{"endpoint,mode,identity,key\na,psk,i,0g\n", "line 2 has a key"},
		{"endpoint,mode,identity,key\na,psk,\"i,00\n", "line 2 has a quote"},
		{"endpoint,mode,identity,key\na,psk,\"i\"x,00\n", "line 2 has something behind"},
		{"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\n", "line 1 has too many"},
	};
	struct credential_rows rows;
	char error[TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(error, 0, sizeof(error));
		if (rows_of(cases[i].text, &rows, error) != -EINVAL || !strstr(error, cases[i].says))
			fail_msg("%zu: \"%s\" does not say \"%s\"", i, error, cases[i].says);
		credential_rows_free(&rows);
	}
}

static void test_names(void **state)
{
	static const struct sim_options options = {.prefix = "sim"};
	char name[NAME_OF_DEVICE], text[NAME_EXPANDED];
	uint8_t bytes[4];
	size_t len;

	(void)state;
	assert_string_equal(name_of_device(&options, NULL, 41, name), "sim-000042");
	assert_true(name_is_pattern("x{ep}"));
	assert_false(name_is_pattern("ep"));
	assert_true(name_expand("{ep}/a-{ep}.pem", "dev", text));
	assert_string_equal(text, "dev/a-dev.pem");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_false(name_expand("{ep}{ep}", text, (char[NAME_EXPANDED]){""}));
	assert_true(name_hex(span_str("00fFa5"), bytes, sizeof(bytes), &len));
	assert_int_equal(len, 3);
	assert_memory_equal(bytes, "\x00\xff\xa5", 3);
	assert_false(name_hex(span_str(""), bytes, sizeof(bytes), &len));
	assert_false(name_hex(span_str("0"), bytes, sizeof(bytes), &len));
	assert_false(name_hex(span_str("0x"), bytes, sizeof(bytes), &len));
	assert_false(name_hex(span_str("0011223344"), bytes, sizeof(bytes), &len));
}

/* Computed by Python's hmac and cryptography. */
static void test_derived_keys(void **state)
{
	const struct sim_options psk = {
		.prefix = "sim", .psk = (char[]){"id-{ep}:000102030405060708090a0b0c0d0e0f"}, .count = 1};
	static const char spki[] =
		"3059301306072a8648ce3d020106082a8648ce3d0301070342000463d6ff1908ce462a4f"
		"e9cb2b1b47b43ecf995f36bb468cd062da2b24e98684c9507b1618a84417f1a9387ebe9a46"
		"bbad9fc89bfc1b8abe1783c82ec1817df683";
	struct credentials *credentials;
	struct presented p;
	struct raw_key key;
	uint8_t bytes[RAW_KEY_SPKI];

	(void)state;
	assert_int_equal(credentials_new(&psk, stderr, &credentials), 0);
	assert_int_equal(credentials_present(credentials, 0, "sim-000001", &p), 0);
	assert_bytes(span_of(p.identity, p.identity_len), span_str("id-sim-000001"));
	assert_bytes(span_of(p.psk, p.psk_len), unhex("2fab3fb44ac8a45bc33cbd0d5109a528", bytes, 16));
	assert_non_null(p.context);
	assert_false(p.own);
	presented_deinit(&p);
	credentials_free(credentials);

	assert_int_equal(raw_key_derive(span_of("\xaa\xbb", 2), span_str("raw-000001"), &key), 0);
	assert_bytes(span_of(key.spki, sizeof(key.spki)), unhex(spki, bytes, sizeof(bytes)));
}

/* The library reads the private key, and finds the same public key with it. */
static void test_private_key(void **state)
{
	const struct sim_options options = {.prefix = "sim", .raw_keys = (char[]){"aabb"}, .count = 1};
	enum { X = RAW_KEY_SPKI - 64, Y = RAW_KEY_SPKI - 32, MANY = 600 };
	struct credentials *credentials;
	unsigned with_zero = 0;
	struct presented p;
	struct raw_key key;

	(void)state;
	assert_int_equal(credentials_new(&options, stderr, &credentials), 0);
	for (unsigned i = 0; i < MANY; i++) {
		char name[NAME_OF_DEVICE];
		bool zero;

		name_of_device(&options, credentials, i, name);
		assert_int_equal(raw_key_derive(span_of("\xaa\xbb", 2), span_str(name), &key), 0);
		zero = key.spki[X] == 0 || key.spki[Y] == 0;
		with_zero += zero;
		if (i >= 8 && !zero)
			continue;
		assert_int_equal(credentials_present(credentials, i, name, &p), 0);
		assert_true(p.own);
		assert_bytes(dtls_context_public_key(p.context), span_of(key.spki, sizeof(key.spki)));
		presented_deinit(&p);
	}
	/* Numbers that are short are the ones to get wrong. */
	assert_in_range(with_zero, 2, 20);
	credentials_free(credentials);
}

/* What is written can be read, and means the same. */
static void test_written(void **state)
{
	struct sim_options options = {
		.prefix = "a,\"b", .psk = (char[]){"{ep}:00"}, .count = 3, .own_cid_len = 0};
	char path[] = "/tmp/shoal-test-credentials-XXXXXX";
	int fd = mkstemp(path);
	struct credentials *written, *read;
	struct sim_options again = {.prefix = "x", .psk_file = path, .count = 3};
	struct presented p, q;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(credentials_new(&options, stderr, &written), 0);
	assert_int_equal(credentials_write(written, path, stderr), 0);
	assert_int_equal(credentials_new(&again, stderr, &read), 0);
	for (uint32_t i = 0; i < 3; i++) {
		char name[NAME_OF_DEVICE], other[NAME_OF_DEVICE];

		name_of_device(&options, written, i, name);
		assert_string_equal(name_of_device(&again, read, i, other), name);
		assert_int_equal(credentials_present(written, i, name, &p), 0);
		assert_int_equal(credentials_present(read, i, name, &q), 0);
		assert_bytes(span_of(q.identity, q.identity_len), span_of(p.identity, p.identity_len));
		assert_bytes(span_of(q.psk, q.psk_len), span_of(p.psk, p.psk_len));
	}
	credentials_free(read);
	again.count = 4; /* more devices than rows */
	assert_int_equal(credentials_new(&again, fopen("/dev/null", "w"), &read), -EINVAL);
	credentials_free(written);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	    cmocka_unit_test(test_rows_refused),
		cmocka_unit_test(test_names),	    cmocka_unit_test(test_derived_keys),
		cmocka_unit_test(test_private_key), cmocka_unit_test(test_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
