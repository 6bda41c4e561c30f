/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/*
 * Handshakes that go alike for like inputs: the library's random bytes and its clock are the target's. Its
 * calls of gnutls_rnd find the one here, because a program's symbols come before those of a library.
 */

#include "fuzz.h"

#include "base/random.h"
#include "dtls/handshake.h"

#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <time.h>

enum { FUZZ_CID = 8, FUZZ_MTU = 1200 };

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Of the input that runs; libFuzzer has no place for a context. */
static struct random fuzz_random;

int gnutls_rnd(gnutls_rnd_level_t level, void *data, size_t len)
{
	(void)level;
	random_fill(&fuzz_random, data, len);
	return 0;
}

static inline time_t fuzz_time(time_t *out)
{
	if (out)
		*out = 1700000000;
	return 1700000000;
}

/* To be called before the library is used, and again at the beginning of each input. */
static inline void fuzz_begin(uint64_t seed)
{
	random_init_seed(&fuzz_random, seed);
	gnutls_global_set_time_function(fuzz_time);
}

/* With a key of its own if it is for raw public keys. */
static inline struct dtls_context *fuzz_context(enum dtls_role role, unsigned credentials,
						bool connection_ids)
{
	struct dtls_context_options o = {.role = role,
					 .credentials = credentials,
					 .connection_ids = connection_ids,
					 .resumption = true,
					 .ask = DTLS_ASK_REQUIRED,
					 .mtu = FUZZ_MTU};
	gnutls_x509_privkey_t key;
	gnutls_datum_t pem = {0};
	char words[DTLS_WORDS];
	struct dtls_context *context;
	int rc = gnutls_x509_privkey_init(&key);

	assert(rc == 0);
	rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	assert(rc == 0);
	rc = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem);
	assert(rc == 0);
	if (credentials & DTLS_WITH_RAW_KEY)
		o.key = span_of(pem.data, pem.size);
	rc = dtls_context_new(&o, &context, words);
	assert(rc == 0);
	gnutls_free(pem.data);
	gnutls_x509_privkey_deinit(key);
	return context;
}
