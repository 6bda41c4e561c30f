/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The table of routes: which requests there are, who answers them, one sentence on each, and what they take
 * and give. 404 and 405 follow from it, the counters of /metrics are labelled by it, and /api/openapi.json
 * tells it to programs. Rows marked `true` are traps: paths which the compatible interface refuses with an
 * error of its own.
 */

#include "http/api.h"
#include "http/events.h"

#define TIMED "timeout ttl"
#define FORMATTED "format timeout ttl"
#define COMPOSITE "paths pathformat nodeformat timeout ttl"

const struct route http_routes[] = {
	{HTTP_GET, false, "/", status_page, "A page for people: version, devices, events, where to go on.",
	 .answer = ANSWER_PAGE},
	{HTTP_GET, false, "/healthz", status_health, "200 as long as the process runs its loop.",
	 .answer = ANSWER_TEXT, .role = ROLE_ANYBODY},
	{HTTP_GET, false, "/readyz", status_ready, "200 if requests can be served, else 503 and why not.",
	 .answer = ANSWER_TEXT, .role = ROLE_ANYBODY},
	{HTTP_GET, false, "/metrics", metrics_page, "Figures in Prometheus' text format.",
	 .answer = ANSWER_TEXT},
	{HTTP_GET, false, "/api/openapi.json", api_openapi,
	 "This description of the interface (OpenAPI 3.1).", .answer = ANSWER_OPENAPI},

	{HTTP_GET, false, "/api/clients", api_clients_list, "All registrations.",
	 .answer = ANSWER_REGISTRATIONS},
	{HTTP_GET, false, "/api/clients/{ep}", api_client_get, "One registration.",
	 .answer = ANSWER_REGISTRATION},
	{HTTP_DELETE, false, "/api/clients/{ep}", api_client_remove,
	 "Removes a registration; the device is not told.", .answer = ANSWER_NOTHING, .role = ROLE_ADMIN},
	{.method = HTTP_PUT, .trap = true, .pattern = "/api/clients/{ep}", .handler = api_invalid_path},
	{.method = HTTP_POST, .trap = true, .pattern = "/api/clients/{ep}", .handler = api_invalid_path},

	{HTTP_GET, false, "/api/clients/{ep}/requests", api_requests_list,
	 "Requests that wait for a device in queue mode, in order, and those that were over lately.",
	 .answer = ANSWER_REQUESTS},
	{HTTP_GET, false, "/api/requests/{id}", api_request_get,
	 "A queued request: its state, and what became of it.", .answer = ANSWER_REQUEST},
	{HTTP_DELETE, false, "/api/requests/{id}", api_request_cancel,
	 "Takes a queued request back, as long as it was not sent.", .answer = ANSWER_NOTHING},

	{HTTP_GET, false, "/api/clients/{ep}/composite", api_composite_read,
	 "Read-Composite of the paths in the query.", COMPOSITE, .answer = ANSWER_RESPONSE},
	{HTTP_PUT, false, "/api/clients/{ep}/composite", api_composite_write,
	 "Write-Composite; the body is a map of path to node.", "nodeformat timeout ttl",
	 .body = BODY_NODE_MAP, .answer = ANSWER_RESPONSE},
	{HTTP_POST, false, "/api/clients/{ep}/composite/observe", api_composite_observe,
	 "Observe-Composite; notifications are events.", COMPOSITE, .answer = ANSWER_RESPONSE},
	{HTTP_DELETE, false, "/api/clients/{ep}/composite/observe", api_composite_cancel,
	 "Cancel a composite observation: forget it, or with ?active ask the device.", COMPOSITE " active",
	 .answer = ANSWER_RESPONSE_OR_EMPTY},
	{HTTP_GET, false, "/api/clients/{ep}/{path}/discover", api_discover,
	 "Discover: what is there, with attributes.", TIMED, 1, 3, .answer = ANSWER_RESPONSE},
	{HTTP_GET, false, "/api/clients/{ep}/{path}", api_read,
	 "Read an object, instance, resource or resource instance.", FORMATTED, 1, 4,
	 .answer = ANSWER_RESPONSE},
	{HTTP_PUT, false, "/api/clients/{ep}/{path}/attributes", api_write_attributes,
	 "Write-Attributes: the query is the attributes.", "pmin pmax gt lt st epmin epmax", 1, 4,
	 .answer = ANSWER_RESPONSE},
	{HTTP_PUT, false, "/api/clients/{ep}/{path}", api_write,
	 "Write an instance, resource or resource instance.", FORMATTED " replace", 2, 4, .body = BODY_NODE,
	 .answer = ANSWER_RESPONSE},
	{HTTP_POST, false, "/api/clients/{ep}/{path}/observe", api_observe,
	 "Observe; notifications are events.", FORMATTED, 1, 4, .answer = ANSWER_RESPONSE},
	{HTTP_POST, false, "/api/clients/{ep}/{object}/{instance}/{resource}", api_execute,
	 "Execute; the body is the arguments.", TIMED, .body = BODY_ARGUMENTS, .answer = ANSWER_RESPONSE},
	{HTTP_POST, false, "/api/clients/{ep}/{object}", api_create, "Create an instance.", FORMATTED,
	 .body = BODY_INSTANCE, .answer = ANSWER_RESPONSE},
	{.method = HTTP_POST,
	 .trap = true,
	 .pattern = "/api/clients/{ep}/{object}/{instance}",
	 .handler = api_create},
	{.method = HTTP_POST,
	 .trap = true,
	 .pattern = "/api/clients/{ep}/{path}",
	 .handler = api_invalid_path},
	{HTTP_DELETE, false, "/api/clients/{ep}/{path}/observe", api_observe_cancel,
	 "Cancel an observation: forget it, or with ?active ask the device.", "active timeout ttl", 1, 4,
	 .answer = ANSWER_RESPONSE_OR_EMPTY},
	{HTTP_DELETE, false, "/api/clients/{ep}/{path}", api_delete, "Delete an instance.", TIMED, 2, 2,
	 .answer = ANSWER_RESPONSE},

	{HTTP_GET, false, "/api/objectspecs/{ep}", api_objectspecs,
	 "Object definitions in the versions of a device.", .answer = ANSWER_SPECS},
	{.method = HTTP_GET, .trap = true, .pattern = "/api/objectspecs", .handler = api_invalid_path},
	{.method = HTTP_GET,
	 .trap = true,
	 .pattern = "/api/objectspecs/{ep}/{path}",
	 .handler = api_invalid_path},
	{HTTP_GET, false, "/api/models", api_models_list,
	 "All object definitions: id, version, name, where from.", .answer = ANSWER_MODELS},
	{HTTP_PUT, false, "/api/models", api_model_put,
	 "Adds or replaces a definition; the body is its DDF file (XML).", .body = BODY_DDF,
	 .answer = ANSWER_MODEL, .role = ROLE_ADMIN},
	{HTTP_GET, false, "/api/models/{object}/{version}", api_model_get, "One definition.",
	 .answer = ANSWER_SPEC},
	{HTTP_DELETE, false, "/api/models/{object}/{version}", api_model_remove,
	 "Removes a definition that was put here.", .answer = ANSWER_NOTHING, .role = ROLE_ADMIN},
	{HTTP_GET, false, "/api/server/endpoint", api_server_endpoint, "Where devices reach this server.",
	 .answer = ANSWER_ENDPOINTS},
	{HTTP_GET, false, "/api/server/security", api_security_server,
	 "The public key, or certificate, that devices see of this server.", .answer = ANSWER_SERVER_KEY},
	{.method = HTTP_GET, .trap = true, .pattern = "/api/server", .handler = api_invalid_path},
	{.method = HTTP_GET, .trap = true, .pattern = "/api/server/{path}", .handler = api_invalid_path},

	{HTTP_GET, false, "/api/security/clients", api_security_list,
	 "What devices may authenticate with; never a key.", "limit after", .answer = ANSWER_SECURITY,
	 .role = ROLE_ADMIN},
	{.method = HTTP_GET,
	 .trap = true,
	 .pattern = "/api/security/clients/{ep}",
	 .handler = api_invalid_path,
	 .role = ROLE_ADMIN},
	{HTTP_PUT, false, "/api/security/clients", api_security_put,
	 "Sets the credential of an endpoint, or with ?rotate a second one.", "rotate", .body = BODY_SECURITY,
	 .answer = ANSWER_EMPTY, .role = ROLE_ADMIN},
	{HTTP_DELETE, false, "/api/security/clients/{ep}", api_security_remove,
	 "Takes the credentials of an endpoint away; its sessions end.", .answer = ANSWER_EMPTY,
	 .role = ROLE_ADMIN},
	{.method = HTTP_DELETE,
	 .trap = true,
	 .pattern = "/api/security/clients",
	 .handler = api_invalid_path,
	 .role = ROLE_ADMIN},
	{HTTP_POST, false, "/api/security/clients/import", api_security_import,
	 "Credentials of many endpoints, as CSV; tells which lines were refused and why.", "rotate",
	 .body = BODY_CSV, .answer = ANSWER_IMPORT, .role = ROLE_ADMIN},
	{HTTP_GET, false, "/api/security/server", api_security_server, "The same as /api/server/security.",
	 .answer = ANSWER_SERVER_KEY},
	{HTTP_GET, false, "/api/failures", api_failures_list,
	 "Who could not connect, and why; the last one first.", "limit", .answer = ANSWER_FAILURES},
	{HTTP_DELETE, false, "/api/failures", api_failures_clear, "Forgets them.", .answer = ANSWER_NOTHING,
	 .role = ROLE_ADMIN},
	{HTTP_GET, false, "/api/tokens", api_tokens_list, "All tokens, without their secrets.",
	 .answer = ANSWER_TOKENS, .role = ROLE_ADMIN},
	{HTTP_POST, false, "/api/tokens", api_token_create, "Makes a token, which is told this once.",
	 .body = BODY_TOKEN, .answer = ANSWER_TOKEN, .role = ROLE_ADMIN},
	{HTTP_DELETE, false, "/api/tokens/{id}", api_token_revoke, "Revokes a token.",
	 .answer = ANSWER_NOTHING, .role = ROLE_ADMIN},
	{HTTP_GET, false, "/api/event", api_events, "Server-sent events, of one device with ?ep=.",
	 "ep lastEventId", .answer = ANSWER_EVENTS},
};
const size_t http_route_count = ARRAY_SIZE(http_routes);

void api_invalid_path(struct http_request *r)
{
	request_text(r, MHD_HTTP_BAD_REQUEST, "Invalid path");
}
