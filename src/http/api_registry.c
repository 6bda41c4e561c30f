/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Object definitions which operators add while the server runs. A definition is a document in the store,
 * named by object and version, so that it is there after a restart; it takes effect when it is stored.
 */

#include "http/api.h"
#include "http/json.h"
#include "model/ddf.h"

#include <errno.h>
#include <stdio.h>

enum { LIST_MAX = 4 * 1024 * 1024 };

static const char *const origins[] = {
	[ORIGIN_BUILTIN] = "builtin",
	[ORIGIN_FILE] = "file",
	[ORIGIN_STORED] = "stored",
};

static void summary_json(struct json *j, const struct object_def *o)
{
	char version[8];

	snprintf(version, sizeof(version), "%u.%u", o->version.major, o->version.minor);
	json_open(j, '{');
	json_member_uint(j, "id", o->id);
	json_member_str(j, "version", version);
	json_member_str(j, "name", o->name);
	json_member_str(j, "origin", origins[o->origin]);
	json_close(j, '}');
}

void api_models_list(struct http_request *r)
{
	const struct registry *registry = lwm2m_registry(r->http->server);
	struct buffer text = buffer_of(LIST_MAX);
	struct json json = json_to(&text);
	const struct object_def *o;

	json_open(&json, '[');
	for (size_t i = 0; (o = registry_at(registry, i)) != NULL; i++)
		summary_json(&json, o);
	json_close(&json, ']');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

/* The definition which the path names in exactly this version; NULL: the request is answered. */
static const struct object_def *named_model(struct http_request *r)
{
	const struct span *segments = &r->target.segments[r->match.path_first];
	const struct object_def *o = NULL;
	struct object_version version;
	uint64_t id;

	if (r->match.path_count == 2 && span_to_uint(segments[0], PATH_ID_NONE - 1, &id) &&
	    object_version_parse(segments[1], &version))
		o = registry_find(lwm2m_registry(r->http->server), (uint16_t)id, version);
	if (o && o->version.major == version.major && o->version.minor == version.minor)
		return o;
	request_problem(r, MHD_HTTP_NOT_FOUND, "No such definition",
			"There is no definition of this object and version; GET /api/models lists all.");
	return NULL;
}

void api_model_get(struct http_request *r)
{
	const struct object_def *o = named_model(r);
	struct buffer text = buffer_of(LIST_MAX);
	struct json json = json_to(&text);

	if (!o)
		return;
	object_spec_json(&json, o);
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

/* ---- changes: they outlive the request that asks for them ---- */

/* The listener may be gone before the store calls back: nothing here borrows from it. */
struct model_change {
	struct registry *registry;
	const struct http_cluster *cluster; /* or NULL */
	struct http_request *request;	    /* NULL: nobody waits any more */
	uint16_t object;
	struct object_version version;
	bool remove;
	struct buffer xml;
};

static void change_free(struct model_change *c)
{
	buffer_deinit(&c->xml);
	free(c);
}

static void change_abandoned(struct http_request *r)
{
	struct model_change *c = r->change;

	c->request = NULL;
	r->change = NULL;
}

static struct model_change *change_new(struct http_request *r, uint16_t object, struct object_version version)
{
	struct model_change *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct model_change){.registry = r->http->config.registry,
				   .cluster = r->http->config.cluster,
				   .request = r,
				   .object = object,
				   .version = version};
	r->change = c;
	r->cancel = change_abandoned;
	return c;
}

static void model_name(const struct model_change *c, char text[24])
{
	snprintf(text, 24, "%u/%u.%u", c->object, c->version.major, c->version.minor);
}

static void reply_change(struct http_request *r, const struct model_change *c)
{
	const struct object_def *o = registry_find(lwm2m_registry(r->http->server), c->object, c->version);
	struct buffer text = buffer_of(4096);
	struct json json = json_to(&text);

	if (c->remove) {
		request_reply(r, MHD_HTTP_NO_CONTENT, NULL, &text);
	} else if (o) {
		summary_json(&json, o);
		request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
	} else {
		request_busy(r, "Service unavailable: out of memory");
	}
}

/* Stored: from now on it counts. */
static void apply_change(const struct model_change *c)
{
	char error[DDF_ERROR];
	size_t count;

	if (c->remove)
		(void)registry_remove(c->registry, c->object, c->version, ORIGIN_STORED);
	else
		(void)ddf_load(c->registry, buffer_span(&c->xml), ORIGIN_STORED, &count, error);
}

static void change_done(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct model_change *c = ctx;
	struct http_request *r = c->request;

	(void)body;
	(void)version;
	if (result == STORE_DONE) {
		apply_change(c);
		if (c->cluster)
			c->cluster->changed(c->cluster->ctx, STORE_MODEL, name);
	}
	if (r) {
		r->change = NULL;
		if (result == STORE_DONE)
			reply_change(r, c);
		else
			request_busy(r, "Service unavailable: the definition could not be stored");
	}
	change_free(c);
}

static void change_start(struct http_request *r, struct model_change *c)
{
	struct store *store = r->http->store;
	char name[24];
	int err;

	model_name(c, name);
	if (c->remove)
		err = store_document_delete(store, STORE_MODEL, span_str(name), change_done, c);
	else
		err = store_document_put(store, STORE_MODEL, span_str(name), buffer_span(&c->xml), UINT64_MAX,
					 change_done, c);
	if (err == 0)
		return;
	r->change = NULL;
	change_free(c);
	request_busy(r, "Service unavailable: the definition cannot be stored now");
}

/* Reads it into a registry of its own first: what is in the way of a definition is found before anything
 * changes. */
static const char *check_definition(struct span xml, uint16_t *object, struct object_version *version,
				    char error[DDF_ERROR])
{
	struct registry *alone = registry_new_empty();
	size_t count = 0;
	int err = alone ? ddf_load(alone, xml, ORIGIN_STORED, &count, error) : -ENOMEM;
	const char *wrong = NULL;

	if (err < 0)
		wrong = "out of memory";
	else if (err > 0)
		wrong = error;
	else if (count != 1)
		wrong = "a file with exactly one Object is expected";
	if (!wrong) {
		*object = registry_at(alone, 0)->id;
		*version = registry_at(alone, 0)->version;
	}
	registry_free(alone);
	return wrong;
}

void api_model_put(struct http_request *r)
{
	struct object_version version = {0};
	uint16_t object = 0;
	char error[DDF_ERROR];
	const char *wrong = check_definition(buffer_span(&r->body), &object, &version, error);
	struct model_change *c;

	if (wrong) {
		request_problem(r, MHD_HTTP_BAD_REQUEST, "Not an object definition", wrong);
		return;
	}
	c = change_new(r, object, version);
	if (!c) {
		request_busy(r, "Service unavailable: out of memory");
		return;
	}
	c->xml = buffer_of(DDF_SIZE_MAX);
	buffer_bytes(&c->xml, buffer_span(&r->body));
	change_start(r, c);
}

void api_model_remove(struct http_request *r)
{
	const struct object_def *o = named_model(r);
	struct model_change *c;

	if (!o)
		return;
	if (o->origin != ORIGIN_STORED) {
		request_problem(r, MHD_HTTP_CONFLICT, "Not put here",
				"Only definitions that were put by PUT /api/models can be removed; this one "
				"is built in or comes from "
				"the directory of definitions.");
		return;
	}
	c = change_new(r, o->id, o->version);
	if (!c) {
		request_busy(r, "Service unavailable: out of memory");
		return;
	}
	c->remove = true;
	change_start(r, c);
}
