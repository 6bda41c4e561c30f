/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Observe, and its two ends: passive (we forget it; the device learns it by RST at its next notification) and
 * active (the device is asked to stop). The notifications themselves are events.
 */

#include "codec/codec.h"
#include "http/api.h"

void api_observe(struct http_request *r)
{
	struct lwm2m_request request = {
		.operation = LWM2M_OBSERVE,
		.format = request_format(r),
		.instance = PATH_ID_NONE,
		.timeout_ms = request_timeout_ms(r),
		.ttl_ms = request_ttl_ms(r),
	};
	struct device *d = api_device(r);

	if (d && api_path(r, &request.path))
		api_start(r, d, &request);
}

static void forget(struct http_request *r, struct device *device, const struct path *path)
{
	struct detached *d = api_detach(r, MHD_HTTP_OK);

	if (d && lwm2m_forget_observation(r->http->server, device, path, NULL, 0, api_detached_done, d) != 0)
		api_detached_failed(d);
}

void api_observe_cancel(struct http_request *r)
{
	struct lwm2m_request request = {
		.operation = LWM2M_CANCEL_OBSERVE,
		.format = FORMAT_NONE,
		.instance = PATH_ID_NONE,
		.timeout_ms = request_timeout_ms(r),
		.ttl_ms = request_ttl_ms(r),
	};
	struct device *d = api_device(r);

	if (!d || !api_path(r, &request.path))
		return;
	if (target_find(&r->target, "active"))
		api_start(r, d, &request);
	else
		forget(r, d, &request.path);
}
