/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The codecs behind a pipe, for tests in another language. Commands are lines:
 *
 *   root PREFIX                      the alternate path from now on ("-": none)
 *   decode FORMAT PATH HEX           answered by records and "end", or by "error OUTCOME TEXT"
 *   encode FORMAT PATH               followed by records and "end"; answered by "ok HEX" or "error ..."
 *
 * A record is "PATH TYPE TIME VALUE FLAG": the time in milliseconds or "-"; bytes as hex behind an x, a float
 * as the hex of its 64 bits, the rest in decimal, "-" for nothing; the flag is "-", "misfit" or "extra".
 * Object 42800 has every type: resource n is single and of type n, n + 100 the same with instances.
 */

#include "codec/codec.h"

#include <errno.h>
#include <stdio.h>

enum { EVERY_TYPE = 42800, EVERY_MULTIPLE = 100, LIMIT = 64 << 20, NOW_S = 1700000000 };

struct pipe {
	struct model model;
	struct arena arena;
	struct buffer out;
	char *root;
	char *line;
	size_t line_size;
};

static void fail(const char *what)
{
	fprintf(stderr, "codec_pipe: %s\n", what);
	exit(2);
}

static void *checked(void *memory)
{
	if (!memory)
		fail("out of memory");
	return memory;
}

/* A line without its end; NULL at the end of the input. */
static char *next_line(struct pipe *p)
{
	ssize_t len = getline(&p->line, &p->line_size, stdin);

	if (len <= 0)
		return NULL;
	if (p->line[len - 1] == '\n')
		p->line[len - 1] = '\0';
	return p->line;
}

static struct span from_hex(struct pipe *p, const char *hex)
{
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = checked(arena_alloc(&p->arena, len + 1));

	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			fail("no hex");
		bytes[i] = (uint8_t)byte;
	}
	return span_of(bytes, len);
}

static void print_hex(struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		printf("%02x", bytes.data[i]);
}

static void print_value(const struct value *v)
{
	char text[VALUE_TEXT];
	uint64_t bits;

	switch (v->type) {
	case VALUE_NONE:
		printf("-");
		break;
	case VALUE_STRING:
	case VALUE_CORELNK:
	case VALUE_OPAQUE:
		printf("x");
		print_hex(v->bytes);
		break;
	case VALUE_FLOAT:
		memcpy(&bits, &v->real, sizeof(bits));
		printf("%016llx", (unsigned long long)bits);
		break;
	default:
		printf("%.*s", (int)value_format(v, text), text);
	}
}

static void print_records(const struct records *list)
{
	char path[PATH_TEXT];

	for (size_t i = 0; i < list->count; i++) {
		const struct record *r = &list->items[i];

		printf("%s %s ", path_format(&r->path, path), value_type_name(r->value.type));
		if (r->timed)
			printf("%lld ", (long long)r->time_ms);
		else
			printf("- ");
		print_value(&r->value);
		printf(" %s\n", r->misfit ? "misfit" : r->extra ? "extra" : "-");
	}
	printf("end\n");
}

static struct value parse_value(struct pipe *p, enum value_type type, const char *text)
{
	struct value v = {.type = type};
	uint64_t bits;

	if (type == VALUE_NONE)
		return v;
	if (*text == 'x') {
		v.bytes = from_hex(p, text + 1);
	} else if (type == VALUE_FLOAT) {
		bits = strtoull(text, NULL, 16);
		memcpy(&v.real, &bits, sizeof(bits));
	} else {
		v = (struct value){.type = VALUE_STRING, .bytes = span_str(text)};
		if (!value_coerce(&v, type, NULL))
			fail("no value of its type");
	}
	return v;
}

static void parse_record(struct pipe *p, char *line, struct records *list)
{
	char *save = NULL, *path = strtok_r(line, " ", &save), *type = strtok_r(NULL, " ", &save);
	char *time = strtok_r(NULL, " ", &save), *value = strtok_r(NULL, " ", &save);
	struct record r = {0};

	if (!value || !path_parse(span_str(path), &r.path))
		fail("no record");
	r.timed = *time != '-' || time[1];
	r.time_ms = r.timed ? strtoll(time, NULL, 10) : 0;
	r.value = parse_value(p, value_type_find(span_str(type)), value);
	if (records_add(list, &r))
		fail("out of memory");
}

static struct codec_context context_for(struct pipe *p, const char *path)
{
	struct codec_context c = {
		.model = &p->model, .arena = &p->arena, .root = span_str(p->root), .now_ms = NOW_S * 1000ULL};

	if (!path || !path_parse(span_str(path), &c.base))
		fail("no path");
	c.any_path = c.base.depth == PATH_ROOT;
	return c;
}

static void decode(struct pipe *p, uint16_t format, const char *path, const char *hex)
{
	struct codec_context c = context_for(p, path);
	struct records list = records_of(&p->arena);
	int rc = codec_decode(&c, format, from_hex(p, hex ? hex : ""), &list);

	if (rc)
		printf("error %d %s\n", rc, c.error);
	else
		print_records(&list);
}

static void encode(struct pipe *p, uint16_t format, const char *path)
{
	struct codec_context c = context_for(p, path);
	struct records list = records_of(&p->arena);
	char *line;
	int rc;

	while ((line = next_line(p)) && strcmp(line, "end") != 0)
		parse_record(p, line, &list);
	p->out.len = 0;
	rc = codec_encode(&c, format, list.items, list.count, &p->out);
	if (rc) {
		printf("error %d %s\n", rc, c.error);
		return;
	}
	printf("ok ");
	print_hex(buffer_span(&p->out));
	printf("\n");
}

static void set_root(struct pipe *p, const char *root)
{
	free(p->root);
	p->root = checked(strdup(root && strcmp(root, "-") != 0 ? root : ""));
}

static void run(struct pipe *p)
{
	char *line;

	while ((line = next_line(p))) {
		char *save = NULL, *command = strtok_r(line, " ", &save), *first = strtok_r(NULL, " ", &save);
		char *path = checked(strdup(save ? save : "")), *hex = strchr(path, ' ');
		uint16_t format = (uint16_t)strtoul(first ? first : "", NULL, 10);

		if (hex)
			*hex++ = '\0';
		if (!command)
			fail("no command");
		else if (strcmp(command, "root") == 0)
			set_root(p, first);
		else if (strcmp(command, "decode") == 0)
			decode(p, format, path, hex);
		else if (strcmp(command, "encode") == 0)
			encode(p, format, path);
		else
			fail("unknown command");
		free(path);
		fflush(stdout);
		arena_reset(&p->arena);
	}
}

static struct object_def *every_type(void)
{
	struct object_def *o = checked(calloc(1, sizeof(*o) + 2 * VALUE_TYPES * sizeof(struct resource_def)));
	struct resource_def *r = (struct resource_def *)(o + 1);

	*o = (struct object_def){
		.id = EVERY_TYPE, .version = {1, 0}, .multiple = true, .name = "every type", .resources = r};
	for (unsigned multiple = 0; multiple < 2; multiple++)
		for (unsigned type = VALUE_NONE + 1; type < VALUE_TYPES; type++)
			r[o->resource_count++] =
				(struct resource_def){.id = (uint16_t)(type + multiple * EVERY_MULTIPLE),
						      .type = (uint8_t)type,
						      .multiple = multiple};
	return o;
}

int main(void)
{
	struct pipe p = {.out = buffer_of(LIMIT)};
	struct registry *registry = checked(registry_new());

	if (registry_take(registry, every_type()))
		fail("out of memory");
	p.model = (struct model){.registry = registry, .lwm2m = {1, 1}};
	arena_init(&p.arena, LIMIT);
	set_root(&p, NULL);
	run(&p);
	arena_deinit(&p.arena);
	buffer_deinit(&p.out);
	registry_free(registry);
	free(p.root);
	free(p.line);
	return 0;
}
