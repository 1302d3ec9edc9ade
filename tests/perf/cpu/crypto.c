/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto.c - hashes and ciphers of OpenSSL, and CRC-32
 *
 * How it works: libcrypto.so.3 is opened when a line runs, so that this compiles for any machine
 * without its headers; the declarations here are those of its manual (EVP_DigestInit(3),
 * EVP_EncryptInit(3), BN_mod_exp(3)). Threads: the main thread.
 */
#include "bench.h"

#include <dlfcn.h>

static void *crypto_symbol(const char *name)
{
	void *library = dlopen("libcrypto.so.3", RTLD_NOW);
	void *symbol = library ? dlsym(library, name) : NULL;
	if (!symbol) {
		fail(name);
	}
	return symbol;
}

/* Declares a local of the function's type and finds it. */
#define CRYPTO(result, name, ...)                                                                  \
	result (*name)(__VA_ARGS__) = (result(*)(__VA_ARGS__))crypto_symbol(#name)

enum { BLOCK = 16384 };

static uint64_t digest(const char *kind, unsigned blocks)
{
	CRYPTO(int, EVP_Digest, const void *, size_t, unsigned char *, unsigned *, const void *,
	       void *);
	CRYPTO(const void *, EVP_get_digestbyname, const char *);
	const void *type = EVP_get_digestbyname(kind);
	NEED(type);
	unsigned char *data = random_bytes(BLOCK), out[64] = {0};
	uint64_t result = 0;
	for (unsigned i = 0; i < blocks; i++) {
		data[i & (BLOCK - 1)] ^= out[0];
		NEED(EVP_Digest(data, BLOCK, out, NULL, type, NULL) == 1);
		result = mix(result, out[0] | (uint64_t)out[1] << 8);
	}
	free(data);
	return result;
}

static uint64_t encrypt(const char *kind, unsigned blocks)
{
	CRYPTO(void *, EVP_CIPHER_CTX_new, void);
	CRYPTO(void, EVP_CIPHER_CTX_free, void *);
	CRYPTO(const void *, EVP_get_cipherbyname, const char *);
	CRYPTO(int, EVP_EncryptInit_ex, void *, const void *, void *, const unsigned char *,
	       const unsigned char *);
	CRYPTO(int, EVP_EncryptUpdate, void *, unsigned char *, int *, const unsigned char *, int);
	static const unsigned char key[32] = "0123456789abcdef0123456789abcde",
				   iv[16] = "fedcba987654321";
	void *ctx = EVP_CIPHER_CTX_new();
	const void *cipher = EVP_get_cipherbyname(kind);
	NEED(ctx && cipher && EVP_EncryptInit_ex(ctx, cipher, NULL, key, iv) == 1);
	unsigned char *data = random_bytes(BLOCK), *out = calloc(BLOCK + 64, 1);
	NEED(out);
	uint64_t result = 0;
	for (unsigned i = 0; i < blocks; i++) {
		int len = 0;
		data[i & (BLOCK - 1)] ^= out[5];
		NEED(EVP_EncryptUpdate(ctx, out, &len, data, BLOCK) == 1 && len > 0);
		result = mix(result, out[0] | (uint64_t)out[len - 1] << 8);
	}
	EVP_CIPHER_CTX_free(ctx);
	free(data);
	free(out);
	return result;
}

static uint64_t run_sha1(unsigned work)
{
	return digest("sha1", work);
}
static uint64_t run_sha256(unsigned work)
{
	return digest("sha256", work);
}
static uint64_t run_sha512(unsigned work)
{
	return digest("sha512", work);
}
static uint64_t run_md5(unsigned work)
{
	return digest("md5", work);
}
static uint64_t run_sha3(unsigned work)
{
	return digest("sha3-256", work);
}
static uint64_t run_aes_cbc(unsigned work)
{
	return encrypt("aes-128-cbc", work);
}
static uint64_t run_aes_ctr(unsigned work)
{
	return encrypt("aes-256-ctr", work);
}
static uint64_t run_aes_gcm(unsigned work)
{
	return encrypt("aes-128-gcm", work);
}
static uint64_t run_chacha(unsigned work)
{
	return encrypt("chacha20-poly1305", work);
}

/* What RSA does: a 2048-bit modular power. */
static uint64_t run_mod_exp(unsigned work)
{
	CRYPTO(void *, BN_new, void);
	CRYPTO(void *, BN_CTX_new, void);
	CRYPTO(void *, BN_bin2bn, const unsigned char *, int, void *);
	CRYPTO(int, BN_bn2bin, const void *, unsigned char *);
	CRYPTO(int, BN_mod_exp, void *, const void *, const void *, const void *, void *);
	unsigned char *bytes = random_bytes(256), out[256] = {0};
	void *ctx = BN_CTX_new(), *r = BN_new(), *base = BN_bin2bn(bytes, 255, NULL);
	bytes[0] |= 0x80;
	bytes[255] |= 1;
	void *modulus = BN_bin2bn(bytes, 256, NULL), *power = BN_bin2bn(bytes + 1, 255, NULL);
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		NEED(BN_mod_exp(r, base, power, modulus, ctx) == 1);
		int len = BN_bn2bin(r, out);
		result = mix(result, (uint64_t)len + out[len / 2]);
		base = BN_bin2bn(out, len, base);
	}
	free(bytes);
	return result;
}

/* CRC-32 by a table, as zlib and old file systems do. */
static uint64_t run_crc32(unsigned work)
{
	uint32_t table[256];
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (unsigned j = 0; j < 8; j++) {
			c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
		}
		table[i] = c;
	}
	unsigned char *data = random_bytes(BLOCK);
	uint32_t crc = ~0u;
	for (unsigned i = 0; i < work; i++) {
		for (unsigned j = 0; j < BLOCK; j++) {
			crc = table[(crc ^ data[j]) & 0xff] ^ (crc >> 8);
		}
	}
	free(data);
	return crc;
}

static const struct line lines[] = {
	{"sha1", run_sha1, 2400},	  {"sha256", run_sha256, 2400},
	{"sha512", run_sha512, 1600},	  {"sha3", run_sha3, 1200},
	{"md5", run_md5, 6000},		  {"aes-cbc", run_aes_cbc, 4500},
	{"aes-ctr", run_aes_ctr, 4000},	  {"aes-gcm", run_aes_gcm, 2500},
	{"chacha20", run_chacha, 1000},	  {"mod-exp", run_mod_exp, 32},
	{"crc32-table", run_crc32, 5000},
};

const struct group crypto_group = GROUP("crypto", lines);
