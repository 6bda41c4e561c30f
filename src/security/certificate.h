/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/*
 * What certificates and public keys say, by GnuTLS. Nothing here decides whether one is trusted: the chain is
 * the handshake's business.
 */

/* ---- names: from a certificate to endpoints ---- */

enum {
	CERTIFICATE_RULES_MAX = 8,
	CERTIFICATE_NAMES_MAX = 16, /* that one certificate may give */
	CERTIFICATE_NAME_MAX = 255,
	CERTIFICATE_PATTERN_MAX = 128,
	CERTIFICATE_DER_MAX = 16 << 10,
	CERTIFICATE_WORDS = 160,
};

enum certificate_source {
	SOURCE_CN,	  /* common name of the subject, each there is */
	SOURCE_SAN,	  /* all kinds of alternative names below, in the order of the certificate */
	SOURCE_SAN_DNS,	  /* dNSName */
	SOURCE_SAN_URI,	  /* uniformResourceIdentifier */
	SOURCE_SAN_OTHER, /* otherName with a text as value */
	SOURCE_SERIAL,	  /* serial number, in small hexadecimal digits */
};

/*
 * Which names of a certificate are endpoint names, and in which order they are tried:
 *
 *     RULE,RULE,...      RULE = SOURCE or SOURCE:PATTERN
 *     SOURCE             cn, san, san-dns, san-uri, san-other, serial
 *     PATTERN            text with one *, which stands for the endpoint; the rest has to be there literally
 *
 * "san,cn" (the default): any name as it is. "san-uri:urn:dev:imei:*" takes 4901 out of urn:dev:imei:4901.
 * Not regular expressions: names come from strangers, and a match here takes time proportional to the name.
 */
struct certificate_rules {
	size_t count;
	struct certificate_rule {
		enum certificate_source source;
		char before[CERTIFICATE_PATTERN_MAX], behind[CERTIFICATE_PATTERN_MAX];
	} items[CERTIFICATE_RULES_MAX];
};
/* -EINVAL, with `words` that say what is wrong. */
int certificate_rules_parse(const char *text, struct certificate_rules *out,
			    char words[CERTIFICATE_WORDS]) NODISCARD;

struct certificate_names {
	size_t count;
	struct {
		uint8_t bytes[CERTIFICATE_NAME_MAX]; /* without NUL bytes */
		uint8_t len;
	} items[CERTIFICATE_NAMES_MAX];
};
static inline struct span certificate_name(const struct certificate_names *n, size_t i)
{
	return span_of(n->items[i].bytes, n->items[i].len);
}
/*
 * The endpoint names of a DER certificate, each once, the first rule's first. Names that are empty, too long,
 * or have a NUL byte are left out. -EBADMSG: it is no certificate; -ENOMEM.
 */
int certificate_endpoints(struct span der, const struct certificate_rules *rules,
			  struct certificate_names *out) NODISCARD;

/* ---- public keys ---- */

/* A key on an elliptic curve. */
struct public_key {
	const char *curve; /* "SECP256R1", a literal */
	uint8_t x[80], y[80];
	size_t x_len, y_len;
};
/* Of a DER SubjectPublicKeyInfo. -EBADMSG: it is none; -ENOTSUP: a key of another kind. */
int public_key_parse(struct span spki, struct public_key *out) NODISCARD;
/* Appends the DER SubjectPublicKeyInfo of a DER certificate. -EBADMSG, -ENOMEM. */
int certificate_public_key(struct span der, struct buffer *spki) NODISCARD;

/* Whether a server can use them: PEM with a NUL behind it. -EINVAL, with `words`. */
int certificate_pair_check(struct span chain_pem, struct span key_pem,
			   char words[CERTIFICATE_WORDS]) NODISCARD;
