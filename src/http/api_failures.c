/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Who could not connect, and why: the table of the security side as JSON, the last one first. */

#include "http/api.h"
#include "http/events.h"
#include "http/json.h"
#include "security/failures.h"

enum { LIST_MAX = 4 * 1024 * 1024 };

static void row_json(struct json *j, const struct failure_row *row)
{
	char address[ADDRESS_TEXT];

	json_open(j, '{');
	json_member_str(j, "kind", failure_who_name(row->who));
	if (row->who != FAILURE_ADDRESS)
		json_member_bytes(j, "name", "nameHex", span_of(row->name, row->name_len));
	json_member_str(j, "cause", row->cause);
	if (row->words[0])
		json_member_str(j, "detail", row->words);
	json_member_str(j, "address", address_format(&row->address, address));
	json_member_uint(j, "count", row->count);
	json_member_uint(j, "first", row->first_ms);
	json_member_uint(j, "last", row->last_ms);
	json_close(j, '}');
}

void http_auth_failure(struct http *h, const struct failure_row *row)
{
	struct buffer text = buffer_of(LIST_MAX);
	struct json json = json_to(&text);

	buffer_str(&text, "event: AUTH_FAILURE\r\ndata: ");
	row_json(&json, row);
	buffer_str(&text, "\r\n\r\n");
	events_announce(h->events, &text,
			row->who == FAILURE_ADDRESS ? span_of(NULL, 0) : span_of(row->name, row->name_len));
}

void api_failures_list(struct http_request *r)
{
	const struct failures *f = r->http->config.failures;
	const struct target_param *limit = target_find(&r->target, "limit");
	const struct failure_row *row = NULL;
	struct buffer text = buffer_of(LIST_MAX);
	struct json json = json_to(&text);
	uint64_t left = UINT64_MAX;

	if (limit && !span_to_uint(limit->value, UINT32_MAX, &left)) {
		request_problem(r, MHD_HTTP_BAD_REQUEST, "Not a number", "limit is how many rows at most.");
		return;
	}
	json_open(&json, '[');
	for (; f && left && (row = failures_next(f, row)); left--)
		row_json(&json, row);
	json_close(&json, ']');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

void api_failures_clear(struct http_request *r)
{
	struct buffer nothing = buffer_of(0);

	if (r->http->config.failures)
		failures_clear(r->http->config.failures);
	request_reply(r, MHD_HTTP_NO_CONTENT, NULL, &nothing);
}
