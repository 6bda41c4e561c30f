/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Object definitions as one device sees them: all that are known, each in the version which the device
 * declared, else in the one that its LwM2M version implies.
 */

#include "http/answer_json.h"
#include "http/api.h"

#include <ctype.h>
#include <stdio.h>

enum { SPECS_TEXT_MAX = 16 * 1024 * 1024 };

static const char *operations_text(uint8_t operations)
{
	if (operations & RESOURCE_EXECUTE)
		return "E";
	if ((operations & RESOURCE_READ) && (operations & RESOURCE_WRITE))
		return "RW";
	return operations & RESOURCE_READ ? "R" : operations & RESOURCE_WRITE ? "W" : "NONE";
}

static void version_json(struct json *j, const char *name, struct object_version version)
{
	char text[8];

	snprintf(text, sizeof(text), "%u.%u", version.major, version.minor);
	json_member_str(j, name, text);
}

static void type_json(struct json *j, enum value_type type)
{
	const char *name = type == VALUE_NONE ? "NONE" : value_type_name(type);
	char lower[24];
	size_t len = MIN(strlen(name), sizeof(lower));

	for (size_t i = 0; i < len; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	json_member_text(j, "type", span_of(lower, len));
}

static void resource_json(struct json *j, const struct resource_def *def)
{
	json_open(j, '{');
	json_member_uint(j, "id", def->id);
	json_member_str(j, "name", def->name);
	json_member_str(j, "operations", operations_text(def->operations));
	json_member_str(j, "instancetype", def->multiple ? "multiple" : "single");
	json_member_bool(j, "mandatory", def->mandatory);
	type_json(j, def->type);
	json_member_str(j, "range", def->range);
	json_member_str(j, "units", def->units);
	json_member_str(j, "description", def->description);
	json_close(j, '}');
}

void object_spec_json(struct json *j, const struct object_def *def)
{
	char urn[64];

	json_open(j, '{');
	json_member_uint(j, "id", def->id);
	json_member_str(j, "name", def->name);
	json_member_str(j, "instancetype", def->multiple ? "multiple" : "single");
	json_member_bool(j, "mandatory", def->mandatory);
	json_member_str(j, "urn", object_urn(def, urn));
	version_json(j, "version", def->version);
	version_json(j, "lwm2mversion", def->lwm2m_version);
	json_member_str(j, "description", def->description);
	json_member_str(j, "description2", "");
	json_key(j, "resourcedefs");
	json_open(j, '[');
	for (size_t i = 0; i < def->resource_count; i++)
		resource_json(j, &def->resources[i]);
	json_close(j, ']');
	json_close(j, '}');
}

void api_objectspecs(struct http_request *r)
{
	struct device *d = api_device(r);
	const struct registry *registry = lwm2m_registry(r->http->server);
	struct buffer text = buffer_of(SPECS_TEXT_MAX);
	struct json json = json_to(&text);
	struct declared_object declared[DECLARED_MAX];
	const struct object_def *def, *of_device;
	struct registration registration;
	struct model model;
	uint32_t last = UINT32_MAX;

	if (!d)
		return;
	device_registration(d, &registration);
	model = registration_model(&registration, registry, declared, DECLARED_MAX);
	json_open(&json, '[');
	for (size_t i = 0; (def = registry_at(registry, i)) != NULL; i++) {
		if (def->id == last)
			continue;
		last = def->id;
		of_device = model_object(&model, def->id);
		if (of_device)
			object_spec_json(&json, of_device);
	}
	json_close(&json, ']');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}
