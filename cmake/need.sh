# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Shared by run-tests, run-demo and .ci/run: finds out what the machine lacks, installs it, builds.
# POSIX sh, since a bare machine has nothing else. Source it from the root of the tree.
#
#     need PACKAGE WHY TEST...   note PACKAGE as missing unless the command TEST... succeeds
#     want PACKAGE WHY TEST...   the same of what can be done without: some tests are skipped then
#     need_install               install what was noted; without root or apt: say what, and fail if
#                                something is needed

need_missing=
want_missing=
need_reasons=

# need_note PACKAGE WHY TEST...: fails, and keeps the reason, if TEST... does.
need_note() {
    need_package=$1
    need_why=$2
    shift 2
    if "$@" >/dev/null 2>&1 </dev/null; then
        return 0
    fi
    need_reasons="$need_reasons
    $need_package: $need_why"
    return 1
}

need() {
    need_note "$@" || need_missing="$need_missing $1"
}

want() {
    need_note "$@" || want_missing="$want_missing $1"
}

need_fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

need_install() {
    need_all=$need_missing$want_missing
    if [ -z "$need_all" ]; then
        return 0
    fi
    printf 'Missing on this machine:%s\n' "$need_reasons"
    need_obstacle=
    if ! command -v apt-get >/dev/null 2>&1; then
        need_obstacle='there is no apt-get here, to install these Debian packages'
    elif [ "$(id -u)" != 0 ]; then
        need_obstacle="only root can install packages, by
    apt-get update && apt-get install --no-install-recommends$need_all"
    fi
    if [ -n "$need_obstacle" ] && [ -n "$need_missing" ]; then
        need_fail "error: $need_obstacle" "It does not work without:$need_missing"
    fi
    if [ -n "$need_obstacle" ]; then
        printf 'It goes on without: %s\n' "$need_obstacle"
    else
        need_apt
    fi
    need_missing=
    want_missing=
    need_reasons=
}

# Installs $need_all; what apt-get says is shown if it fails.
need_apt() {
    printf 'Installing:%s\n' "$need_all"
    need_log=$(mktemp)
    # Word splitting is meant: one word is one package.
    # shellcheck disable=SC2086
    if ! { DEBIAN_FRONTEND=noninteractive apt-get update &&
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $need_all
    } >"$need_log" 2>&1 </dev/null; then
        cat "$need_log" >&2
        rm -f "$need_log"
        need_fail "error: apt-get failed (its output is above). Needed:" "   $need_all"
    fi
    rm -f "$need_log"
}

# The C compiler alone is not enough: it may be there without the headers and the start-up files.
can_compile() {
    printf '#include <stdio.h>\nint main(void) { return 0; }\n' | "${CC:-cc}" -x c -o /dev/null -
}

need_for_build() {
    need gcc "compiles kirim" command -v "${CC:-cc}"
    need libc6-dev "the C library's headers" can_compile
    need cmake "makes the build" command -v cmake
    need make "runs the build" command -v make
    need pkg-config "finds the libraries the build may use" command -v pkg-config
    need libevent-dev "the library under one of the reactors" pkg-config --exists libevent_core
    want libssl-dev "the library under the DTLS layer" pkg-config --exists "libssl >= 3.0"
}

need_for_tests() {
    need check "the library the tests are written with" pkg-config --exists check
    need python3 "runs the tests of the programs and of the tree's style" \
        python3 -c 'import argparse, pathlib, re'
    want g++ "tries the public headers as C++" command -v "${CXX:-c++}"
    want socat "sends datagrams that are not ours" command -v socat
    want bind9-dnsutils "dig, which asks the DNS server" command -v dig
    want knot-dnsutils "kdig, which asks it too" command -v kdig
    want ldnsutils "drill, another one" command -v drill
    want dnsperf "puts load on the DNS server" command -v dnsperf
    want nsd "a DNS server for the forwarder to ask" test -x /usr/sbin/nsd
    want knot "another one, which demands cookies" test -x /usr/sbin/knotd
    want unbound "a resolver that asks the forwarder, and is asked" test -x /usr/sbin/unbound
    want curl "gets files from the TFTP server, and sends some" command -v curl
    want tftp-hpa "does so too" command -v tftp
    want atftp "does so too, with windows" command -v atftp
    want busybox "does so too, and is impatient" command -v busybox
    want tftpd-hpa "a TFTP server for kirim's client" test -x /usr/sbin/in.tftpd
    want libcoap3-bin "coap-client and coap-server, other people's CoAP" \
        command -v coap-client-notls
    want gnutls-bin "speaks DTLS with kirim" command -v gnutls-cli
    want openssl "makes certificates, speaks DTLS with kirim, and through the relay" \
        command -v openssl
    want nftables "loses datagrams between them" test -x /usr/sbin/nft
    want ngtcp2-client "speaks QUIC through the relay" command -v gtlsclient
    want ngtcp2-server "answers that" test -x /usr/sbin/gtlsserver
    want wireguard-go "has a tunnel through the relay" command -v wireguard-go
    want wireguard-tools "sets that up" command -v wg
    want iproute2 "sets that up" command -v ip
    want tcpdump "captures what the DNS server sends" command -v tcpdump
    want tshark "reads what was captured" command -v tshark
}

# To build for Windows and to run what was built.
want_for_windows() {
    want gcc-mingw-w64-x86-64-win32 "compiles kirim for Windows" \
        command -v x86_64-w64-mingw32-gcc-win32
    want wine "runs the tests for Windows" wine --version
    want iproute2 "makes a network slow for some of them" test -x /usr/sbin/tc
}

can_test_windows() {
    command -v x86_64-w64-mingw32-gcc-win32 >/dev/null 2>&1 &&
        wine --version >/dev/null 2>&1 </dev/null
}

# What only .ci/run does.
need_for_checks() {
    need clang "the second compiler" command -v clang
    need libclang-rt-14-dev "clang's sanitizers and libFuzzer" can_fuzz
    need clang-format "checks the form" command -v clang-format
    need clang-tidy "looks for mistakes" command -v run-clang-tidy
    need cppcheck "looks for mistakes" command -v cppcheck
    need valgrind "looks for mistakes while the tests run, and counts instructions" \
        command -v valgrind
    need abigail-tools "compares the ABI of the shared library" command -v abidiff
    need binutils "reads the symbols of libraries" command -v readelf
    need doxygen "makes the documentation" command -v doxygen
    need libuv1-dev "what the benchmarks compare with" pkg-config --exists libuv
    need libasio-dev "what the benchmarks compare with" test -e /usr/include/asio.hpp
}

can_fuzz() {
    printf 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p && n > 99; }\n' |
        clang -x c -fsanitize=fuzzer,address,undefined -o /dev/null -
}

# What run-demo shows beside our own programs.
need_for_demo() {
    want socat "sends the echo servers a datagram that is not ours" command -v socat
    want bind9-dnsutils "dig, which asks the DNS servers" command -v dig
}

# build_preset NAME [cmake argument...]: configures and builds one preset of CMakePresets.json.
build_preset() {
    build_name=$1
    shift
    cmake --preset "$build_name" "$@" </dev/null &&
        cmake --build --preset "$build_name" --parallel "$(nproc)" </dev/null
}

# quietly COMMAND...: what it prints is shown only if it fails.
quietly() {
    quiet_log=$(mktemp)
    quiet_status=0
    "$@" >"$quiet_log" 2>&1 </dev/null || quiet_status=$?
    if [ "$quiet_status" != 0 ]; then
        cat "$quiet_log" >&2
    fi
    rm -f "$quiet_log"
    return "$quiet_status"
}
