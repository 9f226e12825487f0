# SPDX-License-Identifier: MIT
"""What the scripts that set other people's programs on ours share: those programs, a network
namespace in which a script runs once more, and captures of what goes over loopback.
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import unittest

import programs

INSIDE = "--inside"  # the first argument of a script that runs in a namespace


def find(program):
    """Where a program is; those of servers are often not in the PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def need(program, package):
    return unittest.skipIf(find(program) is None,
                           f"{program} is missing: install the package {package}")


def run_words(words, place=None, **options):
    """Runs a program of others, in the directory `place`, to its end."""
    return subprocess.run([find(words[0]) or words[0], *map(str, words[1:])], cwd=place,
                          check=False, capture_output=True, text=True,
                          **{"stdin": subprocess.DEVNULL, "timeout": programs.RUN_SECONDS_MAX,
                             **options})


def losing(percent):
    """What makes a namespace lose so many of 100 UDP datagrams, each by itself."""
    return ('nft add table inet t && '
            'nft "add chain inet t in { type filter hook input priority 0; }" && '
            'nft add rule inet t in meta l4proto udp numgen random mod 100 "<" '
            f'{percent} counter drop')


def run_inside(case, file, setup, *arguments):
    """Runs the script `file` once more, in a network namespace of its own that `setup` made; the
    arguments are names of cases."""
    script = f'ip link set lo up && {setup} && exec "$@"'
    # As root without a namespace of users, in which servers of others cannot change theirs.
    for flags in ("-n", "-rn"):
        words = ["unshare", flags, "sh", "-c", script, "sh"]
        probe = run_words([*words, "true"])
        if probe.returncode == 0:
            break
    if probe.returncode != 0:
        case.skipTest(f"no such network namespace: {probe.stderr.strip()[:200]}")
    # One drop would take a whole train, and no loss is that of a datagram by itself.
    done = run_words([*words, sys.executable, "-B", file, INSIDE, *arguments],
                     env={**os.environ, "KIRIM_GSO": "0", "KIRIM_GRO": "0"},
                     timeout=4 * programs.RUN_SECONDS_MAX)
    print(done.stdout)
    case.assertEqual(done.returncode, 0, done.stdout + done.stderr)


@contextlib.contextmanager
def capturing(case, file, *wanted):
    """While it lasts, what goes over loopback and tcpdump's words want is written to a file."""
    command = [find("tcpdump"), "-i", "lo", "-U", "--immediate-mode", "-Z", "root", "-w", file,
               *map(str, wanted)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as capture:
        line = capture.stderr.readline()
        while line and "listening on" not in line:
            if "permission" in line.lower():
                capture.kill()
                case.skipTest("tcpdump may not capture here: it needs CAP_NET_RAW")
            line = capture.stderr.readline()
        try:
            yield
        finally:
            capture.send_signal(signal.SIGINT)
            capture.wait(timeout=programs.RUN_SECONDS_MAX)


def read_capture(case, file, protocol, ports, *arguments):
    """What tshark says of a capture, in lines; datagrams of these ports are of that protocol."""
    meant = [word for port in ports for word in ("-d", f"udp.port=={port},{protocol}")]
    done = run_words(["tshark", "-r", file, *meant, *arguments])
    case.assertEqual(done.returncode, 0, done.stderr)
    return done.stdout.splitlines()


def main(*inside):
    """Runs the cases of the calling file; those in the classes `inside` only where run_inside()
    names them."""
    if INSIDE in sys.argv:
        sys.argv.remove(INSIDE)
    else:
        for name in inside:
            delattr(sys.modules["__main__"], name)
    programs.main()
