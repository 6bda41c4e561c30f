/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* See child.h. The child is this program again, with arguments of its own. */

#include "child.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what is written ---- */

enum { RECORD_EVERY = 7 };

const char *child_endpoint(char name[16], uint32_t device)
{
	snprintf(name, 16, "child-%u", device);
	return name;
}

struct store_hot child_hot(uint64_t number)
{
	struct store_hot hot = {.number = number, .mark = number * 3, .seen_ms = number * 5};

	for (uint64_t n = number > COAP_DEDUP_ENTRIES ? number - COAP_DEDUP_ENTRIES : 0; n < number; n++) {
		hot.dedup.entries[n % COAP_DEDUP_ENTRIES] = (struct coap_dedup_entry){
			.hash = (uint32_t)(n * 2654435761U),
			.time_s = CLOCK_START_S,
			.mid = (uint16_t)n,
			.code = 0x44,
		};
		hot.dedup.next = (uint8_t)((n + 1) % COAP_DEDUP_ENTRIES);
	}
	return hot;
}

uint64_t child_record_number(uint64_t number)
{
	return (number - 1) / RECORD_EVERY * RECORD_EVERY + 1;
}

/* ---- the child ---- */

struct writer_of_one {
	struct run *run;
	uint32_t device;
	struct store_fence fence;
	unsigned under_way;
	bool failing;	 /* writes nothing until those under way are back */
	uint64_t stored; /* the last that was called back as stored */
};

struct run {
	struct store *store;
	uv_loop_t loop;
	struct writer_of_one devices[CHILD_DEVICES];
	bool failed_before;
};

static void report(enum child_report_type type, uint32_t device, uint64_t number, int64_t error)
{
	struct child_report r = {type, device, number, error};

	if (write(STDOUT_FILENO, &r, sizeof(r)) != (ssize_t)sizeof(r))
		_exit(3);
}

static void start_writes(struct writer_of_one *d);

static void written(void *ctx, const struct store_written *w)
{
	struct writer_of_one *d = ctx;
	const char *why;

	d->under_way--;
	if (w->result == STORE_DONE) {
		d->stored++;
		report(CHILD_STORED, d->device, d->stored, 0);
		if (d->run->failed_before)
			report(CHILD_RECOVERED, d->device, d->stored, 0);
	} else {
		report(CHILD_FAILED, d->device, d->stored + 1, w->result);
		d->failing = true;
		d->run->failed_before = true;
		if (!store_healthy(d->run->store, &why)) {
			report(CHILD_UNHEALTHY, d->device, 0, w->result);
			_exit(0);
		}
	}
	if (d->failing && d->under_way)
		return;
	d->failing = false;
	start_writes(d);
}

static void start_writes(struct writer_of_one *d)
{
	while (d->under_way < CHILD_DEPTH) {
		uint64_t number = d->stored + d->under_way + 1;
		bool puts = child_record_number(number) == number;
		struct store_hot hot = child_hot(number);
		char name[16], text[32];
		struct store_write w = {
			.key = device_key(child_endpoint(name, d->device)),
			.hot = &hot,
			.dedup_index = (int)((number - 1) % COAP_DEDUP_ENTRIES),
			.change = puts ? STORE_RECORD_PUT : STORE_RECORD_KEEP,
			.event = 1,
		};
		int err;

		hot.fence = d->fence;
		snprintf(text, sizeof(text), "%" PRIu64, number);
		w.event_body = span_str(text);
		if (puts)
			w.record = span_str(text);
		err = store_write(d->run->store, &w, written, d);
		if (err < 0) {
			report(CHILD_FAILED, d->device, number, err);
			_exit(0);
		}
		d->under_way++;
	}
}

static int load_device(void *ctx, const struct store_device *device)
{
	struct run *r = ctx;
	struct writer_of_one *d;
	unsigned index;

	char name[16] = "";

	memcpy(name, device->key.endpoint.data, MIN(device->key.endpoint.len, sizeof(name) - 1));
	if (sscanf(name, "child-%u", &index) != 1 || index >= CHILD_DEVICES)
		return -EBADMSG;
	d = &r->devices[index];
	d->stored = device->hot.number;
	d->fence = device->hot.fence;
	return 0;
}

struct claim {
	struct run *run;
	bool done;
	int result;
	struct store_fence owner;
};

static void claimed(void *ctx, int result, const struct store_device *device)
{
	struct claim *c = ctx;

	c->done = true;
	c->result = result;
	if (!device)
		return;
	c->owner = device->hot.fence;
	if (result == STORE_DONE)
		(void)load_device(c->run, device);
}

/* Of a former process, if nobody has taken it over at the opening. */
static void claim_device(struct run *r, uint32_t device)
{
	struct claim c = {.run = r, .owner.node = 1};
	char name[16];

	do {
		c.done = false;
		if (store_claim(r->store, device_key(child_endpoint(name, device)), &c.owner, claimed, &c) <
		    0)
			_exit(1);
		while (!c.done)
			uv_run(&r->loop, UV_RUN_ONCE);
	} while (c.result == STORE_REFUSED &&
		 (c.owner.incarnation != store_incarnation(r->store) || c.owner.node != 7));
}

int child_main(int argc, char **argv)
{
	static struct run r;
	struct store_options options;
	struct log log;

	if (argc < 4)
		return 2;
	log_init(&log, STDERR_FILENO, LOG_WARN);
	clock_set((uint64_t)CLOCK_START_S * 1000);
	store_options_init(&options);
	options.wall_ms = clock_now;
	options.size_max = (uint64_t)256 << 20;
	options.tail_max = (uint32_t)strtoul(argv[3], NULL, 10);
	uv_loop_init(&r.loop);
	if (store_open(argv[2], &options, 7, &r.loop, &log, &r.store) < 0)
		return 1;
	for (uint32_t i = 0; i < CHILD_DEVICES; i++)
		r.devices[i] = (struct writer_of_one){
			.run = &r, .device = i, .fence = {7, 1, store_incarnation(r.store)}};
	if (store_scan(r.store, STORE_MANAGEMENT, load_device, &r) < 0)
		return 1;
	for (uint32_t i = 0; i < CHILD_DEVICES; i++)
		claim_device(&r, i);
	report(CHILD_OPENED, 0, 0, 0);
	for (uint32_t i = 0; i < CHILD_DEVICES; i++)
		start_writes(&r.devices[i]);
	uv_run(&r.loop, UV_RUN_DEFAULT);
	return 1; /* it never runs out of work */
}

/* ---- the parent ---- */

void child_start(struct child *c, const struct place *place, uint32_t tail_max, const char *const *wrapper)
{
	const char *args[32];
	char tail[16];
	size_t n = 0;
	int fds[2];

	for (; wrapper && *wrapper; wrapper++)
		args[n++] = *wrapper;
	snprintf(tail, sizeof(tail), "%u", tail_max);
	args[n++] = "/proc/self/exe";
	args[n++] = "--child";
	args[n++] = place->url;
	args[n++] = tail;
	args[n] = NULL;
	assert_int_equal(pipe2(fds, 0), 0);
	fflush(NULL);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		char self[512];
		ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

		self[MAX(len, 0)] = '\0';
		setpgid(0, 0); /* so that what is wrapped ends with its wrapper */
		args[n - 4] = self;
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execvp(args[0], (char *const *)(uintptr_t)args);
		_exit(127);
	}
	setpgid(c->pid, c->pid);
	close(fds[1]);
	c->pipe = fds[0];
}

bool child_read(struct child *c, int timeout_ms, struct child_report *out)
{
	size_t got = 0;

	/* Once a report has begun, the rest of it follows, or the child is dead. */
	while (got < sizeof(*out)) {
		struct pollfd p = {.fd = c->pipe, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, got ? 10000 : timeout_ms) <= 0)
			return false;
		n = read(c->pipe, (uint8_t *)out + got, sizeof(*out) - got);
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

void child_kill(struct child *c)
{
	assert_int_equal(kill(-c->pid, SIGKILL), 0);
}

int child_wait(struct child *c)
{
	int status;

	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	close(c->pipe);
	return status;
}

/* ---- checking ---- */

/* Every event of every device exactly once, in order; returns how far each device's go. */
static void check_log(struct fixture *f, uint64_t last[CHILD_DEVICES])
{
	struct store_cursor at = {0};
	const struct events *e;

	memset(last, 0, CHILD_DEVICES * sizeof(*last));
	while ((e = events_now(f, at, EVENTS_KEPT))->count) {
		assert_false(e->gap);
		for (size_t i = 0; i < e->count; i++) {
			unsigned device;

			assert_int_equal(sscanf(e->items[i].endpoint, "child-%u", &device), 1);
			assert_int_equal(strtoull(e->items[i].body, NULL, 10), last[device] + 1);
			last[device]++;
		}
		at = e->next;
	}
}

void child_check_store(struct fixture *f, const uint64_t stored[CHILD_DEVICES])
{
	uint64_t last[CHILD_DEVICES];
	char name[16];

	/* The events of a child that wrote faster than its clock goes. */
	clock_advance(60000);
	check_log(f, last);
	for (uint32_t i = 0; i < CHILD_DEVICES; i++) {
		const struct found *found = find_now(f, device_key(child_endpoint(name, i)));
		struct store_hot expected;

		/* What was acknowledged is there; what was under way may be. */
		assert_true(last[i] >= stored[i]);
		assert_true(last[i] <= stored[i] + CHILD_DEPTH);
		if (last[i] == 0)
			continue;
		assert_int_equal(found->result, STORE_DONE);
		expected = child_hot(last[i]);
		expected.fence = found->hot.fence;
		assert_hot_equal(&found->hot, &expected);
		if (embedded(&f->place))
			assert_int_equal(found->hot.fence.incarnation, f->fence.incarnation);
		assert_int_equal(strtoull(found->record, NULL, 10), child_record_number(last[i]));
	}
}
