/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What decoding a payload costs, in nanoseconds of CPU: an answer to a read of /3/0 as LwM2M's examples have
 * it, 16 values.
 *
 *   bench-codec        prints a line NAME NANOSECONDS for each
 *
 * libcbor's streaming decoder over the same bytes, with callbacks that do nothing, is the floor for SenML
 * CBOR: it finds the items and understands nothing of them. The measurements take turns, many times, and the
 * best of each counts, because what others do on the machine can only add.
 */

#include "codec/codec.h"

#include <cbor.h>
#include <stdio.h>
#include <time.h>

enum { PAYLOAD_MAX = 256, RECORDS = 16, ROUNDS = 60, REPEATS = 2000, ARENA_MAX = 1 << 20 };

static const char *const senml_cbor[] = {
	"90",
	"a3 21 65 2f332f302f 00 61 30 03 74 4f70656e204d6f62696c6520416c6c69616e6365", /* base name /3/0/ */
	"a2 00 61 31 03 76 4c69676874776569676874204d324d20436c69656e74",
	"a2 00 61 32 03 69 333435303030313233",
	"a2 00 61 33 03 63 312e30",
	"a2 00 63 362f30 02 01",
	"a2 00 63 362f31 02 05",
	"a2 00 63 372f30 02 190ed8",
	"a2 00 63 372f31 02 191388",
	"a2 00 63 382f30 02 187d",
	"a2 00 63 382f31 02 190384",
	"a2 00 61 39 02 1864",
	"a2 00 62 3130 02 0f",
	"a2 00 64 31312f30 02 00",
	"a2 00 62 3133 02 1a5182428f",
	"a2 00 62 3134 03 66 2b30323a3030",
	"a2 00 62 3136 03 61 55",
	NULL,
};

static const char *const tlv[] = {
	"c8 00 14 4f70656e204d6f62696c6520416c6c69616e6365",
	"c8 01 16 4c69676874776569676874204d324d20436c69656e74",
	"c8 02 09 333435303030313233",
	"c3 03 312e30",
	"86 06 41 00 01 41 01 05",
	"88 07 08 42 00 0ed8 42 01 1388",
	"87 08 41 00 7d 42 01 0384",
	"c1 09 64",
	"c1 0a 0f",
	"83 0b 41 00 00",
	"c4 0d 5182428f",
	"c6 0e 2b30323a3030",
	"c1 10 55",
	NULL,
};

struct codec_bench {
	struct codec_context context;
	struct model model;
	struct arena arena;
	struct registry *registry;
	uint8_t bytes[PAYLOAD_MAX];
	struct span payload;
};

typedef bool measured(struct codec_bench *b);

/* Octets from pairs of hexadecimal digits, with spaces between some. */
static struct span octets(const char *const *lines, uint8_t bytes[PAYLOAD_MAX])
{
	size_t len = 0;

	for (; *lines; lines++)
		for (const char *at = *lines; *at; at += *at == ' ' ? 1 : 2) {
			char pair[3] = {at[0], at[1], 0};

			assert(len < PAYLOAD_MAX);
			if (*at != ' ')
				bytes[len++] = (uint8_t)strtoul(pair, NULL, 16);
		}
	return span_of(bytes, len);
}

static bool decode(struct codec_bench *b, uint16_t format)
{
	struct records records;

	arena_reset(&b->arena);
	records = records_of(&b->arena);
	return codec_decode(&b->context, format, b->payload, &records) == CODEC_OK &&
	       records.count == RECORDS;
}

static bool decode_senml_cbor(struct codec_bench *b)
{
	return decode(b, FORMAT_SENML_CBOR);
}

static bool decode_tlv(struct codec_bench *b)
{
	return decode(b, FORMAT_TLV);
}

static bool decode_libcbor(struct codec_bench *b)
{
	struct span left = b->payload;

	while (left.len) {
		struct cbor_decoder_result result =
			cbor_stream_decode(left.data, left.len, &cbor_empty_callbacks, NULL);

		if (result.status != CBOR_DECODER_FINISHED)
			return false;
		left = span_from(left, result.read);
	}
	return true;
}

static const struct {
	const char *name;
	const char *const *payload;
	measured *run;
} measurements[] = {
	{"senml_cbor_decode_ns", senml_cbor, decode_senml_cbor},
	{"libcbor_stream_ns", senml_cbor, decode_libcbor},
	{"tlv_decode_ns", tlv, decode_tlv},
};

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Nanoseconds for one; 0 if it went wrong. */
static double measure(struct codec_bench *b, size_t which)
{
	uint64_t began = cpu_ns();
	bool good = true;

	b->payload = octets(measurements[which].payload, b->bytes);
	for (unsigned i = 0; i < REPEATS; i++)
		good = measurements[which].run(b) && good;
	return good ? (double)(cpu_ns() - began) / REPEATS : 0;
}

static int measure_all(struct codec_bench *b)
{
	double best[ARRAY_SIZE(measurements)] = {0};

	for (unsigned round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_SIZE(measurements); i++) {
			double took = measure(b, i);

			if (took <= 0) {
				fprintf(stderr, "bench-codec: %s went wrong: %s\n", measurements[i].name,
					b->context.error);
				return 1;
			}
			if (round == 0 || took < best[i])
				best[i] = took;
		}
	for (size_t i = 0; i < ARRAY_SIZE(measurements); i++)
		printf("%s %.1f\n", measurements[i].name, best[i]);
	return 0;
}

int main(void)
{
	struct codec_bench b = {.registry = registry_new()};
	int status;

	if (!b.registry)
		return 1;
	arena_init(&b.arena, ARENA_MAX);
	b.model = (struct model){.registry = b.registry, .lwm2m = {1, 1}};
	b.context = (struct codec_context){.model = &b.model,
					   .base = {{3, 0}, PATH_INSTANCE},
					   .now_ms = 1700000000000,
					   .arena = &b.arena};
	status = measure_all(&b);
	arena_deinit(&b.arena);
	registry_free(b.registry);
	return status;
}
