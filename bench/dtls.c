/* SPDX-License-Identifier: MIT
 *
 * What DTLS costs: CPU time of a handshake, both ends together in one thread, without a system
 * between them; CPU time of a message there and back; and bytes of memory that a session holds at
 * the server. By certificate, by pre-shared key, and resumed.
 *
 *     bench-dtls [SESSIONS [MESSAGES]]     default: 1000 sessions, 100000 messages
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kirim/kirim.h>
#include <kirim/sim.h>

#include <dtls/dtls.h>

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum { PEM_BYTES = 4096, SESSION_ROOM = 2048, MESSAGE_BYTES = 100, SESSIONS_MAX = 30000 };

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t held_bytes; /* OpenSSL's, and the loops' */

/* Each block knows its size. */
enum { HEAD_BYTES = 16 };

static void *take(size_t bytes)
{
    unsigned char *const block = malloc(HEAD_BYTES + bytes);
    if (block == NULL) {
        return NULL;
    }
    memcpy(block, &bytes, sizeof bytes);
    held_bytes += bytes;
    return block + HEAD_BYTES;
}

static void give(void *old)
{
    if (old != NULL) {
        size_t bytes;
        memcpy(&bytes, (unsigned char *)old - HEAD_BYTES, sizeof bytes);
        held_bytes -= bytes;
        free((unsigned char *)old - HEAD_BYTES);
    }
}

static void *resize(void *old, size_t bytes)
{
    size_t old_bytes = 0;
    void *const block = bytes != 0 ? take(bytes) : NULL;
    if (old != NULL && block != NULL) {
        memcpy(&old_bytes, (unsigned char *)old - HEAD_BYTES, sizeof old_bytes);
        memcpy(block, old, old_bytes < bytes ? old_bytes : bytes);
    }
    if (block != NULL || bytes == 0) {
        give(old);
    }
    return block;
}

static void *ssl_malloc(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return take(bytes);
}

static void *ssl_realloc(void *old, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return resize(old, bytes);
}

static void ssl_free(void *old, const char *file, int line)
{
    (void)file;
    (void)line;
    give(old);
}

static void *loop_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    (void)user;
    (void)old_bytes;
    return resize(old, new_bytes);
}

static double now_ns(void)
{
    return (double)clock() * 1e9 / (double)CLOCKS_PER_SEC;
}

/* ---- both ends ------------------------------------------------------------------------------- */

struct bench {
    struct kirim_sim *sim;
    struct kirim_loop *server_loop, *client_loop;
    struct kirim_dtls *server_dtls, *client_dtls;
    struct kirim_sessions *set;
    struct kirim_stack *stack[SESSIONS_MAX];
    struct kirim_layer *top; /* of the client that was opened last */
    size_t ready_count;
    uint64_t echoes_left;
    uint8_t session[SESSION_ROOM];
    size_t session_bytes;
};

static struct bench bench;

static kirim_err send_one(struct kirim_layer *layer, const void *data, size_t bytes)
{
    const struct kirim_buf buf = { (void *)(uintptr_t)data, bytes };
    const struct kirim_msg msg = { .buf = &buf, .buf_count = 1 };
    return kirim_layer_send(layer, &msg);
}

static void echo_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        (void)send_one(layer, d->data, d->bytes);
    }
}

static void client_ready(struct kirim_layer *layer)
{
    struct kirim_layer *const dtls = kirim_stack_layer(kirim_layer_stack(layer), 0);
    bench.ready_count++;
    bench.top = layer;
    (void)kirim_dtls_session(dtls, bench.session, sizeof bench.session, &bench.session_bytes);
}

static void client_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    if (bench.echoes_left > 0) {
        bench.echoes_left--;
        echo_received(layer, batch);
    }
}

static const struct kirim_layer_type echo_type = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "echo",
    .received = echo_received,
};

static const struct kirim_layer_type client_type = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "client",
    .ready = client_ready,
    .received = client_received,
};

static kirim_err on_admit(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                          struct kirim_admission *out, void *user)
{
    (void)user;
    return kirim_dtls_admit(bench.server_dtls, set, datagram, out);
}

static void on_opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    const struct kirim_dtls_config config =
        KIRIM_DTLS_CONFIG_INIT(bench.server_dtls, KIRIM_DTLS_SERVER);
    const struct kirim_layer_plan layers[] = { { kirim_dtls_layer_type(), &config },
                                               { &echo_type, NULL } };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    (void)set;
    (void)user;
    plan.layers = layers;
    plan.layer_count = 2;
    (void)kirim_stack_on_session(session, &plan, NULL);
}

static void open_server(void)
{
    static const struct kirim_sessions_handler handler = {
        .size = KIRIM_SESSIONS_HANDLER_INIT,
        .admit = on_admit,
        .opened = on_opened,
    };
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_sessions_options options = KIRIM_SESSIONS_OPTIONS_INIT;
    (void)kirim_addr_parse("10.0.0.1:4433", &endpoint.local);
    options.endpoint = &endpoint;
    options.handler = &handler;
    options.session_handler = kirim_stack_session_handler();
    options.idle_ns = KIRIM_NEVER;
    (void)kirim_sessions_open(bench.server_loop, &options, &bench.set);
}

static bool open_client(size_t index, bool is_resuming)
{
    struct kirim_dtls_config config = KIRIM_DTLS_CONFIG_INIT(bench.client_dtls, KIRIM_DTLS_CLIENT);
    const struct kirim_layer_plan layers[] = { { kirim_dtls_layer_type(), &config },
                                               { &client_type, NULL } };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    config.host = "server.test";
    if (is_resuming) {
        config.session = (struct kirim_buf){ bench.session, bench.session_bytes };
    }
    plan.layers = layers;
    plan.layer_count = 2;
    (void)kirim_addr_parse("10.0.0.2:0", &options.local);
    (void)kirim_addr_parse("10.0.0.1:4433", &options.peer);
    return kirim_stack_on_endpoint(bench.client_loop, &options, &plan, &bench.stack[index]) ==
           KIRIM_OK;
}

/* ---- identity -------------------------------------------------------------------------------- */

static void write_pem(BIO *bio, char out[PEM_BYTES])
{
    const int bytes = BIO_read(bio, out, PEM_BYTES - 1);
    out[bytes > 0 ? bytes : 0] = '\0';
    BIO_free(bio);
}

/* A certificate of "server.test" that it has issued itself. */
static void make_identity(char certificate[PEM_BYTES], char key_text[PEM_BYTES])
{
    EVP_PKEY *const key = EVP_EC_gen("P-256");
    X509 *const c = X509_new();
    X509_NAME *const name = X509_get_subject_name(c);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(c), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(c), 3600);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"server.test",
                                     -1, -1, 0);
    (void)X509_set_issuer_name(c, name);
    (void)X509_set_pubkey(c, key);
    (void)X509_sign(c, key, EVP_sha256());
    BIO *bio = BIO_new(BIO_s_mem());
    (void)PEM_write_bio_X509(bio, c);
    write_pem(bio, certificate);
    bio = BIO_new(BIO_s_mem());
    (void)PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    write_pem(bio, key_text);
    X509_free(c);
    EVP_PKEY_free(key);
}

static struct kirim_buf text_of(char *text)
{
    return (struct kirim_buf){ text, strlen(text) };
}

/* ---- the runs -------------------------------------------------------------------------------- */

static struct kirim_loop *open_loop(const char *name, const char *addr_text)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_sim_host *host = NULL;
    struct kirim_loop *loop = NULL;
    struct kirim_addr addr;
    (void)kirim_addr_parse(addr_text, &addr);
    (void)kirim_sim_host_add(bench.sim, name, &addr, 1, &host);
    options.reactor = "sim";
    options.reactor_context = host;
    options.alloc = loop_alloc;
    return kirim_loop_open(&options, &loop) == KIRIM_OK ? loop : NULL;
}

static bool open_both(bool has_key)
{
    static char certificate[PEM_BYTES];
    static char key_text[PEM_BYTES];
    struct kirim_dtls_options server = KIRIM_DTLS_OPTIONS_INIT;
    struct kirim_dtls_options client = KIRIM_DTLS_OPTIONS_INIT;
    memset(&bench, 0, sizeof bench);
    if (certificate[0] == '\0') {
        make_identity(certificate, key_text);
    }
    if (has_key) {
        server.psk_key = (struct kirim_buf){ (void *)(uintptr_t) "0123456789abcdef", 16 };
        server.psk_identity = "bench";
        server.ciphers = "PSK-AES128-GCM-SHA256";
        client = server;
    } else {
        server.certificate = text_of(certificate);
        server.private_key = text_of(key_text);
        client.trusted = text_of(certificate);
    }
    return kirim_sim_open(NULL, &bench.sim) == KIRIM_OK &&
           (bench.server_loop = open_loop("server", "10.0.0.1")) != NULL &&
           (bench.client_loop = open_loop("client", "10.0.0.2")) != NULL &&
           kirim_dtls_open(bench.server_loop, &server, &bench.server_dtls) == KIRIM_OK &&
           kirim_dtls_open(bench.client_loop, &client, &bench.client_dtls) == KIRIM_OK;
}

static void run_for(uint64_t ns)
{
    (void)kirim_sim_run(bench.sim, kirim_sim_now(bench.sim) + ns);
}

/* Opens so many, one behind the other; returns the CPU time of one. */
static double shake(size_t first, size_t count, bool is_resuming)
{
    const double start_ns = now_ns();
    for (size_t i = first; i < first + count; i++) {
        if (!open_client(i, is_resuming)) {
            return 0;
        }
        run_for(1000000);
    }
    return (now_ns() - start_ns) / (double)count;
}

static double talk(uint64_t messages)
{
    static const uint8_t message[MESSAGE_BYTES];
    bench.echoes_left = messages;
    const double start_ns = now_ns();
    (void)send_one(bench.top, message, sizeof message);
    run_for(messages * 1000000);
    return (now_ns() - start_ns) / (double)messages;
}

static bool measure(bool has_key, size_t sessions, uint64_t messages)
{
    if (!open_both(has_key)) {
        return false;
    }
    open_server();
    const double whole_ns = shake(0, sessions, false);
    const double resumed_ns = shake(sessions, sessions, true);
    const double message_ns = talk(messages);
    const size_t ready = bench.ready_count;
    (void)kirim_loop_close(bench.client_loop); /* what is left is the server's */
    kirim_dtls_close(bench.client_dtls);
    const size_t with_bytes = held_bytes;
    (void)kirim_sessions_close(bench.set);
    run_for(1000000);
    printf("%s: %.0f handshakes/s (%.0f us each), resumed %.0f/s (%.0f us), both ends; %.2f us for "
           "%d bytes there and back; %.0f bytes a session\n",
           has_key ? "pre-shared key" : "certificate", 1e9 / whole_ns, whole_ns / 1e3,
           1e9 / resumed_ns, resumed_ns / 1e3, message_ns / 1e3, (int)MESSAGE_BYTES,
           (double)(with_bytes - held_bytes) / (double)(2 * sessions));
    (void)kirim_loop_close(bench.server_loop);
    kirim_dtls_close(bench.server_dtls);
    (void)kirim_sim_close(bench.sim);
    return ready == 2 * sessions && bench.echoes_left == 0;
}

int main(int argc, char **argv)
{
    const uint64_t sessions = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    const uint64_t messages = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
    if (sessions == 0 || 2 * sessions > SESSIONS_MAX || messages == 0 ||
        CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) != 1) {
        return 2;
    }
    return measure(false, (size_t)sessions, messages) && measure(true, (size_t)sessions, messages)
               ? 0
               : 1;
}
