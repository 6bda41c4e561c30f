/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Commands whose second word says what is to be done, and the calls that these make. */

#include "cli/words.h"

#include "cli/text.h"

int run_word(struct cli *c, const struct cli_args *args, const struct word *words, size_t count)
{
	const char *name = args->operands[0];
	unsigned following = args->operand_count - 1;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i].name, name) != 0)
			continue;
		if (following >= words[i].min && following <= words[i].max)
			return words[i].run(c, args);
		fprintf(c->error, "shoalctl: too %s operands behind %s; --help tells which\n",
			following < words[i].min ? "few" : "many", name);
		return EXIT_USAGE;
	}
	fprintf(c->error, "shoalctl: \"%s\": expected", name);
	for (size_t i = 0; i < count; i++)
		fprintf(c->error, "%s %s", i == 0 ? "" : i + 1 == count ? " or" : ",", words[i].name);
	fputc('\n', c->error);
	return EXIT_USAGE;
}

const char *text_of(json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "";
}

uint64_t number_of(json_t *object, const char *member)
{
	json_int_t number = json_integer_value(json_object_get(object, member));

	return number > 0 ? (uint64_t)number : 0;
}

int list_call(struct cli *c, const char *path, void (*print)(struct cli *c, json_t *list))
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	int rc = api_call(c, &(struct api_request){.method = "GET", .path = path}, &reply);

	if (rc != EXIT_OK)
		return rc;
	if (c->json)
		fprintf(c->out, "%s\n", (const char *)reply.response.body.data);
	else
		print(c, reply.json);
	return EXIT_OK;
}

char *path_of(const char *path, const char *name)
{
	struct buffer out = buffer_of(1 << 16);

	buffer_str(&out, path);
	text_add_encoded(&out, span_str(name));
	if (out.failed)
		buffer_deinit(&out);
	return (char *)out.data;
}

int delete_call(struct cli *c, const char *path, const char *name, struct api_reply *reply)
{
	_cleanup_free_ char *full = path_of(path, name);

	return api_call(c, &(struct api_request){.method = "DELETE", .path = full}, reply);
}
