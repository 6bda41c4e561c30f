/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Codes as text, for logs, traces and the northbound interface. Names are those of the IANA registry
 * (CoAP Method Codes, CoAP Response Codes). Leaves out what a code means: that is its reader's.
 */

#include "coap/message.h"

#include <stdio.h>

static const struct {
	uint8_t code;
	const char *name;
} names[] = {
	{COAP_GET, "GET"},
	{COAP_POST, "POST"},
	{COAP_PUT, "PUT"},
	{COAP_DELETE, "DELETE"},
	{COAP_FETCH, "FETCH"},
	{COAP_PATCH, "PATCH"},
	{COAP_IPATCH, "iPATCH"},
	{COAP_CREATED, "Created"},
	{COAP_DELETED, "Deleted"},
	{COAP_VALID, "Valid"},
	{COAP_CHANGED, "Changed"},
	{COAP_CONTENT, "Content"},
	{COAP_CONTINUE, "Continue"},
	{COAP_BAD_REQUEST, "Bad Request"},
	{COAP_UNAUTHORIZED, "Unauthorized"},
	{COAP_BAD_OPTION, "Bad Option"},
	{COAP_FORBIDDEN, "Forbidden"},
	{COAP_NOT_FOUND, "Not Found"},
	{COAP_METHOD_NOT_ALLOWED, "Method Not Allowed"},
	{COAP_NOT_ACCEPTABLE, "Not Acceptable"},
	{COAP_REQUEST_ENTITY_INCOMPLETE, "Request Entity Incomplete"},
	{COAP_CONFLICT, "Conflict"},
	{COAP_PRECONDITION_FAILED, "Precondition Failed"},
	{COAP_REQUEST_ENTITY_TOO_LARGE, "Request Entity Too Large"},
	{COAP_UNSUPPORTED_CONTENT_FORMAT, "Unsupported Content-Format"},
	{COAP_INTERNAL_SERVER_ERROR, "Internal Server Error"},
	{COAP_NOT_IMPLEMENTED, "Not Implemented"},
	{COAP_BAD_GATEWAY, "Bad Gateway"},
	{COAP_SERVICE_UNAVAILABLE, "Service Unavailable"},
	{COAP_GATEWAY_TIMEOUT, "Gateway Timeout"},
	{COAP_PROXYING_NOT_SUPPORTED, "Proxying Not Supported"},
};

const char *coap_code_text(uint8_t code, char text[8])
{
	snprintf(text, 8, "%u.%02u", coap_class(code), code & 31u);
	return text;
}

const char *coap_code_name(uint8_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].code == code)
			return names[i].name;
	}
	return "";
}
