/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Credentials over a real store: what works, what is listed, what is gone, and crashes in between. */

#include "security_bench.h"
#include "store/backend.h"

static struct credentials *creds;
static char gone[256]; /* "ep:identity " of each that the hook told */
static char listed[4096];

static unsigned told, ended; /* calls of the hook; writes that it began and that are stored */

static void on_ended(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	(void)ctx;
	(void)name;
	(void)body;
	(void)version;
	assert_int_equal(result, STORE_DONE);
	ended++;
}

/* What is told again is noted once. */
static void on_changed(void *ctx, struct span endpoint, const struct credential_entry *items, size_t count)
{
	char text[128];

	(void)ctx;
	told++;
	assert_int_equal(store_document_put(bench.store, STORE_RESUMPTION, span_str("session"), endpoint,
					    UINT64_MAX, on_ended, NULL),
			 0);
	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%.*s:%.*s ", (int)endpoint.len, endpoint.data,
			 items[i].mode == CREDENTIAL_PSK ? items[i].id_len : 0, items[i].id);
		if (!strstr(gone, text))
			snprintf(gone + strlen(gone), sizeof(gone) - strlen(gone), "%s", text);
	}
}

static int set_up(void **state)
{
	int err = bench_set_up(state);

	creds = credentials_new(bench.store, &bench.vault, on_changed, NULL);
	gone[0] = 0;
	told = ended = 0;
	return err || !creds ? -1 : 0;
}

static int tear_down(void **state)
{
	bench_close();
	creds = credentials_free(creds);
	return bench_tear_down(state);
}

/* What the hook wrote when it was told first is stored with the change. */
static void on_done(void *ctx, int result)
{
	assert_true(told - ended <= 1);
	bench.waiting--;
	*(int *)ctx = result;
}

static int put(const char *ep, const char *identity, const char *key, bool rotate)
{
	const struct credential k = {.endpoint = span_str(ep),
				     .mode = CREDENTIAL_PSK,
				     .identity = span_str(identity),
				     .key = span_str(key),
				     .rotate = rotate};
	int result = 99;

	bench.waiting++;
	assert_int_equal(credentials_put(creds, &k, on_done, &result), 0);
	bench_run();
	return result;
}

static int put_raw(const char *ep, struct span spki)
{
	const struct credential k = {.endpoint = span_str(ep), .mode = CREDENTIAL_RAW_KEY, .key = spki};
	int result = 99;

	bench.waiting++;
	assert_int_equal(credentials_put(creds, &k, on_done, &result), 0);
	bench_run();
	return result;
}

static int del(const char *ep)
{
	int result = 99;

	bench.waiting++;
	assert_int_equal(credentials_delete(creds, span_str(ep), on_done, &result), 0);
	bench_run();
	return result;
}

static int used(const char *ep, const char *identity)
{
	int result = 99;

	bench.waiting++;
	assert_int_equal(
		credentials_used(creds, span_str(ep), CREDENTIAL_PSK, span_str(identity), on_done, &result),
		0);
	bench_run();
	return result;
}

struct seen {
	int result;
	char text[400]; /* "ep=key", with "*" if it is fresh */
};

static void on_found(void *ctx, const struct credential_found *f)
{
	struct seen *s = ctx;

	bench.waiting--;
	s->result = f->result;
	if (f->result == CREDENTIALS_DONE)
		snprintf(s->text, sizeof(s->text), "%.*s=%.*s%s", (int)f->endpoint.len, f->endpoint.data,
			 (int)f->key.len, f->key.len ? (const char *)f->key.data : "", f->fresh ? "*" : "");
}

static const char *find(const char *identity)
{
	static struct seen s;

	s = (struct seen){.text = "none"};
	bench.waiting++;
	assert_int_equal(credentials_find_psk(creds, span_str(identity), on_found, &s), 0);
	bench_run();
	return s.text;
}

static bool on_each(void *ctx, struct span endpoint, const struct credential_list *list)
{
	size_t len = strlen(listed);

	(void)ctx;
	len += (size_t)snprintf(listed + len, sizeof(listed) - len, "%.*s", (int)endpoint.len, endpoint.data);
	for (size_t i = 0; i < list->count; i++) {
		const struct credential_entry *e = &list->items[i];

		len += (size_t)snprintf(listed + len, sizeof(listed) - len, ":%.*s%s",
					e->mode == CREDENTIAL_PSK ? e->id_len : 0, e->id,
					e->fresh ? "*" : "");
	}
	snprintf(listed + len, sizeof(listed) - len, " ");
	return true;
}

static const char *list_from(const char *after, size_t count)
{
	int result = 99;

	listed[0] = 0;
	bench.waiting++;
	assert_int_equal(credentials_list(creds, span_str(after), count, on_each, on_done, &result), 0);
	bench_run();
	assert_int_equal(result, CREDENTIALS_DONE);
	return listed;
}

static const char *list(void)
{
	return list_from("", SIZE_MAX);
}

static void a_key_is_found_by_its_identity(void **state)
{
	(void)state;
	assert_string_equal(find("id-1"), "none");
	assert_int_equal(put("dev-1", "id-1", "secret", false), CREDENTIALS_DONE);
	assert_string_equal(find("id-1"), "dev-1=secret");
	assert_string_equal(list(), "dev-1:id-1 ");
	assert_string_equal(gone, "");
}

static void a_replaced_credential_is_gone_at_once(void **state)
{
	(void)state;
	assert_int_equal(put("dev-1", "id-1", "one", false), CREDENTIALS_DONE);
	assert_int_equal(put("dev-1", "id-2", "two", false), CREDENTIALS_DONE);
	assert_string_equal(find("id-1"), "none");
	assert_string_equal(find("id-2"), "dev-1=two");
	assert_string_equal(list(), "dev-1:id-2 ");
	assert_string_equal(gone, "dev-1:id-1 ");
	/* The same identity with another key: sessions by the old key have to end; by the same key not. */
	gone[0] = 0;
	assert_int_equal(put("dev-1", "id-2", "two", false), CREDENTIALS_DONE);
	assert_string_equal(gone, "");
	assert_int_equal(put("dev-1", "id-2", "three", false), CREDENTIALS_DONE);
	assert_string_equal(gone, "dev-1:id-2 ");
	assert_string_equal(find("id-2"), "dev-1=three");
}

static void an_identity_belongs_to_one_endpoint(void **state)
{
	(void)state;
	assert_int_equal(put("dev-1", "id-1", "one", false), CREDENTIALS_DONE);
	assert_int_equal(put("dev-2", "id-1", "two", false), CREDENTIALS_IN_USE);
	assert_string_equal(find("id-1"), "dev-1=one");
	assert_string_equal(list(), "dev-1:id-1 ");
	/* Nor does a refused one cost what was there. */
	assert_int_equal(put("dev-2", "id-2", "two", false), CREDENTIALS_DONE);
	assert_int_equal(put("dev-2", "id-1", "three", false), CREDENTIALS_IN_USE);
	assert_string_equal(find("id-2"), "dev-2=two");
	assert_string_equal(list(), "dev-1:id-1 dev-2:id-2 ");
	/* Free again when its owner is gone. */
	assert_int_equal(del("dev-1"), CREDENTIALS_DONE);
	assert_int_equal(put("dev-2", "id-1", "three", false), CREDENTIALS_DONE);
	assert_string_equal(find("id-1"), "dev-2=three");
}

static void two_keys_are_valid_while_one_rotates(void **state)
{
	(void)state;
	assert_int_equal(put("dev-1", "old", "one", false), CREDENTIALS_DONE);
	assert_int_equal(put("dev-1", "old", "two", true), CREDENTIALS_NOT_NEW);
	assert_int_equal(put("dev-1", "new", "two", true), CREDENTIALS_DONE);
	assert_string_equal(list(), "dev-1:old:new* ");
	assert_string_equal(find("old"), "dev-1=one");
	assert_string_equal(find("new"), "dev-1=two*");
	assert_string_equal(gone, "");
	/* Another new one takes the place of the first, which nobody used. */
	assert_int_equal(put("dev-1", "newer", "three", true), CREDENTIALS_DONE);
	assert_string_equal(list(), "dev-1:old:newer* ");
	assert_string_equal(find("new"), "none");
	assert_string_equal(gone, "dev-1:new ");
	gone[0] = 0;
	assert_int_equal(used("dev-1", "newer"), CREDENTIALS_DONE);
	assert_string_equal(list(), "dev-1:newer ");
	assert_string_equal(find("old"), "none");
	assert_string_equal(find("newer"), "dev-1=three");
	assert_string_equal(gone, "dev-1:old ");
	assert_int_equal(used("dev-1", "old"), CREDENTIALS_ABSENT);
}

static void a_raw_key_is_found_by_its_bytes(void **state)
{
	uint8_t spki[91] = {0x30, 0x59};
	struct seen s = {.text = "none"};

	(void)state;
	assert_int_equal(put("dev-1", "id-1", "one", false), CREDENTIALS_DONE);
	assert_int_equal(put_raw("dev-1", span_of(spki, sizeof(spki))), CREDENTIALS_DONE);
	assert_int_equal(put_raw("dev-2", span_of(spki, sizeof(spki))), CREDENTIALS_IN_USE);
	bench.waiting++;
	assert_int_equal(credentials_find_key(creds, span_of(spki, sizeof(spki)), on_found, &s), 0);
	bench_run();
	assert_string_equal(s.text, "dev-1=");
	assert_string_equal(find("id-1"), "none");
	spki[90] ^= 1;
	bench.waiting++;
	assert_int_equal(credentials_find_key(creds, span_of(spki, sizeof(spki)), on_found, &s), 0);
	bench_run();
	assert_int_equal(s.result, CREDENTIALS_ABSENT);
}

static void on_modes(void *ctx, int result, unsigned modes, const struct credential_list *l)
{
	bench.waiting--;
	assert_int_equal(result == CREDENTIALS_DONE, l != NULL);
	*(unsigned *)ctx = modes;
}

static unsigned modes_of(const char *ep)
{
	unsigned modes = 99;

	bench.waiting++;
	assert_int_equal(credentials_find_endpoint(creds, span_str(ep), on_modes, &modes), 0);
	bench_run();
	return modes;
}

/* A store whose next answer to a look-up comes only when it is let go. */
static struct {
	struct store_backend backend;
	const struct store_backend *real;
	store_document_fn *done;
	void *ctx;
	bool armed, answered;
	int result;
	uint64_t version;
	size_t name_len, body_len;
	uint8_t name[STORE_NAME_MAX], body[1024];
} late;

static void late_kept(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	(void)ctx;
	late.answered = true;
	late.result = result;
	late.version = version;
	late.name_len = name.len;
	late.body_len = body.len;
	assert_in_range(body.len, 1, sizeof(late.body));
	memcpy(late.name, name.data, name.len);
	memcpy(late.body, body.data, body.len);
	bench.waiting--;
}

static int late_get(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
		    void *ctx)
{
	if (!late.armed)
		return late.real->document_get(s, kind, name, done, ctx);
	late.armed = false;
	late.done = done;
	late.ctx = ctx;
	bench.waiting++;
	return late.real->document_get(s, kind, name, late_kept, NULL);
}

static void late_arm(void)
{
	late.real = bench.store->backend;
	late.backend = *late.real;
	late.backend.document_get = late_get;
	bench.store->backend = &late.backend;
	late.answered = false;
	late.armed = true;
}

static void late_let_go(void)
{
	assert_true(late.answered);
	late.done(late.ctx, late.result, span_of(late.name, late.name_len), span_of(late.body, late.body_len),
		  late.version);
	bench_run();
	bench.store->backend = late.real;
}

static void what_is_found_too_late_is_looked_up_again(void **state)
{
	struct seen s = {.text = "none"};
	unsigned modes = 99;

	(void)state;
	assert_int_equal(put("dev", "id", "old", false), CREDENTIALS_DONE);
	assert_int_equal(put("other", "other", "key", false), CREDENTIALS_DONE);

	late_arm();
	assert_int_equal(credentials_find_psk(creds, span_str("id"), on_found, &s), 0);
	bench_run();
	assert_int_equal(put("dev", "id", "new", false), CREDENTIALS_DONE);
	bench.waiting++;
	late_let_go();
	assert_string_equal(s.text, "dev=new");

	late_arm();
	s = (struct seen){.text = "none"};
	assert_int_equal(credentials_find_psk(creds, span_str("id"), on_found, &s), 0);
	bench_run();
	assert_int_equal(del("other"), CREDENTIALS_DONE); /* of no concern */
	assert_int_equal(del("dev"), CREDENTIALS_DONE);
	bench.waiting++;
	late_let_go();
	assert_int_equal(s.result, CREDENTIALS_ABSENT);
	assert_string_equal(s.text, "none");

	assert_int_equal(put("dev", "id", "old", false), CREDENTIALS_DONE);
	late_arm();
	assert_int_equal(credentials_find_endpoint(creds, span_str("dev"), on_modes, &modes), 0);
	bench_run();
	assert_int_equal(del("dev"), CREDENTIALS_DONE);
	bench.waiting++;
	late_let_go();
	assert_int_equal(modes, 0);
}

static void certificates_are_allowed_by_endpoint(void **state)
{
	struct credential k = {.endpoint = span_str("dev-1"), .mode = CREDENTIAL_X509, .rotate = true};
	int result = 99;

	(void)state;
	assert_int_equal(modes_of("dev-1"), 0);
	assert_int_equal(put("dev-1", "id-1", "one", false), CREDENTIALS_DONE);
	bench.waiting++;
	assert_int_equal(credentials_put(creds, &k, on_done, &result), 0);
	bench_run();
	assert_int_equal(modes_of("dev-1"), CREDENTIAL_PSK | CREDENTIAL_X509);
	bench.waiting++;
	assert_int_equal(credentials_used(creds, k.endpoint, CREDENTIAL_X509, span_str(""), on_done, &result),
			 0);
	bench_run();
	assert_int_equal(modes_of("dev-1"), CREDENTIAL_X509);
	assert_string_equal(find("id-1"), "none");
}

static void what_is_deleted_does_not_work(void **state)
{
	(void)state;
	assert_int_equal(del("dev-1"), CREDENTIALS_ABSENT);
	assert_int_equal(put("dev-1", "old", "one", false), CREDENTIALS_DONE);
	assert_int_equal(put("dev-1", "new", "two", true), CREDENTIALS_DONE);
	assert_int_equal(del("dev-1"), CREDENTIALS_DONE);
	assert_string_equal(find("old"), "none");
	assert_string_equal(find("new"), "none");
	assert_string_equal(list(), "");
	assert_string_equal(gone, "dev-1:old dev-1:new ");
	assert_int_equal(told, 2);
}

static void identities_and_endpoints_are_bytes(void **state)
{
	const uint8_t bytes[] = {0, 0xff, 'x', 0};
	const struct credential k = {.endpoint = span_of(bytes, 2),
				     .mode = CREDENTIAL_PSK,
				     .identity = span_of(bytes, 4),
				     .key = span_of(bytes, 1)};
	int result = 99;
	struct seen s = {.result = 99};

	(void)state;
	bench.waiting++;
	assert_int_equal(credentials_put(creds, &k, on_done, &result), 0);
	bench_run();
	assert_int_equal(result, CREDENTIALS_DONE);
	bench.waiting++;
	assert_int_equal(credentials_find_psk(creds, span_of(bytes, 4), on_found, &s), 0);
	bench_run();
	assert_int_equal(s.result, CREDENTIALS_DONE);
}

static void limits_are_checked(void **state)
{
	static const uint8_t zero[2048];
	struct credential k = {.endpoint = span_str("e"),
			       .mode = CREDENTIAL_PSK,
			       .identity = span_of(zero, 128),
			       .key = span_of(zero, 64)};

	(void)state;
	assert_null(credential_check(&k));
	k.identity.len = 129;
	assert_int_equal(credentials_put(creds, &k, NULL, NULL), -EINVAL);
	k.identity.len = 0;
	assert_non_null(credential_check(&k));
	k.identity.len = 1;
	k.key.len = 65;
	assert_non_null(credential_check(&k));
	k.key.len = 0;
	assert_non_null(credential_check(&k));
	k.key.len = 1;
	k.endpoint = span_of(zero, 256);
	assert_non_null(credential_check(&k));
	k = (struct credential){
		.endpoint = span_str("e"), .mode = CREDENTIAL_RAW_KEY, .key = span_of(zero, 1025)};
	assert_non_null(credential_check(&k));
	assert_int_equal(credentials_find_psk(creds, span_of(zero, 129), on_found, NULL), -EINVAL);
}

static void changes_of_one_endpoint_wait_for_each_other(void **state)
{
	static const char *const ids[] = {"a", "b", "c", "d", "e"};
	int results[ARRAY_SIZE(ids)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		const struct credential k = {.endpoint = span_str("dev-1"),
					     .mode = CREDENTIAL_PSK,
					     .identity = span_str(ids[i]),
					     .key = span_str("key")};

		bench.waiting++;
		assert_int_equal(credentials_put(creds, &k, on_done, &results[i]), 0);
	}
	bench_run();
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		assert_int_equal(results[i], CREDENTIALS_DONE);
	assert_string_equal(list(), "dev-1:e ");
	assert_string_equal(find("d"), "none");
	assert_string_equal(find("e"), "dev-1=key");
	assert_string_equal(gone, "dev-1:a dev-1:b dev-1:c dev-1:d ");
}

static void changes_are_bounded(void **state)
{
	static int results[CREDENTIALS_CHANGES_MAX];
	struct credential k = {.mode = CREDENTIAL_X509};
	char ep[16];

	(void)state;
	for (size_t i = 0; i < CREDENTIALS_CHANGES_MAX; i++) {
		snprintf(ep, sizeof(ep), "dev-%03zu", i);
		k.endpoint = span_str(ep);
		bench.waiting++;
		assert_int_equal(credentials_put(creds, &k, on_done, &results[i]), 0);
	}
	assert_int_equal(credentials_put(creds, &k, NULL, NULL), -ENOBUFS);
	bench_run();
	assert_int_equal(credentials_put(creds, &k, NULL, NULL), 0);
}

/* More than a page, and from the middle. */
static void a_long_list_is_read_in_pages(void **state)
{
	uint8_t bytes[CREDENTIAL_LIST_BYTES];
	const struct credential_list l = {.count = 1, .items = {{.mode = CREDENTIAL_X509}}};
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct credential_name n;
	char ep[16];
	size_t count = 0;

	(void)state;
	credential_list_encode(&l, &w);
	for (size_t i = 0; i < 600; i++) {
		snprintf(ep, sizeof(ep), "%03zu", i);
		bench_put(STORE_CREDENTIAL, credential_name_endpoint(&n, span_str(ep)), writer_span(&w));
	}
	list();
	for (const char *at = listed; (at = strchr(at, ' ')); at++)
		count++;
	assert_int_equal(count, 600);
	assert_string_equal(list_from("597", SIZE_MAX), "598: 599: ");
	assert_string_equal(list_from("100", 2), "101: 102: ");
}

/* The process ended behind the first write: the list names an identity that is another's. */
static void a_list_that_was_never_claimed_takes_nothing_from_others(void **state)
{
	struct credential_list l = {.count = 4,
				    .items = {{.mode = CREDENTIAL_PSK, .id_len = 2, .id = "x1"},
					      {.mode = CREDENTIAL_PSK, .id_len = 2, .id = "x2"},
					      {.mode = CREDENTIAL_PSK, .id_len = 2, .id = "x3"},
					      {.mode = CREDENTIAL_PSK, .id_len = 4, .id = "id-1"}}};
	uint8_t bytes[CREDENTIAL_LIST_BYTES];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct credential_name n;

	(void)state;
	assert_int_equal(put("dev-1", "id-1", "one", false), CREDENTIALS_DONE);
	credential_list_encode(&l, &w);
	bench_put(STORE_CREDENTIAL, credential_name_endpoint(&n, span_str("dev-2")), writer_span(&w));
	assert_int_equal(put("dev-2", "id-2", "two", false), CREDENTIALS_DONE);
	assert_string_equal(find("id-1"), "dev-1=one");
	assert_string_equal(list(), "dev-1:id-1 dev-2:id-2 ");
	/* And its own claim, which nobody lists, is its own again. */
	l.count = 1;
	w = writer_of(bytes, sizeof(bytes));
	credential_list_encode(&l, &w);
	bench_put(STORE_CREDENTIAL, credential_name_endpoint(&n, span_str("dev-2")), writer_span(&w));
	assert_int_equal(put("dev-2", "id-2", "three", false), CREDENTIALS_DONE);
	assert_string_equal(find("id-2"), "dev-2=three");
}

static void the_store_has_no_key_in_clear(void **state)
{
	static const char secret[] = "a secret of 22 bytes!!";
	struct bench_document d;

	(void)state;
	assert_int_equal(put("dev-1", "id-1", secret, false), CREDENTIALS_DONE);
	d = bench_get(STORE_CREDENTIAL, span_str("i:id-1"));
	assert_int_equal(d.result, STORE_DONE);
	assert_null(memmem(d.body, d.len, secret, strlen(secret)));
	/* Put under another identity, or given to another endpoint, it opens nothing. */
	bench_put(STORE_CREDENTIAL, span_str("i:id-9"), span_of(d.body, d.len));
	assert_string_equal(find("id-9"), "none");
	assert_memory_equal(d.body + 4, "dev-1", 5);
	d.body[8] = '2';
	bench_put(STORE_CREDENTIAL, span_str("i:id-1"), span_of(d.body, d.len));
	assert_string_equal(find("id-1"), "none");
	d = bench_get(STORE_CREDENTIAL, span_str("e:dev-1"));
	assert_null(memmem(d.body, d.len, secret, strlen(secret)));
}

static void what_is_damaged_is_refused(void **state)
{
	uint8_t bytes[CREDENTIAL_LIST_BYTES];
	struct credential_list l = {
		.count = 2,
		.items = {{.mode = CREDENTIAL_PSK, .id_len = 2, .id = "ab", .fresh = true},
			  {.mode = CREDENTIAL_X509}}};
	struct credential_list back;
	struct credential_owner owner;
	struct writer w = writer_of(bytes, sizeof(bytes));

	(void)state;
	credential_list_encode(&l, &w);
	assert_int_equal(credential_list_decode(writer_span(&w), &back), 0);
	assert_int_equal(back.count, 2);
	assert_true(back.items[0].fresh && credential_same(&back.items[0], &l.items[0]));
	for (size_t len = 0; len < writer_len(&w); len++)
		assert_int_equal(credential_list_decode(span_of(bytes, len), &back), -EBADMSG);
	assert_int_equal(credential_list_decode(span_of(bytes, writer_len(&w) + 1), &back), -EBADMSG);
	bytes[0] = 2;
	assert_int_equal(credential_list_decode(writer_span(&w), &back), -EPROTO);
	bytes[0] = 1;
	bytes[2] = 3; /* no mode */
	assert_int_equal(credential_list_decode(writer_span(&w), &back), -EBADMSG);
	assert_int_equal(credential_owner_decode(span_of("\1\0\0\0", 4), &owner), -EBADMSG);
	assert_int_equal(credential_owner_decode(span_of("\1\2\0\1e", 5), &owner), -EBADMSG);
	assert_int_equal(credential_owner_decode(span_of("\2\0\0\1e", 5), &owner), -EPROTO);
	assert_int_equal(credential_owner_decode(span_of("\1\1\0\1e", 5), &owner), 0);
	assert_true(owner.fresh && span_is(owner.endpoint, "e") && !owner.sealed.len);
}

static void credentials_outlive_the_process(void **state)
{
	(void)state;
	assert_int_equal(put("dev-1", "id-1", "one", false), CREDENTIALS_DONE);
	bench_close();
	credentials_free(creds);
	bench_open();
	creds = credentials_new(bench.store, &bench.vault, on_changed, NULL);
	assert_string_equal(find("id-1"), "dev-1=one");
}

static void whether_there_are_any_is_known_soon(void **state)
{
	(void)state;
	assert_true(credentials_any(creds)); /* as long as nobody has looked */
	assert_string_equal(list(), "");
	assert_false(credentials_any(creds));
	assert_int_equal(put("dev-1", "id-1", "one", false), CREDENTIALS_DONE);
	assert_true(credentials_any(creds));
	bench_close();
	credentials_free(creds);
	bench_open();
	creds = credentials_new(bench.store, &bench.vault, on_changed, NULL);
	assert_string_equal(list(), "dev-1:id-1 ");
	assert_true(credentials_any(creds));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_key_is_found_by_its_identity),
		CASE(a_replaced_credential_is_gone_at_once),
		CASE(an_identity_belongs_to_one_endpoint),
		CASE(two_keys_are_valid_while_one_rotates),
		CASE(a_raw_key_is_found_by_its_bytes),
		CASE(what_is_found_too_late_is_looked_up_again),
		CASE(certificates_are_allowed_by_endpoint),
		CASE(what_is_deleted_does_not_work),
		CASE(identities_and_endpoints_are_bytes),
		CASE(limits_are_checked),
		CASE(changes_of_one_endpoint_wait_for_each_other),
		CASE(changes_are_bounded),
		CASE(a_long_list_is_read_in_pages),
		CASE(a_list_that_was_never_claimed_takes_nothing_from_others),
		CASE(the_store_has_no_key_in_clear),
		CASE(what_is_damaged_is_refused),
		CASE(credentials_outlive_the_process),
		CASE(whether_there_are_any_is_known_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
