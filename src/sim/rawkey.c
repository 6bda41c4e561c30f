/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The private key is HMAC-SHA256(master, name and a counter), read as a number; the counter steps over the
 * few values that are no key of the curve. GnuTLS makes keys only at random, so the point is nettle's to
 * compute.
 *
 * Leaves out what protects keys in a real device: these are for simulations.
 */

#include "sim/rawkey.h"

#include "codec/base64.h"

#include <errno.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/hmac.h>

enum { SCALAR = 32, POINT = 1 + 2 * SCALAR, PEM_LIMIT = RAW_KEY_PEM - 1 };

static const uint8_t spki_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48,
				    0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
				    0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};

static void make_scalar(struct span master, struct span name, uint8_t counter, uint8_t out[SCALAR])
{
	struct hmac_sha256_ctx hmac;

	hmac_sha256_set_key(&hmac, master.len, master.data);
	hmac_sha256_update(&hmac, name.len, name.data);
	hmac_sha256_update(&hmac, 1, &counter);
	hmac_sha256_digest(&hmac, SCALAR, out);
	explicit_bzero(&hmac, sizeof(hmac));
}

static void export_number(const mpz_t number, uint8_t out[SCALAR])
{
	size_t len = (mpz_sizeinbase(number, 2) + 7) / 8;

	assert(len <= SCALAR);
	memset(out, 0, SCALAR);
	mpz_export(out + SCALAR - len, NULL, 1, 1, 1, 0, number);
}

static bool multiply(const uint8_t scalar[SCALAR], uint8_t point[POINT])
{
	const struct ecc_curve *curve = nettle_get_secp_256r1();
	struct ecc_scalar k;
	struct ecc_point p;
	mpz_t x, y;
	bool good;

	mpz_inits(x, y, NULL);
	mpz_import(x, SCALAR, 1, 1, 1, 0, scalar);
	ecc_scalar_init(&k, curve);
	ecc_point_init(&p, curve);
	good = ecc_scalar_set(&k, x);
	if (good) {
		ecc_point_mul_g(&p, &k);
		ecc_point_get(&p, x, y);
		point[0] = 4; /* uncompressed */
		export_number(x, point + 1);
		export_number(y, point + 1 + SCALAR);
	}
	ecc_point_clear(&p);
	ecc_scalar_clear(&k);
	mpz_clears(x, y, NULL);
	return good;
}

static int write_pem(const uint8_t scalar[SCALAR], const uint8_t point[POINT], char pem[RAW_KEY_PEM])
{
	static const uint8_t head[] = {0x30, 0x77, 0x02, 0x01, 0x01, 0x04, SCALAR};
	static const uint8_t middle[] = {0xA0, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D,
					 0x03, 0x01, 0x07, 0xA1, 0x44, 0x03, 0x42, 0x00};
	uint8_t der[sizeof(head) + SCALAR + sizeof(middle) + POINT];
	struct writer w = writer_of(der, sizeof(der));
	struct buffer text = buffer_of(PEM_LIMIT);
	int rc = 0;

	writer_bytes(&w, span_of(head, sizeof(head)));
	writer_bytes(&w, span_of(scalar, SCALAR));
	writer_bytes(&w, span_of(middle, sizeof(middle)));
	writer_bytes(&w, span_of(point, POINT));
	assert(!w.failed);
	buffer_str(&text, "-----BEGIN EC PRIVATE KEY-----\n");
	base64_encode(&text, writer_span(&w), BASE64_STANDARD);
	buffer_str(&text, "\n-----END EC PRIVATE KEY-----\n");
	if (text.failed)
		rc = -ENOMEM;
	else
		memcpy(pem, text.data, text.len + 1);
	if (text.data)
		explicit_bzero(text.data, text.cap);
	explicit_bzero(der, sizeof(der));
	buffer_deinit(&text);
	return rc;
}

int raw_key_derive(struct span master, struct span name, struct raw_key *out)
{
	uint8_t scalar[SCALAR], *point = out->spki + sizeof(spki_head);
	uint8_t counter = 0;
	int rc;

	static_assert(sizeof(spki_head) + POINT == RAW_KEY_SPKI, "the DER of a P-256 key");
	memcpy(out->spki, spki_head, sizeof(spki_head));
	do
		make_scalar(master, name, counter++, scalar);
	while (!multiply(scalar, point) && counter);
	rc = write_pem(scalar, point, out->pem);
	explicit_bzero(scalar, sizeof(scalar));
	return rc;
}
