/* SPDX-License-Identifier: MIT
 *
 * Certificates and keys that a test makes for itself, see identity.h: elliptic, P-256, no file.
 */
#include "identity.h"

#include <check.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void write_text(BIO *bio, char *out)
{
    char *data = NULL;
    const long bytes = BIO_get_mem_data(bio, &data);
    ck_assert(bytes > 0 && bytes < IDENTITY_PEM_BYTES);
    memcpy(out, data, (size_t)bytes);
    out[bytes] = '\0';
    BIO_free(bio);
}

static EVP_PKEY *read_key(const struct identity *from)
{
    BIO *bio = BIO_new_mem_buf(from->key, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key;
}

static X509 *read_certificate(const struct identity *from)
{
    BIO *bio = BIO_new_mem_buf(from->certificate, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return certificate;
}

static void extend(X509 *certificate, int what, const char *text)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, what, text);
    ck_assert_ptr_nonnull(extension);
    ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

void identity_make(struct identity *out, const char *name, const char *san,
                   const struct identity *issuer)
{
    static long serial = 1;
    EVP_PKEY *const key = EVP_EC_gen("P-256");
    EVP_PKEY *const signer = issuer != NULL ? read_key(issuer) : key;
    X509 *const by = issuer != NULL ? read_certificate(issuer) : NULL;
    X509 *const c = X509_new();
    ck_assert(key != NULL && signer != NULL && c != NULL);
    X509_NAME *const subject = X509_get_subject_name(c);
    ck_assert_int_eq(X509_set_version(c, X509_VERSION_3), 1);
    ck_assert_int_eq(ASN1_INTEGER_set(X509_get_serialNumber(c), serial++), 1);
    ck_assert_int_eq(ASN1_TIME_set_string_X509(X509_getm_notBefore(c), "20240101000000Z"), 1);
    ck_assert_int_eq(ASN1_TIME_set_string_X509(X509_getm_notAfter(c), "20340101000000Z"), 1);
    ck_assert_int_eq(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
    ck_assert_int_eq(X509_set_issuer_name(c, by != NULL ? X509_get_subject_name(by) : subject), 1);
    ck_assert_int_eq(X509_set_pubkey(c, key), 1);
    extend(c, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    if (san != NULL) {
        extend(c, NID_subject_alt_name, san);
    }
    ck_assert_int_gt(X509_sign(c, signer, EVP_sha256()), 0);
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_X509(bio, c), 1);
    write_text(bio, out->certificate);
    bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    write_text(bio, out->key);
    X509_free(c);
    X509_free(by);
    if (issuer != NULL) {
        EVP_PKEY_free(signer);
    }
    EVP_PKEY_free(key);
}

struct kirim_buf identity_text(const char *pem)
{
    return (struct kirim_buf){ (void *)(uintptr_t)pem, strlen(pem) };
}
