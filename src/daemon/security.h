/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "base/random.h"
#include "daemon/settings.h"
#include "http/http.h"
#include "security/tokens.h"

struct uv_loop_s;

/* What guards the northbound side: HTTPS and tokens. */
struct security {
	const struct daemon_settings *settings;
	struct log *log;
	struct buffer certificate, key; /* PEM, NUL behind; empty without HTTPS */
	struct tokens *tokens;
};

/*
 * Settings of HTTP that do not go together are said on stderr, before anything is opened: -EINVAL. Fills in
 * what `http` has of address, access and HTTPS.
 */
int security_check(struct security *s, const struct daemon_settings *settings, struct log *log,
		   struct http_config *http) NODISCARD;
/*
 * Reads the tokens, while the loop turns; makes the first one of an administrator, into a file, if tokens are
 * needed and there is none. What fails is said in the log. Fills in what `http` has of them.
 */
int security_open(struct security *s, struct store *store, struct uv_loop_s *loop, struct random *random,
		  struct http_config *http) NODISCARD;
/* After the store was closed. Wipes secrets. */
void security_close(struct security *s);
