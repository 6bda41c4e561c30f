/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A Register or Update: query parameters and object list of the input are parsed, put into a record as the
 * server does, and read back; then all that is asked of a registration is asked.
 */

#include "fuzz.h"

#include "lwm2m/registration.h"

enum { DECLARED_MAX = 256, RECORD_MAX = 1 << 20 };

static void ask(const struct registration *r)
{
	struct declared_object declared[DECLARED_MAX];
	struct model model = registration_model(r, fuzz_registry(), declared, DECLARED_MAX);
	struct span left = r->links, extra = r->extra, name, value;
	struct registered_link l;
	bool has_value;

	assert(model.declared_count <= DECLARED_MAX);
	while (registration_next_link(r, &left, &l)) {
		struct object_version version;

		assert(l.path.depth == PATH_OBJECT || l.path.depth == PATH_INSTANCE);
		assert(l.path.ids[0] != 0 && l.path.ids[0] != 21 && l.path.ids[0] != 23);
		assert(fuzz_within(l.params, r->links));
		assert(registration_has(r, &l.path));
		registered_link_version(&l, &version);
		model_object(&model, l.path.ids[0]);
		model_resource(&model, l.path.ids[0], 0);
	}
	while (registration_next_extra(&extra, &name, &value, &has_value))
		assert(fuzz_within(name, r->extra) && fuzz_within(value, r->extra));
	assert(extra.len == 0);
	registration_supports(r, 112);
}

static void keep(const struct registration_request *q)
{
	_cleanup_buffer_ struct buffer extra = buffer_of(RECORD_MAX), record = buffer_of(RECORD_MAX);
	struct registration again, r = {
					   .present = true,
					   .id = "0123456789",
					   .lifetime_s = q->lifetime_s,
					   .lwm2m = q->version,
					   .binding = q->binding,
					   .sms = q->sms,
					   .root = q->root,
					   .links = q->links,
				   };

	for (unsigned i = 0; i < q->extra_count; i++) {
		buffer_uint(&extra, q->extra[i].len, 2);
		buffer_bytes(&extra, q->extra[i]);
	}
	r.extra = buffer_span(&extra);
	if (registration_encode(&r, NULL, 0, &record) < 0) /* a part is too long for its length */
		return;
	assert(registration_decode(buffer_span(&record), &again) == 0);
	assert(span_equal(again.links, r.links) && span_equal(again.extra, r.extra));
	assert(span_equal(again.root, r.root) && span_equal(again.binding, r.binding));
	assert(again.lifetime_s == r.lifetime_s && again.lwm2m.minor == r.lwm2m.minor);
	ask(&again);
}

/* The query is what stands before the first line break, parameters joined by '&'; then come the links. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	uint8_t flags = reader_u8(&r);
	struct span text = reader_rest(&r);
	const uint8_t *end = text.len ? memchr(text.data, '\n', text.len) : NULL;
	struct registration_request q;
	const char *diagnostic = NULL;
	struct coap_message m;
	uint8_t code;

	_cleanup_copy_ struct span query =
		fuzz_copy(span_of(text.data, end ? (size_t)(end - text.data) : text.len));
	_cleanup_copy_ struct span links = fuzz_copy(end ? span_from(text, query.len + 1) : span_of(NULL, 0));
	coap_message_init(&m, COAP_CON, COAP_POST, 1, (struct coap_token){0});
	if (flags & 4 && coap_add_uint(&m, COAP_OPTION_CONTENT_FORMAT, flags & 8 ? 40 : 0) < 0)
		return 0;
	if (coap_add_segments(&m, COAP_OPTION_URI_QUERY, query) < 0)
		return 0;
	m.payload = links;
	code = registration_parse(&m, flags & 1, flags & 2, &q, &diagnostic);
	if (code) {
		assert(coap_class(code) == 4 && diagnostic);
		return 0;
	}
	assert(!q.has_endpoint || q.endpoint.len > 0);
	keep(&q);
	return 0;
}
