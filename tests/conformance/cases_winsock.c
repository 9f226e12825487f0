/* SPDX-License-Identifier: MIT
 *
 * The rows that speak of Winsock alone: the functions that a provider is asked for (S12), and what
 * is imported from ws2_32 (S53). Sources: WSAIoctl, "PE Format".
 */
#include <string.h>

#include "conformance.h"
#include "win_addr.h"
#include "win_played.h"

/* ---- asked of the provider ------------------------------------------------------------------- */

static void functions_are_fetched(struct ks *t)
{
    kc_open_played(t);
    KS_EQ(2, kc_played.fetched[0]); /* both of them, for each family */
    KS_EQ(2, kc_played.fetched[1]);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const size_t calls = kc_played.send_calls;
    KS_SEND(a, "x", 1, &b->addr);
    KS_EXPECT(b, "x", 1);
    KS_EQ(calls + 1, kc_played.send_calls); /* what was fetched is what is called */
    KS_EQ(4, kc_played.fetched[0] + kc_played.fetched[1]);
}

/* An adopted socket may have another provider. */
static void functions_are_fetched_of_adopted_sockets(struct ks *t)
{
    union ki_win_name name;
    const struct kirim_addr local = ks_loopback(t->family, 0);
    const bool is_ipv6 = t->family == KIRIM_IPV6;
    const int bytes = ki_win_name_write(&name, &local, is_ipv6);
    kc_open_played(t);
    const SOCKET s = WSASocketW(is_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM, IPPROTO_UDP, NULL, 0,
                                WSA_FLAG_OVERLAPPED);
    KS_EQ(0, bind(s, &name.any, bytes));
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct ks_node *n = NULL;
    options.adopt = (intptr_t)s;
    options.flags = KIRIM_ENDPOINT_ADOPT;
    kc_played.lacks_send = true;
    KS_ERR(KIRIM_EOPNOTSUPP, ks_node_try(t, &options, &n));
    kc_played.lacks_send = false;
    KS_OK(ks_node_try(t, &options, &n));
    KS_EQ(4, kc_played.fetched[is_ipv6]);
}

static void provider_without_them_is_refused(struct ks *t)
{
    for (int i = 0; i < 2; i++) {
        memset(&kc_played, 0, sizeof kc_played);
        kc_played.lacks_send = i == 0;
        kc_played.lacks_receive = i == 1;
        KS_ERR(KIRIM_EOPNOTSUPP, kc_try_open_played(t));
        KS_CHECK(t->loop == NULL);
    }
}

/* ---- imported -------------------------------------------------------------------------------- */

/* What ws2_32 of Windows Vista has, as far as kirim and its tests call it. */
static const char *const of_vista[] = {
    "WSACleanup",
    "WSACloseEvent",
    "WSACreateEvent",
    "WSAEnumNetworkEvents",
    "WSAEventSelect",
    "WSAGetLastError",
    "WSAGetOverlappedResult",
    "WSAIoctl",
    "WSAPoll",
    "WSAResetEvent",
    "WSASetEvent",
    "WSASetLastError",
    "WSASocketW",
    "WSAStartup",
    "WSAWaitForMultipleEvents",
    "__WSAFDIsSet",
    "bind",
    "closesocket",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "htonl",
    "htons",
    "ioctlsocket",
    "ntohl",
    "ntohs",
    "recv",
    "recvfrom",
    "select",
    "send",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
};

static bool is_of_vista(const char *name)
{
    for (size_t i = 0; i < sizeof of_vista / sizeof of_vista[0]; i++) {
        if (strcmp(of_vista[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Looks at what the module imports from one DLL. Returns how many functions. */
static size_t check_imports(const uint8_t *module, const IMAGE_IMPORT_DESCRIPTOR *of)
{
    const IMAGE_THUNK_DATA *thunk = (const void *)(module + of->OriginalFirstThunk);
    size_t count = 0;
    for (; thunk[count].u1.AddressOfData != 0; count++) {
        if (IMAGE_SNAP_BY_ORDINAL(thunk[count].u1.Ordinal)) {
            continue; /* by number: those of Winsock 1.1 */
        }
        const IMAGE_IMPORT_BY_NAME *by =
            (const void *)(module + (size_t)thunk[count].u1.AddressOfData);
        if (!is_of_vista((const char *)by->Name)) {
            KS_FAIL("ws2_32: %s is imported", (const char *)by->Name);
        }
    }
    return count;
}

/* The module that has kirim in it: its DLL, or this program. */
static void imports_are_of_the_floor(struct ks *t)
{
    HMODULE found = NULL;
    size_t count = 0;
    (void)t;
    KS_CHECK(GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                                    GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                                (LPCWSTR)(uintptr_t)kirim_loop_open, &found));
    const uint8_t *module = (const uint8_t *)found;
    const IMAGE_DOS_HEADER *dos = (const void *)module;
    const IMAGE_NT_HEADERS *nt = (const void *)(module + dos->e_lfanew);
    const IMAGE_DATA_DIRECTORY *where =
        &nt->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT];
    KS_CHECK(where->VirtualAddress != 0);
    const IMAGE_IMPORT_DESCRIPTOR *of = (const void *)(module + where->VirtualAddress);
    for (; of->Name != 0; of++) {
        if (_stricmp((const char *)module + of->Name, "ws2_32.dll") == 0) {
            count += check_imports(module, of);
        }
    }
    KS_CHECK(count > 10);
}

#define WINSOCK(claim, cites, function, proof) \
    KC(claim, cites, function, proof, KC_UNOPENED | KC_SYSTEM)

static const struct kc_case cases[] = {
    WINSOCK("functions_are_fetched_for_each_family", "S12", functions_are_fetched, KC_LIVE),
    KC_CAPS("functions_of_an_adopted_socket_are_those_of_its_provider", "S12",
            functions_are_fetched_of_adopted_sockets, KC_SPY, KC_UNOPENED | KC_SYSTEM,
            KIRIM_CAP_ADOPT),
    WINSOCK("provider_without_wsasendmsg_is_an_error_of_the_open", "S12",
            provider_without_them_is_refused, KC_SPY),
    WINSOCK("library_imports_of_winsock_what_vista_had", "S53", imports_are_of_the_floor, KC_LIVE),
};

const struct kc_subject kc_winsock = KC_SUBJECT("winsock", cases);
