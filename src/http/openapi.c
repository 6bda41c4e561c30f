/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The description of the interface for programs (OpenAPI 3.1), made from the table that routes the requests.
 * The one hard idea: a {path} of ours stands for one to four segments and a template of OpenAPI for exactly
 * one, so a row of the table becomes a path for each length that it takes. What the table refers to by a
 * word - parameters, bodies, answers, the members of schemas - is in tables here.
 *
 * Leaves out what a schema cannot say briefly: which members are there when (docs/api.md).
 */

#include "http/access.h"
#include "http/api.h"
#include "http/json.h"

#include <ctype.h>
#include <stdio.h>

enum { DOCUMENT_MAX = 1024 * 1024, PATH_MAX_TEXT = 128, OPERATIONS_MAX = 128 };

/* Types: a word of JSON Schema; "any"; the name of a schema, which is a capital; "[]T" a list, "{}T" a map.
 */
struct parameter_def {
	const char *name, *type;
	bool required, bare; /* bare: has a meaning without a value */
	const char *description;
};

static const struct parameter_def query_parameters[] = {
	{"timeout", "integer", false, false, "Seconds to wait for the device, 1 to 600; 5 if it is absent."},
	{"ttl", "integer", false, false,
	 "Seconds that the request may wait for a device in queue mode that sleeps; 0: it is not queued, but "
	 "sent at once. If it is absent the server's setting counts."},
	{"format", "string", false, false,
	 "Content-Format on the way to the device: TEXT, OPAQUE, CBOR, SENML_JSON, SENML_CBOR, TLV or JSON. "
	 "Without it what the device announced."},
	{"paths", "string", true, false, "A list of paths: /3/0/1,/1/0"},
	{"pathformat", "string", false, false, "How the paths are sent: SENML_JSON or SENML_CBOR."},
	{"nodeformat", "string", false, false, "How the values are sent: SENML_JSON or SENML_CBOR."},
	{"active", "boolean", false, true, "Ask the device to stop, and answer with what it says."},
	{"replace", "boolean", false, false, "false: add to what an instance or multiple resource has."},
	{"pmin", "integer", false, true, "Seconds between two notifications at least; bare: none."},
	{"pmax", "integer", false, true, "Seconds between two notifications at most; bare: none."},
	{"gt", "number", false, true, "Notify when the value rises above it; bare: none."},
	{"lt", "number", false, true, "Notify when the value falls below it; bare: none."},
	{"st", "number", false, true, "Notify when the value changes by so much; bare: none."},
	{"epmin", "integer", false, true, "Seconds between two evaluations at least; bare: none."},
	{"epmax", "integer", false, true, "Seconds between two evaluations at most; bare: none."},
	{"ep", "string", false, false, "Events of this endpoint only."},
	{"limit", "integer", false, false, "How many at most."},
	{"after", "string", false, false, "The endpoint behind which the list begins."},
	{"rotate", "boolean", false, true, "What is valid stays so until the first use of the new one."},
	{"lastEventId", "string", false, false,
	 "The last event that was seen; the header Last-Event-ID goes before it."},
};

static const struct parameter_def path_parameters[] = {
	{"ep", "string", true, false, "Name of the endpoint."},
	{"object", "integer", true, false, "Id of the object."},
	{"instance", "integer", true, false, "Id of the instance."},
	{"resource", "integer", true, false, "Id of the resource."},
	{"resourceInstance", "integer", true, false, "Id of the resource instance."},
	{"version", "string", true, false, "Version of the object: 1.0"},
	{"id", "string", true, false, "Id of the token, or of the request."},
	{"name", "string", true, false, "Name of the policy."},
};

static const struct {
	bool required;
	struct {
		const char *media, *type;
	} choices[2];
} bodies[ROUTE_BODIES] = {
	[BODY_NODE] = {true, {{"application/json", "Node"}, {"text/plain", "string"}}},
	[BODY_NODE_MAP] = {true, {{"application/json", "{}Node"}}},
	[BODY_ARGUMENTS] = {false, {{"text/plain", "string"}}},
	[BODY_INSTANCE] = {true, {{"application/json", "Node"}}},
	[BODY_DDF] = {true, {{"application/xml", "string"}}},
	[BODY_SECURITY] = {true, {{"application/json", "SecurityInfo"}}},
	[BODY_CSV] = {true, {{"text/csv", "string"}}},
	[BODY_TOKEN] = {true, {{"application/json", "TokenRequest"}}},
	[BODY_POLICY] = {true, {{"application/json", "Policy"}}},
	[BODY_OBSERVATIONS] = {true, {{"application/json", "Declaration"}}},
};

static const struct {
	const char *status, *media, *type, *description;
} answers[ROUTE_ANSWERS] = {
	[ANSWER_TEXT] = {"200", "text/plain", "string", "Text."},
	[ANSWER_PAGE] = {"200", "text/html", "string", "A page."},
	[ANSWER_OPENAPI] = {"200", "application/json", "object", "An OpenAPI document."},
	[ANSWER_REGISTRATIONS] = {"200", "application/json", "[]Registration", "All registrations."},
	[ANSWER_REGISTRATION] = {"200", "application/json", "Registration", "The registration."},
	[ANSWER_RESPONSE] =
		{"200", "application/json", "Response",
		 "What the device answered; or, with `delayed`, that the request waits for it to wake."},
	[ANSWER_POLICIES] = {"200", "application/json", "[]Policy", "The policies."},
	[ANSWER_POLICY] = {"200", "application/json", "Policy", "The policy."},
	[ANSWER_OBSERVATIONS] = {"200", "application/json", "[]Observation", "The observations."},
	[ANSWER_REQUESTS] = {"200", "application/json", "[]QueuedRequest", "The requests, in order."},
	[ANSWER_REQUEST] = {"200", "application/json", "QueuedRequest", "The request."},
	[ANSWER_RESPONSE_OR_EMPTY] = {"200", "application/json", "Response",
				      "With `active` what the device answered, else empty."},
	[ANSWER_NOTHING] = {"204", NULL, NULL, "It is gone."},
	[ANSWER_SPECS] = {"200", "application/json", "[]ObjectSpec", "The definitions."},
	[ANSWER_SPEC] = {"200", "application/json", "ObjectSpec", "The definition."},
	[ANSWER_MODELS] = {"200", "application/json", "[]Model", "The definitions that are known."},
	[ANSWER_MODEL] = {"200", "application/json", "Model", "The definition that was put."},
	[ANSWER_ENDPOINTS] = {"200", "application/json", "[]Endpoint", "The addresses."},
	[ANSWER_EMPTY] = {"200", NULL, NULL, "Done; empty."},
	[ANSWER_SECURITY] = {"200", "application/json", "[]SecurityInfo", "The credentials, without keys."},
	[ANSWER_SERVER_KEY] = {"200", "application/json", "ServerSecurity",
			       "Empty if there are neither certificates nor raw public keys."},
	[ANSWER_IMPORT] = {"200", "application/json", "ImportReport", "What was taken, and what not."},
	[ANSWER_FAILURES] = {"200", "application/json", "[]Failure", "Who failed, and why."},
	[ANSWER_TOKENS] = {"200", "application/json", "[]Token", "The tokens."},
	[ANSWER_TOKEN] = {"200", "application/json", "Token", "The token, with the secret in `token`."},
	[ANSWER_CLUSTER] = {"200", "application/json", "Cluster", "The nodes that have a lease."},
	[ANSWER_OWNER] = {"200", "application/json", "Owner", "What the store has."},
	[ANSWER_ACCEPTED] = {"202", NULL, NULL, "It has begun; empty."},
	[ANSWER_EVENTS] = {"200", "text/event-stream", "string", "Events, as long as the client reads."},
};

/* Members by schema, those of one behind each other. */
static const struct {
	const char *schema, *name, *type;
	bool optional;
} members[] = {
	{"Registration", "endpoint", "string", false},
	{"Registration", "registrationId", "string", false},
	{"Registration", "registrationDate", "integer", false},
	{"Registration", "lastUpdate", "integer", false},
	{"Registration", "address", "string", false},
	{"Registration", "smsNumber", "string", true},
	{"Registration", "lwM2mVersion", "string", false},
	{"Registration", "lifetime", "integer", false},
	{"Registration", "bindingMode", "string", false},
	{"Registration", "rootPath", "string", false},
	{"Registration", "objectLinks", "[]Link", false},
	{"Registration", "secure", "boolean", false},
	{"Registration", "additionalRegistrationAttributes", "object", false},
	{"Registration", "queuemode", "boolean", false},
	{"Registration", "availableInstances", "{}any", false},
	{"Registration", "sleeping", "boolean", true},
	{"Link", "url", "string", false},
	{"Link", "attributes", "object", false},
	{"Policy", "name", "string", true},
	{"Policy", "pattern", "string", false},
	{"Policy", "paths", "[]string", true},
	{"Policy", "composite", "[]string", true},
	{"Policy", "attributes", "string", true},
	{"Policy", "format", "string", true},
	{"Declaration", "paths", "[]string", true},
	{"Declaration", "composite", "[]string", true},
	{"Declaration", "format", "string", true},
	{"Observation", "path", "string", true},
	{"Observation", "paths", "[]string", true},
	{"Observation", "state", "string", false},
	{"Observation", "origin", "string", false},
	{"Observation", "policy", "string", true},
	{"Observation", "format", "string", true},
	{"QueuedRequest", "requestId", "string", false},
	{"QueuedRequest", "ep", "string", false},
	{"QueuedRequest", "operation", "string", false},
	{"QueuedRequest", "path", "string", true},
	{"QueuedRequest", "paths", "[]string", true},
	{"QueuedRequest", "state", "string", false},
	{"QueuedRequest", "added", "integer", false},
	{"QueuedRequest", "expires", "integer", false},
	{"QueuedRequest", "attempts", "integer", false},
	{"QueuedRequest", "ended", "integer", true},
	{"QueuedRequest", "response", "Response", true},
	{"QueuedRequest", "raw", "object", true},
	{"QueuedRequest", "error", "string", true},
	{"Response", "status", "string", true},
	{"Response", "valid", "boolean", true},
	{"Response", "success", "boolean", true},
	{"Response", "failure", "boolean", true},
	{"Response", "ep", "string", true},
	{"Response", "path", "string", true},
	{"Response", "requestId", "string", true},
	{"Response", "delayed", "boolean", true},
	{"Response", "expires", "integer", true},
	{"Response", "content", "any", true},
	{"Response", "objectLinks", "[]Link", true},
	{"Response", "location", "string", true},
	{"Response", "errormessage", "string", true},
	{"Node", "id", "integer", true},
	{"Node", "kind", "string", true},
	{"Node", "type", "string", true},
	{"Node", "value", "any", true},
	{"Node", "values", "{}any", true},
	{"Node", "resources", "[]Node", true},
	{"Node", "instances", "[]Node", true},
	{"ObjectSpec", "id", "integer", false},
	{"ObjectSpec", "name", "string", false},
	{"ObjectSpec", "instancetype", "string", false},
	{"ObjectSpec", "mandatory", "boolean", false},
	{"ObjectSpec", "urn", "string", false},
	{"ObjectSpec", "version", "string", false},
	{"ObjectSpec", "lwm2mversion", "string", false},
	{"ObjectSpec", "description", "string", false},
	{"ObjectSpec", "description2", "string", false},
	{"ObjectSpec", "resourcedefs", "[]ResourceSpec", false},
	{"ResourceSpec", "id", "integer", false},
	{"ResourceSpec", "name", "string", false},
	{"ResourceSpec", "operations", "string", false},
	{"ResourceSpec", "instancetype", "string", false},
	{"ResourceSpec", "mandatory", "boolean", false},
	{"ResourceSpec", "type", "string", false},
	{"ResourceSpec", "range", "string", false},
	{"ResourceSpec", "units", "string", false},
	{"ResourceSpec", "description", "string", false},
	{"Model", "id", "integer", false},
	{"Model", "version", "string", false},
	{"Model", "name", "string", false},
	{"Model", "origin", "string", false},
	{"Endpoint", "uri", "object", false},
	{"Endpoint", "description", "string", false},
	{"SecurityInfo", "endpoint", "string", false},
	{"SecurityInfo", "tls", "object", false},
	{"SecurityInfo", "next", "object", true},
	{"SecurityInfo", "rotate", "boolean", true},
	{"ServerSecurity", "pubkey", "object", true},
	{"ServerSecurity", "certificate", "object", true},
	{"ImportReport", "taken", "integer", false},
	{"ImportReport", "refusedCount", "integer", false},
	{"ImportReport", "refused", "[]any", false},
	{"Failure", "kind", "string", false},
	{"Failure", "name", "string", true},
	{"Failure", "nameHex", "string", true},
	{"Failure", "cause", "string", false},
	{"Failure", "detail", "string", true},
	{"Failure", "address", "string", false},
	{"Failure", "count", "integer", false},
	{"Failure", "first", "integer", false},
	{"Failure", "last", "integer", false},
	{"TokenRequest", "role", "string", false},
	{"TokenRequest", "name", "string", true},
	{"TokenRequest", "expires", "integer", true},
	{"Token", "id", "string", false},
	{"Token", "role", "string", false},
	{"Token", "name", "string", true},
	{"Token", "created", "integer", false},
	{"Token", "expires", "integer", true},
	{"Token", "token", "string", true},
	{"Cluster", "node", "integer", false},
	{"Cluster", "cluster", "boolean", false},
	{"Cluster", "partitions", "integer", true},
	{"Cluster", "storeAway", "boolean", false},
	{"Cluster", "settling", "boolean", false},
	{"Cluster", "nodes", "[]ClusterNode", false},
	{"ClusterNode", "id", "integer", false},
	{"ClusterNode", "incarnation", "integer", false},
	{"ClusterNode", "state", "string", false},
	{"ClusterNode", "version", "string", false},
	{"ClusterNode", "link", "string", true},
	{"ClusterNode", "http", "string", true},
	{"ClusterNode", "slots", "integer", true},
	{"ClusterNode", "leaseLeftMs", "integer", true},
	{"ClusterNode", "devices", "integer", true},
	{"ClusterNode", "self", "boolean", false},
	{"Owner", "ep", "string", false},
	{"Owner", "node", "integer", false},
	{"Owner", "incarnation", "integer", false},
	{"Owner", "generation", "integer", false},
	{"Owner", "live", "boolean", false},
	{"Problem", "title", "string", false},
	{"Problem", "status", "integer", false},
	{"Problem", "detail", "string", false},
};

/* ---- schemas ---- */

static void schema_of(struct json *j, const char *type)
{
	char reference[64];
	unsigned open = 0;

	for (; *type == '[' || *type == '{'; type += 2, open++) {
		json_open(j, '{');
		json_member_str(j, "type", *type == '[' ? "array" : "object");
		json_key(j, *type == '[' ? "items" : "additionalProperties");
	}
	json_open(j, '{');
	if (isupper((unsigned char)*type)) {
		snprintf(reference, sizeof(reference), "#/components/schemas/%s", type);
		json_member_str(j, "$ref", reference);
	} else if (strcmp(type, "any") != 0) {
		json_member_str(j, "type", type);
	}
	json_close(j, '}');
	while (open--)
		json_close(j, '}');
}

static size_t schema_end(size_t first)
{
	size_t end = first + 1;

	while (end < ARRAY_SIZE(members) && !strcmp(members[end].schema, members[first].schema))
		end++;
	return end;
}

static void schema_json(struct json *j, size_t first, size_t end)
{
	json_key(j, members[first].schema);
	json_open(j, '{');
	json_member_str(j, "type", "object");
	json_key(j, "properties");
	json_open(j, '{');
	for (size_t i = first; i < end; i++) {
		json_key(j, members[i].name);
		schema_of(j, members[i].type);
	}
	json_close(j, '}');
	json_key(j, "required");
	json_open(j, '[');
	for (size_t i = first; i < end; i++)
		if (!members[i].optional)
			json_str(j, members[i].name);
	json_close(j, ']');
	json_close(j, '}');
}

static void content_of(struct json *j, const char *media, const char *type)
{
	json_key(j, media);
	json_open(j, '{');
	json_key(j, "schema");
	schema_of(j, type);
	json_close(j, '}');
}

static void components_json(struct json *j)
{
	json_key(j, "components");
	json_open(j, '{');
	json_key(j, "schemas");
	json_open(j, '{');
	for (size_t i = 0, end; i < ARRAY_SIZE(members); i = end) {
		end = schema_end(i);
		schema_json(j, i, end);
	}
	json_close(j, '}');
	json_key(j, "responses");
	json_open(j, '{');
	json_key(j, "Error");
	json_open(j, '{');
	json_member_str(j, "description",
			"Why there is none: text where the interface is the compatible one, else a problem.");
	json_key(j, "content");
	json_open(j, '{');
	content_of(j, "text/plain", "string");
	content_of(j, "application/problem+json", "Problem");
	json_close(j, '}');
	json_close(j, '}');
	json_close(j, '}');
	json_key(j, "securitySchemes");
	json_open(j, '{');
	json_key(j, "token");
	json_open(j, '{');
	json_member_str(j, "type", "http");
	json_member_str(j, "scheme", "bearer");
	json_member_str(j, "description", "Made by POST /api/tokens; needed if others can reach the server.");
	json_close(j, '}');
	json_close(j, '}');
	json_close(j, '}');
}

/* Needed or not, as the server is set up: an empty requirement makes it optional. */
static void security_json(struct json *j, enum token_role role)
{
	json_key(j, "security");
	json_open(j, '[');
	if (role != TOKEN_NONE) {
		json_open(j, '{');
		json_key(j, "token");
		json_open(j, '[');
		json_str(j, token_role_name(role));
		json_close(j, ']');
		json_close(j, '}');
	}
	json_open(j, '{');
	json_close(j, '}');
	json_close(j, ']');
}

/* ---- operations ---- */

/* A row of the table, at one length of its {path}. */
struct operation {
	const struct route *route;
	char path[PATH_MAX_TEXT];
};

static const char *method_of(const struct operation *o)
{
	return o->route->method == HTTP_GET    ? "get"
	       : o->route->method == HTTP_PUT  ? "put"
	       : o->route->method == HTTP_POST ? "post"
					       : "delete";
}

static void write_path(struct operation *o, unsigned length)
{
	static const char place[] = "{path}", ids[] = "{object}/{instance}/{resource}/{resourceInstance}";
	const char *at = strstr(o->route->pattern, place), *end = ids;
	int len;

	for (unsigned i = 0; i < length; i++)
		end += strcspn(end + 1, "/") + 1;
	if (at)
		len = snprintf(o->path, sizeof(o->path), "%.*s%.*s%s", (int)(at - o->route->pattern),
			       o->route->pattern, (int)(end - ids), ids, at + sizeof(place) - 1);
	else
		len = snprintf(o->path, sizeof(o->path), "%s", o->route->pattern);
	assert(len > 0 && len < (int)sizeof(o->path)); /* the table is ours */
}

static size_t list_operations(struct operation out[OPERATIONS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < http_route_count; i++) {
		const struct route *route = &http_routes[i];

		for (unsigned length = route->path_min; !route->trap && length <= route->path_max; length++) {
			assert(count < OPERATIONS_MAX);
			out[count].route = route;
			write_path(&out[count++], length);
		}
	}
	return count;
}

static void parameter_json(struct json *j, const struct parameter_def *p, const char *in)
{
	json_open(j, '{');
	json_member_str(j, "name", p->name);
	json_member_str(j, "in", in);
	json_member_bool(j, "required", p->required);
	if (p->bare)
		json_member_bool(j, "allowEmptyValue", true);
	json_member_str(j, "description", p->description);
	json_key(j, "schema");
	schema_of(j, p->type);
	json_close(j, '}');
}

static void parameter_named(struct json *j, const struct parameter_def *defs, size_t count, const char *in,
			    struct span name)
{
	size_t i = 0;

	while (i < count && !span_is(name, defs[i].name))
		i++;
	assert(i < count); /* the table of routes names it */
	parameter_json(j, &defs[i], in);
}

static void parameters_json(struct json *j, const struct operation *o)
{
	json_key(j, "parameters");
	json_open(j, '[');
	for (const char *at = o->path; (at = strchr(at, '{')); at++)
		parameter_named(j, path_parameters, ARRAY_SIZE(path_parameters), "path",
				span_of(at + 1, strcspn(at + 1, "}")));
	for (const char *at = o->route->query; at && *at;) {
		size_t len = strcspn(at, " ");

		parameter_named(j, query_parameters, ARRAY_SIZE(query_parameters), "query", span_of(at, len));
		at += len + strspn(at + len, " ");
	}
	json_close(j, ']');
}

static void body_json(struct json *j, enum route_body body)
{
	if (body == BODY_NONE)
		return;
	json_key(j, "requestBody");
	json_open(j, '{');
	json_member_bool(j, "required", bodies[body].required);
	json_key(j, "content");
	json_open(j, '{');
	for (size_t i = 0; i < ARRAY_SIZE(bodies[body].choices) && bodies[body].choices[i].media; i++)
		content_of(j, bodies[body].choices[i].media, bodies[body].choices[i].type);
	json_close(j, '}');
	json_close(j, '}');
}

static void answer_of(struct json *j, enum route_answer answer)
{
	json_key(j, "responses");
	json_open(j, '{');
	json_key(j, answers[answer].status);
	json_open(j, '{');
	json_member_str(j, "description", answers[answer].description);
	if (answers[answer].media) {
		json_key(j, "content");
		json_open(j, '{');
		content_of(j, answers[answer].media, answers[answer].type);
		json_close(j, '}');
	}
	json_close(j, '}');
	json_key(j, "default");
	json_open(j, '{');
	json_member_str(j, "$ref", "#/components/responses/Error");
	json_close(j, '}');
	json_close(j, '}');
}

/* "get_api_clients_ep_object": a name for those who make functions of it. */
static void operation_id(struct json *j, const struct operation *o)
{
	char id[PATH_MAX_TEXT + 8];
	size_t len = (size_t)snprintf(id, sizeof(id), "%s", method_of(o));

	for (const char *c = o->path; *c; c++)
		if (*c != '{' && *c != '}')
			id[len++] = isalnum((unsigned char)*c) ? *c : '_';
	json_member_text(j, "operationId", span_of(id, len));
}

static void operation_json(struct json *j, const struct operation *o)
{
	json_key(j, method_of(o));
	json_open(j, '{');
	operation_id(j, o);
	json_member_str(j, "summary", o->route->description);
	security_json(j, access_role(o->route));
	parameters_json(j, o);
	body_json(j, o->route->body);
	answer_of(j, o->route->answer);
	json_close(j, '}');
}

static bool is_first(const struct operation *list, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (!strcmp(list[i].path, list[at].path))
			return false;
	return true;
}

/* Each path once, with all its methods. */
static void paths_json(struct json *j)
{
	struct operation list[OPERATIONS_MAX];
	size_t count = list_operations(list);

	json_key(j, "paths");
	json_open(j, '{');
	for (size_t i = 0; i < count; i++) {
		if (!is_first(list, i))
			continue;
		json_key(j, list[i].path);
		json_open(j, '{');
		for (size_t k = i; k < count; k++)
			if (!strcmp(list[k].path, list[i].path))
				operation_json(j, &list[k]);
		json_close(j, '}');
	}
	json_close(j, '}');
}

void api_openapi(struct http_request *r)
{
	struct buffer text = buffer_of(DOCUMENT_MAX);
	struct json json = json_to(&text);

	json_open(&json, '{');
	json_member_str(&json, "openapi", "3.1.0");
	json_key(&json, "info");
	json_open(&json, '{');
	json_member_str(&json, "title", "shoal");
	json_member_str(&json, "summary", "The northbound interface of a LwM2M device management server.");
	json_member_str(&json, "version", r->http->config.version);
	json_close(&json, '}');
	paths_json(&json);
	components_json(&json);
	json_close(&json, '}');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}
