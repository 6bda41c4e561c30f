/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Object definitions: fetched once per command, and searched. */

#include "cli/specs.h"

#include "cli/api.h"
#include "cli/text.h"

void specs_deinit(struct specs *s)
{
	json_decref(s->objects);
	s->objects = NULL;
}

static char *specs_path(const char *ep)
{
	struct buffer path = buffer_of(1 << 20);

	buffer_str(&path, "/api/objectspecs/");
	text_add_encoded(&path, span_str(ep));
	if (path.failed)
		buffer_deinit(&path);
	return (char *)path.data;
}

int specs_require(struct cli *c, const char *ep, struct specs *out)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	_cleanup_free_ char *path = specs_path(ep);
	int rc = api_call(c, &(struct api_request){.method = "GET", .path = path}, &reply);

	*out = (struct specs){json_incref(reply.json)};
	return rc;
}

void specs_load(struct cli *c, const char *ep, struct specs *out)
{
	FILE *error = c->error, *nowhere = fopen("/dev/null", "we");

	/* The command itself has gone well, or will tell for itself what is wrong. */
	c->error = c->client.error = nowhere ? nowhere : error;
	if (specs_require(c, ep, out) != EXIT_OK)
		specs_deinit(out);
	c->error = c->client.error = error;
	if (nowhere)
		fclose(nowhere);
}

static json_t *find(json_t *array, uint16_t id)
{
	json_t *item;
	size_t i;

	json_array_foreach (array, i, item)
		if (json_integer_value(json_object_get(item, "id")) == id)
			return item;
	return NULL;
}

json_t *specs_object(const struct specs *s, uint16_t object)
{
	return find(s->objects, object);
}

json_t *specs_resource(const struct specs *s, uint16_t object, uint16_t resource)
{
	return find(json_object_get(specs_object(s, object), "resourcedefs"), resource);
}

const char *specs_text(json_t *definition, const char *member)
{
	const char *text = json_string_value(json_object_get(definition, member));

	return text ? text : "";
}

const char *specs_of_path(const struct specs *s, const struct path *path, const char *member)
{
	if (path->depth >= PATH_RESOURCE)
		return specs_text(specs_resource(s, path->ids[0], path->ids[2]), member);
	return specs_text(specs_object(s, path->ids[0]), member);
}
