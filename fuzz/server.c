/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The whole management server: devices that say what the input wants, a store whose writes end as it wants,
 * northbound requests, time, and restarts. Each step of the input is one of the rows of `steps`.
 *
 * What must hold: datagrams that are sent are CoAP; what is stored can be read and is taken back after a
 * restart; a request is answered at most once and, when time has passed, exactly once; the counts agree with
 * the devices that can be seen.
 */

#include "fuzz.h"

#include "lwm2m/server.h"

#include <errno.h>

enum { STEPS_MAX = 120, WRITES_MAX = 64, TOKENS = 8, DEVICES = 4, ENDPOINT_ROOM = 256, ASKS_MAX = 64 };
enum { END_MS = 400 * 1000, END_STEPS = 400 };

struct write {
	struct store_hot hot;
	enum store_record_change change;
	struct span record; /* on the heap */
	uint8_t endpoint[ENDPOINT_ROOM];
	size_t endpoint_len;
	store_written_fn *done;
	void *ctx;
};

struct stored {
	bool live;
	uint8_t endpoint[ENDPOINT_ROOM];
	size_t endpoint_len;
	struct store_hot hot;
	struct span record;
};

/* What the server sent and a device may refer to. */
struct heard {
	uint16_t mid;
	uint8_t type;
	struct coap_token token;
};

struct ask {
	struct world *world;
	uint64_t ticket;
	bool running, answered;
};

struct world {
	struct timers timers;
	struct random random;
	struct lwm2m_server *server;
	struct lwm2m_config config;
	uint64_t mono, wall;
	struct write writes[WRITES_MAX];
	size_t write_count, write_done;
	struct stored devices[DEVICES * 8];
	struct heard heard[TOKENS];
	size_t heard_count;
	struct ask asks[ASKS_MAX];
	size_t ask_count;
	uint8_t location[REGISTRATION_ID];
	uint16_t mid;
	bool refuse_writes;
};

/* ---- host ---- */

static void host_send(void *ctx, const struct address *to, struct span datagram)
{
	struct world *w = ctx;
	struct coap_message m;
	const struct coap_option *o;

	assert(to->family != 0 && datagram.len <= COAP_MESSAGE_MAX);
	assert(coap_parse(datagram, &m) == COAP_PARSED);
	w->heard[w->heard_count++ % TOKENS] = (struct heard){m.mid, m.type, m.token};
	o = m.code == COAP_CREATED ? coap_find(&m, COAP_OPTION_LOCATION_PATH) : NULL;
	o = o ? coap_find_next(&m, o) : NULL;
	if (o && o->len == REGISTRATION_ID)
		memcpy(w->location, o->value, REGISTRATION_ID);
}

static void check_event(const struct store_write *w)
{
	_cleanup_copy_ struct span body = fuzz_copy(w->event_body);
	struct lwm2m_event e;

	assert(lwm2m_event_decode(w->event, w->key.endpoint, body, &e) == 0);
}

static int host_write(void *ctx, const struct store_write *w, store_written_fn *done, void *done_ctx)
{
	struct world *world = ctx;
	struct write *to = &world->writes[world->write_count % WRITES_MAX];
	struct registration r;

	assert(w->key.endpoint.len >= 1 && w->key.endpoint.len <= STORE_ENDPOINT_MAX);
	assert(w->record.len <= STORE_RECORD_MAX && w->event_body.len <= STORE_EVENT_MAX);
	if (w->event)
		check_event(w);
	if (w->change == STORE_RECORD_PUT)
		assert(registration_decode(w->record, &r) == 0);
	if (world->refuse_writes || world->write_count - world->write_done == WRITES_MAX)
		return -ENOBUFS;
	world->write_count++;
	*to = (struct write){.hot = *w->hot, .change = w->change, .done = done, .ctx = done_ctx};
	to->record = fuzz_copy(w->record);
	to->endpoint_len = w->key.endpoint.len;
	memcpy(to->endpoint, w->key.endpoint.data, w->key.endpoint.len);
	return 0;
}

static uint64_t host_wall(void *ctx)
{
	return ((struct world *)ctx)->wall;
}

static uint64_t host_mono(void *ctx)
{
	return ((struct world *)ctx)->mono;
}

/* ---- store ---- */

static struct stored *stored_find(struct world *w, const struct write *of)
{
	struct stored *vacant = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(w->devices); i++) {
		struct stored *d = &w->devices[i];

		if (d->live && d->endpoint_len == of->endpoint_len &&
		    memcmp(d->endpoint, of->endpoint, of->endpoint_len) == 0)
			return d;
		if (!d->live && !vacant)
			vacant = d;
	}
	return vacant;
}

static void stored_forget(struct stored *d)
{
	fuzz_copy_free(&d->record);
	*d = (struct stored){0};
}

static void store_apply(struct world *w, struct write *from)
{
	struct stored *d = stored_find(w, from);

	if (!d || (!d->live && from->change != STORE_RECORD_PUT))
		return;
	if (from->change == STORE_RECORD_DELETE) {
		stored_forget(d);
		return;
	}
	d->live = true;
	d->hot = from->hot;
	d->endpoint_len = from->endpoint_len;
	memcpy(d->endpoint, from->endpoint, from->endpoint_len);
	if (from->change == STORE_RECORD_PUT) {
		fuzz_copy_free(&d->record);
		d->record = from->record;
		from->record = span_of(NULL, 0);
	}
}

/* The oldest write ends. */
static void store_finish(struct world *w, int result)
{
	struct write *from = &w->writes[w->write_done % WRITES_MAX];
	struct store_written written = {.result = result, .found = from->hot};
	store_written_fn *done = from->done;
	void *ctx = from->ctx;

	if (result == STORE_REFUSED)
		written.found.fence.gen++;
	if (result == STORE_BEHIND)
		written.found.number = 0;
	w->write_done++;
	if (result == STORE_DONE)
		store_apply(w, from);
	fuzz_copy_free(&from->record);
	*from = (struct write){0};
	done(ctx, &written);
}

static void store_finish_all(struct world *w, int result)
{
	while (w->write_done < w->write_count)
		store_finish(w, result);
}

/* ---- server ---- */

static void server_start(struct world *w)
{
	const struct lwm2m_host host = {
		.ctx = w, .send = host_send, .write = host_write, .wall_ms = host_wall, .mono_ms = host_mono};

	w->config.fence.incarnation++;
	timers_init(&w->timers, w->mono);
	w->server = lwm2m_server_new(&w->config, &host, fuzz_registry(), &w->timers, &w->random, NULL);
	assert(w->server);
	for (size_t i = 0; i < ARRAY_SIZE(w->devices); i++) {
		const struct stored *d = &w->devices[i];
		struct store_device stored = {
			.key = {STORE_MANAGEMENT, span_of(d->endpoint, d->endpoint_len)},
			.hot = d->hot,
			.record = d->record};

		if (!d->live)
			continue;
		stored.hot.fence = w->config.fence;
		stored.hot.fence.gen = d->hot.fence.gen + 1;
		assert(lwm2m_server_restore(w->server, &stored) == 0);
	}
}

static void server_stop(struct world *w)
{
	store_finish_all(w, -EIO);
	w->server = lwm2m_server_free(w->server);
	/* Tickets are the server's: the next counts them anew, and none of the old may name one of its. */
	for (size_t i = 0; i < w->ask_count; i++)
		w->asks[i] = (struct ask){.world = w};
}

static void advance(struct world *w, uint64_t ms)
{
	w->mono += ms;
	w->wall += ms;
	timers_advance(&w->timers, w->mono);
}

/* ---- steps: devices ---- */

static struct address address_pick(uint8_t which)
{
	return (struct address){.family = 4, .ip = {192, 0, 2, 1 + which % DEVICES}, .port = 5683};
}

static void input(struct world *w, uint8_t from, struct span bytes)
{
	struct address address = address_pick(from);
	_cleanup_copy_ struct span datagram = fuzz_copy(bytes);

	lwm2m_server_input(w->server, &address, datagram);
}

static void input_message(struct world *w, uint8_t from, const struct coap_message *m)
{
	uint8_t data[COAP_MESSAGE_MAX];
	int len = coap_encode(m, data, sizeof(data));

	if (len > 0)
		input(w, from, span_of(data, (size_t)len));
}

static void step_datagram(struct world *w, struct reader *r)
{
	uint8_t from = reader_u8(r);

	input(w, from, fuzz_long(r));
}

/* Options that many messages have: bit per option, value as it comes. */
static void add_options(struct coap_message *m, struct reader *r)
{
	static const uint16_t numbers[] = {COAP_OPTION_OBSERVE, COAP_OPTION_CONTENT_FORMAT,
					   COAP_OPTION_ACCEPT,	COAP_OPTION_BLOCK2,
					   COAP_OPTION_BLOCK1,	COAP_OPTION_ETAG};
	uint8_t which = reader_u8(r);

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (which >> i & 1)
			(void)coap_add_uint(m, numbers[i], reader_u16(r));
}

static void step_register(struct world *w, struct reader *r)
{
	static const char *const endpoints[] = {"ep=a&lwm2m=1.0", "ep=b&lwm2m=1.1&b=UQ&lt=60",
						"ep=c&lwm2m=1.1", "ep=d&lt=300&lwm2m=1.1&Q"};
	static const char links[] =
		"</>;rt=\"oma.lwm2m\";ct=\"110 112\",</1/0>,</3/0>,</3303>;ver=1.1,</5/0>";
	uint8_t who = reader_u8(r);
	struct coap_message m;

	if (!(who & 0x80))
		w->mid++;
	coap_message_init(&m, COAP_CON, COAP_POST, w->mid, (struct coap_token){1, {who}});
	(void)coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str("/rd"));
	(void)coap_add_segments(&m, COAP_OPTION_URI_QUERY, span_str(endpoints[who & 3]));
	(void)coap_add_segments(&m, COAP_OPTION_URI_QUERY, who & 4 ? fuzz_short(r) : span_of(NULL, 0));
	m.payload = who & 8 ? fuzz_long(r) : span_str(links);
	if (who & 16)
		add_options(&m, r);
	input_message(w, who >> 5 & 1 ? who : who & 3, &m);
}

/* An Update, De-register, Send, or anything else to a path that exists. */
static void step_request(struct world *w, struct reader *r)
{
	static const uint8_t codes[] = {COAP_POST, COAP_DELETE, COAP_PUT, COAP_GET};
	uint8_t who = reader_u8(r), how = reader_u8(r);
	struct coap_message m;

	if (!(who & 0x80))
		w->mid++;
	coap_message_init(&m, how & 4 ? COAP_NON : COAP_CON, codes[how & 3], w->mid,
			  (struct coap_token){1, {who}});
	(void)coap_add_segments(&m, COAP_OPTION_URI_PATH, span_str(how & 8 ? "/dp" : "/rd"));
	if (!(how & 8))
		(void)coap_add(&m, COAP_OPTION_URI_PATH, span_of(w->location, REGISTRATION_ID));
	(void)coap_add_segments(&m, COAP_OPTION_URI_QUERY, how & 16 ? fuzz_short(r) : span_of(NULL, 0));
	if (how & 32)
		m.payload = fuzz_long(r);
	if (how & 64)
		add_options(&m, r);
	input_message(w, who, &m);
}

/* An answer to what the server asked, or a notification: the token of one of its last messages. */
static void step_response(struct world *w, struct reader *r)
{
	static const uint8_t codes[] = {COAP_CONTENT, COAP_CHANGED,  COAP_CREATED,   COAP_EMPTY,
					COAP_DELETED, COAP_CONTINUE, COAP_NOT_FOUND, COAP_BAD_OPTION};
	uint8_t who = reader_u8(r), how = reader_u8(r);
	const struct heard *h = &w->heard[(w->heard_count - 1 - who % TOKENS) % TOKENS];
	enum coap_type type = (enum coap_type)(how & 3);
	uint8_t code = codes[how >> 2 & 7];
	bool ack = type == COAP_ACK || type == COAP_RST;
	struct coap_message m;

	if (code == COAP_EMPTY || type == COAP_RST)
		coap_message_init(&m, type, COAP_EMPTY, h->mid, (struct coap_token){0});
	else
		coap_message_init(&m, type, code, ack ? h->mid : ++w->mid, h->token);
	if (m.code) {
		if (how & 32)
			add_options(&m, r);
		m.payload = how & 64 ? fuzz_long(r) : fuzz_short(r);
	}
	input_message(w, who >> 4, &m);
}

/* ---- steps: northbound ---- */

static struct device *device_pick(struct world *w, uint8_t which)
{
	static const char *const endpoints[] = {"a", "b", "c", "d"};
	struct device *d = lwm2m_find(w->server, span_str(endpoints[which % DEVICES]));

	if (d)
		assert(device_endpoint(d).len == 1);
	return d;
}

static void answered(void *ctx, const struct lwm2m_answer *answer)
{
	struct ask *a = ctx;

	assert(a->running && !a->answered);
	assert(answer->outcome <= LWM2M_NOT_STORED);
	if (answer->error)
		assert(strlen(answer->error) < 1000);
	a->answered = true;
	a->running = false;
}

/* A place for one more that waits, or NULL. */
static struct ask *ask_new(struct world *w)
{
	struct ask *a;

	if (w->ask_count == ASKS_MAX)
		return NULL;
	a = &w->asks[w->ask_count++];
	*a = (struct ask){.world = w, .running = true};
	return a;
}

static struct value value_pick(struct reader *r)
{
	enum value_type type = (enum value_type)(reader_u8(r) % VALUE_TYPES);
	struct value v = {.type = type};

	if (type == VALUE_STRING || type == VALUE_CORELNK || type == VALUE_OPAQUE)
		v.bytes = fuzz_short(r);
	else if (type == VALUE_BOOLEAN)
		v.boolean = reader_u8(r) & 1;
	else if (type == VALUE_OBJLNK)
		v.link.object = v.link.instance = reader_u16(r);
	else if (type == VALUE_FLOAT)
		v.real = reader_u32(r) / 7.0;
	else if (type != VALUE_NONE)
		v.unsigned_ = reader_u64(r);
	if ((type == VALUE_STRING || type == VALUE_CORELNK) && !utf8_valid(v.bytes))
		v.type = VALUE_OPAQUE;
	return v;
}

static void step_ask(struct world *w, struct reader *r)
{
	enum { COUNT = 3 };
	static const uint16_t formats[] = {FORMAT_NONE, FORMAT_TLV, FORMAT_SENML_JSON, FORMAT_SENML_CBOR,
					   FORMAT_TEXT};
	_cleanup_arena_ struct arena arena;
	struct lwm2m_request q = {.operation =
					  (enum lwm2m_operation)(reader_u8(r) % (LWM2M_CANCEL_COMPOSITE + 1)),
				  .instance = PATH_ID_NONE};
	struct device *d = device_pick(w, reader_u8(r));
	uint8_t how = reader_u8(r);
	struct records records;
	struct path paths[COUNT];
	char error[160] = "";
	struct ask *a;
	int rc;

	arena_init(&arena, 1 << 20);
	records = records_of(&arena);
	q.path = q.operation >= LWM2M_READ_COMPOSITE ? (struct path){0} : fuzz_path(r);
	q.format = formats[how % ARRAY_SIZE(formats)];
	q.path_format = how & 64 ? FORMAT_SENML_JSON : FORMAT_NONE;
	q.timeout_ms = 1000 * (1 + (uint64_t)how);
	q.arguments = fuzz_short(r);
	for (unsigned i = 0; i < COUNT; i++)
		paths[i] = fuzz_path(r);
	for (unsigned i = 0; i < (how >> 3 & 3); i++) {
		struct record record = {.path = q.operation >= LWM2M_READ_COMPOSITE ? paths[i] : q.path};

		if (how & 32 && record.path.depth < PATH_RESOURCE_INSTANCE)
			record.path = path_child(record.path, reader_u8(r));
		record.value = value_pick(r);
		assert(records_add(&records, &record) == 0);
	}
	records_sort(&records);
	q.records = records.items;
	q.record_count = records.count;
	q.paths = paths;
	q.path_count = q.operation >= LWM2M_READ_COMPOSITE ? 1 + how % COUNT : 0;
	a = d ? ask_new(w) : NULL;
	if (!a)
		return;
	rc = lwm2m_request(w->server, d, &q, answered, a, &a->ticket, error);
	assert(!a->answered);
	assert(rc >= 0 && rc <= LWM2M_REFUSED_LIMIT && strlen(error) < sizeof(error));
	assert(rc == 0 ? a->ticket != 0 : error[0] != 0);
	a->running = rc == 0;
}

static void step_cancel(struct world *w, struct reader *r)
{
	uint8_t which = reader_u8(r);

	if (w->ask_count == 0)
		return;
	lwm2m_request_cancel(w->server, w->asks[which % w->ask_count].ticket);
	if (w->asks[which % w->ask_count].ticket)
		w->asks[which % w->ask_count].running = false;
}

static void step_forget(struct world *w, struct reader *r)
{
	struct device *d = device_pick(w, reader_u8(r));
	uint8_t how = reader_u8(r);
	struct path path = fuzz_path(r), paths[2] = {fuzz_path(r), fuzz_path(r)}, root = {0};
	struct ask *a = d ? ask_new(w) : NULL;
	int rc;

	if (!a)
		return;
	if (how & 1)
		rc = lwm2m_remove(w->server, d, answered, a);
	else if (how & 2)
		rc = lwm2m_forget_observation(w->server, d, &root, paths, 2, answered, a);
	else
		rc = lwm2m_forget_observation(w->server, d, &path, NULL, 0, answered, a);
	if (rc < 0)
		a->running = false;
}

/* ---- steps: store and time ---- */

static void step_store(struct world *w, struct reader *r)
{
	static const int results[] = {STORE_DONE, -EIO, -ENOSPC, STORE_REFUSED, STORE_BEHIND, STORE_ALREADY};
	uint8_t how = reader_u8(r);

	w->refuse_writes = how & 0x40;
	if (how & 0x80)
		store_finish_all(w, STORE_DONE);
	else if (w->write_done < w->write_count)
		store_finish(w, results[how % ARRAY_SIZE(results)]);
}

static void step_time(struct world *w, struct reader *r)
{
	uint64_t ms = reader_u8(r);

	advance(w, ms << (reader_u8(r) % 20));
}

static void step_restart(struct world *w, struct reader *r)
{
	if (reader_u8(r) & 1)
		store_finish_all(w, STORE_DONE);
	server_stop(w);
	server_start(w);
}

/* ---- the whole ---- */

static void check_counts(struct world *w)
{
	struct lwm2m_stats stats;
	uint32_t cursor = 0;
	size_t count = 0;
	struct device *d;

	while ((d = lwm2m_next(w->server, &cursor))) {
		struct registration registration;

		device_registration(d, &registration);
		assert(registration.present);
		(void)device_is_awake(w->server, d);
		count++;
	}
	lwm2m_stats(w->server, &stats);
	assert(count == lwm2m_device_count(w->server) && stats.devices == count);
}

/* The store works, nobody speaks any more: all who wait are told. */
static void settle(struct world *w)
{
	struct lwm2m_stats stats;

	w->refuse_writes = false;
	for (unsigned i = 0; i < END_STEPS; i++) {
		store_finish_all(w, STORE_DONE);
		advance(w, END_MS / END_STEPS);
	}
	store_finish_all(w, STORE_DONE);
	for (size_t i = 0; i < w->ask_count; i++)
		assert(!w->asks[i].running);
	lwm2m_stats(w->server, &stats);
	assert(stats.requests_active == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct world *, struct reader *) = {
		step_datagram, step_register, step_request, step_response, step_response,
		step_ask,      step_ask,      step_cancel,  step_forget,   step_store,
		step_store,    step_time,     step_restart};
	struct reader r = reader_of(span_of(data, size));
	struct world *w = calloc(1, sizeof(*w));
	uint8_t flags = reader_u8(&r);

	assert(w);
	*w = (struct world){.mono = 5000, .wall = 1700000000000};
	random_init_seed(&w->random, flags);
	lwm2m_config_init(&w->config);
	w->config.fence.node = 1;
	w->config.strict = flags & 1;
	if (flags & 2)
		w->config.devices_max = 2;
	if (flags & 4)
		w->config.requests_max = 3;
	server_start(w);
	for (unsigned i = 0; i < STEPS_MAX && reader_left(&r); i++) {
		steps[reader_u8(&r) % ARRAY_SIZE(steps)](w, &r);
		if (flags & 8)
			store_finish_all(w, STORE_DONE);
		check_counts(w);
	}
	settle(w);
	server_stop(w);
	for (size_t i = 0; i < ARRAY_SIZE(w->devices); i++)
		stored_forget(&w->devices[i]);
	free(w);
	return 0;
}
