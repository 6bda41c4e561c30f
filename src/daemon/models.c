/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The operator's object definitions: from a directory, and from the store. */

#include "daemon/models.h"

#include "base/bytes.h"
#include "model/ddf.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

struct load {
	struct registry *registry;
	struct log *log;
	size_t loaded;
	bool done;
	int result;
};

static void add(struct load *l, const char *from, struct span xml, enum object_origin origin)
{
	char error[DDF_ERROR];
	size_t count;
	int err = ddf_load(l->registry, xml, origin, &count, error);

	if (err == 0)
		l->loaded += count;
	else
		log_event(l->log, LOG_ERROR, "model-refused", "from=\"%s\" error=\"%s\"", from,
			  err < 0 ? strerror(-err) : error);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int read_file(const char *path, struct buffer *out)
{
	_cleanup_(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char block[4096];
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, block, sizeof(block))) > 0)
		buffer_bytes(out, span_of(block, (size_t)got));
	return got < 0 ? -errno : out->failed ? -EFBIG : 0;
}

static int is_definition(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 4 && strcmp(entry->d_name + len - 4, ".xml") == 0;
}

static int load_directory(struct load *l, const char *directory)
{
	struct dirent **entries = NULL;
	int count = scandir(directory, &entries, is_definition, alphasort);

	if (count < 0) {
		int err = -errno;

		log_event(l->log, LOG_ERROR, "cannot-read-models", "directory=\"%s\" error=\"%s\"", directory,
			  strerror(-err));
		return err;
	}
	for (int i = 0; i < count; i++) {
		_cleanup_buffer_ struct buffer xml = buffer_of(DDF_SIZE_MAX);
		char path[4096];
		int err;

		snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
		err = read_file(path, &xml);
		if (err == 0)
			add(l, path, buffer_span(&xml), ORIGIN_FILE);
		else
			log_event(l->log, LOG_ERROR, "model-refused", "from=\"%s\" error=\"%s\"", path,
				  strerror(-err));
		free(entries[i]);
	}
	free(entries);
	return 0;
}

static void on_document(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct load *l = ctx;
	char from[64];

	(void)version;
	if (result == STORE_DONE) {
		snprintf(from, sizeof(from), "store:%.*s", (int)name.len, (const char *)name.data);
		add(l, from, body, ORIGIN_STORED);
		return;
	}
	l->done = true;
	l->result = result < 0 ? result : 0;
}

int models_load(struct registry *registry, const char *directory, struct store *store, struct uv_loop_s *loop,
		struct log *log)
{
	struct load l = {.registry = registry, .log = log};
	int err = directory ? load_directory(&l, directory) : 0;

	if (!err)
		err = store_document_list(store, STORE_MODEL, span_str(""), SIZE_MAX, on_document, &l);
	while (!err && !l.done)
		uv_run(loop, UV_RUN_ONCE);
	if (!err)
		err = l.result;
	if (!err && l.loaded > 0)
		log_event(log, LOG_INFO, "models-loaded", "count=%zu", l.loaded);
	return err;
}

/* ---- what another node changed ---- */

struct reload {
	struct registry *registry;
	struct log *log;
	char name[24];
};

static void remove_named(struct registry *registry, const char *name)
{
	unsigned object;
	struct object_version version;

	if (sscanf(name, "%5u/%3hhu.%3hhu", &object, &version.major, &version.minor) == 3 &&
	    object <= UINT16_MAX)
		(void)registry_remove(registry, (uint16_t)object, version, ORIGIN_STORED);
}

static void on_reloaded(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct reload *r = ctx;
	struct load l = {.registry = r->registry, .log = r->log};

	(void)name;
	(void)version;
	if (result == STORE_DONE)
		add(&l, r->name, body, ORIGIN_STORED);
	else if (result == STORE_ABSENT)
		remove_named(r->registry, r->name);
	free(r);
}

void models_reload(struct registry *registry, struct store *store, struct log *log, struct span name)
{
	struct reload *r = name.len < sizeof(r->name) ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return;
	r->registry = registry;
	r->log = log;
	if (name.len)
		memcpy(r->name, name.data, name.len);
	if (name.len == 0 || store_document_get(store, STORE_MODEL, name, on_reloaded, r) < 0)
		free(r);
}
