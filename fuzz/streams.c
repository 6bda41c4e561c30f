/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * JSON of a backend, as a request of shoal's or of the former module's: what is taken for one has a route, a
 * target without what would end it early, and a body that is JSON where it says so.
 */

#include "fuzz.h"

#include "http/router.h"
#include "streams/former.h"
#include "streams/outcome.h"
#include "streams/request.h"

#include <errno.h>

enum { ARENA = 8 << 20, FORMER = 1, QUEUED = 2 };

static void check_request(const struct backend_request *r, struct arena *arena)
{
	struct target target;
	bool head = false;

	assert(method_parse(r->method, &head) != 0 && !head);
	for (size_t i = 0; i < r->target.len; i++)
		assert(r->target.data[i] > ' ' && r->target.data[i] < 0x7f && r->target.data[i] != '#');
	if (target_parse(r->target, arena, &target) == 0)
		assert(target.segment_count >= 3 && span_is(target.segments[2], "dev/ 1"));
	if (r->type && strcmp(r->type, "application/json") == 0) {
		json_t *body = json_loadb((const char *)r->body.data, r->body.len, 0, NULL);

		assert(json_is_object(body));
		json_decref(body);
	}
}

static void check_queued(struct span text)
{
	struct outcome o = {0};
	char error[BACKEND_ERROR] = "";
	json_t *v = backend_json(text, error);
	uint64_t expires;
	char id[37];

	if (v && outcome_of_queued(&o, v))
		assert(o.ack && o.error);
	outcome_deinit(&o);
	json_decref(v);
	if (outcome_is_queued(&(struct http_reply){200, text}, id, &expires))
		assert(strlen(id) <= 36);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct backend_ask ask = {.ep = span_str("dev/ 1")};
	struct reader in = reader_of(span_of(data, size));
	uint8_t flags = reader_u8(&in);
	_cleanup_arena_ struct arena arena;
	struct backend_request r;
	char error[BACKEND_ERROR] = "";
	json_t *v, *req;
	int err;

	_cleanup_copy_ struct span text = fuzz_copy(reader_rest(&in));
	arena_init(&arena, ARENA);
	if (flags & QUEUED) {
		check_queued(text);
		return 0;
	}
	v = backend_json(text, error);
	if (!v) {
		assert(error[0]);
		return 0;
	}
	req = flags & FORMER ? former_request_to_rest(v, &arena) : json_incref(v);
	err = req ? backend_request_of(req, &ask, &arena, &r, error) : -EINVAL;
	assert(err == 0 || err == -EINVAL || err == -ENOMEM);
	assert(err != -EINVAL || !req || error[0]);
	if (err == 0)
		check_request(&r, &arena);
	json_decref(req);
	json_decref(v);
	return 0;
}
