/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Checks of Host and Origin. Without authentication the loopback address is the fence, and the browser of a
 * person at this machine is the hole in it: any page it shows can send requests here. The browser's own
 * headers close it.
 */

#include "http/guard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

struct authority {
	char host[256]; /* without brackets */
	bool bracketed;
	char port[8]; /* "" if there is none */
};

static bool is_port(const char *text)
{
	size_t len = strlen(text);

	return len >= 1 && len <= 5 && strspn(text, "0123456789") == len;
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static bool authority_parse(const char *text, struct authority *out)
{
	const char *end;
	size_t len;

	out->bracketed = *text == '[';
	if (out->bracketed)
		text++;
	end = strpbrk(text, out->bracketed ? "]" : ":");
	if (out->bracketed && !end)
		return false;
	len = end ? (size_t)(end - text) : strlen(text);
	if (len == 0 || len >= sizeof(out->host))
		return false;
	memcpy(out->host, text, len);
	out->host[len] = 0;
	out->port[0] = 0;
	if (out->bracketed)
		end++;
	if (!end || !*end)
		return true;
	if (*end != ':' || !is_port(end + 1))
		return false;
	snprintf(out->port, sizeof(out->port), "%.5s", end + 1);
	return true;
}

static bool is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t len = strlen(host), suffix = sizeof(name) - 1;

	if (len < suffix || strcasecmp(host + len - suffix, name))
		return false;
	return len == suffix || host[len - suffix - 1] == '.';
}

bool guard_host_is_local(const char *host)
{
	struct authority a;
	struct in6_addr ip;

	if (!authority_parse(host, &a))
		return false;
	if (a.bracketed)
		return inet_pton(AF_INET6, a.host, &ip) == 1;
	return inet_pton(AF_INET, a.host, &ip) == 1 || is_localhost(a.host);
}

bool guard_origin_is_host(const char *origin, const char *host)
{
	static const struct {
		const char *scheme, *port;
	} schemes[] = {{"http://", "80"}, {"https://", "443"}};
	struct authority from, to;

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i].scheme);

		if (strncasecmp(origin, schemes[i].scheme, len))
			continue;
		if (!authority_parse(origin + len, &from) || !authority_parse(host, &to))
			return false;
		return from.bracketed == to.bracketed && !strcasecmp(from.host, to.host) &&
		       !strcmp(from.port[0] ? from.port : schemes[i].port,
			       to.port[0] ? to.port : schemes[i].port);
	}
	return false;
}
