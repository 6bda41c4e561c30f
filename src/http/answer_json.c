/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Answers of devices to JSON. An error code of the device is an answer like any other (HTTP 200, "failure":
 * true); only what cannot be understood is an error here.
 */

#include "http/answer_json.h"

#include "http/node_json.h"
#include "http/node_map.h"
#include "http/registration_json.h"

#include <errno.h>
#include <stdio.h>

static const struct {
	uint8_t code;
	const char *name;
} code_names[] = {
	{COAP_CREATED, "CREATED"},
	{COAP_DELETED, "DELETED"},
	{COAP_CHANGED, "CHANGED"},
	{COAP_CONTENT, "CONTENT"},
	{COAP_BAD_REQUEST, "BAD_REQUEST"},
	{COAP_UNAUTHORIZED, "UNAUTHORIZED"},
	{COAP_FORBIDDEN, "FORBIDDEN"},
	{COAP_NOT_FOUND, "NOT_FOUND"},
	{COAP_METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"},
	{COAP_NOT_ACCEPTABLE, "NOT_ACCEPTABLE"},
	{COAP_REQUEST_ENTITY_INCOMPLETE, "REQUEST_ENTITY_INCOMPLETE"},
	{COAP_PRECONDITION_FAILED, "PRECONDITION_FAILED"},
	{COAP_REQUEST_ENTITY_TOO_LARGE, "REQUEST_ENTITY_TOO_LARGE"},
	{COAP_UNSUPPORTED_CONTENT_FORMAT, "UNSUPPORTED_CONTENT_FORMAT"},
	{COAP_INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR"},
};

const char *code_name(uint8_t code, char text[CODE_TEXT])
{
	const char *name = "UNKNOWN";

	for (size_t i = 0; i < ARRAY_SIZE(code_names); i++) {
		if (code_names[i].code == code)
			name = code_names[i].name;
	}
	snprintf(text, CODE_TEXT, "%s(%u%02u)", name, coap_class(code), code & 0x1FU);
	return text;
}

const char *code_dotted(uint8_t code, char text[CODE_TEXT])
{
	snprintf(text, CODE_TEXT, "%u.%02u", coap_class(code), code & 0x1FU);
	return text;
}

static int content_json(struct json *j, const struct answer_context *c, const struct lwm2m_answer *answer,
			char error[ANSWER_ERROR])
{
	struct records records = records_of(c->arena);
	struct codec_context codec = {
		.model = c->model,
		.base = c->path,
		.root = c->root,
		.any_path = c->paths != NULL,
		.now_ms = c->now_ms,
		.arena = c->arena,
	};
	int r = codec_decode(&codec, answer->format, answer->payload, &records);

	if (r != CODEC_OK) {
		if (r < 0)
			snprintf(error, ANSWER_ERROR, "the content is too large");
		else
			snprintf(error, ANSWER_ERROR, "%s",
				 codec.error[0] ? codec.error : "undecodable content");
		return 1;
	}
	records_sort(&records);
	json_key(j, "content");
	if (c->paths) {
		node_map_json_at(j, c->model, c->paths, c->path_count, records.items, records.count);
		return 0;
	}
	r = node_json(j, c->model, &c->path, records.items, records.count);
	if (r == 0)
		return 0;
	snprintf(error, ANSWER_ERROR, "the content holds no value of what was asked for");
	return 1;
}

/* What is told of a success, beside its code. */
static int success_json(struct json *j, const struct answer_context *c, const struct lwm2m_answer *answer,
			char error[ANSWER_ERROR])
{
	switch (c->operation) {
	case LWM2M_READ:
	case LWM2M_OBSERVE:
	case LWM2M_CANCEL_OBSERVE:
	case LWM2M_READ_COMPOSITE:
	case LWM2M_OBSERVE_COMPOSITE:
	case LWM2M_CANCEL_COMPOSITE:
		return content_json(j, c, answer, error);
	case LWM2M_DISCOVER:
		json_key(j, "objectLinks");
		if (links_json(j, answer->payload))
			return 0;
		snprintf(error, ANSWER_ERROR, "the content is no link-format");
		return 1;
	case LWM2M_CREATE:
		if (answer->location.len)
			json_member_text(j, "location", answer->location);
		return 0;
	case LWM2M_WRITE:
	case LWM2M_WRITE_PARTIAL:
	case LWM2M_WRITE_COMPOSITE:
	case LWM2M_WRITE_ATTRIBUTES:
	case LWM2M_EXECUTE:
	case LWM2M_DELETE:
		break;
	}
	return 0;
}

int answer_json(struct json *j, const struct answer_context *c, const struct lwm2m_answer *answer,
		char error[ANSWER_ERROR])
{
	bool success = coap_class(answer->code) == 2;
	char status[CODE_TEXT];
	int r = 0;

	json_open(j, '{');
	json_member_str(j, "status", code_name(answer->code, status));
	json_member_bool(j, "valid", true);
	json_member_bool(j, "success", success);
	json_member_bool(j, "failure", !success);
	if (success)
		r = success_json(j, c, answer, error);
	else if (answer->payload.len)
		json_member_text(j, "errormessage", answer->payload);
	json_close(j, '}');
	return r;
}
