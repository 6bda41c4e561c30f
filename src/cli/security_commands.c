/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Commands about who may: credentials of devices, tokens of programs and people, and who was refused. Each
 * command has a second word; a table finds what it means.
 */

#include "base/clock.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/words.h"

#include <errno.h>
#include <inttypes.h>

enum { FILE_MAX = 64 << 20, KEY_LINE = 4096 };

/* ---- security ---- */

static void add_credential(struct table *t, const char *ep, json_t *what, bool fresh)
{
	json_t *details = json_object_get(what, "details");
	const char *hex = text_of(details, "identityHex");

	table_add(t, ep);
	table_add(t, text_of(what, "mode"));
	if (*hex)
		table_printf(t, "0x%s", hex);
	else
		table_add(t, text_of(details, "identity"));
	table_add(t, text_of(details, "fingerprint"));
	table_add(t, fresh ? "not used yet" : "");
}

static void print_credentials(struct cli *c, json_t *list)
{
	static const char *const titles[] = {"ENDPOINT", "MODE", "IDENTITY", "FINGERPRINT", ""};
	_cleanup_table_ struct table t;
	json_t *item;
	size_t i;

	table_init(&t, ARRAY_SIZE(titles), titles);
	json_array_foreach (list, i, item) {
		const char *ep = text_of(item, "endpoint");

		add_credential(&t, ep, json_object_get(item, "tls"), false);
		if (json_object_get(item, "next"))
			add_credential(&t, ep, json_object_get(item, "next"), true);
	}
	table_print(&t, c->out, c->width);
}

static int security_list(struct cli *c, const struct cli_args *args)
{
	(void)args;
	return list_call(c, "/api/security/clients", print_credentials);
}

/* The key on the command line, or from the standard input, where others do not see it. False: told. */
static bool take_key(struct cli *c, const char *operand, char line[KEY_LINE])
{
	if (strcmp(operand, "-") != 0) {
		snprintf(line, KEY_LINE, "%s", operand);
		return true;
	}
	if (!fgets(line, KEY_LINE, stdin)) {
		fputs("shoalctl: no key on the standard input\n", c->error);
		return false;
	}
	line[strcspn(line, "\r\n")] = 0;
	return true;
}

static json_t *details_of(const char *mode, const char *identity, const char *key)
{
	if (strcmp(mode, "x509") == 0)
		return json_pack("{s:s}", "mode", mode);
	if (strcmp(mode, "rpk") == 0)
		return json_pack("{s:s,s:{s:s}}", "mode", mode, "details", "key", key);
	if (strncmp(identity, "0x", 2) == 0)
		return json_pack("{s:s,s:{s:s,s:s}}", "mode", mode, "details", "identityHex", identity + 2,
				 "key", key);
	return json_pack("{s:s,s:{s:s,s:s}}", "mode", mode, "details", "identity", identity, "key", key);
}

static int put_credential(struct cli *c, const struct cli_args *args, const char *identity, const char *key)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	json_t *body = json_pack("{s:s,s:o*,s:b}", "endpoint", args->operands[1], "tls",
				 details_of(args->operands[2], identity, key), "rotate",
				 args_has(args, OPTION_ROTATE));
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const struct api_request q = {.method = "PUT",
				      .path = "/api/security/clients",
				      .content_type = "application/json",
				      .body = span_str(text ? text : "")};
	int rc = EXIT_USAGE;

	if (text)
		rc = api_call(c, &q, &reply);
	else
		fputs("shoalctl: endpoint, identity and key have to be UTF-8; identities may be 0xHEX\n",
		      c->error);
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	json_decref(body);
	return rc;
}

static int security_set(struct cli *c, const struct cli_args *args)
{
	static const struct {
		const char *mode;
		unsigned operands; /* of all */
	} modes[] = {{"psk", 5}, {"rpk", 4}, {"x509", 3}};
	const char *mode = args->operands[2];
	char key[KEY_LINE] = "";
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(mode, modes[i].mode) != 0)
			continue;
		if (args->operand_count != modes[i].operands)
			break;
		if (args->operand_count > 3 && !take_key(c, args->operands[args->operand_count - 1], key))
			return EXIT_USAGE;
		rc = put_credential(c, args, args->operand_count == 5 ? args->operands[3] : "", key);
		explicit_bzero(key, sizeof(key));
		return rc;
	}
	fputs("shoalctl: expected: security set EP psk IDENTITY KEY, EP rpk KEY, or EP x509\n", c->error);
	return EXIT_USAGE;
}

static int security_delete(struct cli *c, const struct cli_args *args)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	int rc = delete_call(c, "/api/security/clients/", args->operands[1], &reply);

	if (rc != EXIT_OK || !json_object_get(reply.json, "message"))
		return rc;
	fputs("shoalctl: this endpoint has no credentials\n", c->error);
	return EXIT_REFUSED;
}

static int read_all(struct cli *c, const char *path, struct buffer *out)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char block[4096];
	size_t got;
	bool good;

	if (!f) {
		fprintf(c->error, "shoalctl: %s: %s\n", path, strerror(errno));
		return EXIT_USAGE;
	}
	while ((got = fread(block, 1, sizeof(block), f)) > 0)
		buffer_bytes(out, span_of(block, got));
	good = !ferror(f) && !out->failed;
	if (f != stdin)
		fclose(f);
	explicit_bzero(block, sizeof(block));
	if (!good)
		fprintf(c->error, "shoalctl: %s cannot be read, or is too large\n", path);
	return good ? EXIT_OK : EXIT_USAGE;
}

static int print_report(struct cli *c, json_t *report)
{
	uint64_t refused = number_of(report, "refusedCount");
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(report, "refused"), i, item)
		fprintf(c->error, "shoalctl: line %" PRIu64 ": %s\n", number_of(item, "line"),
			text_of(item, "reason"));
	fprintf(c->out, "%" PRIu64 " taken, %" PRIu64 " refused\n", number_of(report, "taken"), refused);
	return refused ? EXIT_REFUSED : EXIT_OK;
}

static int security_import(struct cli *c, const struct cli_args *args)
{
	enum { PATIENCE_S = 600 };
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	struct buffer file = buffer_of(FILE_MAX);
	struct api_request q = {.method = "POST",
				.path = args_has(args, OPTION_ROTATE) ? "/api/security/clients/import?rotate"
								      : "/api/security/clients/import",
				.content_type = "text/csv",
				.extra_s = PATIENCE_S};
	int rc = read_all(c, args->operands[1], &file);

	q.body = buffer_span(&file);
	if (rc == EXIT_OK)
		rc = api_call(c, &q, &reply);
	if (rc == EXIT_OK && c->json)
		fprintf(c->out, "%s\n", (const char *)reply.response.body.data);
	else if (rc == EXIT_OK)
		rc = print_report(c, reply.json);
	if (file.data)
		explicit_bzero(file.data, file.cap);
	buffer_deinit(&file);
	return rc;
}

int command_security(struct cli *c, const struct cli_args *args)
{
	static const struct word words[] = {{"list", 0, 0, security_list},
					    {"set", 2, 4, security_set},
					    {"delete", 1, 1, security_delete},
					    {"import", 1, 1, security_import}};

	return run_word(c, args, words, ARRAY_SIZE(words));
}

/* ---- token ---- */

static json_t *token_body(struct cli *c, const struct cli_args *args)
{
	json_t *body = json_object();
	uint64_t ms;

	json_object_set_new(body, "role", json_string(args->options[OPTION_ROLE]));
	if (args_has(args, OPTION_NAME))
		json_object_set_new(body, "name", json_string(args->options[OPTION_NAME]));
	if (args_has(args, OPTION_EXPIRES)) {
		if (!text_parse_duration(args->options[OPTION_EXPIRES], &ms)) {
			fprintf(c->error, "shoalctl: --expires %s: expected a time such as 12h or 30d\n",
				args->options[OPTION_EXPIRES]);
			json_decref(body);
			return NULL;
		}
		json_object_set_new(body, "expires", json_integer((json_int_t)(clock_wall_ms() + ms)));
	}
	return body;
}

static int token_create(struct cli *c, const struct cli_args *args)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	_cleanup_free_ char *text = NULL;
	json_t *body;
	int rc;

	if (!args_has(args, OPTION_ROLE)) {
		fputs("shoalctl: token create takes --role read, operate or admin\n", c->error);
		return EXIT_USAGE;
	}
	body = token_body(c, args);
	if (!body)
		return EXIT_USAGE;
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	rc = api_call(c,
		      &(struct api_request){.method = "POST",
					    .path = "/api/tokens",
					    .content_type = "application/json",
					    .body = span_str(text ? text : "")},
		      &reply);
	if (rc != EXIT_OK)
		return rc;
	if (c->json) {
		fprintf(c->out, "%s\n", (const char *)reply.response.body.data);
		return EXIT_OK;
	}
	fprintf(c->out, "%s\n", text_of(reply.json, "token"));
	if (c->interactive)
		fprintf(c->error,
			"shoalctl: this is shown once; it is revoked by `shoalctl token revoke %s`\n",
			text_of(reply.json, "id"));
	return EXIT_OK;
}

static void print_tokens(struct cli *c, json_t *list)
{
	static const char *const titles[] = {"ID", "ROLE", "NAME", "CREATED", "EXPIRES"};
	_cleanup_table_ struct table t;
	uint64_t now_ms = clock_wall_ms();
	char text[TEXT_TIME];
	json_t *item;
	size_t i;

	table_init(&t, ARRAY_SIZE(titles), titles);
	json_array_foreach (list, i, item) {
		uint64_t expires_ms = number_of(item, "expires");

		table_add(&t, text_of(item, "id"));
		table_add(&t, text_of(item, "role"));
		table_add(&t, text_of(item, "name"));
		table_add(&t, text_ago(number_of(item, "created"), now_ms, text));
		table_add(&t, expires_ms ? text_ago(expires_ms, now_ms, text) : "never");
	}
	table_print(&t, c->out, c->width);
}

static int token_list(struct cli *c, const struct cli_args *args)
{
	(void)args;
	return list_call(c, "/api/tokens", print_tokens);
}

static int token_revoke(struct cli *c, const struct cli_args *args)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};

	return delete_call(c, "/api/tokens/", args->operands[1], &reply);
}

int command_token(struct cli *c, const struct cli_args *args)
{
	static const struct word words[] = {
		{"create", 0, 0, token_create}, {"list", 0, 0, token_list}, {"revoke", 1, 1, token_revoke}};

	return run_word(c, args, words, ARRAY_SIZE(words));
}

/* ---- failures ---- */

static void print_failures(struct cli *c, json_t *list)
{
	static const char *const titles[] = {"WHO", "KIND", "CAUSE", "COUNT", "LAST", "ADDRESS", "DETAIL"};
	_cleanup_table_ struct table t;
	uint64_t now_ms = clock_wall_ms();
	char text[TEXT_TIME];
	json_t *item;
	size_t i;

	table_init(&t, ARRAY_SIZE(titles), titles);
	json_array_foreach (list, i, item) {
		const char *hex = text_of(item, "nameHex");

		if (*hex)
			table_printf(&t, "0x%s", hex);
		else
			table_add(&t, text_of(item, "name"));
		table_add(&t, text_of(item, "kind"));
		table_add(&t, text_of(item, "cause"));
		table_printf(&t, "%" PRIu64, number_of(item, "count"));
		table_add(&t, text_ago(number_of(item, "last"), now_ms, text));
		table_add(&t, text_of(item, "address"));
		table_add(&t, text_of(item, "detail"));
	}
	table_print(&t, c->out, c->width);
}

static int failures_clear(struct cli *c, const struct cli_args *args)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};

	(void)args;
	return api_call(c, &(struct api_request){.method = "DELETE", .path = "/api/failures"}, &reply);
}

int command_failures(struct cli *c, const struct cli_args *args)
{
	static const struct word words[] = {{"clear", 0, 0, failures_clear}};

	if (args->operand_count)
		return run_word(c, args, words, ARRAY_SIZE(words));
	return list_call(c, "/api/failures", print_failures);
}
