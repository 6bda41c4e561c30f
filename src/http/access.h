/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/private.h"

/* Who may do what: bearer tokens (RFC 6750) against the roles of the table of routes. */

/* What a route needs. */
enum token_role access_role(const struct route *route);
/* False: the request is answered, 401 or 403. */
bool access_check(struct http_request *r);
/* The same for a request without headers. */
bool access_check_token(struct http_request *r, struct span token, bool required);
/* Ends the event streams whose token is revoked or has expired. */
void access_tick(struct http *h);
