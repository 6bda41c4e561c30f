/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* From answers of the REST interface to what backends are told. The words of errors are found by a table: how
 * the text of an error begins is part of that interface (rest.md, 6.4). */

#include "streams/outcome.h"

#include <string.h>

void outcome_deinit(struct outcome *o)
{
	buffer_deinit(&o->text);
}

void outcome_error(struct outcome *o, const char *ack, unsigned status, const char *error, struct span words)
{
	*o = (struct outcome){
		.ack = ack, .status = status, .error = error, .text = buffer_of(OUTCOME_TEXT_MAX)};
	buffer_bytes(&o->text, words);
}

static void set_result(struct outcome *o, struct span json)
{
	*o = (struct outcome){.ack = "accepted",
			      .result = true,
			      .status = 200,
			      .error = "",
			      .text = buffer_of(OUTCOME_TEXT_MAX)};
	buffer_bytes(&o->text, json);
}

/* The first that fits counts. Refused: the device got nothing. */
static const struct {
	unsigned status; /* 0: any */
	const char *begins, *error;
	bool refused;
} errors[] = {
	{504, "Request timeout: outcome unknown", "outcome-unknown", false},
	{504, "", "timeout", false},
	{503, "Service unavailable: the result", "not-stored", false},
	{503, "", "unavailable", true},
	{500, "Request rejected", "rejected", false},
	{500, "Request cancelled", "cancelled", false},
	{500, "Invalid Response", "invalid-response", false},
	{502, "", "invalid-response", false},
	{401, "", "unauthorized", true},
	{403, "", "unauthorized", true},
	{404, "no observation", "no-observation", true},
	{400, "No registered client", "unknown-device", true},
	{400, "", "invalid", true},
	{404, "", "invalid", true},
	{405, "", "invalid", true},
	{414, "", "invalid", true},
	{500, "", "failed", false},
	{0, "", "failed", false},
};

static bool begins_with(struct span text, const char *begins)
{
	size_t len = strlen(begins);

	return len == 0 || (text.len >= len && memcmp(text.data, begins, len) == 0);
}

void outcome_of_reply(struct outcome *o, const struct http_reply *reply)
{
	if (reply->status >= 200 && reply->status < 300) {
		set_result(o, reply->body.len ? reply->body : span_str("{}"));
		return;
	}
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if ((errors[i].status && errors[i].status != reply->status) ||
		    !begins_with(reply->body, errors[i].begins))
			continue;
		outcome_error(o, errors[i].refused ? "refused" : "accepted", reply->status, errors[i].error,
			      reply->body);
		return;
	}
}

bool outcome_is_queued(const struct http_reply *reply, char id[37], uint64_t *expires_ms)
{
	json_t *v;
	const char *text;
	bool queued = false;

	/* Answers of devices are looked into only if they may be this one. */
	if (reply->status != 200 || !reply->body.len ||
	    !memmem(reply->body.data, reply->body.len, "\"delayed\":true", 14))
		return false;
	v = json_loadb((const char *)reply->body.data, reply->body.len, 0, NULL);
	text = json_string_value(json_object_get(v, "requestId"));
	if (json_is_true(json_object_get(v, "delayed")) && text && strlen(text) <= 36) {
		memcpy(id, text, strlen(text) + 1);
		*expires_ms = (uint64_t)json_integer_value(json_object_get(v, "expires"));
		queued = true;
	}
	json_decref(v);
	return queued;
}

static const struct {
	const char *state, *error, *words;
	unsigned status;
} ends[] = {
	{"expired", "expired", "the device was not heard of in time", 504},
	{"cancelled", "cancelled", "the request was taken back", 500},
	{"failed", "failed", "the request could not be sent, or its answer makes no sense", 500},
	{"unknown", "outcome-unknown", "the device may have acted on it or not", 504},
	{"answered", "invalid-response", "the answer of the device makes no sense", 500},
};

bool outcome_of_queued(struct outcome *o, const json_t *request)
{
	const char *state = json_string_value(json_object_get(request, "state"));
	const char *words = json_string_value(json_object_get(request, "error"));
	const json_t *response = json_object_get(request, "response");

	for (size_t i = 0; state && i < sizeof(ends) / sizeof(ends[0]); i++) {
		char *text = NULL;

		if (strcmp(ends[i].state, state) != 0)
			continue;
		if (strcmp(state, "answered") == 0 && response)
			text = json_dumps(response, JSON_COMPACT);
		if (text)
			set_result(o, span_str(text));
		else
			outcome_error(o, "accepted", ends[i].status, ends[i].error,
				      span_str(words ? words : ends[i].words));
		free(text);
		return true;
	}
	return false;
}
