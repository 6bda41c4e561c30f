/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/private.h"

/* The handlers of the table of routes, and what they share. Events have a header of their own. */

/* api_clients.c */
http_handler api_client_get, api_client_remove;
/* A stored registration has 60,000 bytes at most, in JSON escapes six times that. */
enum { REGISTRATION_TEXT_MAX = 1024 * 1024 };
struct json;
void client_json(struct json *j, const struct lwm2m_server *server, const struct device *d);
/* api_list.c */
http_handler api_clients_list;
/* api_cluster.c */
http_handler api_cluster, api_owner, api_drain;
/* api_device.c */
http_handler api_read, api_discover, api_write, api_write_attributes, api_execute, api_create, api_delete;
/* api_observe.c */
http_handler api_observe, api_observe_cancel;
/* api_composite.c */
http_handler api_composite_read, api_composite_write, api_composite_observe, api_composite_cancel;
/* api_policies.c */
http_handler api_policies_list, api_policy_get, api_policy_put, api_policy_remove;
http_handler api_observations_get, api_observations_put;
/* api_requests.c */
http_handler api_requests_list, api_request_get, api_request_cancel;
/* The answer for a request that was queued. */
void api_delayed(struct http_request *r, const struct lwm2m_answer *answer);
/* api_models.c */
http_handler api_objectspecs;
/* One definition, as GET /api/objectspecs has it. */
void object_spec_json(struct json *j, const struct object_def *def);
/* api_registry.c */
http_handler api_models_list, api_model_get, api_model_put, api_model_remove;
/* api_security.c */
http_handler api_security_list, api_security_put, api_security_remove, api_security_server;
/* api_import.c */
http_handler api_security_import;
/* api_failures.c */
http_handler api_failures_list, api_failures_clear;
/* api_tokens.c */
http_handler api_tokens_list, api_token_create, api_token_revoke;
/* status.c */
http_handler api_server_endpoint, status_page, status_health, status_ready;
/* metrics.c */
http_handler metrics_page;
/* openapi.c */
http_handler api_openapi;
/* routes.c: a path that the compatible interface refuses in its own words. */
http_handler api_invalid_path;

/* The registered device that the path names; NULL: the request is answered. */
struct device *api_device(struct http_request *r);
/* The LwM2M path that the target names; false: the request is answered. */
bool api_path(struct http_request *r, struct path *out);
/* "Invalid request: " and the words. */
void api_invalid(struct http_request *r, const char *format, ...) PRINTF_LIKE(2, 3);

/* Starts `request` to a device; the answer of the device, or why there is none, becomes the answer of `r`. */
void api_start(struct http_request *r, struct device *d, const struct lwm2m_request *request);

/*
 * For calls to the device manager which cannot be called off: lives until they call back, and knows the
 * request only as long as its client waits. NULL: out of memory, and the request is answered. The caller
 * frees it if the call fails.
 */
struct detached {
	struct http_request *request; /* NULL: nobody waits any more */
	unsigned status;	      /* of the answer when all is well: with an empty body */
};
struct detached *api_detach(struct http_request *r, unsigned status);
/* The `done` of such calls; ctx is the struct detached. */
void api_detached_done(void *ctx, const struct lwm2m_answer *answer);
/* If such a call failed at once. */
void api_detached_failed(struct detached *d);
