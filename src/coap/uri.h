/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"

/* "coap://host[:port]" or "host[:port]" (RFC 7252, 6.1), host numeric; default port 5683, coaps 5684. */
struct coap_uri {
	bool secure;
	struct address address;
};
/*
 * IPv6 in brackets; the scheme in any case. -EINVAL for anything else, a path included (unless it is "/"),
 * and for port 0.
 */
int coap_uri_parse(const char *text, struct coap_uri *out) NODISCARD;
