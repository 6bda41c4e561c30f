/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Addresses as plain bytes. The one idea is that there is one form for each: a mapped IPv4 address becomes
 * IPv4, unused bytes are zero, and the struct has no padding, so equality and hash are those of its memory.
 * Leaves out names: nothing here asks a resolver.
 */

#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static_assert(sizeof(struct address) == 24, "no padding: compared and hashed as bytes");

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool address_equal(const struct address *a, const struct address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

uint64_t address_hash(const struct siphash_key *key, const struct address *a)
{
	return siphash(key, span_of(a, sizeof(*a)));
}

void address_set_ip6(struct address *a, const uint8_t ip[16], uint32_t scope)
{
	memset(a->ip, 0, sizeof(a->ip));
	a->scope = scope;
	if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		a->family = 4;
		memcpy(a->ip, ip + sizeof(mapped_prefix), 4);
		return;
	}
	a->family = 6;
	memcpy(a->ip, ip, sizeof(a->ip));
}

void address_get_ip6(const struct address *a, uint8_t ip[16])
{
	if (a->family == 6) {
		memcpy(ip, a->ip, sizeof(a->ip));
		return;
	}
	memcpy(ip, mapped_prefix, sizeof(mapped_prefix));
	memcpy(ip + sizeof(mapped_prefix), a->ip, 4);
}

const char *address_format(const struct address *a, char text[ADDRESS_TEXT])
{
	char ip[INET6_ADDRSTRLEN];

	if (a->family != 4 && a->family != 6) {
		strcpy(text, "none");
		return text;
	}
	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, ip, sizeof(ip));
	if (a->family == 4)
		snprintf(text, ADDRESS_TEXT, "%s:%u", ip, a->port);
	else if (a->scope)
		snprintf(text, ADDRESS_TEXT, "[%s%%%u]:%u", ip, a->scope, a->port);
	else
		snprintf(text, ADDRESS_TEXT, "[%s]:%u", ip, a->port);
	return text;
}

/* The inside of the brackets: an IPv6 address, perhaps with "%" and the number of an interface. */
static bool parse_ip6(struct span s, struct address *out)
{
	const uint8_t *percent = s.len ? memchr(s.data, '%', s.len) : NULL;
	size_t len = percent ? (size_t)(percent - s.data) : s.len;
	char text[INET6_ADDRSTRLEN];
	uint64_t scope = 0;
	uint8_t ip[16];

	if (len >= sizeof(text))
		return false;
	if (percent && !span_to_uint(span_from(s, len + 1), UINT32_MAX, &scope))
		return false;
	memcpy(text, s.data, len);
	text[len] = '\0';
	if (inet_pton(AF_INET6, text, ip) != 1)
		return false;
	address_set_ip6(out, ip, (uint32_t)scope);
	return true;
}

static bool parse_ip4(struct span s, struct address *out)
{
	char text[INET_ADDRSTRLEN];

	if (s.len >= sizeof(text))
		return false;
	memcpy(text, s.data, s.len);
	text[s.len] = '\0';
	out->family = 4;
	return inet_pton(AF_INET, text, out->ip) == 1;
}

static bool parse_host(struct span host, struct address *out)
{
	if (host.len == 0) {
		out->family = 6;
		return true;
	}
	if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		return parse_ip6(span_of(host.data + 1, host.len - 2), out);
	return parse_ip4(host, out);
}

int address_parse(const char *text, struct address *out)
{
	const char *colon = strrchr(text, ':');
	struct address parsed = {0};
	uint64_t port;

	if (!span_to_uint(span_str(colon ? colon + 1 : text), UINT16_MAX, &port))
		return -EINVAL;
	if (!parse_host(span_of(text, colon ? (size_t)(colon - text) : 0), &parsed))
		return -EINVAL;
	parsed.port = (uint16_t)port;
	*out = parsed;
	return 0;
}

bool address_is_loopback(const struct address *a)
{
	static const uint8_t loopback6[16] = {[15] = 1};

	if (a->family == 4)
		return a->ip[0] == 127;
	return a->family == 6 && memcmp(a->ip, loopback6, sizeof(loopback6)) == 0;
}

bool address_is_any(const struct address *a)
{
	static const uint8_t zero[16];

	return (a->family == 4 || a->family == 6) && memcmp(a->ip, zero, a->family == 4 ? 4 : 16) == 0;
}
