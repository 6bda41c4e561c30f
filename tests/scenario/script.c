/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Runs a script line by line (the language: README.md). The hard idea: nothing that the server does goes
 * unnoticed. Every datagram, answer and event waits until a line expects it, in order, and what is left at
 * the end is a failure; so a script says what must not happen without a word about it.
 *
 * Leaves out the northbound side (northbound.c) and the text of messages (message.c).
 */

#include "script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "message.h"

enum { TRIES = 8, LINE_MAX_LEN = 4096 };

bool script_fail(struct script *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->error, sizeof(s->error), format, args);
	va_end(args);
	return false;
}

void script_start(struct script *s)
{
	if (s->started)
		return;
	s->started = true;
	world_start(&s->world);
}

/* ---- devices ---- */

static struct peer *find_peer(struct script *s, struct span name)
{
	for (size_t i = 0; i < s->peer_count; i++)
		if (span_is(name, s->peers[i].name))
			return &s->peers[i];
	return NULL;
}

struct peer *script_peer(struct script *s, const char **at)
{
	const char *behind = *at;
	struct span word;
	struct peer *named = word_next(&behind, &word) ? find_peer(s, word) : NULL;

	if (named)
		*at = behind;
	return named ? named : s->current;
}

static void datagram_set(struct datagram *d, struct span bytes)
{
	d->len = MIN(bytes.len, sizeof(d->data));
	memcpy(d->data, bytes.data, d->len);
}

static void inbox_add(struct peer *p, struct span bytes)
{
	struct datagram *d = calloc(1, sizeof(*d)), **at = &p->inbox;

	if (!d)
		abort();
	datagram_set(d, bytes);
	while (*at)
		at = &(*at)->next;
	*at = d;
}

static void inbox_drop(struct peer *p)
{
	struct datagram *d = p->inbox;

	p->inbox = d->next;
	free(d);
}

/* Which rule answers this request: that of its first copy, or the first one that fits. */
static const struct rule *rule_for(struct peer *p, const struct coap_message *m)
{
	for (size_t i = 0; i < p->answered_count && i < ARRAY_SIZE(p->answered); i++)
		if (p->answered[i].mid == m->mid)
			return &p->rules[p->answered[i].rule];
	for (size_t i = 0; i < p->rule_count; i++) {
		if (!message_asks(m, span_str(p->rules[i].method), span_str(p->rules[i].path)))
			continue;
		p->answered[p->answered_count++ % ARRAY_SIZE(p->answered)].mid = m->mid;
		p->answered[(p->answered_count - 1) % ARRAY_SIZE(p->answered)].rule = i;
		return &p->rules[i];
	}
	return NULL;
}

static bool answer_by_rule(struct peer *p, const struct coap_message *m)
{
	const struct message_defaults defaults = {&m->mid, &m->token};
	const struct rule *rule = coap_is_request(m->code) ? rule_for(p, m) : NULL;
	uint8_t datagram[COAP_MESSAGE_MAX];
	char error[200];
	int len;

	if (!rule)
		return false;
	len = message_build(&p->script->variables, rule->answer, &defaults, datagram, error);
	if (len > 0)
		world_send(&p->script->world, &p->address, span_of(datagram, (size_t)len));
	return len > 0;
}

static void arrive(void *ctx, const struct address *to, struct span datagram)
{
	struct script *s = ctx;
	struct coap_message m;

	for (size_t i = 0; i < s->peer_count; i++) {
		struct peer *p = &s->peers[i];

		if (!address_equal(&p->address, to))
			continue;
		if (coap_parse(datagram, &m) != COAP_PARSED || !answer_by_rule(p, &m))
			inbox_add(p, datagram);
		return;
	}
	s->strays++;
}

/* device NAME at ADDRESS [ep=ENDPOINT] [mid=N] */
static bool command_device(struct script *s, const char *at)
{
	struct peer *p = &s->peers[s->peer_count];
	struct span name, word, value;
	char address[ADDRESS_TEXT];
	uint64_t mid;

	if (s->peer_count == PEERS_MAX || !word_next(&at, &name) || name.len > NAME_MAX_LEN ||
	    find_peer(s, name))
		return script_fail(s, "too many devices, or no (new) name");
	if (!word_next(&at, &word) || !span_is(word, "at") || !word_next(&at, &word))
		return script_fail(s, "device NAME at ADDRESS");
	snprintf(address, sizeof(address), "%.*s", (int)word.len, (const char *)word.data);
	p->script = s;
	p->next_mid = 1;
	memcpy(p->name, name.data, name.len);
	memcpy(p->endpoint, name.data, name.len);
	if (address_parse(address, &p->address) < 0)
		return script_fail(s, "no address: %s", address);
	while (word_next(&at, &word)) {
		if (word_value(word, "ep", &value) && value.len < sizeof(p->endpoint))
			snprintf(p->endpoint, sizeof(p->endpoint), "%.*s", (int)value.len,
				 (const char *)value.data);
		else if (word_value(word, "mid", &value) && span_to_uint(value, 65535, &mid))
			p->next_mid = (uint16_t)mid;
		else
			return script_fail(s, "not understood: %.*s", (int)word.len, (const char *)word.data);
	}
	s->peer_count++;
	s->current = p;
	return true;
}

/* move [NAME] to ADDRESS */
static bool command_move(struct script *s, const char *at)
{
	struct peer *p = script_peer(s, &at);
	struct span word;
	char address[ADDRESS_TEXT];

	if (!p || !word_next(&at, &word) || !span_is(word, "to") || !word_next(&at, &word))
		return script_fail(s, "move [NAME] to ADDRESS");
	snprintf(address, sizeof(address), "%.*s", (int)word.len, (const char *)word.data);
	return address_parse(address, &p->address) == 0 || script_fail(s, "no address: %s", address);
}

/* answers [NAME] METHOD PATH MESSAGE */
static bool command_answers(struct script *s, const char *at)
{
	struct peer *p = script_peer(s, &at);
	struct span method, path, rest;
	struct rule *r;

	if (!p || p->rule_count == RULES_MAX || !word_next(&at, &method) || !word_next(&at, &path))
		return script_fail(s, "answers [NAME] METHOD PATH MESSAGE");
	rest = line_rest(at);
	r = &p->rules[p->rule_count];
	if (method.len >= sizeof(r->method) || path.len >= sizeof(r->path) || rest.len >= sizeof(r->answer))
		return script_fail(s, "too long");
	memcpy(r->method, method.data, method.len);
	memcpy(r->path, path.data, path.len);
	memcpy(r->answer, rest.data, rest.len);
	p->rule_count++;
	return true;
}

/* ---- datagrams of devices ---- */

struct sending {
	bool lost, doubled, persistent;
	uint64_t delay_ms;
};

static void transmit(struct peer *p, const struct sending *how)
{
	struct span bytes = span_of(p->last_out.data, p->last_out.len);
	struct world *w = &p->script->world;

	if (how->lost)
		return;
	for (int copies = how->doubled ? 2 : 1; copies > 0; copies--) {
		if (how->delay_ms)
			world_send_after(w, &p->address, bytes, how->delay_ms);
		else
			world_send(w, &p->address, bytes);
	}
	world_settle(w);
}

static bool is_answered(const struct peer *p, uint16_t mid)
{
	struct coap_message m;

	for (const struct datagram *d = p->inbox; d; d = d->next)
		if (coap_parse(span_of(d->data, d->len), &m) == COAP_PARSED && m.mid == mid &&
		    (m.type == COAP_ACK || m.type == COAP_RST))
			return true;
	return false;
}

/* As a client does it: again and again, until it is acknowledged (RFC 7252, 4.2, with more patience). */
static bool persist(struct peer *p, const struct sending *how)
{
	uint64_t timeout_ms = 2000;

	for (int i = 0; i < TRIES; i++, timeout_ms = MIN(timeout_ms * 2, 16000)) {
		transmit(p, how);
		for (uint64_t waited = 0; waited < timeout_ms && !is_answered(p, p->out_mid); waited += 50)
			world_advance(&p->script->world, 50);
		if (is_answered(p, p->out_mid))
			return true;
	}
	return script_fail(p->script, "nothing acknowledged this, sent %d times", TRIES);
}

static bool send_now(struct peer *p, const struct sending *how)
{
	if (how->persistent)
		return persist(p, how);
	transmit(p, how);
	return true;
}

/* What a message has if its line does not say: answers belong to the last request, others are new. */
static void choose_defaults(struct peer *p, const char *line, uint16_t *mid, struct coap_token *token)
{
	struct span type, code = span_of(NULL, 0);
	bool response;

	(void)(word_next(&line, &type) && word_next(&line, &code));
	response = code.len == 4 && code.data[1] == '.';
	*mid = p->in_mid;
	*token = p->in_token;
	if (span_is(type, "CON") || span_is(type, "NON"))
		*mid = p->next_mid++;
	if (!response && code.len) {
		*token = (struct coap_token){.len = 2};
		token->bytes[0] = (uint8_t)(*mid >> 8);
		token->bytes[1] = (uint8_t)*mid;
	}
}

static bool send_line(struct peer *p, const char *line, const struct sending *how)
{
	struct script *s = p->script;
	uint8_t datagram[COAP_MESSAGE_MAX];
	struct coap_message m;
	uint16_t mid;
	struct coap_token token;
	char error[200];
	int len;

	choose_defaults(p, line, &mid, &token);
	len = message_build(&s->variables, line, &(struct message_defaults){&mid, &token}, datagram, error);
	if (len < 0)
		return script_fail(s, "%s", error);
	datagram_set(&p->last_out, span_of(datagram, (size_t)len));
	if (coap_parse(span_of(datagram, (size_t)len), &m) == COAP_PARSED) {
		p->out_mid = m.mid;
		p->out_token = m.token;
	}
	return send_now(p, how);
}

/* keep [NAME] LABEL: what was sent last. */
static bool command_keep(struct script *s, const char *at)
{
	struct peer *p = script_peer(s, &at);
	struct span label;

	if (!p || !word_next(&at, &label) || label.len > NAME_MAX_LEN || p->kept_count == KEPT_MAX)
		return script_fail(s, "keep [NAME] LABEL");
	memcpy(p->kept[p->kept_count].name, label.data, label.len);
	p->kept[p->kept_count++].datagram = p->last_out;
	return true;
}

/* again [NAME] [LABEL]: the same datagram once more. */
static bool send_again(struct script *s, const char *at, const struct sending *how)
{
	struct peer *p = script_peer(s, &at);
	struct coap_message m;
	struct span label;
	size_t i = 0;

	if (!p)
		return script_fail(s, "no device");
	if (word_next(&at, &label)) {
		while (i < p->kept_count && !span_is(label, p->kept[i].name))
			i++;
		if (i == p->kept_count)
			return script_fail(s, "nothing is kept as %.*s", (int)label.len,
					   (const char *)label.data);
		p->last_out = p->kept[i].datagram;
	}
	if (p->last_out.len == 0)
		return script_fail(s, "nothing was sent");
	if (coap_parse(span_of(p->last_out.data, p->last_out.len), &m) == COAP_PARSED) {
		p->out_mid = m.mid;
		p->out_token = m.token;
	}
	return send_now(p, how);
}

/* ---- datagrams of the server ---- */

static bool fail_datagram(struct peer *p, const char *line, const char *why)
{
	_cleanup_buffer_ struct buffer came = buffer_of(sizeof(p->script->error) - LINE_MAX_LEN / 4);
	struct span expected = line_rest(line);

	message_describe(span_of(p->inbox->data, p->inbox->len), &came);
	return script_fail(p->script, "%s\n  expected at %s: %.*s\n  came: %s", why, p->name,
			   (int)MIN(expected.len, 800), (const char *)expected.data, (const char *)came.data);
}

static bool expect_same(struct peer *p)
{
	struct datagram *d = p->inbox;

	if (p->last_in.len == d->len && memcmp(p->last_in.data, d->data, d->len) == 0)
		return true;
	return fail_datagram(p, "again", "this is not the same datagram again");
}

static bool expect_line(struct peer *p, const char *line)
{
	struct script *s = p->script;
	struct coap_message m;
	struct span bytes = span_of(p->inbox->data, p->inbox->len);
	struct message_defaults defaults = {0};
	char error[200] = "";

	if (coap_parse(bytes, &m) == COAP_PARSED && !coap_is_request(m.code)) {
		if (m.type == COAP_ACK || m.type == COAP_RST)
			defaults.mid = &p->out_mid;
		defaults.token = &p->out_token;
	}
	return message_match(&s->variables, line, &defaults, bytes, error) || fail_datagram(p, line, error);
}

/* The next datagram that arrived at the device. */
static bool receive(struct peer *p, const char *line)
{
	struct script *s = p->script;
	struct span rest = line_rest(line);
	struct coap_message m;

	world_settle(&s->world);
	if (!p->inbox)
		return script_fail(s, "expected at %s: %.*s\n  came: nothing", p->name,
				   (int)MIN(rest.len, 800), (const char *)rest.data);
	if (!(span_is(rest, "again") ? expect_same(p) : expect_line(p, line)))
		return false;
	if (coap_parse(span_of(p->inbox->data, p->inbox->len), &m) == COAP_PARSED &&
	    coap_is_request(m.code)) {
		p->in_mid = m.mid;
		p->in_token = m.token;
	}
	p->last_in = *p->inbox;
	inbox_drop(p);
	return true;
}

static bool check_silence(struct script *s)
{
	world_settle(&s->world);
	for (size_t i = 0; i < s->peer_count; i++)
		if (s->peers[i].inbox)
			return fail_datagram(&s->peers[i], "silence", "something came");
	return !s->strays || script_fail(s, "%zu datagrams went to addresses of no device", s->strays);
}

static bool command_silence(struct script *s, const char *at)
{
	(void)at;
	return check_silence(s);
}

static bool command_drain(struct script *s, const char *at)
{
	struct span what = line_rest(at);

	world_settle(&s->world);
	for (size_t i = 0; i < s->peer_count; i++)
		while ((what.len == 0 || span_is(what, "datagrams")) && s->peers[i].inbox)
			inbox_drop(&s->peers[i]);
	if (what.len == 0 || span_is(what, "events"))
		northbound_drain(s);
	s->strays = 0;
	return true;
}

/* ---- the world ---- */

static bool command_wait(struct script *s, const char *at)
{
	uint64_t ms;

	if (!duration_parse(line_rest(at), &ms))
		return script_fail(s, "no duration");
	script_start(s);
	world_advance(&s->world, ms);
	return true;
}

static bool release(struct script *s, struct span how)
{
	int result = span_is(how, "fail") ? -EIO : STORE_DONE;

	if (!world_finish_write(&s->world, result))
		return script_fail(s, "no write waits");
	world_settle(&s->world);
	return true;
}

/* store ok|fail|hold|refuse, store release [ok|fail] (the oldest) */
static bool command_store(struct script *s, const char *at)
{
	static const struct {
		const char *name;
		enum store_mode mode;
	} modes[] = {{"ok", STORE_MODE_OK},
		     {"fail", STORE_MODE_FAIL},
		     {"hold", STORE_MODE_HOLD},
		     {"refuse", STORE_MODE_REFUSE}};
	struct span word;

	if (!word_next(&at, &word))
		return script_fail(s, "store what?");
	if (span_is(word, "release"))
		return release(s, line_rest(at));
	script_start(s);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!span_is(word, modes[i].name))
			continue;
		s->world.store.mode = modes[i].mode;
		world_settle(&s->world);
		return true;
	}
	return script_fail(s, "store what?");
}

/* crash [stored N]: of the writes under way the first N are in the store, and nobody was told. */
static bool command_crash(struct script *s, const char *at)
{
	struct span word;
	uint64_t stored = 0;

	if (word_next(&at, &word) &&
	    (!span_is(word, "stored") || !span_to_uint(line_rest(at), 1000, &stored)))
		return script_fail(s, "crash [stored N]");
	script_start(s);
	world_crash(&s->world, (size_t)stored);
	return true;
}

static bool parse_delay(struct network *n, struct span value)
{
	const uint8_t *dash = value.len ? memchr(value.data, '-', value.len) : NULL;
	struct span from = dash ? span_of(value.data, (size_t)(dash - value.data)) : value;
	struct span to = dash ? span_from(value, from.len + 1) : value;
	uint64_t min, max;

	if (!duration_parse(from, &min) || !duration_parse(to, &max) || max > 60000)
		return false;
	n->delay_min_ms = (uint32_t)min;
	n->delay_max_ms = (uint32_t)max;
	return true;
}

/* network [seed=N] [loss=PERCENT] [duplicate=PERCENT] [reorder=PERCENT] [delay=FROM-TO]; what is not named is
 * off. */
static bool command_network(struct script *s, const char *at)
{
	struct network *n = &s->world.network;
	struct span word, value;
	uint64_t number;

	n->loss = n->duplicate = n->reorder = 0;
	n->delay_min_ms = n->delay_max_ms = 0;
	while (word_next(&at, &word)) {
		if (word_value(word, "delay", &value) && parse_delay(n, value))
			continue;
		if (word_value(word, "seed", &value) && span_to_uint(value, UINT32_MAX, &number))
			random_init_seed(&n->random, number);
		else if (word_value(word, "loss", &value) && span_to_uint(value, 100, &number))
			n->loss = (unsigned)number;
		else if (word_value(word, "duplicate", &value) && span_to_uint(value, 100, &number))
			n->duplicate = (unsigned)number;
		else if (word_value(word, "reorder", &value) && span_to_uint(value, 100, &number))
			n->reorder = (unsigned)number;
		else
			return script_fail(s, "not understood: %.*s", (int)word.len, (const char *)word.data);
	}
	return true;
}

/* option NAME VALUE, before anything is sent */
static bool command_option(struct script *s, const char *at)
{
	struct lwm2m_config *c = &s->world.config;
	const struct {
		const char *name;
		uint32_t *value;
	} options[] = {
		{"ack-timeout", &c->coap.ack_timeout_ms},
		{"ack-random-permille", &c->coap.ack_random_permille},
		{"max-retransmit", &c->coap.max_retransmit},
		{"nstart", &c->coap.nstart},
		{"response-timeout", &c->coap.response_timeout_ms},
		{"max-waiting", &c->coap.max_waiting},
		{"lifetime-grace", &c->lifetime_grace_ms},
		{"default-lifetime", &c->default_lifetime_s},
		{"awake", &c->awake_ms},
		{"queue-max", &c->queue.requests_max},
		{"queue-attempts", &c->queue.attempts_max},
		{"queue-rate", &c->queue.rate},
		{"observe-rate", &c->observe_rate},
	};
	struct span name, value;
	uint64_t number;

	if (s->started || !word_next(&at, &name))
		return script_fail(s, "options stand before everything else");
	value = line_rest(at);
	if (span_is(name, "strict") || span_is(name, "queue")) {
		*(span_is(name, "strict") ? &c->strict : &s->world.no_queue) =
			span_is(value, span_is(name, "strict") ? "on" : "off");
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (!span_is(name, options[i].name))
			continue;
		if (!duration_parse(value, &number) || number > UINT32_MAX)
			return script_fail(s, "no number");
		*options[i].value = (uint32_t)number;
		return true;
	}
	return script_fail(s, "there is no such option");
}

/* bytes NAME = LIST */
static bool command_bytes(struct script *s, const char *at)
{
	struct byte_pattern *p = malloc(sizeof(*p));
	struct span name, word;
	bool fine;

	if (!p)
		abort();
	fine = word_next(&at, &name) && word_next(&at, &word) && span_is(word, "=") &&
	       byte_pattern_parse(&s->variables, at, p, s->error) &&
	       byte_string_set(&s->variables, name, span_of(p->value, p->len));
	free(p);
	return fine || script_fail(s, "bytes NAME = LIST");
}

/* same NAME NAME, differ NAME NAME: of variables */
static bool compare(struct script *s, const char *at, bool wanted)
{
	struct span a, b;
	const char *x, *y;

	if (!word_next(&at, &a) || !word_next(&at, &b))
		return script_fail(s, "two names of variables");
	x = variable_get(&s->variables, a);
	y = variable_get(&s->variables, b);
	if (!x || !y)
		return script_fail(s, "a variable is not set");
	return (strcmp(x, y) == 0) == wanted || script_fail(s, "they are %s and %s", x, y);
}

static bool command_same(struct script *s, const char *at)
{
	return compare(s, at, true);
}

static bool command_differ(struct script *s, const char *at)
{
	return compare(s, at, false);
}

/* soak [queue] devices=N seconds=N seed=N loss=.. duplicate=.. reorder=.. fail-permille=.. crashes=.. */
static bool command_soak(struct script *s, const char *at)
{
	struct soak_options o = {.devices = 10, .seconds = 1000, .seed = 1};
	struct span word, value;
	uint64_t number;
	bool (*run)(const struct soak_options *o, char error[400], char summary[200]) = soak_run;
	char error[400], summary[200];

	while (word_next(&at, &word)) {
		if (span_is(word, "queue")) {
			run = soak_queue_run;
			continue;
		}
		const struct {
			const char *name;
			unsigned *value;
		} options[] = {{"devices", &o.devices}, {"seconds", &o.seconds},
			       {"loss", &o.loss},	{"duplicate", &o.duplicate},
			       {"reorder", &o.reorder}, {"fail-permille", &o.fail_permille},
			       {"crashes", &o.crashes}};
		bool known = word_value(word, "seed", &value) && span_to_uint(value, UINT32_MAX, &o.seed);

		for (size_t i = 0; i < ARRAY_SIZE(options) && !known; i++) {
			known = word_value(word, options[i].name, &value) &&
				span_to_uint(value, 1000000, &number);
			if (known)
				*options[i].value = (unsigned)number;
		}
		if (!known)
			return script_fail(s, "not understood: %.*s", (int)word.len, (const char *)word.data);
	}
	if (!run(&o, error, summary))
		return script_fail(s, "seed %llu: %s (%s)", (unsigned long long)o.seed, error, summary);
	printf("# %s:%u: seed %llu: %s\n", s->path, s->line, (unsigned long long)o.seed, summary);
	return true;
}

/* ---- lines ---- */

static const struct {
	const char *name;
	bool (*run)(struct script *s, const char *at);
} commands[] = {
	{"device", command_device},   {"move", command_move},	    {"answers", command_answers},
	{"keep", command_keep},	      {"silence", command_silence}, {"drain", command_drain},
	{"wait", command_wait},	      {"store", command_store},	    {"crash", command_crash},
	{"network", command_network}, {"option", command_option},   {"bytes", command_bytes},
	{"same", command_same},	      {"differ", command_differ},   {"expect", expect_command},
	{"soak", command_soak},
};

/* lose, duplicate, delay D and persist in front of `>` and `again` */
static bool take_prefix(struct span *word, const char **at, struct sending *how)
{
	for (;;) {
		struct span duration;

		if (span_is(*word, "lose"))
			how->lost = true;
		else if (span_is(*word, "duplicate"))
			how->doubled = true;
		else if (span_is(*word, "persist"))
			how->persistent = true;
		else if (!span_is(*word, "delay"))
			return true;
		else if (!word_next(at, &duration) || !duration_parse(duration, &how->delay_ms))
			return false;
		if (!word_next(at, word))
			return false;
	}
}

/* ">", "<", "NAME>", "NAME<": the device, or NULL if the word is something else. */
static struct peer *arrow(struct script *s, struct span word, char sign)
{
	if (word.data[word.len - 1] != sign)
		return NULL;
	return word.len == 1 ? s->current : find_peer(s, span_of(word.data, word.len - 1));
}

static bool run_line(struct script *s, const char *at)
{
	struct sending how = {0};
	struct span word;
	struct peer *p;
	bool known;

	if (!word_next(&at, &word) || !take_prefix(&word, &at, &how))
		return script_fail(s, "not understood");
	if (span_is(word, "fails")) {
		if (run_line(s, at))
			return script_fail(s, "this line was expected to fail");
		return true;
	}
	if (arrow(s, word, '>') || arrow(s, word, '<') || span_is(word, "again"))
		script_start(s);
	if (span_is(word, "again"))
		return send_again(s, at, &how);
	if ((p = arrow(s, word, '>')))
		return send_line(p, at, &how);
	if ((p = arrow(s, word, '<')))
		return receive(p, at);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (span_is(word, commands[i].name))
			return commands[i].run(s, at);
	return (northbound_command(s, word, at, &known) && known) ||
	       (known ? false
		      : script_fail(s, "there is no command %.*s", (int)word.len, (const char *)word.data));
}

/* Cuts a comment: a # at the start or behind white space, outside of quotes. */
static void cut_comment(char *line)
{
	bool quoted = false;

	for (char *p = line; *p; p++) {
		if (*p == '"' && (p == line || p[-1] != '\\'))
			quoted = !quoted;
		if (*p == '\n' || (*p == '#' && !quoted && (p == line || p[-1] == ' ' || p[-1] == '\t'))) {
			*p = 0;
			return;
		}
	}
}

static bool run_file(struct script *s, FILE *file)
{
	char line[LINE_MAX_LEN];
	char text[400];

	while (fgets(line, sizeof(line), file)) {
		s->line++;
		cut_comment(line);
		if (line_rest(line).len > 0 && !run_line(s, line))
			return false;
	}
	if (!s->started)
		return true;
	if (!check_silence(s))
		return false;
	if (northbound_unread(s, text, sizeof(text)))
		return script_fail(s, "left at the end: %s", text);
	return true;
}

static void script_deinit(struct script *s)
{
	world_deinit(&s->world);
	northbound_deinit(s);
	for (size_t i = 0; i < PEERS_MAX; i++) {
		while (s->peers[i].inbox)
			inbox_drop(&s->peers[i]);
		free(s->peers[i].kept);
		free(s->peers[i].rules);
	}
	free(s->peers);
	variables_deinit(&s->variables);
	arena_deinit(&s->arena);
	free(s);
}

static struct script *script_new(const char *path)
{
	struct script *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->path = path;
	s->peers = calloc(PEERS_MAX, sizeof(*s->peers));
	for (size_t i = 0; s->peers && i < PEERS_MAX; i++) {
		s->peers[i].kept = calloc(KEPT_MAX, sizeof(*s->peers[i].kept));
		s->peers[i].rules = calloc(RULES_MAX, sizeof(*s->peers[i].rules));
		if (!s->peers[i].kept || !s->peers[i].rules)
			abort();
	}
	if (!s->peers)
		abort();
	arena_init(&s->arena, 1 << 20);
	world_init(&s->world, 1);
	s->world.arrive = arrive;
	s->world.ctx = s;
	return s;
}

bool script_run(const char *path, char **report)
{
	struct script *s = script_new(path);
	FILE *file = fopen(path, "r");
	bool passed = false;

	if (!file)
		script_fail(s, "it cannot be opened");
	else
		passed = run_file(s, file);
	*report = NULL;
	if (!passed && asprintf(report, "%s:%u: %s", path, s->line, s->error) < 0)
		abort();
	if (file)
		fclose(file);
	script_deinit(s);
	return passed;
}
