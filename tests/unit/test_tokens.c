/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Bearer tokens over a real store. */

#include "security_bench.h"

#include "security/tokens.h"

static struct random source;
static struct tokens *tokens;
static uint64_t now_ms;

static struct {
	int result;
	char id[TOKEN_ID + 1];
	char text[TOKEN_TEXT];
} made;

static uint64_t wall(void)
{
	return now_ms;
}

static void on_loaded(void *ctx, int result)
{
	(void)ctx;
	bench.waiting--;
	assert_int_equal(result, 0);
}

static void load(void)
{
	tokens = tokens_new(bench.store, &source, wall);
	assert_non_null(tokens);
	bench.waiting++;
	assert_int_equal(tokens_load(tokens, on_loaded, NULL), 0);
	bench_run();
}

static int set_up(void **state)
{
	int err = bench_set_up(state);

	random_init_kernel(&source);
	now_ms = 1000;
	load();
	return err;
}

static int tear_down(void **state)
{
	bench_close();
	tokens = tokens_free(tokens);
	return bench_tear_down(state);
}

static void on_created(void *ctx, int result, const struct token *token, const char *text)
{
	(void)ctx;
	bench.waiting--;
	made.result = result;
	if (result == 0) {
		memcpy(made.id, token->id, sizeof(made.id));
		memcpy(made.text, text, sizeof(made.text));
	}
}

static const char *create(enum token_role role, const char *name, uint64_t expires_ms)
{
	made.result = 99;
	bench.waiting++;
	assert_int_equal(tokens_create(tokens, role, span_str(name), expires_ms, on_created, NULL), 0);
	/* Not before it is stored. */
	assert_int_equal(made.result, 99);
	bench_run();
	assert_int_equal(made.result, 0);
	return made.text;
}

static void on_revoked(void *ctx, int result)
{
	(void)ctx;
	bench.waiting--;
	assert_int_equal(result, STORE_DONE);
}

static enum token_role role_of(const char *text)
{
	const struct token *t = tokens_check(tokens, span_str(text));

	return t ? t->role : TOKEN_NONE;
}

static void a_token_has_the_role_it_was_made_with(void **state)
{
	char first[TOKEN_TEXT];

	(void)state;
	memcpy(first, create(TOKEN_READ, "dashboard", 0), sizeof(first));
	create(TOKEN_ADMIN, "", 0);
	assert_int_equal(role_of(first), TOKEN_READ);
	assert_int_equal(role_of(made.text), TOKEN_ADMIN);
	assert_int_equal(strlen(first), TOKEN_TEXT - 1);
	assert_int_equal(tokens_count(tokens), 2);
	assert_string_equal(tokens_next(tokens, NULL)->name, "dashboard");
}

static void what_is_not_exactly_it_is_nothing(void **state)
{
	char text[TOKEN_TEXT + 1];

	(void)state;
	create(TOKEN_ADMIN, "", 0);
	for (size_t i = 0; i < TOKEN_TEXT - 1; i++) {
		memcpy(text, made.text, TOKEN_TEXT);
		text[i] = text[i] == '0' ? '1' : '0';
		assert_int_equal(role_of(text), TOKEN_NONE);
	}
	for (size_t len = 0; len < TOKEN_TEXT - 1; len++)
		assert_null(tokens_check(tokens, span_of(made.text, len)));
	snprintf(text, sizeof(text), "%s0", made.text);
	assert_int_equal(role_of(text), TOKEN_NONE);
	/* The secret of another token is none. */
	memcpy(text, made.text, TOKEN_TEXT);
	create(TOKEN_READ, "", 0);
	memcpy(text + 6, made.text + 6, TOKEN_ID);
	assert_int_equal(role_of(text), TOKEN_NONE);
}

static void a_token_ends(void **state)
{
	(void)state;
	create(TOKEN_OPERATE, "", 2000);
	now_ms = 1999;
	assert_int_equal(role_of(made.text), TOKEN_OPERATE);
	assert_non_null(tokens_find(tokens, span_str(made.id)));
	now_ms = 2000;
	assert_int_equal(role_of(made.text), TOKEN_NONE);
	assert_null(tokens_find(tokens, span_str(made.id)));
	/* It is still told of, and can be revoked. */
	assert_non_null(tokens_next(tokens, NULL));
	bench.waiting++;
	assert_int_equal(tokens_revoke(tokens, span_str(made.id), on_revoked, NULL), 0);
	bench_run();
	assert_null(tokens_next(tokens, NULL));
}

static void a_revoked_token_is_gone_for_ever(void **state)
{
	(void)state;
	create(TOKEN_OPERATE, "", 0);
	assert_int_equal(tokens_revoke(tokens, span_str("0123456789abcdef"), on_revoked, NULL), -ENOENT);
	bench.waiting++;
	assert_int_equal(tokens_revoke(tokens, span_str(made.id), on_revoked, NULL), 0);
	bench_run();
	assert_int_equal(role_of(made.text), TOKEN_NONE);
	tokens_free(tokens);
	load();
	assert_int_equal(role_of(made.text), TOKEN_NONE);
	assert_int_equal(tokens_count(tokens), 0);
}

static void tokens_outlive_the_process_but_not_in_clear(void **state)
{
	struct bench_document d;
	char name[32];
	char secret[2 * TOKEN_SECRET + 1];

	(void)state;
	create(TOKEN_OPERATE, "backend", 5000);
	snprintf(name, sizeof(name), "token:%s", made.id);
	memcpy(secret, made.text + TOKEN_TEXT - 1 - 2 * TOKEN_SECRET, sizeof(secret));
	d = bench_get(STORE_SETTING, span_str(name));
	assert_int_equal(d.result, STORE_DONE);
	assert_null(memmem(d.body, d.len, secret, 2 * TOKEN_SECRET));
	/* Another setting, and one that cannot be read, harm nothing. */
	bench_put(STORE_SETTING, span_str("tokens"), span_str("x"));
	bench_put(STORE_SETTING, span_str("token:0000000000000000"), span_str("x"));
	tokens_free(tokens);
	load();
	assert_int_equal(tokens_count(tokens), 1);
	assert_int_equal(role_of(made.text), TOKEN_OPERATE);
	assert_string_equal(tokens_next(tokens, NULL)->name, "backend");
	assert_int_equal(tokens_next(tokens, NULL)->expires_ms, 5000);
}

static void on_changed(void *ctx, struct span name)
{
	++*(unsigned *)ctx;
	assert_int_equal(name.len, strlen("token:") + TOKEN_ID);
}

/* Waits for what the store is asked, without a callback of ours. */
static void refresh(struct tokens *t)
{
	struct tokens *behind = tokens_new(bench.store, &source, wall);

	assert_non_null(behind);
	tokens_refresh(t);
	/* Look-ups come back in their order. */
	bench.waiting++;
	assert_int_equal(tokens_load(behind, on_loaded, NULL), 0);
	bench_run();
	tokens_free(behind);
}

static void what_another_process_did_is_known_after_a_refresh(void **state)
{
	struct tokens *here = tokens, *there;
	char text[TOKEN_TEXT];
	unsigned changes = 0;

	(void)state;
	tokens_on_change(here, on_changed, &changes);
	load(); /* as another node has them */
	there = tokens;
	tokens = here;
	memcpy(text, create(TOKEN_OPERATE, "", 0), sizeof(text));
	assert_int_equal(changes, 1);
	assert_null(tokens_check(there, span_str(text)));
	refresh(there);
	assert_non_null(tokens_check(there, span_str(text)));
	assert_int_equal(tokens_count(there), 1);
	bench.waiting++;
	assert_int_equal(tokens_revoke(here, span_str(made.id), on_revoked, NULL), 0);
	bench_run();
	assert_int_equal(changes, 2);
	assert_non_null(tokens_check(there, span_str(text)));
	refresh(there);
	assert_null(tokens_check(there, span_str(text)));
	assert_int_equal(tokens_count(there), 0);
	tokens_free(there);
}

static void what_is_made_during_a_refresh_stays(void **state)
{
	(void)state;
	create(TOKEN_READ, "before", 0);
	tokens_refresh(tokens);
	create(TOKEN_ADMIN, "meanwhile", 0);
	assert_int_equal(role_of(made.text), TOKEN_ADMIN);
	assert_int_equal(tokens_count(tokens), 2);
	refresh(tokens);
	assert_int_equal(tokens_count(tokens), 2);
	assert_int_equal(role_of(made.text), TOKEN_ADMIN);
}

static void documents_are_checked(void **state)
{
	struct token t = {.role = TOKEN_ADMIN, .name = "n", .created_ms = 1, .expires_ms = 2, .hash = {3}},
		     back;
	uint8_t bytes[TOKEN_DOCUMENT_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));

	(void)state;
	token_encode(&t, &w);
	assert_int_equal(token_decode(writer_span(&w), &back), 0);
	assert_string_equal(back.name, "n");
	assert_int_equal(back.hash[0], 3);
	for (size_t len = 0; len < writer_len(&w); len++)
		assert_int_equal(token_decode(span_of(bytes, len), &back), -EBADMSG);
	assert_int_equal(token_decode(span_of(bytes, writer_len(&w) + 1), &back), -EBADMSG);
	bytes[1] = 4;
	assert_int_equal(token_decode(writer_span(&w), &back), -EBADMSG);
	bytes[1] = 0;
	assert_int_equal(token_decode(writer_span(&w), &back), -EBADMSG);
	bytes[0] = 2;
	assert_int_equal(token_decode(writer_span(&w), &back), -EPROTO);
}

static void limits_hold(void **state)
{
	static const char longest[TOKEN_NAME_MAX + 2] =
		"00000000001111111111222222222233333333334444444444555555555566666";

	(void)state;
	assert_int_equal(tokens_create(tokens, TOKEN_NONE, span_str(""), 0, on_created, NULL), -EINVAL);
	assert_int_equal(tokens_create(tokens, TOKEN_READ, span_str(longest), 0, on_created, NULL), -EINVAL);
	assert_int_equal(tokens_create(tokens, TOKEN_READ, span_of("a\0b", 3), 0, on_created, NULL), -EINVAL);
	for (size_t i = 0; i < TOKENS_MAX; i++) {
		bench.waiting++;
		assert_int_equal(tokens_create(tokens, TOKEN_READ, span_str(""), 0, on_created, NULL), 0);
	}
	/* Also before they are stored. */
	assert_int_equal(tokens_create(tokens, TOKEN_READ, span_str(""), 0, on_created, NULL), -ENOSPC);
	bench_run();
	assert_int_equal(token_role_named(span_str("operate")), TOKEN_OPERATE);
	assert_int_equal(token_role_named(span_str("root")), TOKEN_NONE);
	assert_string_equal(token_role_name(TOKEN_ADMIN), "admin");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_token_has_the_role_it_was_made_with),
		CASE(what_is_not_exactly_it_is_nothing),
		CASE(a_token_ends),
		CASE(a_revoked_token_is_gone_for_ever),
		CASE(tokens_outlive_the_process_but_not_in_clear),
		CASE(what_another_process_did_is_known_after_a_refresh),
		CASE(what_is_made_during_a_refresh_stays),
		CASE(documents_are_checked),
		CASE(limits_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
