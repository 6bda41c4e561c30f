/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * "coap://host:port" to an address. What has to be decided is only which colon starts a port: the one behind
 * "]" or the only one there is; a bare IPv6 address without brackets is no authority (RFC 3986, 3.2.2).
 * Leaves out names (whoever wants those resolves first), paths and queries.
 */

#include "coap/uri.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

static const struct {
	const char *prefix;
	bool secure;
} schemes[] = {
	{"coap://", false},
	{"coaps://", true},
};

static const char *skip_scheme(const char *text, bool *secure)
{
	*secure = false;
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i].prefix);

		if (strncasecmp(text, schemes[i].prefix, len) == 0) {
			*secure = schemes[i].secure;
			return text + len;
		}
	}
	return text;
}

/* Length of the host at the start of `text`, brackets included; 0 if there is none. */
static size_t host_length(const char *text)
{
	const char *end;

	if (*text != '[')
		return strcspn(text, ":/");
	end = strchr(text, ']');
	return end ? (size_t)(end - text) + 1 : 0;
}

int coap_uri_parse(const char *text, struct coap_uri *out)
{
	struct coap_uri uri;
	char authority[ADDRESS_TEXT];
	const char *host = skip_scheme(text, &uri.secure);
	size_t host_len = host_length(host);
	const char *port = host + host_len;
	size_t port_len;

	if (host_len == 0 || (*port && *port != ':' && *port != '/'))
		return -EINVAL;
	if (*port == ':')
		port++;
	port_len = strcspn(port, "/");
	if (port[port_len] && port[port_len + 1]) /* a path */
		return -EINVAL;
	if (port_len == 0) {
		port = uri.secure ? "5684" : "5683";
		port_len = 4;
	}
	if (host_len + port_len + sizeof(":") > sizeof(authority))
		return -EINVAL;
	snprintf(authority, sizeof(authority), "%.*s:%.*s", (int)host_len, host, (int)port_len, port);
	if (address_parse(authority, &uri.address) < 0 || uri.address.port == 0)
		return -EINVAL;
	*out = uri;
	return 0;
}
