/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Secrets are made by the server at its first start, so that one node needs no set-up; a cluster shares its
 * key by a file that the operator names. */

#include "daemon/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 4096 };

bool secret_path(const struct daemon_settings *s, const char *name, char *path, size_t size)
{
	static const char scheme[] = "lmdb:";
	int len;

	if (strncmp(s->store_url, scheme, strlen(scheme)) != 0)
		return false;
	len = snprintf(path, size, "%s/%s", s->store_url + strlen(scheme), name);
	return len > 0 && (size_t)len < size;
}

int secret_write(const char *path, struct span text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t written;

	if (fd < 0)
		return -errno;
	written = write(fd, text.data, text.len);
	if (written == (ssize_t)text.len && fsync(fd) == 0)
		return close(fd) < 0 ? -errno : 0;
	close(fd);
	unlink(path);
	return -EIO;
}

int secret_read(const char *path, struct buffer *out)
{
	FILE *f = fopen(path, "re");
	uint8_t block[4096];
	size_t got;
	int err;

	if (!f)
		return -errno;
	while ((got = fread(block, 1, sizeof(block), f)) > 0)
		buffer_bytes(out, span_of(block, got));
	err = ferror(f) ? -EIO : out->failed ? -EFBIG : 0;
	fclose(f);
	explicit_bzero(block, sizeof(block));
	return err;
}

int store_password(const struct daemon_settings *s, struct log *log, struct buffer *out)
{
	int err = s->store_password_file ? secret_read(s->store_password_file, out) : 0;

	if (err < 0)
		log_event(log, LOG_ERROR, "store-password-unusable", "path=\"%s\" error=\"%s\"",
			  s->store_password_file, strerror(-err));
	if (err < 0 || !out->len)
		return err;
	out->len = strcspn((const char *)out->data, "\r\n");
	out->data[out->len] = '\0';
	return 0;
}

static int make_key(const char *path, struct random *random, struct buffer *text)
{
	uint8_t secret[VAULT_SECRET];

	random_fill(random, secret, sizeof(secret));
	for (size_t i = 0; i < sizeof(secret); i++)
		buffer_printf(text, "%02x", secret[i]);
	buffer_str(text, "\n");
	explicit_bzero(secret, sizeof(secret));
	return text->failed ? -ENOMEM : secret_write(path, buffer_span(text));
}

/* The key in a file, which may be made if it is not there. Says what is wrong. */
static int load_key(const char *path, bool make, struct random *random, struct log *log,
		    struct vault_key *out)
{
	_cleanup_buffer_ struct buffer text = buffer_of(KEY_FILE_MAX);
	int err = secret_read(path, &text);

	if (err == -ENOENT && make) {
		err = make_key(path, random, &text);
		if (err == 0)
			log_event(log, LOG_INFO, "key-made",
				  "path=\"%s\" hint=\"keep a copy: it seals sessions and keys of devices in "
				  "the store\"",
				  path);
	}
	if (err == 0)
		err = vault_key_parse(buffer_span(&text), out);
	if (text.len)
		explicit_bzero(text.data, text.len);
	if (err < 0)
		log_event(log, LOG_ERROR, "cluster-key-unusable", "path=\"%s\" error=\"%s\"", path,
			  err == -EINVAL ? "it has to be 32 bytes, or 64 hexadecimal digits"
					 : strerror(-err));
	return err;
}

static int load_old_keys(const char *list, struct log *log, struct vault *vault)
{
	struct vault_key key;
	struct span item;
	int err = 0;

	while (err == 0 && settings_list_next(&list, &item)) {
		_cleanup_free_ char *path = span_dup(item);

		err = path ? load_key(path, false, NULL, log, &key) : -ENOMEM;
		if (err == 0)
			err = vault_add_key(vault, &key);
		if (err == -ENOSPC)
			log_event(log, LOG_ERROR, "cluster-key-unusable",
				  "path=\"%s\" error=\"more than %d old keys\"", path, VAULT_KEYS - 1);
	}
	explicit_bzero(&key, sizeof(key));
	return err;
}

int vault_load(const struct daemon_settings *s, uint64_t incarnation, struct random *random, struct log *log,
	       struct vault *out)
{
	uint8_t salt[VAULT_SALT];
	struct vault_key key;
	char path[PATH_MAX];
	int err;

	if (s->cluster_key_file) {
		snprintf(path, sizeof(path), "%s", s->cluster_key_file);
	} else if (!secret_path(s, "cluster.key", path, sizeof(path))) {
		log_event(log, LOG_ERROR, "cluster-key-unusable",
			  "hint=\"this store has no directory: set [node] cluster-key-file\"");
		return -EINVAL;
	}
	err = load_key(path, !s->cluster_key_file, random, log, &key);
	if (err < 0)
		return err;
	random_fill(random, salt, sizeof(salt));
	vault_init(out, &key, (uint32_t)s->node_id, incarnation, salt);
	explicit_bzero(&key, sizeof(key));
	return load_old_keys(s->old_cluster_key_files, log, out);
}
