/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_mtu.c: what the system is asked about fragments and the path MTU, and
 * what its answers become. The system is played, with options as the reference describes them, or
 * the older ones only, as Wine has them.
 */
#include "win_mtu.h"

#include "win_tx.h"

#include <check.h>
#include <stdlib.h>

enum { NOTES_MAX = 16, SOCKET_OF_PORT = 1234, SOCKET_MADE = 77, V4 = 0, V6 = 1 };

/* What was set, in order. */
static struct note {
    SOCKET s;
    int level;
    int name;
    DWORD value;
} notes[NOTES_MAX];
static uint32_t note_count;
static uint32_t asked_count;   /* getsockopt() of the fragments' options */
static DWORD state_of[2];      /* what those options are, in either family */
static bool has_discovery;     /* IP_MTU_DISCOVER and IP_MTU are there */
static bool has_dont_fragment; /* IP_DONTFRAGMENT is */
static bool is_connected;      /* the port's own socket */
static bool is_alone;          /* IPV6_V6ONLY */
static int fails_at;           /* level of a setsockopt() that fails; -1: none */
static DWORD told_mtu;
static uint32_t made_count;
static uint32_t closed_count;
static uint32_t sent_count;
static DWORD sent_state[NOTES_MAX]; /* the option when each datagram left */
static struct sockaddr_in connected_to;
static int connect_error;

static struct kirim_loop *loop; /* for its log */
static struct ki_win_sys sys;
static struct ki_win win;
static struct ki_win_port port;
static struct kirim_endpoint_options options;
static struct ki_win_setup opening;
static struct kirim_control whole = KIRIM_CONTROL_INIT;

static int refuse(int sys_err)
{
    WSASetLastError(sys_err);
    return SOCKET_ERROR;
}

static int index_of(int level)
{
    ck_assert(level == IPPROTO_IP || level == IPPROTO_IPV6);
    return level == IPPROTO_IPV6;
}

static int WSAAPI play_set(SOCKET s, int level, int name, const char *value, int bytes)
{
    ck_assert_int_eq(bytes, sizeof(DWORD));
    ck_assert_uint_lt(note_count, NOTES_MAX);
    struct note *note = &notes[note_count++];
    *note = (struct note){ .s = s, .level = level, .name = name };
    memcpy(&note->value, value, sizeof note->value);
    if (fails_at == level) {
        return refuse(WSAEINVAL);
    }
    state_of[index_of(level)] = note->value;
    return 0;
}

static int WSAAPI play_get(SOCKET s, int level, int name, char *value, int *bytes)
{
    DWORD answer = state_of[index_of(level)];
    const bool is_mtu = name == (level == IPPROTO_IPV6 ? 72 : 73);
    ck_assert_int_eq(*bytes, sizeof answer);
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
        answer = is_alone;
    } else if (is_mtu) {
        if (!has_discovery) {
            return refuse(WSAENOPROTOOPT);
        }
        if (s == SOCKET_OF_PORT && !is_connected) {
            return refuse(WSAENOTCONN);
        }
        answer = told_mtu;
    } else {
        asked_count++;
        ck_assert(name == 71 || name == 14);
        if (name == 71 ? !has_discovery : !has_dont_fragment) {
            return refuse(WSAENOPROTOOPT);
        }
    }
    memcpy(value, &answer, sizeof answer);
    return 0;
}

static SOCKET WSAAPI play_socket(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info,
                                 GROUP group, DWORD flags)
{
    (void)info;
    (void)group;
    (void)flags;
    ck_assert(family == AF_INET || family == AF_INET6);
    ck_assert_int_eq(type, SOCK_DGRAM);
    ck_assert_int_eq(protocol, IPPROTO_UDP);
    made_count++;
    return SOCKET_MADE;
}

static int WSAAPI play_connect(SOCKET s, const struct sockaddr *name, int bytes)
{
    ck_assert_uint_eq(s, SOCKET_MADE);
    memcpy(&connected_to, name,
           (size_t)bytes < sizeof connected_to ? (size_t)bytes : sizeof connected_to);
    return connect_error != 0 ? refuse(connect_error) : 0;
}

static int WSAAPI play_close(SOCKET s)
{
    ck_assert_uint_eq(s, SOCKET_MADE);
    closed_count++;
    return 0;
}

static INT WSAAPI play_send(SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD sent,
                            LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    (void)flags;
    (void)sent;
    (void)overlapped;
    (void)routine;
    ck_assert_uint_eq(s, SOCKET_OF_PORT);
    ck_assert_uint_lt(sent_count, NOTES_MAX);
    const struct sockaddr_in6 *to = (const struct sockaddr_in6 *)msg->name;
    const bool is_ipv6 = to->sin6_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&to->sin6_addr);
    ck_assert_uint_eq(msg->Control.len, 0); /* there is none for it */
    sent_state[sent_count++] = state_of[is_ipv6];
    return 0;
}

static void setup(void)
{
    struct kirim_loop_options of_loop = KIRIM_LOOP_OPTIONS_INIT;
    of_loop.reactor = "sim";
    ck_assert_int_eq(kirim_loop_open(&of_loop, &loop), KIRIM_OK);
    memset(&win, 0, sizeof win);
    memset(&port, 0, sizeof port);
    memset(&opening, 0, sizeof opening);
    memset(notes, 0, sizeof notes);
    memset(state_of, 0, sizeof state_of);
    note_count = asked_count = made_count = closed_count = sent_count = 0;
    has_discovery = has_dont_fragment = true;
    is_connected = is_alone = false;
    fails_at = -1;
    connect_error = 0;
    told_mtu = 1400;
    sys = ki_win_sys_default;
    sys.setsockopt = play_set;
    sys.getsockopt = play_get;
    sys.socket = play_socket;
    sys.connect = play_connect;
    sys.close = play_close;
    win.sys = &sys;
    win.reactor.loop = loop;
    win.has_discovery[V4] = win.has_discovery[V6] = 1;
    port.calls.send = play_send;
    port.port.descriptor = SOCKET_OF_PORT;
    port.port.tx_segments_max = 1;
    options = (struct kirim_endpoint_options)KIRIM_ENDPOINT_OPTIONS_INIT;
    opening.options = &options;
    opening.s = SOCKET_OF_PORT;
    whole.flags = KIRIM_CONTROL_DONT_FRAGMENT;
}

static void teardown(void)
{
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
}

/* ---- probing --------------------------------------------------------------------------------- */

START_TEST(system_is_said_to_have_what_it_has)
{
    has_discovery = _i % 2 != 0;
    has_dont_fragment = _i / 2 != 0;
    for (int i = V4; i <= V6; i++) {
        const uint32_t caps = ki_win_mtu_probe(&win, SOCKET_OF_PORT, i == V6);
        ck_assert_int_eq((caps & KIRIM_CAP_DONT_FRAGMENT) != 0, has_discovery || has_dont_fragment);
        ck_assert_int_eq((caps & KIRIM_CAP_PATH_MTU) != 0, has_discovery);
        ck_assert_uint_eq(win.has_discovery[i], has_discovery);
    }
    ck_assert_uint_eq(note_count, 0); /* nothing is set for it */
}
END_TEST

/* ---- opening --------------------------------------------------------------------------------- */

static void check_note(uint32_t i, int level, int name, DWORD value)
{
    ck_assert_uint_lt(i, note_count);
    ck_assert_uint_eq(notes[i].s, SOCKET_OF_PORT);
    ck_assert_int_eq(notes[i].level, level);
    ck_assert_int_eq(notes[i].name, name);
    ck_assert_uint_eq(notes[i].value, value);
}

START_TEST(endpoint_is_opened_whole_or_probing)
{
    const bool is_probing = _i != 0;
    options.flags = is_probing ? KIRIM_ENDPOINT_PROBE_MTU : KIRIM_ENDPOINT_DONT_FRAGMENT;
    ck_assert_int_eq(ki_win_mtu_open(&win, &port, &opening), KIRIM_OK);
    check_note(0, IPPROTO_IP, 71, is_probing ? 3 : 1);
    ck_assert_uint_eq(note_count, 1);
    port.is_ipv6 = 1; /* and serves IPv4 too */
    ck_assert_int_eq(ki_win_mtu_open(&win, &port, &opening), KIRIM_OK);
    check_note(1, IPPROTO_IPV6, 71, is_probing ? 3 : 1);
    check_note(2, IPPROTO_IP, 71, is_probing ? 3 : 1);
    is_alone = true; /* IPv4's options may be refused on such a socket (L42) */
    ck_assert_int_eq(ki_win_mtu_open(&win, &port, &opening), KIRIM_OK);
    check_note(3, IPPROTO_IPV6, 71, is_probing ? 3 : 1);
    ck_assert_uint_eq(note_count, 4);
}
END_TEST

START_TEST(endpoint_that_asks_for_nothing_is_left_alone)
{
    port.is_ipv6 = 1;
    ck_assert_int_eq(ki_win_mtu_open(&win, &port, &opening), KIRIM_OK);
    ck_assert_uint_eq(note_count, 0);
}
END_TEST

START_TEST(older_system_has_the_older_option)
{
    win.has_discovery[V4] = win.has_discovery[V6] = 0;
    options.flags = KIRIM_ENDPOINT_DONT_FRAGMENT;
    port.is_ipv6 = 1;
    ck_assert_int_eq(ki_win_mtu_open(&win, &port, &opening), KIRIM_OK);
    check_note(0, IPPROTO_IPV6, 14, 1);
    check_note(1, IPPROTO_IP, 14, 1);
}
END_TEST

START_TEST(endpoint_that_cannot_be_whole_is_refused)
{
    options.flags = KIRIM_ENDPOINT_DONT_FRAGMENT;
    port.is_ipv6 = 1;
    fails_at = _i == 0 ? IPPROTO_IP : IPPROTO_IPV6;
    ck_assert_int_eq(ki_win_mtu_open(&win, &port, &opening), KIRIM_EINVAL);
}
END_TEST

/* ---- switching ------------------------------------------------------------------------------- */

static struct ki_entry entry(const char *peer, bool is_whole)
{
    struct ki_entry e = { .data = &whole, .bytes = 3, .buf_count = 1 };
    ck_assert_int_eq(kirim_addr_parse(peer, &e.peer), KIRIM_OK);
    e.control = is_whole ? &whole : NULL;
    return e;
}

static uint32_t submit(struct ki_entry *e, uint32_t n, struct ki_refusal *why)
{
    return ki_win_submit(&win.reactor, &port.port, e, n, why);
}

START_TEST(one_datagram_is_whole_and_the_others_are_not)
{
    static const char *const to = "192.0.2.1:9";
    struct ki_refusal why;
    struct ki_entry e[] = {
        entry(to, false), entry(to, true), entry(to, true), entry(to, false), entry(to, true),
    };
    ck_assert_uint_eq(submit(e, 5, &why), 5);
    const DWORD wanted[] = { 0, 1, 1, 0, 1 };
    ck_assert_mem_eq(sent_state, wanted, sizeof wanted);
    ck_assert_uint_eq(note_count, 3); /* only where it changes */
    ck_assert_uint_eq(asked_count, 1);
}
END_TEST

START_TEST(older_system_switches_the_older_option)
{
    struct ki_refusal why;
    struct ki_entry e[] = { entry("192.0.2.1:9", true), entry("192.0.2.1:9", false) };
    win.has_discovery[V4] = 0;
    ck_assert_uint_eq(submit(e, 2, &why), 2);
    check_note(0, IPPROTO_IP, 14, 1);
    check_note(1, IPPROTO_IP, 14, 0);
}
END_TEST

START_TEST(families_of_a_dual_stack_are_switched_apart)
{
    struct ki_refusal why;
    struct ki_entry e[] = {
        entry("192.0.2.1:9", true),      entry("[2001:db8::1]:9", false),
        entry("[2001:db8::1]:9", true),  entry("192.0.2.1:9", false),
        entry("[2001:db8::1]:9", false),
    };
    port.is_ipv6 = 1;
    ck_assert_uint_eq(submit(e, 5, &why), 5);
    const DWORD wanted[] = { 1, 0, 1, 0, 0 };
    ck_assert_mem_eq(sent_state, wanted, sizeof wanted);
    ck_assert_uint_eq(note_count, 4);
}
END_TEST

START_TEST(datagram_of_a_connected_port_is_of_its_peers_family)
{
    struct ki_entry e = entry("[2001:db8::1]:9", true);
    port.is_ipv6 = 1;
    port.port.remote = e.peer;
    ck_assert(ki_win_mtu_is_due(&port, &e));
    ck_assert(ki_win_mtu_changes(&port, &e));
    e.peer = (struct kirim_addr){ { 0, 0, 0 } };
    ck_assert_int_eq(ki_win_mtu_set(&win, &port, &e), KIRIM_OK);
    check_note(0, IPPROTO_IPV6, 71, 1);
    ck_assert(!ki_win_mtu_changes(&port, &e));
}
END_TEST

START_TEST(socket_that_is_whole_by_itself_is_never_switched)
{
    struct ki_refusal why;
    struct ki_entry e[] = { entry("192.0.2.1:9", true), entry("192.0.2.1:9", false) };
    state_of[V4] = _i == 0 ? 1 : 3;
    ck_assert_uint_eq(submit(e, 2, &why), 2);
    ck_assert_uint_eq(note_count, 0);
}
END_TEST

START_TEST(what_the_owner_has_chosen_comes_back)
{
    struct ki_refusal why;
    struct ki_entry e[] = { entry("192.0.2.1:9", true), entry("192.0.2.1:9", false) };
    state_of[V4] = 2; /* IP_PMTUDISC_DONT */
    ck_assert_uint_eq(submit(e, 2, &why), 2);
    check_note(1, IPPROTO_IP, 71, 2);
}
END_TEST

START_TEST(datagram_that_cannot_be_whole_is_refused_and_not_sent)
{
    struct ki_refusal why;
    struct ki_entry e[] = { entry("192.0.2.1:9", false), entry("192.0.2.1:9", true) };
    fails_at = IPPROTO_IP;
    ck_assert_uint_eq(submit(e, 2, &why), 1);
    ck_assert_int_eq(why.err, KIRIM_EINVAL);
    ck_assert_int_eq(why.sys_err, WSAEINVAL);
    ck_assert_uint_eq(why.entries, 1);
    ck_assert_uint_eq(sent_count, 1);
    fails_at = -1;
    ck_assert_uint_eq(submit(&e[1], 1, &why), 1);
    ck_assert_uint_eq(sent_state[1], 1);
}
END_TEST

/* ---- asking ---------------------------------------------------------------------------------- */

static kirim_err ask(const char *peer, uint32_t *out)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(peer, &addr), KIRIM_OK);
    return ki_win_path_mtu(&win.reactor, &port.port, &addr, out);
}

START_TEST(connected_port_asks_its_own_socket)
{
    uint32_t mtu = 0;
    is_connected = true;
    ck_assert_int_eq(kirim_addr_parse("192.0.2.1:7", &port.port.remote), KIRIM_OK);
    ck_assert_int_eq(ask("192.0.2.1:0", &mtu), KIRIM_OK);
    ck_assert_uint_eq(mtu, 1400);
    ck_assert_uint_eq(made_count, 0);
    is_connected = false; /* as a socket whose route is gone */
    ck_assert_int_eq(ask("192.0.2.1:0", &mtu), KIRIM_OK);
    ck_assert_uint_eq(made_count, 1);
}
END_TEST

START_TEST(other_questions_go_to_a_socket_of_their_own)
{
    uint32_t mtu = 0;
    ck_assert_int_eq(ask("192.0.2.1:0", &mtu), KIRIM_OK);
    ck_assert_uint_eq(mtu, 1400);
    ck_assert_uint_eq(made_count, 1);
    ck_assert_uint_eq(closed_count, 1);
    ck_assert_int_eq(connected_to.sin_family, AF_INET);
    ck_assert_uint_ne(connected_to.sin_port, 0); /* Winsock refuses a connect to port 0 */
    ck_assert_uint_eq(sent_count, 0);
}
END_TEST

/* An interface without a limit says so with all bits; a packet has one. */
START_TEST(path_mtu_is_no_more_than_a_packet_can_have)
{
    uint32_t mtu = 0;
    told_mtu = 0xffffffff;
    ck_assert_int_eq(ask("127.0.0.1:0", &mtu), KIRIM_OK);
    ck_assert_uint_eq(mtu, 65535);
    ck_assert_int_eq(ask("[::1]:0", &mtu), KIRIM_OK);
    ck_assert_uint_eq(mtu, 65575);
}
END_TEST

START_TEST(system_that_cannot_tell_says_so)
{
    uint32_t mtu = 77;
    has_discovery = false;
    ck_assert_int_eq(ask("192.0.2.1:0", &mtu), KIRIM_EOPNOTSUPP);
    has_discovery = true;
    connect_error = WSAENETUNREACH;
    ck_assert_int_eq(ask("192.0.2.1:0", &mtu), KIRIM_ENETUNREACH);
    ck_assert_uint_eq(mtu, 77);
    ck_assert_uint_eq(closed_count, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_mtu");
    TCase *tcase = tcase_create("mtu");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, system_is_said_to_have_what_it_has, 0, 4);
    tcase_add_loop_test(tcase, endpoint_is_opened_whole_or_probing, 0, 2);
    tcase_add_test(tcase, endpoint_that_asks_for_nothing_is_left_alone);
    tcase_add_test(tcase, older_system_has_the_older_option);
    tcase_add_loop_test(tcase, endpoint_that_cannot_be_whole_is_refused, 0, 2);
    tcase_add_test(tcase, one_datagram_is_whole_and_the_others_are_not);
    tcase_add_test(tcase, older_system_switches_the_older_option);
    tcase_add_test(tcase, families_of_a_dual_stack_are_switched_apart);
    tcase_add_test(tcase, datagram_of_a_connected_port_is_of_its_peers_family);
    tcase_add_loop_test(tcase, socket_that_is_whole_by_itself_is_never_switched, 0, 2);
    tcase_add_test(tcase, what_the_owner_has_chosen_comes_back);
    tcase_add_test(tcase, datagram_that_cannot_be_whole_is_refused_and_not_sent);
    tcase_add_test(tcase, connected_port_asks_its_own_socket);
    tcase_add_test(tcase, other_questions_go_to_a_socket_of_their_own);
    tcase_add_test(tcase, path_mtu_is_no_more_than_a_packet_can_have);
    tcase_add_test(tcase, system_that_cannot_tell_says_so);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
