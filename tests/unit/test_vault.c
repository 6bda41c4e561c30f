/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Sealed secrets: vectors that tests/oracle/dtls_model.py made, and what must not open. */

#include "dtls_test.h"

#include "dtls/vault.h"

#include <errno.h>

enum { ROOM = 512, MANY = 1000 };

#define HEX_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

static const uint8_t salt[VAULT_SALT] = {'s', 'a', 'l', 't', 's', 'a', 'l', 't'};

static struct vault_place place_of(uint8_t kind, uint8_t role, const char *name)
{
	return (struct vault_place){kind, role, span_str(name)};
}

static struct vault_key numbered_key(uint8_t first)
{
	struct vault_key k;

	for (size_t i = 0; i < VAULT_SECRET; i++)
		k.secret[i] = (uint8_t)(first + i);
	return k;
}

static void start(struct vault *v, uint8_t first)
{
	struct vault_key k = numbered_key(first);

	vault_init(v, &k, 7, 0x1122334455667788, salt);
}

static struct span seal(struct vault *v, struct vault_place place, const char *text, uint8_t bytes[ROOM])
{
	struct writer w = writer_of(bytes, ROOM);

	vault_seal(v, &place, span_str(text), &w);
	assert_false(w.failed);
	assert_int_equal(writer_len(&w), strlen(text) + VAULT_OVERHEAD);
	return writer_span(&w);
}

/* What vault_open says; when it refuses, that nothing of the secret is in the room. */
static int opened(const struct vault *v, struct vault_place place, struct span sealed, const char *wanted)
{
	uint8_t out[ROOM] = {0};
	struct writer w = writer_of(out, sizeof(out));
	int rc = vault_open(v, &place, sealed, &w);

	if (rc == 0)
		assert_bytes(writer_span(&w), span_str(wanted));
	else
		assert_true(writer_len(&w) == 0 && all_are(out, sizeof(out), 0));
	return rc;
}

static void vectors_of_another_library_hold(void **state)
{
	static const char *const wanted[] = {
		"0179858b8300000007112233445566778873616c7473616c7400000000000000005916e8998193de631f6d0bd287"
		"191308f58b"
		"2f70bd355c3b",
		"0179858b8300000007112233445566778873616c7473616c7400000000000000019ef16de808dc1f2d1bea642f07"
		"2a46ab6cd0"
		"78a81f6f437e",
	};
	struct vault_place place = place_of(VAULT_SESSION, 0, "dev-1");
	uint8_t bytes[ROOM], derived[VAULT_DERIVED], vector[ROOM];
	_cleanup_vault_ struct vault v;

	(void)state;
	start(&v, 0);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		struct span s = seal(&v, place, "a secret", bytes);

		assert_bytes(s, unhex(wanted[i], vector, sizeof(vector)));
		assert_int_equal(opened(&v, place, s, "a secret"), 0);
	}
	vault_derive(&v, "cookie", 5, derived);
	assert_bytes(span_of(derived, sizeof(derived)),
		     unhex("a90255963a848c145a3988069a9f6489cd1b9deff37761f56c2a1e31e1264f88", vector,
			   sizeof(vector)));
}

static void a_key_is_32_bytes_or_64_digits(void **state)
{
	static const char *const refused[] = {
		"",
		"00",
		(HEX_KEY "0"),
		("0" HEX_KEY),
		"000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1G",
		"000102030405060708090a0b0c0d0e0f 101112131415161718191A1B1C1D1E1F",
		"abababababababababababababababababababababababababababababababab",
		"................................",
		"................................................................",
	};
	static const char *const accepted[] = {HEX_KEY, (HEX_KEY "\n"), (" \t" HEX_KEY "\r\n\n")};
	struct vault_key k, wanted = numbered_key(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(vault_key_parse(span_str(refused[i]), &k), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		memset(&k, 0, sizeof(k));
		assert_int_equal(vault_key_parse(span_str(accepted[i]), &k), 0);
		assert_memory_equal(k.secret, wanted.secret, VAULT_SECRET);
	}
	assert_int_equal(vault_key_parse(span_of(wanted.secret, VAULT_SECRET), &k), 0);
	assert_memory_equal(k.secret, wanted.secret, VAULT_SECRET);
	assert_int_equal(vault_key_parse(span_of(wanted.secret, VAULT_SECRET - 1), &k), -EINVAL);
}

static void it_opens_in_its_place_alone(void **state)
{
	struct vault_place place = place_of(VAULT_PSK, 1, "dev-1");
	uint8_t bytes[ROOM];
	_cleanup_vault_ struct vault v;
	struct span s;

	(void)state;
	start(&v, 0);
	s = seal(&v, place, "key", bytes);
	assert_int_equal(opened(&v, place, s, "key"), 0);
	assert_int_equal(opened(&v, place_of(VAULT_SESSION, 1, "dev-1"), s, "key"), -EBADMSG);
	assert_int_equal(opened(&v, place_of(VAULT_PSK, 0, "dev-1"), s, "key"), -EBADMSG);
	assert_int_equal(opened(&v, place_of(VAULT_PSK, 1, "dev-2"), s, "key"), -EBADMSG);
	assert_int_equal(opened(&v, place_of(VAULT_PSK, 1, "dev-"), s, "key"), -EBADMSG);
	assert_int_equal(opened(&v, place_of(VAULT_PSK, 1, ""), s, "key"), -EBADMSG);
}

static void what_was_changed_does_not_open(void **state)
{
	struct vault_place place = place_of(VAULT_SESSION, 0, "dev-1");
	uint8_t bytes[ROOM];
	_cleanup_vault_ struct vault v;
	struct span s;

	(void)state;
	start(&v, 0);
	s = seal(&v, place, "sixteen and more bytes", bytes);
	for (size_t bit = 0; bit < 8 * s.len; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(opened(&v, place, s, "") < 0);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < s.len; len++)
		assert_int_equal(opened(&v, place, span_of(bytes, len), ""), -EBADMSG);
	bytes[0] = 2;
	assert_int_equal(opened(&v, place, s, ""), -EPROTO);
	bytes[0] = 0;
	assert_int_equal(opened(&v, place, s, ""), -EBADMSG);
	bytes[0] = 1;
	assert_int_equal(opened(&v, place, s, "sixteen and more bytes"), 0);
}

/* New nodes seal under the new key while both open both; the old one goes at last. */
static void keys_rotate(void **state)
{
	struct vault_place place = place_of(VAULT_SESSION, 0, "dev-1");
	uint8_t old_bytes[ROOM], new_bytes[ROOM];
	struct vault_key old_key = numbered_key(0), new_key = numbered_key(100);
	_cleanup_vault_ struct vault before, after, last;
	struct span by_old, by_new;

	(void)state;
	start(&before, 0);
	start(&after, 100);
	start(&last, 100);
	by_old = seal(&before, place, "old", old_bytes);
	by_new = seal(&after, place, "new", new_bytes);
	assert_int_equal(opened(&before, place, by_new, ""), -ENOKEY);
	assert_int_equal(vault_add_key(&before, &new_key), 0);
	assert_int_equal(vault_add_key(&after, &old_key), 0);
	assert_int_equal(opened(&before, place, by_new, "new"), 0);
	assert_int_equal(opened(&after, place, by_old, "old"), 0);
	assert_int_equal(opened(&last, place, by_old, ""), -ENOKEY);
	assert_true(vault_is_current(&before, by_old) && vault_is_current(&after, by_new));
	assert_false(vault_is_current(&before, by_new) || vault_is_current(&after, by_old));
	assert_false(vault_is_current(&after, span_of(by_new.data, VAULT_KEY_ID)));
	assert_int_equal(vault_add_key(&after, &old_key), 0);
	assert_int_equal(vault_add_key(&after, &old_key), 0);
	assert_int_equal(vault_add_key(&after, &old_key), -ENOSPC);
}

/* The same secret in the same place: always under another nonce, or another key. */
static void no_two_are_alike(void **state)
{
	struct vault_place place = place_of(VAULT_SESSION, 0, "dev-1");
	struct vault_key k = numbered_key(0);
	static uint8_t sealed[MANY][ROOM];
	uint8_t others_salt[VAULT_SALT] = {1};
	struct vault v[4];

	(void)state;
	vault_init(&v[0], &k, 7, 1, salt);
	vault_init(&v[1], &k, 8, 1, salt);
	vault_init(&v[2], &k, 7, 2, salt);
	vault_init(&v[3], &k, 7, 1, others_salt);
	for (size_t i = 0; i < MANY; i++) {
		struct span s = seal(&v[i % ARRAY_SIZE(v)], place, "the same secret", sealed[i]);

		assert_int_equal(opened(&v[(i + 1) % ARRAY_SIZE(v)], place, s, "the same secret"), 0);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(sealed[i] + s.len - 31, sealed[j] + s.len - 31, 15);
	}
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		vault_deinit(&v[i]);
}

static void room_and_length_are_bounded(void **state)
{
	struct vault_place place = place_of(VAULT_PSK, 0, "x");
	uint8_t bytes[ROOM], out[ROOM];
	_cleanup_vault_ struct vault v;
	_cleanup_free_ uint8_t *large = calloc(2, VAULT_PLAINTEXT_MAX + VAULT_OVERHEAD);
	struct writer w;
	struct span s;

	(void)state;
	assert_non_null(large);
	start(&v, 0);
	w = writer_of(bytes, VAULT_OVERHEAD + 2);
	vault_seal(&v, &place, span_str("abc"), &w);
	assert_true(w.failed && writer_len(&w) == 0 && v.counter == 0);
	s = seal(&v, place, "abc", bytes);
	w = writer_of(out, 2);
	assert_int_equal(vault_open(&v, &place, s, &w), -EMSGSIZE);
	w = writer_of(out, 3);
	assert_int_equal(vault_open(&v, &place, s, &w), 0);
	s = seal(&v, place, "", bytes);
	assert_int_equal(opened(&v, place, s, ""), 0);
	w = writer_of(large, 2 * VAULT_PLAINTEXT_MAX);
	vault_seal(&v, &place, span_of(large + VAULT_PLAINTEXT_MAX, VAULT_PLAINTEXT_MAX + 1), &w);
	assert_true(w.failed && writer_len(&w) == 0);
}

static void derived_secrets_differ_by_label_and_period(void **state)
{
	uint8_t a[VAULT_DERIVED], b[VAULT_DERIVED];
	_cleanup_vault_ struct vault v, other_node, other_key;
	struct vault_key k = numbered_key(0);

	(void)state;
	start(&v, 0);
	vault_init(&other_node, &k, 9, 3, (const uint8_t[VAULT_SALT]){5});
	start(&other_key, 1);
	vault_derive(&v, "cookie", 5, a);
	vault_derive(&other_node, "cookie", 5, b);
	assert_memory_equal(a, b, sizeof(a));
	vault_derive(&v, "cookie", 6, b);
	assert_memory_not_equal(a, b, sizeof(a));
	vault_derive(&v, "nodes", 5, b);
	assert_memory_not_equal(a, b, sizeof(a));
	vault_derive(&other_key, "cookie", 5, b);
	assert_memory_not_equal(a, b, sizeof(a));
	/* Whose old key it is derives what those do whose current one it still is. */
	assert_int_equal(vault_add_key(&other_key, &k), 0);
	vault_derive_by(&other_key, 1, "cookie", 5, b);
	assert_memory_equal(a, b, sizeof(a));
	vault_deinit(&v);
	assert_true(all_are((const uint8_t *)&v, sizeof(v), 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_another_library_hold),
		cmocka_unit_test(a_key_is_32_bytes_or_64_digits),
		cmocka_unit_test(it_opens_in_its_place_alone),
		cmocka_unit_test(what_was_changed_does_not_open),
		cmocka_unit_test(keys_rotate),
		cmocka_unit_test(no_two_are_alike),
		cmocka_unit_test(room_and_length_are_bounded),
		cmocka_unit_test(derived_secrets_differ_by_label_and_period),
	};

	return cmocka_run_group_tests_name("vault", tests, NULL, NULL);
}
