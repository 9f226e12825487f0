# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Shared by run-tests, run-demo and .ci/run: finds out what the machine lacks, installs it, builds.
# POSIX sh, since a bare machine has nothing else. Source it from the root of the tree.
#
#     need PACKAGE WHY TEST...   note PACKAGE as missing unless the command TEST... succeeds
#     need_install               install what was noted; without root or apt: say what, and fail

need_missing=
need_reasons=

need() {
    need_package=$1
    need_why=$2
    shift 2
    if "$@" >/dev/null 2>&1 </dev/null; then
        return 0
    fi
    need_missing="$need_missing $need_package"
    need_reasons="$need_reasons
    $need_package: $need_why"
}

need_fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

need_install() {
    if [ -z "$need_missing" ]; then
        return 0
    fi
    printf 'Missing on this machine:%s\n' "$need_reasons"
    if ! command -v apt-get >/dev/null 2>&1; then
        need_fail "error: there is no apt-get here. Install what these Debian packages hold:" \
            "   $need_missing"
    fi
    if [ "$(id -u)" != 0 ]; then
        need_fail "error: only root can install packages. As root, run this, then start again:" \
            "    apt-get update && apt-get install --no-install-recommends$need_missing"
    fi
    printf 'Installing:%s\n' "$need_missing"
    need_log=$(mktemp)
    # Word splitting is meant: one word is one package.
    # shellcheck disable=SC2086
    if ! { DEBIAN_FRONTEND=noninteractive apt-get update &&
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $need_missing
    } >"$need_log" 2>&1 </dev/null; then
        cat "$need_log" >&2
        rm -f "$need_log"
        need_fail "error: apt-get failed (its output is above). Needed:" "   $need_missing"
    fi
    rm -f "$need_log"
    need_missing=
    need_reasons=
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
}

need_for_tests() {
    need check "the library the tests are written with" pkg-config --exists check
    need python3 "runs the tests of the tree's style" python3 -c 'import argparse, pathlib, re'
}

# build_preset NAME [cmake argument...]: configures and builds one preset of CMakePresets.json.
build_preset() {
    build_name=$1
    shift
    cmake --preset "$build_name" "$@" </dev/null &&
        cmake --build --preset "$build_name" --parallel "$(nproc)" </dev/null
}
