# SPDX-License-Identifier: MIT
"""The rules about C: what may include what, what may be called, which types may be named."""
import re

from tidy import rule

LIBRARY = ("lib", "reactors", "protocols")

# Includes

# Plain C11 that asks the system for nothing but memory, its environment and a stream to write to.
PLAIN_HEADERS = {
    "ctype.h", "errno.h", "float.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h",
    "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "stdnoreturn.h",
    "string.h",
}
PUBLIC_HEADERS = {"stdarg.h", "stdbool.h", "stddef.h", "stdint.h"}
# What an area may include of the tree; `public` is lib/include/kirim.
DIRECTION = {
    "lib": {"public", "lib"},
    "reactors": {"public", "lib", "reactors"},
    "protocols": {"public", "lib", "protocols"},
    "examples": {"public", "protocols", "examples"},
    "bench": {"public", "bench"},
    "tests": {"public", "lib", "reactors", "protocols", "examples", "bench", "tests"},
}
# What measures a part that the public headers do not show.
EXCUSED_INCLUDES = {"bench/sessions.c": {"lib/session.h"}, "bench/timer.c": {"lib/wheel.h"}}


def resolve(source, name):
    """Path in the tree of what an #include names, or None."""
    here = source.path.rsplit("/", 1)[0]
    for base in (here, "lib/include", "lib", "reactors", "protocols", "tests", ""):
        file = (source.root / base / name).resolve()
        if file.is_file():
            return file.relative_to(source.root.resolve()).as_posix()
    return None


def area_of(path):
    return "public" if path.startswith("lib/include/") else path.split("/", 1)[0]


@rule("include-direction")
def check_include_direction(source):
    allowed = {"public"} if source.is_public else DIRECTION.get(source.area)
    if allowed is None:
        return
    for number, opening, name in source.includes():
        if name.endswith(".c"):
            yield number, "a .c file is never included"
            continue
        if opening == "<" and not name.startswith("kirim/"):
            continue
        path = resolve(source, name)
        if path is None:
            yield number, f"\"{name}\" is not in the tree; a system's header stands in <>"
        elif area_of(path) not in allowed and path not in EXCUSED_INCLUDES.get(source.path, ()):
            yield number, f"{source.area}/ may not include {path}"


@rule("system-header", "lib", "protocols")
def check_system_header(source):
    allowed = PUBLIC_HEADERS if source.is_public else PLAIN_HEADERS
    known = ("kirim/",)
    if source.path.startswith("protocols/dtls/") and source.name != "hello.c":
        known += ("openssl/", "sys/time.h")  # the layer is built on a library that is not pure
    for number, opening, name in source.includes():
        if opening == "<" and not name.startswith(known) and name not in allowed:
            where = "a public header" if source.is_public else f"{source.area}/"
            yield number, f"<{name}> in {where}; only reactors/ knows the system"


@rule("platform-if")
def check_platform_if(source):
    if source.path == "lib/include/kirim/config.h" or source.area not in LIBRARY:
        return
    systems = (r"_WIN32|_WIN64|WIN32|__linux__|__linux|__unix__|__APPLE__|__FreeBSD__|__CYGWIN__|"
               r"__MINGW\w*|_MSC_VER")
    for number, _ in source.find(rf"^[ ]*#[ ]*(?:el)?if[^\n]*\b(?:{systems})\b"):
        yield number, "platform #if; CMake chooses the platform by naming files"


# Calls

SEND = "the reactor's submit (sendmsg, sendmmsg, WSASendMsg)"
RECEIVE = "the reactor's receive (recvmmsg, recvmsg, WSARecvMsg)"
ALLOCATOR = "the loop's allocator (lib/alloc.c)"
COPY = "memcpy with a known length"
NUMBER = "a parser that reports errors"
RANDOM = "the loop's random bytes"
CLOCK = "the loop's clock"
LOG = "the log callback"
BITS = "kirim's own bit operations: they abort at 1,024"
EVERYWHERE = {
    "strcpy": COPY, "strncpy": COPY, "strcat": "snprintf", "strncat": "snprintf",
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "fgets",
    "strtok": "strcspn and strspn", "atoi": NUMBER, "atol": NUMBER, "atof": NUMBER,
    "alloca": "a buffer of known size", "setjmp": "a returned error",
    "longjmp": "a returned error", "gethostbyname": "numeric addresses",
    "inet_addr": "kirim_addr_parse", "inet_ntoa": "kirim_addr_format",
    "tmpnam": "mkstemp", "mktemp": "mkstemp",
}
IN_LIBRARY = {
    "send": SEND, "sendto": SEND, "WSASend": SEND, "WSASendTo": SEND,
    "recv": RECEIVE, "recvfrom": RECEIVE, "WSARecv": RECEIVE, "WSARecvFrom": RECEIVE,
    "FD_SET": BITS, "FD_CLR": BITS, "FD_ISSET": BITS, "FD_ZERO": BITS,
    "malloc": ALLOCATOR, "calloc": ALLOCATOR, "realloc": ALLOCATOR, "free": ALLOCATOR,
    "aligned_alloc": ALLOCATOR, "posix_memalign": ALLOCATOR, "strdup": ALLOCATOR,
    "rand": RANDOM, "srand": RANDOM, "random": RANDOM,
    "time": CLOCK, "localtime": CLOCK, "gmtime": CLOCK,
    "sleep": "a timer", "usleep": "a timer", "nanosleep": "a timer", "Sleep": "a timer",
    "printf": LOG, "fprintf": LOG, "puts": LOG, "perror": LOG,
    "strerror": "strerror_r", "exit": "a returned error", "assert": "KI_ASSERT",
    "system": "nothing: the library starts no program",
    "popen": "nothing: the library starts no program",
    "fork": "nothing: the library starts no process",
    "pthread_create": "nothing: the library starts no thread",
    "signal": "nothing: signals belong to the program",
    "sigaction": "nothing: signals belong to the program",
    "getaddrinfo": "numeric addresses",
}
IN_TESTS = {name: "wait for the event with a deadline, or use the simulator's clock"
            for name in ("sleep", "usleep", "nanosleep", "thrd_sleep", "Sleep")}
# In reactors/: what a test must be able to make fail.
TABLE = "the loop's table of system calls (posix_sys.h)"
SYSTEM_CALLS = {name: TABLE for name in (
    "socket", "bind", "connect", "getsockname", "getpeername", "setsockopt", "getsockopt",
    "sendmsg", "sendmmsg", "recvmsg", "recvmmsg", "select", "pselect", "poll", "ppoll",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "pipe",
    "pipe2", "close", "read", "write", "fcntl", "ioctl", "clock_gettime", "getrandom")}
# Files whose task it is.
EXCUSED = {
    "reactors/posix_sys.c": set(SYSTEM_CALLS),
    "reactors/sim_park_posix.c": {"clock_gettime"},  # real time, for waiting beside virtual time
    "tests/support/storm.c": {"setjmp", "longjmp"},  # out of callbacks whose assertion failed
    "lib/alloc.c": {"malloc", "calloc", "realloc", "free", "aligned_alloc"},
}
CALL = r"(?<![\w.>])([A-Za-z_]\w*)\s*\("


@rule("banned-call")
def check_banned_call(source):
    banned = dict(EVERYWHERE)
    if source.area in LIBRARY:
        banned.update(IN_LIBRARY)
        banned.update(SYSTEM_CALLS)
    elif source.area == "tests":
        banned.update(IN_TESTS)
    excused = EXCUSED.get(source.path, set())
    for number, match in source.find(CALL):
        name = match.group(1)
        if name in banned and name not in excused:
            yield number, f"{name}(); use {banned[name]}"


# The ways out and in that nothing of the library takes, by name: no call, no pointer, no look-up.
OTHER_WAYS = (r"sendto|recvfrom|WSASend(?:To|Msg|Disconnect)?|WSARecv(?:From|Msg|Ex|Disconnect)?|"
              r"TransmitPackets|TransmitFile|RIO(?:Send|Receive)(?:Ex)?|ReadFile|WriteFile")


@rule("send-path", *LIBRARY)
def check_send_path(source):
    for number, match in source.find(rf"(?<![.\w])(?<!->)({OTHER_WAYS})\b(?!\s*\()"):
        yield number, f"{match.group(1)} named; use {SEND}"
    for number, match in source.find(r"\b(WSASendMsg|WSARecvMsg|TransmitPackets|TransmitFile|"
                                     r"RIO\w+|ReadFile|WriteFile)\s*\("):
        yield number, f"{match.group(1)}(); WSASendMsg and WSARecvMsg are asked for at run time"
    for number, line in enumerate(source.lines, 1):
        for match in re.finditer(rf'"(send|recv|{OTHER_WAYS})"', line):
            yield number, f"{match.group(1)} looked up; use {SEND}"
    # `send` and `recv` may be the names of variables; elsewhere they are taken as pointers.
    for name in ("send", "recv"):
        if not re.search(rf"^\s+\w+ {name}\b[;,=\[]", source.code, re.MULTILINE):
            for number, _ in source.find(rf"[=(,{{&?:]\s*{name}\s*[,;:)}}]"):
                yield number, f"pointer to {name}(); use {SEND}"


# Types and names

SYSTEM_TYPES = (
    r"struct\s+(?:sockaddr\w*|iovec|msghdr|mmsghdr|cmsghdr|timespec|timeval|pollfd|in_addr|"
    r"in6_addr|epoll_event)|socklen_t|ssize_t|off_t|pid_t|clockid_t|fd_set|FILE|SOCKET|HANDLE|"
    r"DWORD|WSABUF|WSAMSG|OVERLAPPED|WSAEVENT"
)


@rule("system-type", "lib")
def check_system_type(source):
    if source.is_public:
        for number, match in source.find(rf"\b(?:{SYSTEM_TYPES})\b"):
            yield number, f"a public header names the system's {' '.join(match.group(0).split())}"


@rule("long", *LIBRARY)
def check_long(source):
    explained = set()
    for number, comment in source.comments:
        if re.search(r"\blong\b", comment):
            last = number + comment.count("\n")
            explained.update((last, last + 1))
    for number, _ in source.find(r"(?<!long )\blong\b(?! long)"):
        if number not in explained:
            yield number, ("`long` differs between platforms; where a system's signature wants it, "
                           "a comment says `long: whose`")


@rule("typedef-t")
def check_typedef_t(source):
    for number, match in source.find(r"\btypedef\b[^;{]*?\b(\w+_t)\s*(?:\[[^;]*)?;"):
        yield number, f"{match.group(1)}: names in _t belong to POSIX"
    for number, match in source.find(r"\btypedef\b[^;]*\(\s*\*\s*(\w+_t)\s*\)"):
        yield number, f"{match.group(1)}: names in _t belong to POSIX"
    for number, match in source.find(r"\b(?:struct|union|enum)\s+(\w+_t)\s*\{|^\}\s*(\w+_t)\s*;"):
        yield number, f"{match.group(1) or match.group(2)}: names in _t belong to POSIX"


@rule("mutable-global", *LIBRARY)
def check_mutable_global(source):
    kinds = (r"(?:struct|union|enum)\s+\w+|unsigned|signed|char|short|int|bool|float|double|"
             r"\w+_t|kirim_err")
    pattern = (rf"^((?:(?:static|_Thread_local|volatile|_Atomic|const)\s+)*(?:{kinds})"
               rf"(?: (?:{kinds}))*(?: const\b|[ *])*[ *])(\w+)\s*(?:\[[^\n]*\])*\s*[=;]")
    for number, match in source.find(pattern):
        # Of a pointer, what stands behind its last star.
        if not re.search(r"\bconst\b", match.group(1).rsplit("*", 1)[-1]):
            yield number, f"{match.group(2)} can change; state hangs on a loop, a table is const"


@rule("public-name", "lib")
def check_public_name(source):
    if not source.is_public:
        return
    for number, match in source.find(r"^[ ]*#[ ]*define[ ]+(\w+)"):
        if not match.group(1).startswith("KIRIM_"):
            yield number, f"public macro {match.group(1)}; it begins with KIRIM_"
    for number, match in source.find(r"^KIRIM_API\b[^;{(]*?(\w+)\s*\("):
        if not match.group(1).startswith("kirim_"):
            yield number, f"public function {match.group(1)}; it begins with kirim_"
    for number, match in source.find(r"^(?:struct|union|enum)\s+(\w+)\s*\{"):
        if not match.group(1).startswith("kirim_"):
            yield number, f"public type {match.group(1)}; it begins with kirim_"


@rule("version", suffixes=(".txt",))
def check_version(source):
    if source.path != "CMakeLists.txt":
        return
    header = source.root / "lib/include/kirim/config.h"
    declared = re.search(r"^project\([^)]*\bVERSION ([0-9.]+)", source.text, re.MULTILINE)
    if not declared or not header.is_file():
        return
    text = header.read_text(encoding="utf-8")
    parts = [re.search(rf"define KIRIM_VERSION_{name} +(\d+)", text)
             for name in ("MAJOR", "MINOR", "PATCH")]
    said = ".".join(part.group(1) if part else "?" for part in parts)
    if said != declared.group(1):
        line = source.line_of(declared.start())
        yield line, f"version {declared.group(1)}, but {said} in lib/include/kirim/config.h"
