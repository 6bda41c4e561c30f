/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What guards the northbound side. The one hard idea is that a server which nobody has prepared is safe and
 * usable: if tokens are needed and there are none, an administrator's is made at the first start, and put
 * beside the store in a file that only this user can read.
 */

#include "daemon/security.h"

#include "base/clock.h"
#include "daemon/secrets.h"
#include "security/certificate.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

enum { PEM_MAX = 256 << 10 };

/* ---- HTTPS and the address ---- */

static int load_pem(const char *setting, const char *path, struct buffer *out)
{
	int err;

	*out = buffer_of(PEM_MAX);
	if (!path)
		return 0;
	err = secret_read(path, out);
	if (!err && !out->len)
		err = -ENODATA;
	if (err)
		fprintf(stderr, "shoald: [http] %s: cannot read '%s': %s\n", setting, path, strerror(-err));
	return err;
}

static int load_pair(struct security *s)
{
	const struct daemon_settings *set = s->settings;
	char words[CERTIFICATE_WORDS];
	int err;

	if (!set->http_certificate != !set->http_key) {
		fprintf(stderr,
			"shoald: [http] certificate and key: one is set and the other is not; HTTPS takes "
			"both\n");
		return -EINVAL;
	}
	err = load_pem("certificate", set->http_certificate, &s->certificate);
	if (!err)
		err = load_pem("key", set->http_key, &s->key);
	if (err || !set->http_certificate)
		return err;
	err = certificate_pair_check(buffer_span(&s->certificate), buffer_span(&s->key), words);
	if (err)
		fprintf(stderr, "shoald: [http] certificate '%s' and key '%s' cannot be used: %s\n",
			set->http_certificate, set->http_key, err == -EINVAL ? words : strerror(-err));
	return err;
}

int security_check(struct security *s, const struct daemon_settings *settings, struct log *log,
		   struct http_config *http)
{
	const char *text = settings->http_listen, *wrong;

	s->settings = settings;
	s->log = log;
	if (address_parse(text, &http->listen) < 0) {
		fprintf(stderr, "shoald: [http] listen: '%s' is not an address such as 127.0.0.1:8080\n",
			text);
		return -EINVAL;
	}
	if (load_pair(s))
		return -EINVAL;
	http->insecure_allow_remote = settings->http_insecure_allow_remote;
	http->require_token = (enum http_require_token)settings->http_require_token;
	if (s->certificate.len) {
		http->tls_certificate = (const char *)s->certificate.data;
		http->tls_key = (const char *)s->key.data;
	}
	wrong = http_config_refusal(http);
	if (wrong)
		fprintf(stderr, "shoald: [http] listen: '%s' %s\n", text, wrong);
	return wrong ? -EINVAL : 0;
}

/* ---- the first token ---- */

struct first {
	bool done;
	int result;
	const char *path;
};

static void on_loaded(void *ctx, int result)
{
	struct first *f = ctx;

	f->done = true;
	f->result = result;
}

static void on_created(void *ctx, int result, const struct token *token, const char *text)
{
	struct first *f = ctx;
	char line[TOKEN_TEXT + 1];

	(void)token;
	f->done = true;
	f->result = result;
	if (result)
		return;
	snprintf(line, sizeof(line), "%s\n", text);
	f->result = secret_write(f->path, span_str(line));
	explicit_bzero(line, sizeof(line));
}

static int turn_until(struct first *f, struct uv_loop_s *loop, int err)
{
	while (!err && !f->done)
		uv_run(loop, UV_RUN_ONCE);
	return err ? err : f->result;
}

/* A file that is there already is an older token's. */
static int make_admin_token(struct security *s, struct uv_loop_s *loop)
{
	char path[PATH_MAX];
	struct first f = {.path = path};
	int err;

	if (s->settings->http_admin_token_file) {
		snprintf(path, sizeof(path), "%s", s->settings->http_admin_token_file);
	} else if (!secret_path(s->settings, "admin-token", path, sizeof(path))) {
		log_event(s->log, LOG_ERROR, "cannot-make-token",
			  "hint=\"callers need a token and there is none yet: set [http] admin-token-file to "
			  "where the "
			  "first one may be written\"");
		return -EINVAL;
	}
	err = unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	if (!err)
		err = turn_until(&f, loop,
				 tokens_create(s->tokens, TOKEN_ADMIN, span_str("first"), 0, on_created, &f));
	if (err)
		log_event(s->log, LOG_ERROR, "cannot-make-token", "file=\"%s\" error=\"%s\"", path,
			  strerror(-err));
	else
		log_event(s->log, LOG_WARN, "admin-token-made",
			  "file=\"%s\" hint=\"make others with shoalctl --token-file FILE token create, then "
			  "remove it\"",
			  path);
	return err;
}

int security_open(struct security *s, struct store *store, struct uv_loop_s *loop, struct random *random,
		  struct http_config *http)
{
	struct first f = {0};
	bool make;
	int err;

	s->tokens = http->tokens = tokens_new(store, random, clock_wall_ms);
	if (!s->tokens)
		return -ENOMEM;
	err = turn_until(&f, loop, tokens_load(s->tokens, on_loaded, &f));
	make = s->settings->new_admin_token || (http_config_needs_token(http) && !tokens_count(s->tokens));
	return err || !make ? err : make_admin_token(s, loop);
}

void security_close(struct security *s)
{
	tokens_free(s->tokens);
	if (s->key.data)
		explicit_bzero(s->key.data, s->key.cap);
	buffer_deinit(&s->key);
	buffer_deinit(&s->certificate);
}
