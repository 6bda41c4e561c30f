/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * LMDB's calls in our types: spans for its values, negative errno for its two kinds of error numbers, a
 * writer into the page for what is put. Leaves out what the tables mean.
 */

#include "store/lmdb.h"

#include <errno.h>

static const struct {
	int theirs, ours;
} errors[] = {
	{MDB_NOTFOUND, -ENOENT},
	/* No place in the file, or none for the file. */
	{MDB_MAP_FULL, -ENOSPC},
	{EDQUOT, -ENOSPC},
	{EFBIG, -ENOSPC},
	{MDB_TXN_FULL, -ENOMEM},
	{MDB_VERSION_MISMATCH, -EPROTO},
	{MDB_INVALID, -EBADMSG},
	{MDB_CORRUPTED, -EBADMSG},
	{MDB_PAGE_NOTFOUND, -EBADMSG},
	{MDB_INCOMPATIBLE, -EBADMSG},
};

int lmdb_error(int rc)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (rc == errors[i].theirs)
			return errors[i].ours;
	/* The rest of LMDB's own are about a broken environment. */
	return rc < 0 ? -EIO : -rc;
}

static MDB_val val_of(struct span s)
{
	return (MDB_val){s.len, (void *)(uintptr_t)s.data};
}

int lmdb_get(const struct lmdb *l, MDB_txn *txn, enum store_table table, struct span key, struct span *value)
{
	MDB_val k = val_of(key), v = {0};
	int rc = mdb_get(txn, l->tables[table], &k, &v);

	*value = rc == MDB_SUCCESS ? span_of(v.mv_data, v.mv_size) : (struct span){NULL, 0};
	return lmdb_error(rc);
}

int lmdb_put(const struct lmdb *l, MDB_txn *txn, enum store_table table, struct span key, size_t size,
	     unsigned flags, struct writer *w)
{
	MDB_val k = val_of(key), v = {size, NULL};
	int rc = mdb_put(txn, l->tables[table], &k, &v, flags | MDB_RESERVE);

	*w = rc == MDB_SUCCESS ? writer_of(v.mv_data, size) : writer_of(NULL, 0);
	return lmdb_error(rc);
}

int lmdb_delete(const struct lmdb *l, MDB_txn *txn, enum store_table table, struct span key)
{
	MDB_val k = val_of(key);
	int rc = mdb_del(txn, l->tables[table], &k, NULL);

	return rc == MDB_NOTFOUND ? 0 : lmdb_error(rc);
}

int lmdb_cursor(const struct lmdb *l, MDB_txn *txn, enum store_table table, MDB_cursor **out)
{
	return lmdb_error(mdb_cursor_open(txn, l->tables[table], out));
}

int lmdb_move(MDB_cursor *cursor, struct span *key, struct span *value, MDB_cursor_op op)
{
	MDB_val k = val_of(*key), v = {0};
	int rc = mdb_cursor_get(cursor, &k, &v, op);

	if (rc != MDB_SUCCESS)
		return lmdb_error(rc);
	*key = span_of(k.mv_data, k.mv_size);
	*value = span_of(v.mv_data, v.mv_size);
	return 0;
}

/* In LMDB's table of free pages every value is a list that begins with its length, in the machine's own form.
 */
static int free_pages(MDB_txn *txn, uint64_t *pages)
{
	enum { FREE_TABLE = 0 };
	_cleanup_cursor_ MDB_cursor *cursor = NULL;
	struct span key = {0}, value = {0};
	int err = lmdb_error(mdb_cursor_open(txn, FREE_TABLE, &cursor));

	*pages = 0;
	while (err == 0 && (err = lmdb_move(cursor, &key, &value, MDB_NEXT)) == 0) {
		size_t count;

		if (value.len < sizeof(count))
			return -EBADMSG;
		memcpy(&count, value.data, sizeof(count));
		*pages += count;
	}
	return err == -ENOENT ? 0 : err;
}

int lmdb_used_bytes(const struct lmdb *l, MDB_txn *txn, uint64_t *out)
{
	uint64_t pages = 0;
	MDB_envinfo info;
	int err;

	mdb_env_info(l->env, &info);
	err = free_pages(txn, &pages);
	*out = (info.me_last_pgno + 1 - MIN(pages, info.me_last_pgno + 1)) * l->page_bytes;
	return err;
}
