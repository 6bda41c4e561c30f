/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "base/log.h"
#include "base/random.h"
#include "daemon/settings.h"
#include "dtls/vault.h"

/* Files with secrets: the cluster key, the server's own key, the first token. */

/* PATH_MAX bytes. False: there is no directory of the store, so every file has to be named. */
bool secret_path(const struct daemon_settings *s, const char *name, char *path, size_t size);
/* Makes a file that only its owner reads, on the disk when this returns. -EEXIST and others of open(2). */
int secret_write(const char *path, struct span text) NODISCARD;
/* All of a file. -EFBIG: more than `out` takes; errors of open(2). */
int secret_read(const char *path, struct buffer *out) NODISCARD;
/* The first line of [store] password-file; empty without that setting. Says what is wrong. */
int store_password(const struct daemon_settings *s, struct log *log, struct buffer *out) NODISCARD;
/*
 * The vault of this process, with the key of [node] cluster-key-file - or of the store's directory, where it
 * is made at the first start - and the old ones. Says what is wrong.
 */
int vault_load(const struct daemon_settings *s, uint64_t incarnation, struct random *random, struct log *log,
	       struct vault *out) NODISCARD;
