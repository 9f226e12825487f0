# SPDX-License-Identifier: MIT
"""Runs the example programs for the tests beside this file.

Every wait is for an event and has a bound; nothing sleeps. Ports are the system's choice. A program
that is still there at the end of a test is killed.

KIRIM_LAUNCHER, a command with its words between blanks, runs programs of another system: cmake/wine
those of Windows. There a user ends a program by Ctrl-C alone, which Wine makes of SIGINT.
"""
import contextlib
import functools
import json
import os
import pathlib
import random
import re
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
import unittest

SLOWNESS = int(os.environ.get("CK_TIMEOUT_MULTIPLIER", "1"))  # sanitizers, emulators
# A machine that stands still for seconds fails no test: bounds are far from what is needed.
START_SECONDS_MAX = 30 * SLOWNESS  # from exec to the line that says it is ready
RUN_SECONDS_MAX = 60 * SLOWNESS  # of a program that ends by itself
END_SECONDS_MAX = 20 * SLOWNESS  # from SIGTERM to the end
PROMISED_SECONDS_MAX = 2 * SLOWNESS  # the same, as the programs promise it: on a machine that runs
FREE_PORTS = range(10240, 32766)  # below those that systems give to who asks for none
SKIPPED = 77

BIN = pathlib.Path(os.environ.get("KIRIM_BIN", "build/bin")).resolve()
LAUNCHER = shlex.split(os.environ.get("KIRIM_LAUNCHER", ""))
IS_WINE = bool(LAUNCHER)
SUFFIX = ".exe" if IS_WINE else ""
PROGRAMS = ("echod", "echo",
            "kirim-probe", "kirim-bench",
            "dnsd", "dnsq", "dnsfwd",
            "tftpd", "tftp",
            "coapd", "coap",
            "channel_copy", "chat",
            "engine", "sim_storm",
            "relay", "impair",
            *(name for name in ("embed_libevent", "dtls_echo")
              if (BIN / name).exists()))  # a build may lack them
FAMILIES = {4: "127.0.0.1", 6: "::1"}
# A loopback address that no other running script uses: what a capture of it shows is this script's.
OWN_HOST = f"127.{100 + (os.getpid() >> 16) % 100}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
STOP_SIGNALS = (signal.SIGINT,) if IS_WINE else (signal.SIGTERM, signal.SIGINT)


def unless_wine(gap):
    """Leaves a case out under Wine, which lacks what `gap` says."""
    return unittest.skipIf(IS_WINE, f"Wine: {gap}")


def unless_windows(gap):
    """Leaves a case out where the programs are those of Windows, which has no such thing."""
    return unittest.skipIf(IS_WINE, f"Windows: {gap}")


def path_of(program):
    """Of one of the programs; a path from the root stays what it is."""
    return str(BIN / program) + ("" if os.path.isabs(program) else SUFFIX)


def command_of(program):
    """The words that run it."""
    return [*LAUNCHER, path_of(program)]


def join(host, port):
    """ADDR:PORT as the programs take it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def run(program, *arguments, env=None):
    """Runs a program to its end; returns its status, stdout and stderr."""
    return subprocess.run([*command_of(program), *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False,
                          env={**os.environ, **(env or {})})


def run_echo(*arguments, env=None):
    """Runs echo with a time-out that a busy machine keeps too; another one may be given."""
    return run("echo", "--timeout-ms", 20000, *arguments, env=env)


class Program:
    """A program that runs beside the test until it is ended."""

    def __init__(self, program, *arguments, stdin=subprocess.DEVNULL, env=None):
        self.command = [*command_of(program), *map(str, arguments)]
        self.process = subprocess.Popen(self.command, stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env={**os.environ, **(env or {})})
        self.texts = {"out": "", "err": ""}
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ, "out")
        self.selector.register(self.process.stderr, selectors.EVENT_READ, "err")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.selector.close()
        self.process.stdout.close()
        self.process.stderr.close()

    def _read(self, deadline):
        """Waits for output; False at the deadline or when there will be no more."""
        left = deadline - time.monotonic()
        if left <= 0 or not self.selector.get_map():
            return False
        for key, _ in self.selector.select(left):
            chunk = os.read(key.fileobj.fileno(), 65536)
            if chunk:
                self.texts[key.data] += chunk.decode(errors="replace").replace("\r\n", "\n")
            else:
                self.selector.unregister(key.fileobj)
        return True

    def wait_for(self, stream, pattern, seconds=START_SECONDS_MAX):
        """Returns the match of a pattern in what came out of a stream, once it is there."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.texts[stream], re.MULTILINE)
            if match:
                return match
            if not self._read(deadline):
                raise AssertionError(f"{self.command}: no /{pattern}/ within {seconds} s or before "
                                     f"its end\n{self.texts}")

    def wait_end(self, seconds=RUN_SECONDS_MAX):
        """Returns the status of a program that ends by itself."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        try:
            return self.process.wait(max(0.01, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as err:
            raise AssertionError(f"{self.command}: not ended in {seconds} s") from err

    def stop(self, number=STOP_SIGNALS[0]):
        """Ends it as a user does; returns the status, or fails if that takes too long."""
        self.process.send_signal(number)
        return self.wait_end(END_SECONDS_MAX)


def start_listening(*words, says=r"listening on \S+:(\d+) ", env=None):
    """A server that listens; its port is in `port`."""
    server = Program(*words, env=env)
    try:
        server.port = int(server.wait_for("err", says).group(1))
    except BaseException:
        server.__exit__()
        raise
    return server


def start_echod(*arguments, listen="127.0.0.1:0", env=None):
    return start_listening("echod", "--listen", listen, *arguments, env=env)


def reactors():
    """Names of the reactors that open here and have real sockets."""
    return [name for name in run("kirim-probe", "--reactors").stdout.split() if name != "sim"]


def capabilities():
    """What each reactor that opens here can do, by its name."""
    found = json.loads(run("kirim-probe", "--json").stdout)
    return {entry["name"]: entry["capabilities"] for entry in found["reactors"] if entry["opens"]}


def families():
    """Families that this machine has, and their loopback addresses."""
    return {family: host for family, host in FAMILIES.items() if can_bind(family)}


@functools.cache
def binds_to_all():
    """Whether a socket bound to 127.0.0.2 is really bound to every address, as by Wine 8."""
    if not IS_WINE:
        return False
    with start_echod(listen="127.0.0.2:0") as server, open_socket() as client:
        for host in ("127.0.0.1", "127.0.0.2"):
            client.sendto(host.encode(), (host, server.port))
        return client.recv(100) == b"127.0.0.1"


def can_bind(family):
    try:
        with open_socket(family):
            return True
    except OSError:
        return False


def open_socket(family=4, host=None, port=0):
    """A UDP socket bound to loopback, whose calls end after a bounded time."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    found = socket.socket(kind, socket.SOCK_DGRAM)
    try:
        found.settimeout(START_SECONDS_MAX)
        found.bind((host or FAMILIES[family], port))
    except OSError:
        found.close()
        raise
    return found


@functools.cache
def closed_port():
    """A port of 127.0.0.1 that nobody listens on, and that nobody gets before this script's end: a
    socket has it that is connected to itself, so that whatever comes from others is refused."""
    closed_port.holder = open_socket()
    closed_port.holder.connect(closed_port.holder.getsockname())
    return closed_port.holder.getsockname()[1]


def free_port():
    """A port for a program that cannot be told to choose one, and the one above it. No system gives
    it to a test that runs beside this one."""
    while True:
        port = random.choice(FREE_PORTS)
        with contextlib.suppress(OSError), open_socket(host="0.0.0.0", port=port), \
                open_socket(host="0.0.0.0", port=port + 1):
            return port


def words(line):
    """The name=value words of a line."""
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def main():
    """Runs the cases of the calling file; 77 if every one of them was skipped."""
    program = unittest.main(module="__main__", verbosity=2, exit=False)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun > 0 and len(result.skipped) == result.testsRun:
        print("SKIP:", "; ".join(sorted({reason for _, reason in result.skipped})))
        sys.exit(SKIPPED)
