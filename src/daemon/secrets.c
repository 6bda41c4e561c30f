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

int cluster_key_load(const struct daemon_settings *s, struct random *random, struct log *log,
		     struct vault_key *out)
{
	_cleanup_buffer_ struct buffer text = buffer_of(KEY_FILE_MAX);
	const char *named = s->cluster_key_file;
	char path[PATH_MAX];
	int err;

	if (named)
		snprintf(path, sizeof(path), "%s", named);
	else if (!secret_path(s, "cluster.key", path, sizeof(path)))
		return -EINVAL;
	err = secret_read(path, &text);
	if (err == -ENOENT && !named) {
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
