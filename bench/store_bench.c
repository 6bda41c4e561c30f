/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What a write costs in the embedded store, and how long a start takes, on the disk under the given
 * directory.
 *
 *   store_bench DIRECTORY [DEVICES [WRITES [TAIL_MAX]]]
 *
 * The hard idea is to measure CPU and not the disk: microseconds of user and system time of the whole process
 * (loop and pool) per write, with every commit's fdatasync; the wall-clock time per commit stands beside it.
 * The writes change no record: they are what an Update or a notification makes, with an event of 64 bytes,
 * for devices in random order.
 */

#include "base/clock.h"
#include "base/random.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <uv.h>

struct bench {
	uv_loop_t loop;
	struct store *store;
	struct store_options options;
	struct store_hot *hot; /* per device */
	uint64_t devices;
	struct random random;
	struct log log;
	size_t waiting;
	char url[512];
};

struct cpu {
	uint64_t user_us, system_us;
};

static uint64_t us_of(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static struct cpu cpu_now(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (struct cpu){us_of(u.ru_utime), us_of(u.ru_stime)};
}

static double cpu_ms_since(struct cpu began)
{
	struct cpu now = cpu_now();

	return (double)(now.user_us - began.user_us + now.system_us - began.system_us) / 1000;
}

static void die(const char *what, int result)
{
	fprintf(stderr, "%s: %d\n", what, result);
	exit(1);
}

static void written(void *ctx, const struct store_written *w)
{
	struct bench *b = ctx;

	if (w->result != STORE_DONE)
		die("write", w->result);
	b->waiting--;
}

static void write_device(struct bench *b, uint64_t index, enum store_record_change change)
{
	static const uint8_t body[64] = {1}, record[400] = {2};
	struct store_hot *hot = &b->hot[index];
	char endpoint[32];
	struct store_write w = {
		.hot = hot,
		.change = change,
		.event = 1,
		.event_body = span_of(body, sizeof(body)),
	};
	int err;

	snprintf(endpoint, sizeof(endpoint), "urn:imei:%012" PRIu64, index * 7919 % b->devices);
	w.key = (struct store_key){STORE_MANAGEMENT, span_str(endpoint)};
	if (change == STORE_RECORD_PUT)
		w.record = span_of(record, sizeof(record));
	hot->number++;
	hot->seen_ms = clock_wall_ms();
	w.dedup_index = hot->dedup.next;
	hot->dedup.entries[hot->dedup.next] =
		(struct coap_dedup_entry){(uint32_t)hot->number, (uint32_t)(hot->seen_ms / 1000), 1, 0x44, 0};
	hot->dedup.next = (uint8_t)((hot->dedup.next + 1) % COAP_DEDUP_ENTRIES);
	err = store_write(b->store, &w, written, b);
	if (err < 0)
		die("store_write", err);
	b->waiting++;
}

static void finish(struct bench *b)
{
	while (b->waiting)
		uv_run(&b->loop, UV_RUN_ONCE);
}

static void closed(void *ctx)
{
	*(bool *)ctx = true;
}

static void close_store(struct bench *b)
{
	bool done = false;

	store_close(b->store, closed, &done);
	while (!done)
		uv_run(&b->loop, UV_RUN_ONCE);
}

static int take(void *ctx, const struct store_device *device)
{
	struct bench *b = ctx;
	uint64_t suffix = strtoull((const char *)device->key.endpoint.data + strlen("urn:imei:"), NULL, 10);

	b->waiting += device->record.len > 0;
	b->hot[suffix] = device->hot;
	return 0;
}

static void open_store(struct bench *b)
{
	struct store_hot *by_name = b->hot;
	uint64_t began = clock_mono_ms(), opened, scanned;
	struct cpu cpu = cpu_now();
	double open_cpu_ms, scan_cpu_ms;
	struct store_stats stats;
	int err = store_open(b->url, &b->options, 1, &b->loop, &b->log, &b->store);

	if (err < 0)
		die("store_open", err);
	opened = clock_mono_ms();
	open_cpu_ms = cpu_ms_since(cpu);
	cpu = cpu_now();
	b->hot = calloc(b->devices, sizeof(*b->hot));
	err = b->hot ? store_scan(b->store, STORE_MANAGEMENT, take, b) : -1;
	if (err < 0)
		die("store_scan", err);
	scanned = clock_mono_ms();
	scan_cpu_ms = cpu_ms_since(cpu);
	store_stats(b->store, &stats);
	printf("start: %zu devices, tail %" PRIu64 ": open %" PRIu64 " ms (CPU %.0f), scan %" PRIu64
	       " ms (CPU %.0f)\n",
	       b->waiting, stats.tail, opened - began, open_cpu_ms, scanned - opened, scan_cpu_ms);
	b->waiting = 0;
	/* From the order of the endpoints to ours. */
	if (by_name)
		for (uint64_t i = 0; i < b->devices; i++)
			by_name[i] = b->hot[i * 7919 % b->devices];
	if (by_name) {
		free(b->hot);
		b->hot = by_name;
	}
}

static void measure(struct bench *b, size_t batch, uint64_t writes)
{
	struct cpu began = cpu_now(), ended;
	uint64_t began_ms = clock_mono_ms(), took_ms;
	struct store_stats before, after;

	store_stats(b->store, &before);
	for (uint64_t i = 0; i < writes; i += batch) {
		for (size_t j = 0; j < batch; j++)
			write_device(b, random_u64(&b->random) % b->devices, STORE_RECORD_KEEP);
		finish(b);
	}
	ended = cpu_now();
	took_ms = clock_mono_ms() - began_ms;
	store_stats(b->store, &after);
	printf("batch %4zu: CPU per write %6.2f us user, %6.2f us kernel; %7.0f writes/s, %.2f ms per "
	       "commit, file %" PRIu64 " MiB, tail %" PRIu64 "\n",
	       batch, (double)(ended.user_us - began.user_us) / (double)writes,
	       (double)(ended.system_us - began.system_us) / (double)writes,
	       (double)writes * 1000 / (double)MAX(took_ms, 1U),
	       (double)took_ms / (double)(after.commits - before.commits), after.file_bytes >> 20,
	       after.tail);
}

int main(int argc, char **argv)
{
	struct bench b = {.devices = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000};
	uint64_t writes = argc > 3 ? strtoull(argv[3], NULL, 10) : 640000;

	if (argc < 2 || b.devices == 0 || b.devices % 7919 == 0) {
		fprintf(stderr, "usage: store_bench DIRECTORY [DEVICES [WRITES [TAIL_MAX]]]\n");
		return 2;
	}
	log_init(&b.log, 2, LOG_INFO);
	random_init_seed(&b.random, 1);
	snprintf(b.url, sizeof(b.url), "lmdb:%s", argv[1]);
	uv_loop_init(&b.loop);
	store_options_init(&b.options);
	if (argc > 4)
		b.options.tail_max = (uint32_t)strtoul(argv[4], NULL, 10);
	open_store(&b);
	for (uint64_t i = 0; i < b.devices; i++) {
		b.hot[i].fence = (struct store_fence){1, 1, store_incarnation(b.store)};
		write_device(&b, i, STORE_RECORD_PUT);
		if (i % 4096 == 0)
			finish(&b);
	}
	finish(&b);
	close_store(&b);
	open_store(&b);
	measure(&b, 1, writes / 64);
	measure(&b, 16, writes / 4);
	measure(&b, 64, writes);
	measure(&b, 512, writes);
	close_store(&b);
	open_store(&b);
	close_store(&b);
	free(b.hot);
	uv_loop_close(&b.loop);
	return 0;
}
