/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Credentials of many endpoints out of one CSV file. Rows are put as they are read, several at a time so that
 * they share commits, and in order where they concern one endpoint. A refused row stops nothing: the report
 * names it. What was taken stays taken, also if the client goes away, which ends the reading.
 */

#include "http/api.h"
#include "http/json.h"
#include "http/wait.h"
#include "security/credential_text.h"

#include <errno.h>

enum { AT_ONCE = 64, REPORTED_MAX = 1000, REPORT_MAX = 1024 * 1024 };

struct import {
	struct waiter waiter;
	struct buffer body;
	struct csv csv;
	struct credential_columns columns;
	bool rotate;
	bool filling; /* rows are being started */
	bool ended;   /* no row is left */
	size_t running;
	uint64_t taken, refused;
	struct buffer report;
	struct json json; /* the array of refused lines */
};

struct import_row {
	struct import *import;
	size_t line;
};

static void import_free(struct import *i)
{
	explicit_bzero(i->csv.row, sizeof(i->csv.row));
	if (i->body.data)
		explicit_bzero(i->body.data, i->body.cap);
	buffer_deinit(&i->body);
	buffer_deinit(&i->report);
	free(i);
}

static void refuse(struct import *i, size_t line, const char *reason)
{
	if (i->refused++ >= REPORTED_MAX)
		return;
	json_open(&i->json, '{');
	json_member_uint(&i->json, "line", line);
	json_member_str(&i->json, "reason", reason);
	json_close(&i->json, '}');
}

static void finish(struct import *i)
{
	struct http_request *r = wait_end(&i->waiter);

	json_close(&i->json, ']');
	json_member_uint(&i->json, "taken", i->taken);
	json_member_uint(&i->json, "refusedCount", i->refused);
	json_close(&i->json, '}');
	if (r)
		request_reply(r, MHD_HTTP_OK, TYPE_JSON, &i->report);
	import_free(i);
}

static void fill(struct import *i);

static void on_put(void *ctx, int result)
{
	struct import_row *row = ctx;
	struct import *i = row->import;

	if (result == CREDENTIALS_DONE)
		i->taken++;
	else
		refuse(i, row->line, credentials_words(result));
	free(row);
	i->running--;
	if (!i->filling)
		fill(i);
}

static void start_row(struct import *i, const struct csv_row *fields)
{
	struct credential_text text = credential_columns_take(&i->columns, fields);
	_cleanup_credential_ struct credential_input input;
	const char *wrong;
	struct import_row *row;
	int err;

	text.rotate = i->rotate;
	wrong = credential_from_text(&text, &input);
	if (wrong) {
		refuse(i, fields->line, wrong);
		return;
	}
	row = malloc(sizeof(*row));
	if (!row) {
		refuse(i, fields->line, "out of memory");
		return;
	}
	*row = (struct import_row){i, fields->line};
	i->running++;
	err = credentials_put(i->waiter.http->config.credentials, &input.credential, on_put, row);
	if (err)
		on_put(row, err);
}

/* Starts rows until enough run or none is left. */
static void fill(struct import *i)
{
	struct csv_row row;
	const char *why;

	i->filling = true;
	i->ended = i->ended || !i->waiter.request;
	while (!i->ended && i->running < AT_ONCE) {
		switch (csv_next(&i->csv, &row, &why)) {
		case CSV_ROW:
			start_row(i, &row);
			break;
		case CSV_BAD:
			refuse(i, row.line, why);
			break;
		case CSV_END:
			i->ended = true;
			break;
		}
	}
	i->filling = false;
	if (i->ended && !i->running)
		finish(i);
}

/* What is wrong with the first line, in words; NULL: nothing. */
static const char *read_head(struct import *i)
{
	struct csv_row head;
	const char *why = NULL;

	switch (csv_next(&i->csv, &head, &why)) {
	case CSV_ROW:
		return credential_columns_read(&head, &i->columns);
	case CSV_END:
		return "the file is empty";
	case CSV_BAD:
		break;
	}
	return why;
}

void api_security_import(struct http_request *r)
{
	struct import *i;
	const char *wrong;

	if (!r->http->config.credentials) {
		request_problem(r, MHD_HTTP_NOT_FOUND, "No credentials", "This server keeps no credentials.");
		return;
	}
	i = wait_new(r, sizeof(*i));
	if (!i)
		return;
	i->body = r->body;
	r->http->bodies -= r->body.len;
	r->body = buffer_of(0);
	i->rotate = target_find(&r->target, "rotate");
	i->report = buffer_of(REPORT_MAX);
	i->json = json_to(&i->report);
	json_open(&i->json, '{');
	json_key(&i->json, "refused");
	json_open(&i->json, '[');
	csv_init(&i->csv, buffer_span(&i->body));
	wrong = read_head(i);
	if (!wrong) {
		fill(i);
		return;
	}
	wait_end(&i->waiter);
	import_free(i);
	request_problem(r, MHD_HTTP_BAD_REQUEST, "Not a list of credentials", wrong);
}
