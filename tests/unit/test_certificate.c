/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Names of certificates that are made here, and rules. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <time.h>

#include "security/certificate.h"

static gnutls_x509_privkey_t private_key;
static gnutls_x509_crt_t crt;
static gnutls_datum_t der;

static int set_up(void **state)
{
	static const unsigned char serial[] = {0x0a, 0xBC, 0x01};

	(void)state;
	assert_int_equal(gnutls_x509_privkey_init(&private_key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(private_key, GNUTLS_PK_ECDSA,
						      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
			 0);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 10);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 1000);
	assert_int_equal(gnutls_x509_crt_set_key(crt, private_key), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	gnutls_free(der.data);
	der = (gnutls_datum_t){NULL, 0};
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(private_key);
	return 0;
}

static void add_cn(const char *name, unsigned len)
{
	assert_int_equal(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, len), 0);
}

static void add_san(gnutls_x509_subject_alt_name_t type, const char *name, unsigned len)
{
	assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, type, name, len, GNUTLS_FSAN_APPEND), 0);
}

static struct span sign(void)
{
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, private_key, GNUTLS_DIG_SHA256, 0), 0);
	gnutls_free(der.data);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
	return span_of(der.data, der.size);
}

/* "a|b|c" */
static const char *names(const char *rules_text)
{
	static char text[4096];
	struct certificate_rules rules;
	struct certificate_names n;
	char words[CERTIFICATE_WORDS];
	size_t len = 0;

	assert_int_equal(certificate_rules_parse(rules_text, &rules, words), 0);
	assert_int_equal(certificate_endpoints(span_of(der.data, der.size), &rules, &n), 0);
	text[0] = 0;
	for (size_t i = 0; i < n.count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s", i ? "|" : "",
					(int)certificate_name(&n, i).len, certificate_name(&n, i).data);
	return text;
}

static void names_come_in_the_order_of_the_rules(void **state)
{
	(void)state;
	add_cn("device-1", 8);
	add_san(GNUTLS_SAN_DNSNAME, "device-2.example", 16);
	add_san(GNUTLS_SAN_URI, "urn:dev:imei:4901", 17);
	assert_int_equal(gnutls_x509_crt_set_subject_alt_othername(crt, "1.3.6.1.5.5.7.8.4", "other-3", 7,
								   GNUTLS_FSAN_ENCODE_UTF8_STRING |
									   GNUTLS_FSAN_APPEND),
			 0);
	sign();
	assert_string_equal(names("san,cn"), "device-2.example|urn:dev:imei:4901|other-3|device-1");
	assert_string_equal(names("cn, san-dns"), "device-1|device-2.example");
	assert_string_equal(names("san-uri"), "urn:dev:imei:4901");
	assert_string_equal(names("san-other"), "other-3");
	assert_string_equal(names("serial"), "0abc01");
	/* Each once. */
	assert_string_equal(names("cn,cn"), "device-1");
}

static void a_pattern_takes_its_part(void **state)
{
	(void)state;
	add_cn("urn:imei:4901@fleet", 19);
	add_san(GNUTLS_SAN_DNSNAME, "4902.devices.example", 20);
	sign();
	assert_string_equal(names("cn:urn:imei:*"), "4901@fleet");
	assert_string_equal(names("cn:urn:imei:*@fleet"), "4901");
	assert_string_equal(names("san:*.devices.example"), "4902");
	assert_string_equal(names("cn:x*"), "");
	assert_string_equal(names("san:*.other.example,cn:*"), "urn:imei:4901@fleet");
	/* Prefix and suffix do not overlap, and nothing is no name. */
	assert_string_equal(names("cn:urn:imei:4901@*1@fleet"), "");
	assert_string_equal(names("cn:urn:imei:4901@fleet*"), "");
}

static void a_nul_byte_makes_no_other_name(void **state)
{
	uint8_t *at;

	(void)state;
	add_cn("dev-1", 5);
	add_san(GNUTLS_SAN_DNSNAME, "admin.evil.example", 18);
	sign();
	assert_string_equal(names("san,cn"), "admin.evil.example|dev-1");
	/* No library makes such a one willingly. */
	at = memmem(der.data, der.size, "admin.evil", 10);
	assert_non_null(at);
	at[5] = 0;
	assert_string_equal(names("san,cn"), "dev-1");
}

static void what_is_no_certificate_has_no_names(void **state)
{
	struct certificate_rules rules;
	struct certificate_names n;
	char words[CERTIFICATE_WORDS];
	struct span whole;

	(void)state;
	add_cn("dev-1", 5);
	whole = sign();
	assert_int_equal(certificate_rules_parse("san,cn,serial", &rules, words), 0);
	assert_int_equal(certificate_endpoints(span_of(NULL, 0), &rules, &n), -EBADMSG);
	for (size_t len = 0; len < whole.len; len += 7)
		assert_int_equal(certificate_endpoints(span_of(whole.data, len), &rules, &n), -EBADMSG);
}

static void rules_are_checked(void **state)
{
	static const char *const wrong[] = {
		"",	   "x",	 ",cn",	    "cn:",    "cn:abc",
		"cn:a*b*", "CN", "cn,,san", "cn san", "cn,cn,cn,cn,cn,cn,cn,cn,cn"};
	struct certificate_rules rules;
	char words[CERTIFICATE_WORDS], text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		words[0] = 0;
		if (certificate_rules_parse(wrong[i], &rules, words) != -EINVAL)
			fail_msg("taken: \"%s\"", wrong[i]);
		assert_true(words[0]);
	}
	snprintf(text, sizeof(text), "cn:%0128d*", 0);
	assert_int_equal(certificate_rules_parse(text, &rules, words), -EINVAL);
	snprintf(text, sizeof(text), "cn:%0127d*", 0);
	assert_int_equal(certificate_rules_parse(text, &rules, words), 0);
}

static void a_public_key_is_a_point(void **state)
{
	_cleanup_buffer_ struct buffer spki = buffer_of(1024);
	struct public_key k;

	(void)state;
	add_cn("dev-1", 5);
	assert_int_equal(certificate_public_key(sign(), &spki), 0);
	assert_int_equal(spki.len, 91);
	assert_int_equal(public_key_parse(buffer_span(&spki), &k), 0);
	assert_string_equal(k.curve, "SECP256R1");
	/* The point is the end of the structure: 04, x, y. */
	assert_true(k.x_len <= 32 && k.y_len <= 32 && k.x_len > 20 && k.y_len > 20);
	assert_memory_equal(k.x, spki.data + 27 + 32 - k.x_len, k.x_len);
	assert_memory_equal(k.y, spki.data + 59 + 32 - k.y_len, k.y_len);
	assert_int_equal(public_key_parse(span_of(spki.data, 40), &k), -EBADMSG);
	assert_int_equal(public_key_parse(span_of(NULL, 0), &k), -EBADMSG);
}

static void a_certificate_fits_its_key(void **state)
{
	gnutls_datum_t chain, key, other;
	char words[CERTIFICATE_WORDS] = "";

	(void)state;
	add_cn("server", 6);
	sign();
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &chain), 0);
	assert_int_equal(gnutls_x509_privkey_export2(private_key, GNUTLS_X509_FMT_PEM, &key), 0);
	assert_int_equal(
		certificate_pair_check(span_of(chain.data, chain.size), span_of(key.data, key.size), words),
		0);
	assert_int_equal(
		certificate_pair_check(span_of(key.data, key.size), span_of(key.data, key.size), words),
		-EINVAL);
	assert_true(words[0]);
	gnutls_x509_privkey_deinit(private_key);
	gnutls_x509_privkey_init(&private_key);
	gnutls_x509_privkey_generate(private_key, GNUTLS_PK_ECDSA,
				     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	assert_int_equal(gnutls_x509_privkey_export2(private_key, GNUTLS_X509_FMT_PEM, &other), 0);
	assert_int_equal(certificate_pair_check(span_of(chain.data, chain.size),
						span_of(other.data, other.size), words),
			 -EINVAL);
	gnutls_free(chain.data);
	gnutls_free(key.data);
	gnutls_free(other.data);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(names_come_in_the_order_of_the_rules),
		CASE(a_pattern_takes_its_part),
		CASE(a_nul_byte_makes_no_other_name),
		CASE(what_is_no_certificate_has_no_names),
		CASE(rules_are_checked),
		CASE(a_public_key_is_a_point),
		CASE(a_certificate_fits_its_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
