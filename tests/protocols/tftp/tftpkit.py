# SPDX-License-Identifier: MIT
"""What the scripts about the TFTP programs share: a server that listens, files, raw messages."""
import os
import pathlib
import random
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "examples"))
import programs  # noqa: E402  (found by the path above)

RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)


def start_tftpd(root, *arguments, listen="127.0.0.1:0", prefix=()):
    """A TFTP server that listens; its port is in `port`. `prefix` is what starts it."""
    return programs.start_listening(*prefix, programs.path_of("tftpd"), "--root", root, "--listen",
                                    listen, *arguments)


def run_tftp(verb, host, port, name, *arguments, env=None):
    return programs.run("tftp", "--linger-ms", 1, *arguments, verb, programs.join(host, port),
                        name, env=env)


def places():
    """Every reactor with real sockets, on each family's loopback address."""
    return [(reactor, host) for reactor in programs.reactors()
            for host in programs.families().values()]


def make_file(path, size, seed=1):
    data = random.Random(seed).randbytes(size)
    pathlib.Path(path).write_bytes(data)
    return data


def read_file(path):
    return pathlib.Path(path).read_bytes()


def names_in(directory):
    """What is in a directory and below it."""
    return sorted(os.path.relpath(os.path.join(place, name), directory)
                  for place, _, names in os.walk(directory) for name in names)


def request(kind, name, mode="octet", **options):
    words = [name if isinstance(name, bytes) else name.encode(), mode.encode()]
    for option, value in options.items():
        words += [option.encode(), str(value).encode()]
    return struct.pack(">H", kind) + b"".join(word + b"\0" for word in words)


def block(number, data=b""):
    return struct.pack(">HH", DATA, number & 0xffff) + data


def ack(number):
    return struct.pack(">HH", ACK, number & 0xffff)


def recv_behind(end, last):
    """What comes behind the message `last`, which who waits for long says again."""
    message = last
    while message == last:
        message = end.recv(600)
    return message


def kind_and_number(message):
    return struct.unpack(">HH", message[:4])


def counters(server):
    """What a server that has ended printed of its own counters, as numbers by name."""
    line = next(line for line in server.texts["err"].splitlines() if " tftp accepted=" in line)
    return {name: int(value) for name, value in programs.words(line).items()}
