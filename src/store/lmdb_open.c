/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Opening and closing of the embedded store, and the syncs of durability `local`.
 *
 * The hard idea: opening takes over every device with one small write. The file counts its openings (the
 * epoch); that number is also the incarnation of the process, and a row that was written in an earlier epoch
 * belongs to this one, with a gen that is higher by the difference.
 *
 * Every way in which opening can fail says one line with the path and the cause, and leaves the file as it
 * was.
 */

#include "base/random.h"
#include "store/lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SYNC_INTERVAL_MS = 1000, SIZE_MIN = 1 << 20, RESERVE_MIN = 256 << 10, RESERVE_MAX = 64 << 20 };

static int complain(const struct lmdb *l, int error, const char *hint)
{
	log_event(l->log, LOG_ERROR, "store-open-failed", "path=%s error=\"%s\" hint=\"%s\"",
		  LOG_SPAN(span_str(l->path)), strerror(-error), hint);
	return error;
}

/* ---- directory ---- */

/* Makes the name of what was created in a directory last. */
static int sync_parent(const char *path)
{
	_cleanup_free_ char *parent = span_dup(span_str(path));
	char *slash;
	int fd, rc;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent ? 1 : 0] = '\0';
	fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int open_directory(struct lmdb *l)
{
	bool created = mkdir(l->path, 0700) == 0;
	int err;

	if (!created && errno != EEXIST)
		return complain(l, -errno, "the directory of the store cannot be created");
	l->directory = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->directory < 0)
		return complain(l, -errno, "the directory of the store cannot be opened");
	if (flock(l->directory, LOCK_EX | LOCK_NB) < 0) {
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		return complain(l, err,
				err == -EBUSY ? "another process has this store open" : "cannot be locked");
	}
	err = created ? sync_parent(l->path) : 0;
	return err < 0 ? complain(l, err, "the directory of the store cannot be synced") : 0;
}

/* ---- file ---- */

static const char *open_hint(int error)
{
	static const struct {
		int error;
		const char *hint;
	} hints[] = {
		{-EACCES, "this user may not write there"},
		{-EROFS, "the file system is mounted read-only"},
		{-ENOSPC, "free disk space, or set a larger size-max"},
		{-ENOMEM, "size-max is more than the address space or its limit allows"},
		{-EBADMSG, "data.mdb is damaged or something else: restore a backup"},
		{-EPROTO, "data.mdb was written by another version of LMDB"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (hints[i].error == error)
			return hints[i].hint;
	return "the store cannot be opened";
}

static int open_file(struct lmdb *l)
{
	unsigned flags = MDB_NOTLS | (l->options.durability == STORE_LOCAL ? MDB_NOSYNC : 0);
	MDB_stat stat;
	int err = lmdb_error(mdb_env_create(&l->env));

	if (err == 0)
		err = lmdb_error(mdb_env_set_mapsize(l->env, (size_t)l->options.size_max));
	if (err == 0)
		err = lmdb_error(mdb_env_set_maxdbs(l->env, STORE_TABLES));
	if (err == 0)
		err = lmdb_error(mdb_env_open(l->env, l->path, flags, 0600));
	if (err == 0 && fsync(l->directory) < 0)
		err = -errno;
	if (err < 0)
		return complain(l, err, open_hint(err));
	mdb_env_stat(l->env, &stat);
	l->page_bytes = stat.ms_psize;
	return 0;
}

/* A file that is LMDB's but not ours must not be written to. */
static int check_foreign(struct lmdb *l, MDB_txn *txn)
{
	MDB_stat stat;
	MDB_dbi root, meta;
	int err = lmdb_error(mdb_dbi_open(txn, NULL, 0, &root));

	if (err == 0)
		err = lmdb_error(mdb_stat(txn, root, &stat));
	if (err < 0 || stat.ms_entries == 0)
		return err < 0 ? complain(l, err, open_hint(err)) : 0;
	err = lmdb_error(mdb_dbi_open(txn, store_table_name(STORE_META), 0, &meta));
	return err < 0 ? complain(l, -EBADMSG, "data.mdb belongs to another program") : 0;
}

static int check_format(struct lmdb *l, MDB_txn *txn, struct store_format *format)
{
	struct span value;
	int err = lmdb_get(l, txn, STORE_META, span_str(STORE_META_FORMAT), &value);

	if (err == -ENOENT) {
		struct random random;

		random_init_kernel(&random);
		*format = (struct store_format){.format = STORE_FORMAT};
		random_fill(&random, format->hash_key.bytes, sizeof(format->hash_key.bytes));
		return 0;
	}
	if (err == 0 && !store_format_decode(value, format))
		err = -EBADMSG;
	if (err < 0)
		return complain(l, err, open_hint(err));
	if (format->format <= STORE_FORMAT)
		return 0;
	log_event(l->log, LOG_ERROR, "store-open-failed",
		  "path=%s error=\"the store has format %" PRIu32 ", this program knows up to %d\" "
		  "hint=\"start the newer version that wrote it\"",
		  LOG_SPAN(span_str(l->path)), format->format, STORE_FORMAT);
	return -EPROTO;
}

static int open_tables(struct lmdb *l, MDB_txn *txn)
{
	for (size_t i = 0; i < STORE_TABLES; i++) {
		int err = lmdb_error(
			mdb_dbi_open(txn, store_table_name((enum store_table)i), MDB_CREATE, &l->tables[i]));

		if (err < 0)
			return complain(l, err, open_hint(err));
	}
	return 0;
}

/* Checks what the file is, and counts this opening. */
static int take_over(struct lmdb *l)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct store_format format;
	MDB_txn *committed;
	struct writer w;
	int err = lmdb_error(mdb_txn_begin(l->env, NULL, 0, &txn));

	if (err < 0)
		return complain(l, err, open_hint(err));
	err = check_foreign(l, txn);
	if (err == 0)
		err = open_tables(l, txn);
	if (err == 0)
		err = check_format(l, txn, &format);
	if (err < 0)
		return err;
	l->epoch = ++format.epoch;
	l->base.hash_key = format.hash_key;
	l->base.incarnation = l->epoch;
	err = lmdb_put(l, txn, STORE_META, span_str(STORE_META_FORMAT), STORE_FORMAT_BYTES, 0, &w);
	if (err == 0) {
		store_format_encode(&w, &format);
		committed = txn;
		txn = NULL; /* a commit ends it, whatever it returns */
		err = lmdb_error(mdb_txn_commit(committed));
	}
	if (err == 0)
		err = lmdb_error(mdb_env_sync(l->env, 1));
	return err < 0 ? complain(l, err, open_hint(err)) : 0;
}

static int load(struct lmdb *l)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int err = lmdb_error(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn));

	if (err == 0)
		err = lmdb_load(l, txn);
	return err < 0 ? complain(l, err, open_hint(err)) : 0;
}

/* ---- the struct ---- */

static struct lmdb *lmdb_free(struct lmdb *l)
{
	if (!l)
		return NULL;
	lmdb_batch_deinit(l);
	overlay_deinit(&l->overlay);
	if (l->env)
		mdb_env_close(l->env);
	if (l->directory >= 0)
		close(l->directory);
	free(l->lease);
	free(l->path);
	free(l);
	return NULL;
}

static void cleanup_lmdb(struct lmdb **l)
{
	*l = lmdb_free(*l);
}

static struct lmdb *lmdb_new(const char *where, const struct store_options *options, uint32_t node,
			     struct log *log)
{
	struct lmdb *l = calloc(1, sizeof(*l));
	struct random random;

	if (!l)
		return NULL;
	l->base.backend = &lmdb_backend;
	l->options = *options;
	/* So that events alone cannot fill the file, and a tail can always be trimmed in the end. */
	l->options.journal_bytes_max = MAX(MIN(options->journal_bytes_max, options->size_max / 2), 4096U);
	l->reserve = MIN(MAX(options->size_max / 8, (uint64_t)RESERVE_MIN), (uint64_t)RESERVE_MAX);
	l->node = node;
	l->log = log;
	l->directory = -1;
	random_init_kernel(&random);
	random_fill(&random, l->overlay_key.bytes, sizeof(l->overlay_key.bytes));
	lmdb_batch_init(l);
	lmdb_reads_init(l);
	l->path = span_dup(span_str(where));
	l->lease = calloc(1, sizeof(*l->lease));
	return l->path && l->lease ? l : lmdb_free(l);
}

static int check_options(const struct lmdb *l)
{
	if (l->options.durability == STORE_REPLICA)
		return complain(l, -EINVAL, "durability replica needs Redis");
	if (l->options.size_max < SIZE_MIN || l->options.size_max > SIZE_MAX)
		return complain(l, -EINVAL, "size-max must be at least 1M");
	return 0;
}

static void start(struct lmdb *l, uv_loop_t *loop)
{
	l->loop = loop;
	uv_idle_init(loop, &l->turn);
	uv_timer_init(loop, &l->spacing);
	uv_timer_init(loop, &l->reads.spacing);
	uv_timer_init(loop, &l->sync.timer);
	/* What is not synced yet is no reason to stay: closing syncs. */
	uv_unref((uv_handle_t *)&l->sync.timer);
	l->handles = 4;
}

static int lmdb_open(const char *url, const struct store_options *options, uint32_t node,
		     struct uv_loop_s *loop, struct log *log, struct store **out)
{
	_cleanup_(cleanup_lmdb) struct lmdb *l = lmdb_new(url + strlen("lmdb:"), options, node, log);
	uint64_t began_us = lmdb_now_us();
	int err;

	if (!l)
		return -ENOMEM;
	err = check_options(l);
	if (err == 0)
		err = open_directory(l);
	if (err == 0)
		err = open_file(l);
	if (err == 0)
		err = take_over(l);
	if (err == 0)
		err = load(l);
	if (err < 0)
		return err;
	start(l, loop);
	log_event(log, LOG_INFO, "store-open",
		  "path=%s devices=%" PRIu64 " incarnation=%" PRIu64 " journal=%" PRIu64 "..%" PRIu64
		  " replayed=%" PRIu64 " took_ms=%" PRIu64,
		  LOG_SPAN(span_str(l->path)), l->state.devices, l->base.incarnation, l->state.first,
		  l->state.sequence, l->state.sequence - l->state.checkpoint,
		  (lmdb_now_us() - began_us) / 1000);
	*out = &l->base;
	l = NULL;
	return 0;
}

/* ---- syncs of durability `local` ---- */

static void sync_job(uv_work_t *work)
{
	struct lmdb *l = container_of(work, struct lmdb, sync.work);

	l->sync.error = lmdb_error(mdb_env_sync(l->env, 1));
}

static void sync_done(uv_work_t *work, int status)
{
	struct lmdb *l = container_of(work, struct lmdb, sync.work);

	assert(status == 0); /* nobody cancels it */
	l->sync.running = false;
	if (l->sync.error < 0)
		lmdb_fail(l, l->sync.error, "a sync failed");
	else if (l->sync.dirty && !l->closing)
		lmdb_sync_later(l);
	lmdb_wake(l);
}

static void sync_start(struct lmdb *l)
{
	int err;

	l->sync.dirty = false;
	l->sync.running = true;
	err = uv_queue_work(l->loop, &l->sync.work, sync_job, sync_done);
	assert(err == 0);
}

static void sync_due(uv_timer_t *timer)
{
	struct lmdb *l = container_of(timer, struct lmdb, sync.timer);

	if (!l->sync.running)
		sync_start(l);
}

void lmdb_sync_later(struct lmdb *l)
{
	if (l->options.durability != STORE_LOCAL)
		return;
	l->sync.dirty = true;
	if (!uv_is_active((uv_handle_t *)&l->sync.timer) && !l->sync.running)
		uv_timer_start(&l->sync.timer, sync_due, SYNC_INTERVAL_MS, 0);
}

/* ---- closing ---- */

static void handle_closed(uv_handle_t *handle)
{
	struct lmdb *l = handle->data;
	void (*closed)(void *ctx) = l->closed;
	void *ctx = l->closed_ctx;

	if (--l->handles)
		return;
	lmdb_free(l);
	closed(ctx);
}

static void close_handle(struct lmdb *l, uv_handle_t *handle)
{
	handle->data = l;
	uv_close(handle, handle_closed);
}

void lmdb_close_step(struct lmdb *l)
{
	if (!l->closing || uv_is_closing((uv_handle_t *)&l->turn))
		return;
	if (l->commit.running || l->gathering->first || l->reads.count || l->sync.running)
		return;
	if (l->sync.dirty && !l->unhealthy) {
		sync_start(l);
		return;
	}
	close_handle(l, (uv_handle_t *)&l->turn);
	close_handle(l, (uv_handle_t *)&l->spacing);
	close_handle(l, (uv_handle_t *)&l->reads.spacing);
	close_handle(l, (uv_handle_t *)&l->sync.timer);
}

static void lmdb_close(struct store *s, void (*closed)(void *ctx), void *ctx)
{
	struct lmdb *l = lmdb_of(s);

	assert(!l->closing);
	l->closing = true;
	l->closed = closed;
	l->closed_ctx = ctx;
	lmdb_wake(l);
}

/* ---- what is known without asking ---- */

static bool lmdb_healthy(const struct store *s, const char **why)
{
	const struct lmdb *l = container_of(s, struct lmdb, base);

	if (l->unhealthy)
		*why = l->unhealthy;
	return !l->unhealthy;
}

static struct store_cursor lmdb_events_end(const struct store *s)
{
	return container_of(s, struct lmdb, base)->state.end;
}

static void lmdb_on_events(struct store *s, void (*grown)(void *ctx), void *ctx)
{
	struct lmdb *l = lmdb_of(s);

	l->grown = grown;
	l->grown_ctx = ctx;
}

static void lmdb_stats(const struct store *s, struct store_stats *out)
{
	const struct lmdb *l = container_of(s, struct lmdb, base);
	const struct lmdb_state *state = &l->state;

	*out = l->stats;
	out->devices = state->devices;
	out->journal_first = state->first;
	out->journal_last = state->sequence;
	out->journal_bytes = state->bytes;
	out->tail = state->sequence - state->checkpoint;
	out->size_max = l->options.size_max;
	out->events_trimmed = state->events_trimmed;
}

/* What the disk does not answer, it will not answer later either: see lmdb_healthy. */
static uint64_t lmdb_silent_ms(const struct store *s)
{
	(void)s;
	return 0;
}

const struct store_backend lmdb_backend = {
	.open = lmdb_open,
	.close = lmdb_close,
	.healthy = lmdb_healthy,
	.stats = lmdb_stats,
	.write = lmdb_write,
	.claim = lmdb_claim,
	.find = lmdb_find,
	.scan = lmdb_scan,
	.index_find = lmdb_index_find,
	.events_read = lmdb_events_read,
	.events_end = lmdb_events_end,
	.on_events = lmdb_on_events,
	.document_put = lmdb_document_put,
	.document_delete = lmdb_document_delete,
	.document_get = lmdb_document_get,
	.document_list = lmdb_document_list,
	.request_add = lmdb_request_add,
	.request_set = lmdb_request_set,
	.request_list = lmdb_request_list,
	.lease_take = lmdb_lease_take,
	.lease_drop = lmdb_lease_drop,
	.lease_list = lmdb_lease_list,
	.now_ms = lmdb_now_ms,
	.silent_ms = lmdb_silent_ms,
};
