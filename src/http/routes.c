/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The table of routes: which requests there are, who answers them, and one sentence on each. 404 and 405
 * follow from it, and the counters of /metrics are labelled by it. Rows marked `true` are traps: paths which
 * the compatible interface refuses with an error of its own.
 */

#include "http/api.h"
#include "http/events.h"

const struct route http_routes[] = {
	{HTTP_GET, false, "/", status_page, "A page for people: version, devices, events, where to go on."},
	{HTTP_GET, false, "/healthz", status_health, "200 as long as the process runs its loop."},
	{HTTP_GET, false, "/readyz", status_ready, "200 if requests can be served, else 503 and why not."},
	{HTTP_GET, false, "/metrics", metrics_page, "Figures in Prometheus' text format."},

	{HTTP_GET, false, "/api/clients", api_clients_list, "All registrations."},
	{HTTP_GET, false, "/api/clients/{ep}", api_client_get, "One registration."},
	{HTTP_DELETE, false, "/api/clients/{ep}", api_client_remove,
	 "Removes a registration; the device is not told."},
	{HTTP_PUT, true, "/api/clients/{ep}", api_invalid_path, ""},
	{HTTP_POST, true, "/api/clients/{ep}", api_invalid_path, ""},

	{HTTP_GET, false, "/api/clients/{ep}/composite", api_composite_read,
	 "Read-Composite of the paths in the query."},
	{HTTP_PUT, false, "/api/clients/{ep}/composite", api_composite_write,
	 "Write-Composite; the body is a map of path to node."},
	{HTTP_POST, false, "/api/clients/{ep}/composite/observe", api_composite_observe,
	 "Observe-Composite; notifications are events."},
	{HTTP_DELETE, false, "/api/clients/{ep}/composite/observe", api_composite_cancel,
	 "Cancel a composite observation: forget it, or with ?active ask the device."},
	{HTTP_GET, false, "/api/clients/{ep}/{path}/discover", api_discover,
	 "Discover: what is there, with attributes."},
	{HTTP_GET, false, "/api/clients/{ep}/{path}", api_read,
	 "Read an object, instance, resource or resource instance."},
	{HTTP_PUT, false, "/api/clients/{ep}/{path}/attributes", api_write_attributes,
	 "Write-Attributes: the query is the attributes."},
	{HTTP_PUT, false, "/api/clients/{ep}/{path}", api_write,
	 "Write an instance, resource or resource instance."},
	{HTTP_POST, false, "/api/clients/{ep}/{path}/observe", api_observe,
	 "Observe; notifications are events."},
	{HTTP_POST, false, "/api/clients/{ep}/{object}/{instance}/{resource}", api_execute,
	 "Execute; the body is the arguments."},
	{HTTP_POST, false, "/api/clients/{ep}/{object}", api_create, "Create an instance."},
	{HTTP_POST, true, "/api/clients/{ep}/{object}/{instance}", api_create, ""},
	{HTTP_POST, true, "/api/clients/{ep}/{path}", api_invalid_path, ""},
	{HTTP_DELETE, false, "/api/clients/{ep}/{path}/observe", api_observe_cancel,
	 "Cancel an observation: forget it, or with ?active ask the device."},
	{HTTP_DELETE, false, "/api/clients/{ep}/{path}", api_delete, "Delete an instance."},

	{HTTP_GET, false, "/api/objectspecs/{ep}", api_objectspecs,
	 "Object definitions in the versions of a device."},
	{HTTP_GET, true, "/api/objectspecs", api_invalid_path, ""},
	{HTTP_GET, true, "/api/objectspecs/{ep}/{path}", api_invalid_path, ""},
	{HTTP_GET, false, "/api/models", api_models_list,
	 "All object definitions: id, version, name, where from."},
	{HTTP_PUT, false, "/api/models", api_model_put,
	 "Adds or replaces a definition; the body is its DDF file (XML)."},
	{HTTP_GET, false, "/api/models/{object}/{version}", api_model_get, "One definition."},
	{HTTP_DELETE, false, "/api/models/{object}/{version}", api_model_remove,
	 "Removes a definition that was put here."},
	{HTTP_GET, false, "/api/server/endpoint", api_server_endpoint, "Where devices reach this server."},
	{HTTP_GET, true, "/api/server", api_invalid_path, ""},
	{HTTP_GET, true, "/api/server/{path}", api_invalid_path, ""},
	{HTTP_GET, false, "/api/event", api_events, "Server-sent events, of one device with ?ep=."},
};
const size_t http_route_count = ARRAY_SIZE(http_routes);

void api_invalid_path(struct http_request *r)
{
	request_text(r, MHD_HTTP_BAD_REQUEST, "Invalid path");
}
