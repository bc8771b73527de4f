/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/openclaw_device.h"

#include "base/check.h"

#include <openssl/evp.h>
#include <string.h>

#define SIGNATURE_BYTES 64U
#define SHA256_BYTES    32U

/* base64url without padding (RFC 4648 §5). */
static void write_base64url(const uint8_t *bytes, size_t len, char ret[CLAW_BASE64_MAX])
{
    uint8_t text[CLAW_BASE64_MAX];
    check(4 * ((len + 2) / 3) < sizeof text);
    int size = EVP_EncodeBlock(text, bytes, (int)len);
    while (size > 0 && text[size - 1] == '=') {
        size--;
    }
    for (int i = 0; i < size; i++) {
        ret[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i];
    }
    ret[size] = '\0';
}

/* False: not base64url of so many bytes. */
static bool read_base64url(const char *text, uint8_t *ret, size_t len)
{
    uint8_t padded[CLAW_BASE64_MAX + 4], bytes[CLAW_BASE64_MAX];
    size_t size = strlen(text), whole = (size + 3) / 4 * 4;
    if (size != (4 * len + 2) / 3) {
        return false;
    }
    for (size_t i = 0; i < whole; i++) {
        char c = i < size ? text[i] : '=';
        if (c == '+' || c == '/') {
            return false;
        }
        padded[i] = (uint8_t)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    if (EVP_DecodeBlock(bytes, padded, (int)whole) < (int)len) {
        return false;
    }
    memcpy(ret, bytes, len);
    return true;
}

static bool write_id(const uint8_t key[CLAW_KEY_BYTES], char ret_id[CLAW_DEVICE_ID_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[SHA256_BYTES];
    unsigned len = 0;
    if (EVP_Digest(key, CLAW_KEY_BYTES, hash, &len, EVP_sha256(), NULL) != 1) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        ret_id[2 * i] = digits[hash[i] >> 4];
        ret_id[2 * i + 1] = digits[hash[i] & 15];
    }
    ret_id[CLAW_DEVICE_ID_LEN] = '\0';
    return len == SHA256_BYTES;
}

static EVP_PKEY *key_of(const uint8_t seed[CLAW_SEED_BYTES])
{
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, CLAW_SEED_BYTES);
}

bool claw_device_of(const uint8_t seed[CLAW_SEED_BYTES], struct claw_device *ret_device)
{
    size_t len = CLAW_KEY_BYTES;
    EVP_PKEY *key = key_of(seed);
    memcpy(ret_device->seed, seed, CLAW_SEED_BYTES);
    bool is_made = key != NULL && EVP_PKEY_get_raw_public_key(key, ret_device->key, &len) == 1
                   && len == CLAW_KEY_BYTES && write_id(ret_device->key, ret_device->id);
    EVP_PKEY_free(key);
    return is_made;
}

bool claw_device_sign(const struct claw_device *device, struct slice text,
                      char ret_signature[CLAW_BASE64_MAX])
{
    uint8_t signature[SIGNATURE_BYTES];
    size_t len = sizeof signature;
    EVP_PKEY *key = key_of(device->seed);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_signed =
        key != NULL && context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1
        && EVP_DigestSign(context, signature, &len, (const uint8_t *)text.at, text.len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    if (is_signed) {
        write_base64url(signature, len, ret_signature);
    }
    return is_signed;
}

void claw_device_key_text(const struct claw_device *device, char ret_key[CLAW_BASE64_MAX])
{
    write_base64url(device->key, sizeof device->key, ret_key);
}

bool claw_device_id_of(const char *key, char ret_id[CLAW_DEVICE_ID_LEN + 1])
{
    uint8_t bytes[CLAW_KEY_BYTES];
    return read_base64url(key, bytes, sizeof bytes) && write_id(bytes, ret_id);
}

bool claw_device_verify(const char *key, const char *signature, struct slice text)
{
    uint8_t bytes[CLAW_KEY_BYTES], signed_bytes[SIGNATURE_BYTES];
    if (!read_base64url(key, bytes, sizeof bytes)
        || !read_base64url(signature, signed_bytes, sizeof signed_bytes)) {
        return false;
    }
    EVP_PKEY *public_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, sizeof bytes);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = public_key != NULL && context != NULL
                   && EVP_DigestVerifyInit(context, NULL, NULL, NULL, public_key) == 1
                   && EVP_DigestVerify(context, signed_bytes, sizeof signed_bytes,
                                       (const uint8_t *)text.at, text.len)
                          == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(public_key);
    return is_good;
}
