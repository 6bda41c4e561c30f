/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * One call of the interface. Its HTTP status says whether the server has an answer of the device, the body
 * what the device said; both can be a refusal, and both become one line on the error output that says what to
 * do.
 */

#include "cli/api.h"

#include "cli/text.h"

#include <ctype.h>

enum { SERVER_PATIENCE_S = 30, MESSAGE_MAX = 2000 };

void api_reply_deinit(struct api_reply *r)
{
	response_deinit(&r->response);
	json_decref(r->json);
	r->json = NULL;
}

/* ---- paths ---- */

char *api_device_path(const char *ep, const char *path, const char *suffix)
{
	struct buffer out = buffer_of(1 << 20);

	buffer_str(&out, "/api/clients/");
	text_add_encoded(&out, span_str(ep));
	buffer_str(&out, path);
	buffer_str(&out, suffix);
	if (out.failed)
		buffer_deinit(&out);
	return (char *)out.data;
}

char *api_add_query(char *path, const char *name, const char *value)
{
	struct buffer out = buffer_of(1 << 20);

	if (!path)
		return NULL;
	buffer_printf(&out, "%s%c%s=", path, strchr(path, '?') ? '&' : '?', name);
	text_add_encoded(&out, span_str(value));
	free(path);
	if (out.failed)
		buffer_deinit(&out);
	return (char *)out.data;
}

/* ---- refusals ---- */

const char *api_status_text(const char *status, char text[STATUS_TEXT])
{
	const char *open = strchr(status, '(');
	char *end = NULL;
	unsigned long number = open ? strtoul(open + 1, &end, 10) : 0;
	size_t len;

	if (!open || !end || *end != ')' || number < 100 || number > 999) {
		snprintf(text, STATUS_TEXT, "%s", status);
		return text;
	}
	len = (size_t)snprintf(text, STATUS_TEXT, "%lu.%02lu %.*s", number / 100, number % 100,
			       (int)MIN(open - status, STATUS_TEXT - 16), status);
	/* All but the first letter of each word small. */
	for (size_t i = 5; i < len; i++) {
		if (text[i] == '_')
			text[i] = ' ';
		else if (i > 5 && text[i - 1] != ' ')
			text[i] = (char)tolower((unsigned char)text[i]);
	}
	return text;
}

static const char *hint_for(const struct api_request *q, long status, const char *message)
{
	if (strncmp(message, "No registered client", 20) == 0)
		return "; `shoalctl list` shows who is there";
	if (status == 504)
		return "; it may be away or busy, and --timeout waits longer";
	if (status == 401)
		return "; --token-file or SHOALCTL_TOKEN gives one";
	if (status == 403)
		return "; you may not do this";
	if (status == 404 && !q->ep)
		return "; is this a shoal server?";
	return "";
}

static void tell_refusal(struct cli *c, const struct api_request *q, const struct response *r)
{
	json_t *problem = json_loadb((const char *)r->body.data, r->body.len, 0, NULL);
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	const char *message = detail ? detail : (const char *)r->body.data;
	_cleanup_buffer_ struct buffer safe = buffer_of(MESSAGE_MAX * 10);
	size_t len = MIN(detail ? strlen(detail) : r->body.len, (size_t)MESSAGE_MAX);

	while (len && isspace((unsigned char)message[len - 1]))
		len--;
	if (q->ep && r->status != 400) {
		text_add_safe(&safe, span_str(q->ep));
		buffer_str(&safe, ": ");
	}
	if (r->status == 504)
		buffer_printf(&safe, "the device did not answer within %u s", c->timeout_s);
	else if (len)
		text_add_safe(&safe, span_of(message, len));
	else
		buffer_printf(&safe, "the server answered with HTTP status %ld", r->status);
	fprintf(c->error, "shoalctl: %s%s\n", safe.data ? (const char *)safe.data : "out of memory",
		hint_for(q, r->status, message ? message : ""));
	json_decref(problem);
}

/* ---- calls ---- */

static int parse_body(struct cli *c, struct api_reply *out)
{
	json_error_t error;

	if (out->response.body.len == 0)
		return EXIT_OK;
	out->json = json_loadb((const char *)out->response.body.data, out->response.body.len,
			       JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	if (out->json)
		return EXIT_OK;
	fprintf(c->error, "shoalctl: the answer of %s is no JSON; is this a shoal server?\n", c->client.url);
	return EXIT_REFUSED;
}

int api_call(struct cli *c, const struct api_request *q, struct api_reply *out)
{
	int rc;

	*out = (struct api_reply){.json = NULL};
	if (!q->path) {
		fputs("shoalctl: out of memory\n", c->error);
		return EXIT_REFUSED;
	}
	rc = client_request(&c->client, q->method, q->path, q->content_type, q->body,
			    SERVER_PATIENCE_S + q->extra_s, &out->response);
	if (rc != EXIT_OK)
		return rc;
	if (out->response.status >= 400) {
		tell_refusal(c, q, &out->response);
		return EXIT_REFUSED;
	}
	return parse_body(c, out);
}

static void tell_device_error(struct cli *c, const struct api_request *q, json_t *json)
{
	const char *status = json_string_value(json_object_get(json, "status"));
	const char *message = json_string_value(json_object_get(json, "errormessage"));
	_cleanup_buffer_ struct buffer safe = buffer_of(MESSAGE_MAX * 10);
	char text[STATUS_TEXT];

	text_add_safe(&safe, span_str(q->ep));
	buffer_str(&safe, " answered ");
	text_add_safe(&safe, span_str(api_status_text(status ? status : "nothing", text)));
	if (message && *message) {
		buffer_str(&safe, ": ");
		text_add_safe(&safe, span_of(message, strnlen(message, MESSAGE_MAX)));
	}
	fprintf(c->error, "shoalctl: %s\n", safe.data ? (const char *)safe.data : "out of memory");
}

int api_device_call(struct cli *c, const struct api_request *q, struct api_reply *out, bool *delayed)
{
	struct api_request longer = *q;
	const char *request;
	int rc;

	*delayed = false;
	longer.extra_s += c->timeout_s;
	rc = api_call(c, &longer, out);
	if (rc != EXIT_OK)
		return rc;
	if (c->json && out->response.body.len)
		fprintf(c->out, "%s\n", (const char *)out->response.body.data);
	if (json_is_true(json_object_get(out->json, "delayed"))) {
		*delayed = true;
		request = json_string_value(json_object_get(out->json, "requestId"));
		fprintf(c->error, "shoalctl: the device sleeps; the request waits for it%s%s\n",
			request ? " as " : "", request ? request : "");
		return EXIT_OK;
	}
	if (!json_is_true(json_object_get(out->json, "failure")))
		return EXIT_OK;
	tell_device_error(c, q, out->json);
	return EXIT_REFUSED;
}
