/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/siphash.h"

/* An IP address and UDP/TCP port. IPv4-mapped IPv6 addresses are always held as IPv4, so equality is equality
 * of the bytes. `scope` is the interface of a link-local address, else 0. */
struct address {
	uint8_t ip[16]; /* IPv4 in the first four bytes, the rest zero */
	uint32_t scope;
	uint16_t port;
	uint8_t family;	  /* 4 or 6; 0: none */
	uint8_t listener; /* index of the local socket it was seen on and is answered from */
};

/* The family of addresses that name a DTLS association instead of a place (dtls/endpoint.h); `ip` is its
 * handle. */
enum { ADDRESS_ASSOCIATION = 254 };
enum { ADDRESS_TEXT = 72 }; /* room for any address in text, with NUL */

/* Compares all but nothing more: family, ip, port, scope, listener. */
bool address_equal(const struct address *a, const struct address *b);
uint64_t address_hash(const struct siphash_key *key, const struct address *a);
/* "192.0.2.7:56830" or "[2001:db8::1]:5683", "[fe80::1%2]:5683". Returns `text`. */
const char *address_format(const struct address *a, char text[ADDRESS_TEXT]);
/* Parses "host:port", "[v6]:port", ":port" (any address, both families: family 6, ip zero), or "port".
 * Numeric only; -EINVAL otherwise. listener is set to 0. */
int address_parse(const char *text, struct address *out) NODISCARD;
/* IPv4 as a mapped address, ::ffff:192.0.2.7, and back: the form of a socket that serves both families. */
void address_get_ip6(const struct address *a, uint8_t ip[16]);
void address_set_ip6(struct address *a, const uint8_t ip[16], uint32_t scope);
bool address_is_loopback(const struct address *a);
/* A wildcard: 0.0.0.0 or [::]. */
bool address_is_any(const struct address *a);
