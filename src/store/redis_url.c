/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * URLs of Redis: redis://[USER@]HOST[:PORT][/DB], rediss:// for TLS, redis+unix:///PATH; behind a question
 * mark prefix=NAME and db=NUMBER, with & between. Passwords are not taken from a URL, which everybody sees
 * who lists processes.
 */

#include "store/redis_url.h"

#include <ctype.h>
#include <errno.h>

enum { PORT = 6379, DB_MAX = 1 << 20 };

void redis_target_deinit(struct redis_target *t)
{
	if (t->password)
		explicit_bzero(t->password, strlen(t->password));
	free(t->host);
	free(t->path);
	free(t->user);
	free(t->password);
	*t = (struct redis_target){0};
}

static struct span before(struct span s, char c)
{
	const uint8_t *at = s.len ? memchr(s.data, c, s.len) : NULL;

	return at ? span_of(s.data, (size_t)(at - s.data)) : s;
}

static const char *set_prefix(struct redis_target *t, struct span name)
{
	if (name.len == 0 || name.len > REDIS_PREFIX_MAX - 1)
		return "the prefix has to have 1 to 31 characters";
	for (size_t i = 0; i < name.len; i++) {
		if (!isalnum(name.data[i]) && !strchr("-_.:", name.data[i]))
			return "a prefix has letters, digits and -_.: alone";
	}
	memcpy(t->prefix, name.data, name.len);
	memcpy(t->prefix + name.len, ":", 2);
	return NULL;
}

static const char *set_db(struct redis_target *t, struct span text)
{
	uint64_t db;

	if (!span_to_uint(text, DB_MAX, &db))
		return "the database has to be a number";
	t->db = (uint32_t)db;
	return NULL;
}

static const char *parse_query(struct redis_target *t, struct span query)
{
	const char *wrong = NULL;

	while (!wrong && query.len) {
		struct span item = before(query, '&'), name = before(item, '=');
		struct span value = span_from(item, name.len + 1);

		if (span_is(name, "prefix"))
			wrong = set_prefix(t, value);
		else if (span_is(name, "db"))
			wrong = set_db(t, value);
		else
			wrong = "behind the question mark there may be prefix= and db=";
		query = span_from(query, item.len + 1);
	}
	return wrong;
}

/* HOST, HOST:PORT, [IPV6], [IPV6]:PORT */
static const char *parse_authority(struct redis_target *t, struct span s)
{
	struct span host = before(s, ':'), rest;
	uint64_t port = PORT;

	if (s.len && s.data[0] == '[') {
		host = before(span_from(s, 1), ']');
		rest = span_from(s, host.len + 2);
		if (host.len + 2 > s.len)
			return "a bracket is missing";
	} else {
		rest = span_from(s, host.len);
	}
	if (rest.len && (rest.data[0] != ':' || !span_to_uint(span_from(rest, 1), 65535, &port) || port == 0))
		return "the port has to be a number from 1 to 65535";
	if (host.len == 0)
		return "there is no host";
	t->port = (uint16_t)port;
	t->host = span_dup(host);
	return t->host ? NULL : "no memory";
}

static const char *parse_place(struct redis_target *t, struct span s)
{
	struct span authority = before(s, '/'), user = before(authority, '@');
	struct span db = span_from(s, authority.len + 1);
	const char *wrong = NULL;

	if (user.len < authority.len) {
		if (before(user, ':').len < user.len)
			return "a password must not be in the URL: use password-file";
		t->user = span_dup(user);
		if (!t->user)
			return "no memory";
		authority = span_from(authority, user.len + 1);
	}
	if (db.len)
		wrong = set_db(t, db);
	return wrong ? wrong : parse_authority(t, authority);
}

const char *redis_url_parse(const char *url, struct redis_target *t)
{
	struct span all = span_str(url), scheme = before(all, ':'), rest = span_from(all, scheme.len + 1);
	struct span place = before(rest, '?');
	bool is_path = span_is(scheme, "redis+unix");
	const char *wrong;

	*t = (struct redis_target){.tls = span_is(scheme, "rediss"), .prefix = "shoal:"};
	if (place.len < 2 || memcmp(place.data, "//", 2) != 0)
		return "there have to be two slashes behind the colon";
	wrong = parse_query(t, span_from(rest, place.len + 1));
	place = span_from(place, 2);
	if (wrong)
		return wrong;
	if (!is_path)
		return parse_place(t, place);
	if (place.len < 2 || place.data[0] != '/')
		return "the path of a socket has to begin with a slash";
	t->path = span_dup(place);
	return t->path ? NULL : "no memory";
}
