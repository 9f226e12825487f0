#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the symbols of compiled objects.

    symbols.py [--pure | --pure-but-openssl | --closed] OBJECT...

What an object shows to the linker begins with kirim_ or ki_. With --pure it also needs nothing from
outside but these prefixes and the plain C functions of PLAIN: no clock, no socket, no random
source, no thread, no file. That is what makes the core and the protocols run in the simulator.
With --pure-but-openssl it may also need
what OPENSSL names: DTLS is built on that, which reads the clock and draws random bytes by itself.
With --closed it needs what the other objects of the list show, and beyond that the functions of
BYTES alone: not even memory. That is what makes the building blocks usable by themselves.
"""
import subprocess
import sys

PLAIN = {
    "abort", "bcmp", "calloc", "free", "getenv", "malloc", "memchr", "memcmp", "memcpy", "memmove",
    "memset", "qsort", "realloc", "snprintf", "strchr", "strcmp", "strcspn", "strlen", "strncmp",
    "strnlen", "strspn", "strtoul", "strtoull", "vsnprintf",
}
BYTES = {"bcmp", "memchr", "memcmp", "memcpy", "memmove", "memset", "strlen"}
# All that the DTLS layer asks of OpenSSL: nothing of it opens a socket, or a file unless the
# system's trust is asked for (SSL_CTX_set_default_verify_paths).
OPENSSL = {
    "BIO_ADDR_free", "BIO_ADDR_new", "BIO_clear_flags", "BIO_ctrl", "BIO_free", "BIO_get_data",
    "BIO_meth_free", "BIO_meth_new", "BIO_meth_set_ctrl", "BIO_meth_set_read", "BIO_meth_set_write",
    "BIO_new", "BIO_new_mem_buf", "BIO_set_data", "BIO_set_flags", "BIO_set_init",
    "CRYPTO_clear_free", "CRYPTO_free", "CRYPTO_malloc", "CRYPTO_zalloc", "DTLS_method",
    "DTLS_set_timer_cb", "DTLSv1_listen", "ERR_clear_error", "ERR_get_error", "ERR_peek_last_error",
    "ERR_reason_error_string", "EVP_Digest", "EVP_PKEY_free", "EVP_sha256", "OPENSSL_sk_num",
    "OPENSSL_sk_value", "PEM_read_bio_PrivateKey", "PEM_read_bio_X509", "SSL_CIPHER_get_cipher_nid",
    "SSL_CIPHER_get_name", "SSL_CIPHER_get_protocol_id", "SSL_CIPHER_is_aead",
    "SSL_CTX_add_client_CA", "SSL_CTX_check_private_key", "SSL_CTX_ctrl", "SSL_CTX_free",
    "SSL_CTX_get_cert_store", "SSL_CTX_get_ciphers", "SSL_CTX_new", "SSL_CTX_set_alpn_protos",
    "SSL_CTX_set_alpn_select_cb", "SSL_CTX_set_cert_verify_callback", "SSL_CTX_set_cipher_list",
    "SSL_CTX_set_cookie_verify_cb", "SSL_CTX_set_default_verify_paths", "SSL_CTX_set_info_callback",
    "SSL_CTX_set_options", "SSL_CTX_set_psk_client_callback", "SSL_CTX_set_psk_server_callback",
    "SSL_CTX_set_session_id_context", "SSL_CTX_set_tlsext_use_srtp", "SSL_CTX_use_PrivateKey",
    "SSL_CTX_use_certificate", "SSL_CTX_use_psk_identity_hint", "SSL_SESSION_free",
    "SSL_SESSION_get0_id_context", "SSL_SESSION_get_max_fragment_length",
    "SSL_SESSION_is_resumable", "SSL_ctrl", "SSL_do_handshake", "SSL_export_keying_material",
    "SSL_free", "SSL_get0_alpn_selected", "SSL_get0_param", "SSL_get0_peer_certificate",
    "SSL_get_current_cipher", "SSL_get_error", "SSL_get_ex_data",
    "SSL_get_ex_data_X509_STORE_CTX_idx", "SSL_get_pending_cipher", "SSL_get_psk_identity",
    "SSL_get_selected_srtp_profile", "SSL_get_session", "SSL_get_state", "SSL_get_verify_mode",
    "SSL_get_wbio", "SSL_is_init_finished", "SSL_new", "SSL_read_ex", "SSL_select_next_proto",
    "SSL_session_reused", "SSL_set1_host", "SSL_set_accept_state", "SSL_set_bio",
    "SSL_set_connect_state", "SSL_set_ex_data", "SSL_set_hostflags", "SSL_set_session",
    "SSL_set_verify", "SSL_shutdown", "SSL_write_ex", "X509_STORE_CTX_get0_cert",
    "X509_STORE_CTX_get_error", "X509_STORE_CTX_get_ex_data", "X509_STORE_CTX_set_error",
    "X509_STORE_add_cert", "X509_VERIFY_PARAM_set1_ip_asc", "X509_free", "X509_verify_cert",
    "X509_verify_cert_error_string", "d2i_SSL_SESSION", "i2d_SSL_SESSION", "i2d_X509",
}
OURS = ("kirim_", "ki_")
# What the compiler, a sanitizer or the C library's headers put in by themselves.
BUILT_IN = ("__", "_GLOBAL_OFFSET_TABLE_", ".refptr.")


def symbols(objects, *options):
    """(object, name) of each symbol that nm prints."""
    output = subprocess.run(["nm", "-P", *options, *objects], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    name = objects[0]
    for line in output.splitlines():
        if line.endswith(":"):
            name = line[:-1]
        elif line:
            yield name.rsplit("/", 1)[-1], line.split()[0]


def main(arguments):
    options = (["--pure"], ["--pure-but-openssl"], ["--closed"])
    option = arguments[0] if arguments[:1] in options else None
    objects = arguments[1:] if option else arguments
    if not objects:
        print(__doc__, file=sys.stderr)
        return 2
    wrong = 0
    for name, symbol in symbols(objects, "-g", "--defined-only"):
        if not symbol.startswith(OURS + BUILT_IN):
            print(f"{name}: shows `{symbol}`; make it static, or begin it with ki_")
            wrong += 1
    if option in ("--pure", "--pure-but-openssl"):
        allowed = PLAIN | OPENSSL if option == "--pure-but-openssl" else PLAIN
        for name, symbol in symbols(objects, "-u"):
            if symbol not in allowed and not symbol.startswith(OURS + BUILT_IN):
                print(f"{name}: needs `{symbol}`; only reactors/ calls the system")
                wrong += 1
    elif option == "--closed":
        shown = {symbol for _, symbol in symbols(objects, "-g", "--defined-only")}
        for name, symbol in symbols(objects, "-u"):
            if symbol not in BYTES | shown and not symbol.startswith(BUILT_IN):
                print(f"{name}: needs `{symbol}`, which is not among these objects")
                wrong += 1
    print(f"symbols: {len(objects)} objects, {wrong} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
