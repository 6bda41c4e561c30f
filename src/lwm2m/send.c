/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Send (LwM2M Core 1.1.1, 6.4.5): a device reports values that nobody observes. It is known by where it sends
 * from; what it sends has to be readable and to belong to objects it registered, then it is an event, and
 * acknowledged when that is stored.
 */

#include "lwm2m/core.h"

static void refuse(struct lwm2m_server *s, const struct incoming *in, uint8_t code, const char *diagnostic)
{
	struct coap_reply_to to = coap_reply_to(in->m, in->from);

	s->stats.refused++;
	coap_reply_code(&s->coap, &to, code, diagnostic);
}

/* 0, or the code to answer with. */
static uint8_t check_content(struct lwm2m_server *s, const struct incoming *in, const struct registration *r,
			     const char **diagnostic)
{
	uint16_t format = coap_format(in->m, COAP_OPTION_CONTENT_FORMAT);
	struct declared_object declared[64];
	struct model model = registration_model(r, s->registry, declared, ARRAY_SIZE(declared));
	struct codec_context c = {.model = &model,
				  .root = r->root,
				  .any_path = true,
				  .now_ms = server_wall(s),
				  .arena = &s->arena};
	struct records records = records_of(&s->arena);

	if (format != FORMAT_SENML_CBOR && format != FORMAT_SENML_JSON) {
		*diagnostic = "Unsupported content format";
		return COAP_BAD_REQUEST;
	}
	arena_reset(&s->arena);
	if (codec_decode(&c, format, in->m->payload, &records) != CODEC_OK) {
		*diagnostic = "Invalid Payload";
		return COAP_BAD_REQUEST;
	}
	for (size_t i = 0; i < records.count; i++) {
		struct path path =
			path_up_to(records.items[i].path, MIN(records.items[i].path.depth, PATH_INSTANCE));

		if (path.depth > PATH_ROOT && !registration_has(r, &path)) {
			*diagnostic = "an object or instance is not registered";
			return COAP_NOT_FOUND;
		}
	}
	return 0;
}

static void send_settled(struct effect *e, bool stored)
{
	if (!stored)
		return;
	e->device->server->stats.sends++;
	device_heard(e->device);
	effect_reply_code(e);
}

void send_handle(struct lwm2m_server *s, const struct incoming *in)
{
	_cleanup_buffer_ struct buffer declared = buffer_of(STORE_EVENT_MAX);
	struct device *d = device_find_address(s, in->from);
	struct lwm2m_event event = {.type = EVENT_SEND, .code = in->m->code};
	struct device_change change = {.change = STORE_RECORD_KEEP, .event = &event};
	const char *diagnostic = "no registration found";
	struct registration r;
	struct effect *e;
	uint8_t code = COAP_NOT_FOUND;

	if (d && device_latest(d, &r) && r.present) {
		if (device_seen(d, in) != COAP_SEEN_NEW)
			return;
		code = check_content(s, in, &r, &diagnostic);
	}
	if (code) {
		refuse(s, in, code, diagnostic);
		return;
	}
	e = effect_new(d, send_settled);
	if (!e)
		return;
	lwm2m_event_declare(&r, &event.path, &declared);
	event.format = coap_format(in->m, COAP_OPTION_CONTENT_FORMAT);
	event.root = r.root;
	event.lwm2m = r.lwm2m;
	event.declared = buffer_span(&declared);
	event.payload = in->m->payload;
	effect_answers(e, in, COAP_CHANGED);
	device_write(d, &change, e);
}
