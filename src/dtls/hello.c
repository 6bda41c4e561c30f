/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Reads the few handshake messages that are looked at before the library gets them. The hard idea is that the
 * answer to a ClientHello must not depend on more than its first fragment, since nothing is kept for a
 * stranger. Left out: everything that only the library needs to understand.
 */

#include "dtls/hello.h"

#include <errno.h>

enum { EXTENSION_SERVER_NAME = 0, NAME_HOST = 0 };

int dtls_fragment_parse(struct reader *record, struct dtls_fragment *out)
{
	uint32_t len;

	out->type = reader_u8(record);
	out->total = reader_u24(record);
	out->seq = reader_u16(record);
	out->offset = reader_u24(record);
	len = reader_u24(record);
	out->body = reader_bytes(record, len);
	if (record->failed || out->offset > out->total || len > out->total - out->offset)
		return -EBADMSG;
	return 0;
}

static struct span span8(struct reader *r)
{
	return reader_bytes(r, reader_u8(r));
}

/* The first host name of the extension. */
static struct span parse_server_name(struct span extension)
{
	struct reader r = reader_of(extension);
	struct span name;
	uint8_t type;

	(void)reader_u16(&r);
	type = reader_u8(&r);
	name = reader_span16(&r);
	return r.failed || type != NAME_HOST ? (struct span){0} : name;
}

/* What follows the cookie is not needed to answer, so it may be cut off: then it counts as absent. */
static void parse_rest(struct reader *r, struct dtls_client_hello *out)
{
	struct reader extensions;
	struct span suites = reader_span16(r);

	if (r->failed || suites.len % 2)
		return;
	out->suites = suites;
	(void)span8(r); /* compression methods */
	extensions = reader_of(reader_span16(r));
	while (reader_left(&extensions)) {
		uint16_t type = reader_u16(&extensions);
		struct span body = reader_span16(&extensions);

		if (!extensions.failed && type == EXTENSION_SERVER_NAME)
			out->server_name = parse_server_name(body);
	}
}

int dtls_client_hello_parse(struct span body, struct dtls_client_hello *out)
{
	struct reader r = reader_of(body);

	*out = (struct dtls_client_hello){0};
	out->version = reader_u16(&r);
	out->random = reader_bytes(&r, DTLS_RANDOM);
	out->session_id = span8(&r);
	out->cookie = span8(&r);
	if (r.failed || out->session_id.len > DTLS_SESSION_ID_MAX)
		return -EBADMSG;
	parse_rest(&r, out);
	return 0;
}

int dtls_server_hello_parse(struct span body, struct dtls_server_hello *out)
{
	struct reader r = reader_of(body);

	(void)reader_u16(&r);
	(void)reader_bytes(&r, DTLS_RANDOM);
	out->session_id = span8(&r);
	out->suite = reader_u16(&r);
	return r.failed || out->session_id.len > DTLS_SESSION_ID_MAX ? -EBADMSG : 0;
}

static struct span span24(struct reader *r)
{
	return reader_bytes(r, reader_u24(r));
}

int dtls_certificate_parse(struct span body, bool raw_key, struct span chain[DTLS_CHAIN_MAX], size_t *count)
{
	struct reader r = reader_of(body), list;
	struct span all = span24(&r);

	*count = 0;
	if (r.failed || reader_left(&r))
		return -EBADMSG;
	if (raw_key) {
		chain[0] = all;
		*count = all.len ? 1 : 0;
		return 0;
	}
	list = reader_of(all);
	while (reader_left(&list)) {
		struct span certificate = span24(&list);

		if (list.failed || certificate.len == 0)
			return -EBADMSG;
		if (*count < DTLS_CHAIN_MAX)
			chain[(*count)++] = certificate;
	}
	return 0;
}

int dtls_psk_identity_parse(struct span body, struct span *identity)
{
	struct reader r = reader_of(body);

	*identity = reader_span16(&r);
	return r.failed || reader_left(&r) ? -EBADMSG : 0;
}
