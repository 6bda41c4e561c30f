/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* One registration, and removing it. Of a cluster the node that has the device does it (remote.c). */

#include "http/api.h"
#include "http/registration_json.h"

void client_json(struct json *j, const struct lwm2m_server *server, const struct device *d)
{
	struct registration registration;
	struct registration_view view = {
		.endpoint = device_endpoint(d),
		.registration = &registration,
		.seen_ms = device_seen_ms(d),
		.awake = device_is_awake(server, d),
	};

	device_registration(d, &registration);
	registration_json(j, &view);
}

void api_client_get(struct http_request *r)
{
	struct device *d = api_device(r);
	struct buffer text = buffer_of(REGISTRATION_TEXT_MAX);
	struct json json = json_to(&text);

	if (!d)
		return;
	client_json(&json, r->http->server, d);
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

void api_client_remove(struct http_request *r)
{
	struct device *device = api_device(r);
	struct detached *d = device ? api_detach(r, MHD_HTTP_NO_CONTENT) : NULL;

	if (d && lwm2m_remove(r->http->server, device, api_detached_done, d) != 0)
		api_detached_failed(d);
}
