/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The cipher suites that are spoken, in one table, and what the record layer has to know of their AEADs. */

#include "dtls/record.h"

static const struct dtls_suite suites[] = {
	{0xC0A8, DTLS_AES_128_CCM_8, true, "TLS_PSK_WITH_AES_128_CCM_8"},
	{0xC0A4, DTLS_AES_128_CCM, true, "TLS_PSK_WITH_AES_128_CCM"},
	{0x00A8, DTLS_AES_128_GCM, true, "TLS_PSK_WITH_AES_128_GCM_SHA256"},
	{0xC0A9, DTLS_AES_256_CCM_8, true, "TLS_PSK_WITH_AES_256_CCM_8"},
	{0xC0A5, DTLS_AES_256_CCM, true, "TLS_PSK_WITH_AES_256_CCM"},
	{0x00A9, DTLS_AES_256_GCM, true, "TLS_PSK_WITH_AES_256_GCM_SHA384"},
	{0xC0AE, DTLS_AES_128_CCM_8, false, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"},
	{0xC0AC, DTLS_AES_128_CCM, false, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM"},
	{0xC02B, DTLS_AES_128_GCM, false, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
	{0xC0AF, DTLS_AES_256_CCM_8, false, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8"},
	{0xC0AD, DTLS_AES_256_CCM, false, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM"},
	{0xC02C, DTLS_AES_256_GCM, false, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
};

static const struct {
	uint8_t key, tag;
} aeads[DTLS_AEAD_COUNT] = {
	[DTLS_AES_128_CCM_8] = {16, 8}, [DTLS_AES_128_CCM] = {16, 16}, [DTLS_AES_128_GCM] = {16, 16},
	[DTLS_AES_256_CCM_8] = {32, 8}, [DTLS_AES_256_CCM] = {32, 16}, [DTLS_AES_256_GCM] = {32, 16},
};

const struct dtls_suite *dtls_suite_find(uint16_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
		if (suites[i].id == id)
			return &suites[i];
	return NULL;
}

size_t dtls_key_len(enum dtls_aead aead)
{
	assert(aead < DTLS_AEAD_COUNT);
	return aeads[aead].key;
}

size_t dtls_tag_len(enum dtls_aead aead)
{
	assert(aead < DTLS_AEAD_COUNT);
	return aeads[aead].tag;
}
