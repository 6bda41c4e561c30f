/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/*
 * Which requests a web page of somebody else may have caused, told by the headers that pages cannot forge.
 * Pure functions over header values.
 */

/*
 * Whether a Host header names this machine by address or as localhost: an IP literal, "localhost" or
 * "*.localhost", each with or without port. Any other name may be one that an attacker's DNS points to
 * 127.0.0.1 (DNS rebinding).
 */
bool guard_host_is_local(const char *host);
/* Whether an Origin header is of the same host and port as the Host header. "null" is of none. */
bool guard_origin_is_host(const char *origin, const char *host);
