/* SPDX-License-Identifier: MIT
 *
 * A build without OpenSSL: coap_secure.h says that there is no coaps://.
 */
#include "coap_secure.h"

size_t coap_secure_list_options(struct coap_secure *s, bool is_server, struct cli_option *out)
{
    (void)s;
    (void)is_server;
    (void)out;
    return 0;
}

void coap_secure_check(const struct coap_secure *s, const struct cli *cli, bool is_server)
{
    (void)s;
    (void)cli;
    (void)is_server;
}

bool coap_secure_open(struct coap_secure *s, const struct cli *cli, struct kirim_loop *loop,
                      bool is_server)
{
    (void)s;
    (void)loop;
    (void)is_server;
    cli_say(cli, "coaps: this build has no DTLS");
    return false;
}

kirim_err coap_secure_admit(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                            struct kirim_admission *out, void *user)
{
    (void)set;
    (void)datagram;
    (void)out;
    (void)user;
    return KIRIM_EOPNOTSUPP;
}

void coap_secure_close(struct coap_secure *s)
{
    (void)s;
}
