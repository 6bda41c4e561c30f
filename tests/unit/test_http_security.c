/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Who may do what, and the routes of credentials, tokens and failures. */

#include "http_ask.h"

#include "security/certificate.h"
#include "security/credentials.h"
#include "security/failures.h"
#include "security/tokens.h"

#define SPKI                                                                                                 \
	"3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb" \
	"33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"

static struct random source;
static struct vault vault;
static char text[TOKEN_TEXT], id[TOKEN_ID + 1];
static uint64_t now_ms;

static uint64_t wall(void)
{
	return now_ms;
}

static int security_set_up(void **state)
{
	static const struct vault_key key = {{1, 2}};
	static const struct siphash_key hash = {{3}};
	int r = bench_set_up(state);

	random_init_kernel(&source);
	now_ms = 1700000000000;
	vault_init(&vault, &key, 1, 1, (const uint8_t[VAULT_SALT]){1});
	bench.config.wall_ms = wall;
	bench.config.tokens = tokens_new((struct store *)&bench, &source, wall);
	bench.config.failures = failures_new(&hash);
	bench.config.credentials = credentials_new((struct store *)&bench, &vault, NULL, NULL);
	bench_finish_calls(); /* it looks whether there are any */
	return r;
}

static void start(void)
{
	bench_start();
	c = client_open();
}

static int security_tear_down(void **state)
{
	int r = tear_down(state);

	tokens_free(bench.config.tokens);
	failures_free(bench.config.failures);
	credentials_free(bench.config.credentials);
	vault_deinit(&vault);
	return r;
}

static void on_created(void *ctx, int result, const struct token *token, const char *secret)
{
	assert_int_equal(result, 0);
	memcpy(text, secret, sizeof(text));
	memcpy(id, token->id, sizeof(id));
	*(bool *)ctx = true;
}

static void make_token(enum token_role role, uint64_t expires_ms)
{
	bool made = false;

	assert_int_equal(
		tokens_create(bench.config.tokens, role, span_str("t"), expires_ms, on_created, &made), 0);
	bench_finish_calls();
	assert_true(made);
}

/* With the token `text`, and a body if there is one. */
static int with_token(const char *line, const char *body)
{
	char more[8192];

	snprintf(more, sizeof(more), "Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s", text,
		 strlen(body), body);
	ask(line, more);
	return client_status(c);
}

static int without(const char *line, const char *body)
{
	ask(line, json_body(body));
	return client_status(c);
}

/* ---- access ---- */

static void without_a_token_there_is_no_access(void **state)
{
	(void)state;
	bench.config.require_token = HTTP_TOKEN_YES;
	start();
	assert_int_equal(without("GET /api/clients", ""), 401);
	assert_header("WWW-Authenticate: Bearer realm=\"shoal\"\r\n");
	assert_int_equal(without("GET /", ""), 401);
	assert_int_equal(without("GET /metrics", ""), 401);
	assert_int_equal(without("GET /api/event", ""), 401);
	assert_int_equal(without("PUT /api/models", "x"), 401);
	assert_int_equal(without("GET /healthz", ""), 200);
	assert_int_equal(without("GET /readyz", ""), 200);
	snprintf(text, sizeof(text), "shoal_0123456789abcdef_%064d", 0);
	assert_int_equal(with_token("GET /api/clients", ""), 401);
	assert_header("error=\"invalid_token\"");
	ask("GET /api/clients", "Authorization: Basic YTpi\r\n\r\n");
	assert_int_equal(client_status(c), 401);
}

static void roles_are_those_of_the_routes(void **state)
{
	static const struct {
		const char *line;
		enum token_role needed;
	} lines[] = {
		{"GET /api/clients", TOKEN_READ},
		{"GET /api/failures", TOKEN_READ},
		{"GET /api/security/server", TOKEN_READ},
		{"POST /api/clients/nobody/3/0/4", TOKEN_OPERATE},
		{"PUT /api/clients/nobody/1/0/1", TOKEN_OPERATE},
		{"DELETE /api/clients/nobody/1/0", TOKEN_OPERATE},
		{"DELETE /api/clients/nobody", TOKEN_ADMIN},
		{"PUT /api/models", TOKEN_ADMIN},
		{"DELETE /api/models/3/9.9", TOKEN_ADMIN},
		{"GET /api/security/clients", TOKEN_ADMIN},
		{"PUT /api/security/clients/", TOKEN_ADMIN},
		{"POST /api/security/clients/import", TOKEN_ADMIN},
		{"DELETE /api/security/clients/nobody", TOKEN_ADMIN},
		{"DELETE /api/failures", TOKEN_ADMIN},
		{"GET /api/tokens", TOKEN_ADMIN},
		{"POST /api/tokens", TOKEN_ADMIN},
		{"DELETE /api/tokens/0000000000000000", TOKEN_ADMIN},
	};

	(void)state;
	bench.config.require_token = HTTP_TOKEN_YES;
	start();
	for (enum token_role role = TOKEN_READ; role <= TOKEN_ADMIN; role++) {
		make_token(role, 0);
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
			int status = with_token(lines[i].line, "");

			if ((status == 403) != (role < lines[i].needed) || status == 401)
				fail_msg("%s as %s: %d", lines[i].line, token_role_name(role), status);
		}
	}
	make_token(TOKEN_READ, 0);
	assert_int_equal(with_token("PUT /api/models", ""), 403);
	assert_header("WWW-Authenticate: Bearer realm=\"shoal\", error=\"insufficient_scope\", "
		      "scope=\"admin\"\r\n");
	assert_string_equal(client_body(c), "Forbidden: this needs a token with the role admin");
}

static void on_loopback_a_token_is_not_needed_but_counts(void **state)
{
	(void)state;
	start();
	assert_int_equal(without("GET /api/tokens", ""), 200);
	make_token(TOKEN_READ, 0);
	assert_int_equal(with_token("GET /api/clients", ""), 200);
	assert_int_equal(with_token("GET /api/tokens", ""), 403);
	text[20] ^= 1;
	assert_int_equal(with_token("GET /api/clients", ""), 401);
}

static void a_stream_ends_with_its_token(void **state)
{
	char more[256];

	(void)state;
	bench.config.require_token = HTTP_TOKEN_YES;
	bench.config.heartbeat_ms = 50;
	start();
	make_token(TOKEN_READ, now_ms + 1000);
	snprintf(more, sizeof(more), "Accept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", text);
	client_close(c);
	c = client_open();
	client_ask(c, "GET /api/event", more);
	WAIT_FOR(client_has(c, "\r\n\r\n"));
	assert_int_equal(client_status(c), 200);
	bench_pass(200);
	assert_false(client_ended(c));
	now_ms += 1000;
	WAIT_FOR(client_ended(c));
	assert_true(client_has(c, "unauthorized"));
}

static void others_reach_it_by_https_and_token_only(void **state)
{
	struct http_config config = bench.config;

	(void)state;
	assert_null(http_config_refusal(&config));
	config.listen.ip[0] = 192;
	assert_non_null(strstr(http_config_refusal(&config), "[http] certificate"));
	config.tls_certificate = config.tls_key = "";
	assert_null(http_config_refusal(&config));
	config.require_token = HTTP_TOKEN_NO;
	assert_non_null(strstr(http_config_refusal(&config), "require-token"));
	config.insecure_allow_remote = true;
	assert_null(http_config_refusal(&config));
	start();
}

/* ---- tokens ---- */

static void a_token_is_made_listed_and_revoked(void **state)
{
	const char *at;
	char line[64];

	(void)state;
	bench.config.require_token = HTTP_TOKEN_YES;
	start();
	make_token(TOKEN_ADMIN, 0);
	assert_int_equal(with_token("POST /api/tokens",
				    "{\"role\":\"read\",\"name\":\"dash\",\"expires\":1700000001000}"),
			 200);
	at = strstr(client_body(c), "\"token\":\"");
	assert_non_null(at);
	assert_non_null(strstr(client_body(c),
			       "\"role\":\"read\",\"name\":\"dash\",\"created\":1700000000000,"
			       "\"expires\":1700000001000,"));
	at += 9;
	snprintf(line, sizeof(line), "DELETE /api/tokens/%.16s", at + 6);
	assert_int_equal(with_token("GET /api/tokens", ""), 200);
	assert_null(strstr(client_body(c), "\"token\""));
	assert_non_null(strstr(client_body(c), "\"name\":\"dash\""));
	assert_int_equal(with_token(line, ""), 204);
	assert_int_equal(with_token(line, ""), 404);
	assert_int_equal(with_token("GET /api/tokens", ""), 200);
	assert_null(strstr(client_body(c), "\"name\":\"dash\""));
}

static void a_token_that_makes_no_sense_is_refused(void **state)
{
	static const char *const wrong[] = {"",
					    "x",
					    "[]",
					    "{}",
					    "{\"role\":\"root\"}",
					    "{\"role\":1}",
					    "{\"role\":\"read\",\"name\":1}",
					    "{\"role\":\"read\",\"expires\":1700000000000}",
					    "{\"role\":\"read\",\"expires\":\"30d\"}",
					    "{\"role\":\"read\",\"expires\":-1}",
					    "{\"role\":\"read\",\"name\":\"a\\u0000b\"}",
					    "{\"role\":\"read\",\"role\":\"admin\"}"};

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(without("POST /api/tokens", wrong[i]), 400);
		assert_header("Content-Type: application/problem+json");
	}
	assert_int_equal(tokens_count(bench.config.tokens), 0);
	bench.document_error = -ENOSPC;
	assert_int_equal(without("POST /api/tokens", "{\"role\":\"read\"}"), 503);
	assert_int_equal(tokens_count(bench.config.tokens), 0);
}

/* ---- credentials ---- */

#define PSK(ep, id_, key)                                                                     \
	"{\"endpoint\":\"" ep "\",\"tls\":{\"mode\":\"psk\",\"details\":{\"identity\":\"" id_ \
	"\",\"key\":\"" key "\"}}}"

static void a_credential_is_put_listed_and_removed(void **state)
{
	(void)state;
	start();
	assert_int_equal(without("PUT /api/security/clients/", PSK("e1", "id1", "0A0b")), 200);
	assert_string_equal(client_body(c), "");
	assert_int_equal(
		without("PUT /api/security/clients", "{\"endpoint\":\"e2\",\"tls\":{\"mode\":\"x509\"}}"),
		200);
	assert_int_equal(without("PUT /api/security/clients",
				 "{\"endpoint\":\"e3\",\"tls\":{\"mode\":\"rpk\","
				 "\"details\":{\"key\":\"" SPKI "\"}}}"),
			 200);
	assert_int_equal(without("GET /api/security/clients", ""), 200);
	assert_null(strstr(client_body(c), "0a0b"));
	assert_non_null(strstr(client_body(c), "[{\"endpoint\":\"e1\",\"tls\":{\"mode\":\"psk\",\"details\":{"
					       "\"identity\":\"id1\",\"fingerprint\":\""));
	assert_non_null(strstr(client_body(c), "{\"endpoint\":\"e2\",\"tls\":{\"mode\":\"x509\"}}"));
	assert_non_null(strstr(client_body(c), "{\"endpoint\":\"e3\",\"tls\":{\"mode\":\"rpk\",\"details\":{"
					       "\"fingerprint\":\""));
	assert_int_equal(without("GET /api/security/clients?limit=1&after=e1", ""), 200);
	assert_string_equal(client_body(c), "[{\"endpoint\":\"e2\",\"tls\":{\"mode\":\"x509\"}}]");
	assert_int_equal(without("DELETE /api/security/clients/e2", ""), 200);
	assert_string_equal(client_body(c), "");
	assert_int_equal(without("DELETE /api/security/clients/e2", ""), 200);
	assert_answer(200, "{\"message\":\"not_found\"}");
}

static void two_credentials_are_listed_while_one_rotates(void **state)
{
	(void)state;
	start();
	assert_int_equal(without("PUT /api/security/clients", PSK("e1", "old", "01")), 200);
	assert_int_equal(without("PUT /api/security/clients?rotate", PSK("e1", "new", "02")), 200);
	assert_int_equal(without("GET /api/security/clients", ""), 200);
	assert_non_null(strstr(client_body(c), "\"identity\":\"old\""));
	assert_non_null(
		strstr(client_body(c), "\"next\":{\"mode\":\"psk\",\"details\":{\"identity\":\"new\""));
	assert_int_equal(without("PUT /api/security/clients?rotate", PSK("e1", "old", "03")), 400);
}

static void an_identity_that_is_no_text_is_hexadecimal(void **state)
{
	(void)state;
	start();
	assert_int_equal(without("PUT /api/security/clients", "{\"endpoint\":\"e1\",\"tls\":{\"mode\":"
							      "\"psk\",\"details\":{\"identityHex\":\"00fF\","
							      "\"key\":\"01\"}}}"),
			 200);
	assert_int_equal(without("GET /api/security/clients", ""), 200);
	assert_non_null(strstr(client_body(c), "\"identityHex\":\"00ff\""));
}

static void what_is_wrong_with_a_credential_is_told(void **state)
{
	static const struct {
		const char *body, *words;
	} wrong[] = {
		{"", "it is no JSON object"},
		{"[]", "it is no JSON object"},
		{"{\"endpoint\":\"e\"}", "tls is missing"},
		{"{\"endpoint\":\"e\",\"oscore\":{\"rid\":\"01\"}}", "does not speak OSCORE"},
		{"{\"endpoint\":\"e\",\"tls\":{\"mode\":\"pin\"}}", "the mode is none of"},
		{"{\"tls\":{\"mode\":\"x509\"}}", "an endpoint has 1 to 255 bytes"},
		{"{\"endpoint\":\"e\",\"tls\":{\"mode\":\"x509\",\"details\":{\"key\":\"01\"}}}",
		 "x509 has no key"},
		{"{\"endpoint\":\"e\",\"tls\":{\"mode\":\"rpk\",\"details\":{\"key\":\"0102\"}}}",
		 "SubjectPublicKeyInfo"},
		{"{\"endpoint\":\"e\",\"tls\":{\"mode\":\"psk\",\"details\":{\"identity\":\"i\"}}}",
		 "a pre-shared key has"},
		{PSK("e", "", "01"), "an identity has"},
		{PSK("e", "i", "0"), "hexadecimal"},
		{PSK("e", "i", "0g"), "hexadecimal"},
	};

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(without("PUT /api/security/clients", wrong[i].body), 400);
		if (!strstr(client_body(c), wrong[i].words))
			fail_msg("%s: %s", wrong[i].body, client_body(c));
	}
	assert_int_equal(without("PUT /api/security/clients", PSK("e1", "id", "01")), 200);
	assert_int_equal(without("PUT /api/security/clients", PSK("e2", "id", "01")), 400);
	assert_non_null(strstr(client_body(c), "in use by another endpoint"));
	assert_int_equal(without("GET /api/security/clients/e1", ""), 400);
	assert_int_equal(without("DELETE /api/security/clients", ""), 400);
	assert_int_equal(without("GET /api/security/clients?limit=0", ""), 400);
	bench.document_error = -EIO;
	assert_int_equal(without("PUT /api/security/clients", PSK("e3", "x", "01")), 503);
	assert_int_equal(without("GET /api/security/clients", ""), 503);
	bench.document_error = 0;
	bench.document_refuse = -ENOBUFS;
	assert_int_equal(without("PUT /api/security/clients", PSK("e3", "x", "01")), 503);
	assert_int_equal(without("GET /api/security/clients", ""), 503);
	assert_int_equal(without("DELETE /api/security/clients/e1", ""), 503);
}

static void a_client_that_goes_away_leaves_its_change(void **state)
{
	(void)state;
	start();
	client_ask(c, "PUT /api/security/clients", json_body(PSK("e1", "id1", "01")));
	while (!bench.call_count)
		uv_run(&bench.loop, UV_RUN_NOWAIT);
	client_close(c);
	c = client_open();
	bench_pass(50);
	assert_int_equal(without("GET /api/security/clients", ""), 200);
	assert_non_null(strstr(client_body(c), "\"endpoint\":\"e1\""));
}

/* ---- import ---- */

static void a_file_is_taken_line_by_line(void **state)
{
	static char body[64 * 200];
	size_t len;

	(void)state;
	start();
	assert_int_equal(without("POST /api/security/clients/import",
				 "\xEF\xBB\xBFkey,Endpoint,mode,identity\r\n"
				 "01,e1,psk,id1\r\n"
				 "\n"
				 "zz,e2,psk,id2\r\n"
				 "02,\"e,3\",PSK,\"a \"\"quoted\"\" one\"\n"
				 "03,e4,psk,id1\n"
				 ",e5,x509,\n"
				 "x\"y,e6\n"
				 "04,e7,psk"),
			 200);
	assert_non_null(strstr(client_body(c), "\"taken\":3,\"refusedCount\":4}"));
	assert_non_null(strstr(client_body(c), "{\"line\":4,\"reason\":\"the key is no row of pairs"));
	assert_non_null(
		strstr(client_body(c), "{\"line\":6,\"reason\":\"the identity, or the key, is in use by"));
	assert_non_null(strstr(client_body(c), "{\"line\":8,\"reason\":\"a quote stands within a field\"}"));
	assert_non_null(strstr(client_body(c), "{\"line\":9,\"reason\":\"an identity has 1 to 128 bytes\"}"));
	assert_int_equal(without("GET /api/security/clients", ""), 200);
	assert_non_null(strstr(client_body(c), "\"endpoint\":\"e,3\""));
	assert_non_null(strstr(client_body(c), "a \\\"quoted\\\" one"));
	/* More rows than are put at once. */
	len = (size_t)snprintf(body, sizeof(body), "endpoint,mode,identity,key\n");
	for (unsigned i = 0; i < 150; i++)
		len += (size_t)snprintf(body + len, sizeof(body) - len, "n%u,psk,i%u,%02x\n", i, i, i);
	assert_int_equal(without("POST /api/security/clients/import", body), 200);
	assert_answer(200, "{\"refused\":[],\"taken\":150,\"refusedCount\":0}");
}

static void a_file_with_another_head_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", "\n\n", "e1,psk,id,01\n", "endpoint\ne1\n", "endpoint,mode,mode\n", "\"endpoint"};

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(without("POST /api/security/clients/import", wrong[i]), 400);
		assert_header("Content-Type: application/problem+json");
	}
}

/* ---- failures ---- */

static void failures_are_told_the_last_one_first(void **state)
{
	struct failure f = {.who = FAILURE_IDENTITY,
			    .name = span_str("id1"),
			    .cause = "wrong_key",
			    .words = "",
			    .address = {.ip = {192, 0, 2, 1}, .port = 7, .family = 4}};

	(void)state;
	start();
	failures_note(bench.config.failures, &f, 10);
	f.name = span_of("\xff", 1);
	f.words = "the Finished does not fit";
	failures_note(bench.config.failures, &f, 20);
	f.who = FAILURE_ADDRESS;
	f.words = "";
	failures_note(bench.config.failures, &f, 30);
	failures_note(bench.config.failures, &f, 40);
	assert_int_equal(without("GET /api/failures", ""), 200);
	assert_string_equal(client_body(c),
			    "[{\"kind\":\"address\",\"cause\":\"wrong_key\",\"address\":\"192.0.2.1:7\","
			    "\"count\":2,\"first\":30,"
			    "\"last\":40},"
			    "{\"kind\":\"identity\",\"nameHex\":\"ff\",\"cause\":\"wrong_key\",\"detail\":"
			    "\"the Finished does not "
			    "fit\",\"address\":\"192.0.2.1:7\",\"count\":1,\"first\":20,\"last\":20},"
			    "{\"kind\":\"identity\",\"name\":\"id1\",\"cause\":\"wrong_key\",\"address\":"
			    "\"192.0.2.1:7\",\"count\":1,"
			    "\"first\":10,\"last\":10}]");
	assert_int_equal(without("GET /api/failures?limit=1", ""), 200);
	assert_null(strstr(client_body(c), "identity"));
	assert_int_equal(without("GET /api/failures?limit=x", ""), 400);
	assert_int_equal(without("DELETE /api/failures", ""), 204);
	assert_int_equal(without("GET /api/failures", ""), 200);
	assert_string_equal(client_body(c), "[]");
}

/* ---- this server ---- */

static void the_server_shows_its_key(void **state)
{
	static uint8_t spki[91];

	(void)state;
	for (size_t i = 0; i < sizeof(spki); i++)
		sscanf(&SPKI[2 * i], "%2hhx", &spki[i]);
	start();
	assert_int_equal(without("GET /api/security/server", ""), 200);
	assert_string_equal(client_body(c), "{}");
	bench_stop();
	bench.closed = false;
	bench.config.public_key = span_of(spki, sizeof(spki));
	bench_start();
	assert_int_equal(without("GET /api/server/security", ""), 200);
	assert_string_equal(
		client_body(c),
		"{\"pubkey\":{\"x\":\"6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\","
		"\"y\":\"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5\","
		"\"params\":\"secp256r1 [NIST P-256,X9.62 prime256v1] (1.2.840.10045.3.1.7)\","
		"\"b64Der\":"
		"\"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/"
		"m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\"}}");
}

static void without_the_parts_there_are_no_routes(void **state)
{
	(void)state;
	tokens_free(bench.config.tokens);
	failures_free(bench.config.failures);
	credentials_free(bench.config.credentials);
	bench.config.tokens = NULL;
	bench.config.failures = NULL;
	bench.config.credentials = NULL;
	start();
	assert_int_equal(without("GET /api/tokens", ""), 404);
	assert_int_equal(without("POST /api/tokens", "{}"), 404);
	assert_int_equal(without("GET /api/security/clients", ""), 404);
	assert_int_equal(without("PUT /api/security/clients", "{}"), 404);
	assert_int_equal(without("POST /api/security/clients/import", "x"), 404);
	assert_int_equal(without("GET /api/failures", ""), 200);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, security_set_up, security_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(without_a_token_there_is_no_access),
		CASE(roles_are_those_of_the_routes),
		CASE(on_loopback_a_token_is_not_needed_but_counts),
		CASE(a_stream_ends_with_its_token),
		CASE(others_reach_it_by_https_and_token_only),
		CASE(a_token_is_made_listed_and_revoked),
		CASE(a_token_that_makes_no_sense_is_refused),
		CASE(a_credential_is_put_listed_and_removed),
		CASE(two_credentials_are_listed_while_one_rotates),
		CASE(an_identity_that_is_no_text_is_hexadecimal),
		CASE(what_is_wrong_with_a_credential_is_told),
		CASE(a_client_that_goes_away_leaves_its_change),
		CASE(a_file_is_taken_line_by_line),
		CASE(a_file_with_another_head_is_refused),
		CASE(failures_are_told_the_last_one_first),
		CASE(the_server_shows_its_key),
		CASE(without_the_parts_there_are_no_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
