/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Observation policies, and the observations of one device.
 *
 * A policy is a document named "observe:NAME" among the settings, because it is one: a few of them, read as a
 * whole by every node, changed by operators. It takes effect here when it is stored; other nodes read all of
 * them every half minute.
 */

#include "codec/codec.h"
#include "http/api.h"
#include "http/json.h"
#include "http/policies.h"
#include "http/policy_input.h"
#include "http/wait.h"

#include <errno.h>
#include <stdio.h>

enum { LIST_MAX = 4 * 1024 * 1024, NAME_BYTES = 8 + POLICY_NAME_MAX, REFRESH_MS = 30000 };

static const char lead[] = "observe:";

static struct span document_name(struct span name, char text[NAME_BYTES + 1])
{
	snprintf(text, NAME_BYTES + 1, "%s%.*s", lead, (int)name.len, (const char *)name.data);
	return span_str(text);
}

/* The policy's part of a document's name; empty: it is none. */
static struct span policy_name(struct span document)
{
	size_t len = strlen(lead);
	struct span name = span_from(document, len);

	return document.len > len && memcmp(document.data, lead, len) == 0 && policy_name_valid(name)
		       ? name
		       : span_of(NULL, 0);
}

static int list_documents(struct http *h, store_document_fn *each, void *ctx)
{
	/* One page holds them all: they are far from its limit in bytes. */
	return store_document_list(h->store, STORE_SETTING, span_str(lead), POLICIES_MAX + 1, each, ctx);
}

/* ---- what every node knows ---- */

/* A reading of all, which may outlast the listener. */
struct policies_read {
	struct http *http; /* NULL: it is gone */
	bool changed;	   /* one changed meanwhile: what was read may be older */
};

static void read_end(struct policies_read *read, bool complete)
{
	struct http *h = read->http;

	free(read);
	if (!h)
		return;
	h->policies_read = NULL;
	h->policies_next_ms = uv_now(h->loop) + (complete ? REFRESH_MS : 0);
	if (complete)
		lwm2m_policies_end(h->server);
}

static void on_policy(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct policies_read *read = ctx;
	struct http *h = read->http;

	(void)version;
	if (result != STORE_DONE) {
		read_end(read, result == STORE_ABSENT && !read->changed);
		return;
	}
	name = policy_name(name);
	if (h && !read->changed && name.len > 0 && lwm2m_policy_set(h->server, name, body) < 0)
		log_limited(h->log, LOG_ERROR, 10, "unreadable-policy", "name=\"%.*s\"", (int)name.len,
			    (const char *)name.data);
}

void policies_refresh(struct http *h)
{
	struct policies_read *read = h->policies_read ? NULL : calloc(1, sizeof(*read));

	if (!read)
		return;
	read->http = h;
	h->policies_read = read;
	lwm2m_policies_begin(h->server);
	if (list_documents(h, on_policy, read) != 0)
		read_end(read, false);
}

void policies_stop(struct http *h)
{
	if (h->policies_read)
		h->policies_read->http = NULL;
	h->policies_read = NULL;
}

void policies_tick(struct http *h)
{
	if (uv_now(h->loop) >= h->policies_next_ms)
		policies_refresh(h);
}

/* ---- as JSON ---- */

static void paths_json(struct json *j, const char *name, const struct path *paths, size_t count)
{
	char text[PATH_TEXT];

	if (count == 0)
		return;
	json_key(j, name);
	json_open(j, '[');
	for (size_t i = 0; i < count; i++)
		json_str(j, path_format(&paths[i], text));
	json_close(j, ']');
}

static void format_json(struct json *j, uint16_t format)
{
	const struct codec *codec = format == FORMAT_NONE ? NULL : codec_find(format);

	if (codec)
		json_member_str(j, "format", codec->name);
}

static void policy_json(struct json *j, struct span name, const struct policy *p)
{
	json_open(j, '{');
	json_member_text(j, "name", name);
	json_member_text(j, "pattern", p->pattern);
	paths_json(j, "paths", p->paths, p->path_count);
	paths_json(j, "composite", p->composite, p->composite_count);
	if (p->attributes.len > 0)
		json_member_text(j, "attributes", p->attributes);
	format_json(j, p->format);
	json_close(j, '}');
}

/* ---- looking ---- */

struct policy_list {
	struct waiter waiter;
	struct buffer text;
	struct json json;
	bool one, found;
};

static void no_policy(struct http_request *r)
{
	request_problem(r, MHD_HTTP_NOT_FOUND, "No such policy",
			"There is no policy of this name; GET /api/observations lists all.");
}

static void list_end(struct policy_list *l, int result)
{
	struct http_request *r = wait_end(&l->waiter);

	if (r && result < 0) {
		request_busy(r, "Service unavailable: the policies cannot be read now");
	} else if (r && l->one && !l->found) {
		no_policy(r);
	} else if (r) {
		if (!l->one)
			json_close(&l->json, ']');
		request_reply(r, MHD_HTTP_OK, TYPE_JSON, &l->text);
	}
	buffer_deinit(&l->text);
	free(l);
}

static void on_listed(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct policy_list *l = ctx;
	struct policy p;

	(void)version;
	name = policy_name(name);
	if (result == STORE_DONE && name.len > 0 && policy_decode(body, &p) == 0) {
		l->found = true;
		policy_json(&l->json, name, &p);
	}
	if (result != STORE_DONE || l->one)
		list_end(l, result);
}

static struct policy_list *list_new(struct http_request *r, bool one)
{
	struct policy_list *l = wait_new(r, sizeof(*l));

	if (!l)
		return NULL;
	l->text = buffer_of(LIST_MAX);
	l->json = json_to(&l->text);
	l->one = one;
	return l;
}

void api_policies_list(struct http_request *r)
{
	struct policy_list *l = list_new(r, false);

	if (!l)
		return;
	json_open(&l->json, '[');
	if (list_documents(r->http, on_listed, l) != 0)
		list_end(l, -ENOBUFS);
}

/* The name in the path. False: the request is answered. */
static bool named(struct http_request *r, struct span *name)
{
	*name = r->target.segments[r->match.path_first];
	if (policy_name_valid(*name))
		return true;
	request_problem(r, MHD_HTTP_BAD_REQUEST, "Not a name",
			"The name of a policy has 1 to 64 letters, digits, '-', '_' and '.'.");
	return false;
}

void api_policy_get(struct http_request *r)
{
	char text[NAME_BYTES + 1];
	struct policy_list *l;
	struct span name;

	if (!named(r, &name))
		return;
	l = list_new(r, true);
	if (l &&
	    store_document_get(r->http->store, STORE_SETTING, document_name(name, text), on_listed, l) != 0)
		list_end(l, -ENOBUFS);
}

/* ---- changing ---- */

struct policy_change {
	struct waiter waiter;
	bool remove;
	struct buffer body;
	size_t name_len;
	char name[NAME_BYTES + 1];
};

static void change_free(struct policy_change *c)
{
	buffer_deinit(&c->body);
	free(c);
}

static void reply_policy(struct http_request *r, struct span name, struct span body)
{
	struct buffer text = buffer_of(65536);
	struct json json = json_to(&text);
	struct policy p;

	if (policy_decode(body, &p) == 0)
		policy_json(&json, name, &p);
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

/* Stored: from now on it counts. */
static void apply_change(const struct policy_change *c, struct span name)
{
	struct http *h = c->waiter.http;

	if (h->policies_read)
		h->policies_read->changed = true;
	if (c->remove)
		lwm2m_policy_drop(h->server, name);
	else if (lwm2m_policy_set(h->server, name, buffer_span(&c->body)) < 0)
		log_limited(h->log, LOG_ERROR, 10, "policy-without-room", "name=\"%.*s\"", (int)name.len,
			    (const char *)name.data);
}

static void on_changed(void *ctx, int result, struct span document, struct span body, uint64_t version)
{
	struct policy_change *c = ctx;
	struct http_request *r = wait_end(&c->waiter);
	struct span name = policy_name(span_of(c->name, c->name_len));
	struct buffer empty = buffer_of(0);

	(void)document;
	(void)body;
	(void)version;
	if (result == STORE_DONE)
		apply_change(c, name);
	if (r && result == STORE_ABSENT)
		no_policy(r);
	else if (r && result != STORE_DONE)
		request_busy(r, "Service unavailable: the policy could not be stored");
	else if (r && c->remove)
		request_reply(r, MHD_HTTP_NO_CONTENT, NULL, &empty);
	else if (r)
		reply_policy(r, name, buffer_span(&c->body));
	change_free(c);
}

static void change(struct http_request *r, struct span name, const struct policy *p)
{
	struct policy_change *c = wait_new(r, sizeof(*c));
	struct store *store = r->http->store;
	int err = 0;

	if (!c)
		return;
	c->name_len = document_name(name, c->name).len;
	c->body = buffer_of(65536);
	c->remove = !p;
	if (p)
		err = policy_encode(p, &c->body);
	if (!err && p)
		err = store_document_put(store, STORE_SETTING, span_of(c->name, c->name_len),
					 buffer_span(&c->body), UINT64_MAX, on_changed, c);
	else if (!err)
		err = store_document_delete(store, STORE_SETTING, span_of(c->name, c->name_len), on_changed,
					    c);
	if (err == 0)
		return;
	(void)wait_end(&c->waiter);
	change_free(c);
	request_busy(r, "Service unavailable: the policy cannot be stored now");
}

static bool parse(struct http_request *r, bool pattern, struct policy *p)
{
	char error[POLICY_ERROR];
	const char *wrong = policy_parse(buffer_span(&r->body), pattern, &r->arena, p, error);

	if (wrong)
		request_problem(r, MHD_HTTP_BAD_REQUEST, "Not to be observed", wrong);
	return !wrong;
}

void api_policy_put(struct http_request *r)
{
	struct span name;
	struct policy p;

	if (!named(r, &name) || !parse(r, true, &p))
		return;
	if (lwm2m_policy_fits(r->http->server, name))
		change(r, name, &p);
	else
		request_problem(r, MHD_HTTP_CONFLICT, "Too many policies",
				"There are as many policies as are allowed (256).");
}

void api_policy_remove(struct http_request *r)
{
	struct span name;

	if (named(r, &name))
		change(r, name, NULL);
}

/* ---- of one device ---- */

static void observation_json(struct json *j, const struct lwm2m_server *s, const struct observation *o)
{
	struct span name = lwm2m_policy_name(s, o->origin), left = o->paths;
	char text[PATH_TEXT];
	struct path path;

	json_open(j, '{');
	if (o->paths.len == 0)
		json_member_str(j, "path", path_format(&o->path, text));
	if (o->paths.len > 0) {
		json_key(j, "paths");
		json_open(j, '[');
		while (paths_next(&left, &path))
			json_str(j, path_format(&path, text));
		json_close(j, ']');
	}
	json_member_str(j, "state", o->issued ? "observed" : o->refused ? "refused" : "wanted");
	json_member_str(j, "origin",
			o->origin == ORIGIN_REQUEST    ? "request"
			: o->origin == ORIGIN_DECLARED ? "declared"
						       : "policy");
	if (name.len > 0)
		json_member_text(j, "policy", name);
	format_json(j, o->accept);
	json_close(j, '}');
}

static void reply_observations(struct http_request *r, const struct device *d)
{
	struct buffer text = buffer_of(LIST_MAX);
	struct json json = json_to(&text);
	struct registration registration;
	struct observation o;

	device_registration(d, &registration);
	json_open(&json, '[');
	for (struct span left = registration.observations; observation_next(&left, &o);)
		observation_json(&json, r->http->server, &o);
	json_close(&json, ']');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

void api_observations_get(struct http_request *r)
{
	struct device *d = api_device(r);

	if (d)
		reply_observations(r, d);
}

static void on_declared(void *ctx, const struct lwm2m_answer *answer)
{
	struct waiter *w = ctx;
	struct http_request *r = wait_end(w);
	struct device *d = r ? api_device(r) : NULL;

	free(w);
	if (!d)
		return;
	if (answer->outcome == LWM2M_ANSWERED)
		reply_observations(r, d);
	else
		request_busy(r, "Service unavailable: the observations could not be stored");
}

void api_observations_put(struct http_request *r)
{
	struct device *d = api_device(r);
	struct waiter *w;
	struct policy p;

	if (!d || !parse(r, false, &p))
		return;
	w = wait_new(r, sizeof(*w));
	if (!w || lwm2m_declare(r->http->server, d, &p, on_declared, w) == 0)
		return;
	(void)wait_end(w);
	free(w);
	request_busy(r, "Service unavailable: the observations cannot be stored now");
}
