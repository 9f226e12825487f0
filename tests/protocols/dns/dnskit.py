# SPDX-License-Identifier: MIT
"""What the scripts about the DNS programs share: a server that listens, zones, raw messages."""
import os
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "examples"))
import programs  # noqa: E402  (found by the path above)

EXAMPLE_ZONE = ROOT / "examples" / "zones" / "example.test.zone"
A, NS, CNAME, SOA, TXT, AAAA = 1, 2, 5, 6, 16, 28


def start_dnsd(*arguments, listen="127.0.0.1:0", zone=EXAMPLE_ZONE):
    """A DNS server that listens; its port is in `port`."""
    return programs.start_listening("dnsd", "--zone", zone, "--listen", listen, *arguments)


def start_dnsfwd(*arguments, upstream, listen="127.0.0.1:0", timeout_ms=60000):
    """A forwarder that listens; its port is in `port`. `upstream`: ports or whole addresses.
    Without loss it asks nothing twice, even on a machine that stands still for a while."""
    servers = ",".join(f"127.0.0.1:{server}" if isinstance(server, int) else server
                       for server in upstream)
    return programs.start_listening("dnsfwd", "--upstream", servers, "--listen", listen, "--stats",
                                    0, "--timeout-ms", timeout_ms, *arguments)


def run_dnsq(*arguments, env=None):
    """Runs dnsq with a time-out that a busy machine keeps too; another one may be given."""
    return programs.run("dnsq", "--timeout-ms", 20000, *arguments, env=env)


def places():
    """Every reactor with real sockets, on each family's loopback address."""
    return [(reactor, host) for reactor in programs.reactors()
            for host in programs.families().values()]


def wire_name(name):
    labels = [label.encode() for label in name.strip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def make_query(name, kind=A, number=1, flags=0x0100, cookie=None):
    option = b"" if cookie is None else struct.pack(">HH", 10, len(cookie)) + cookie
    opt = b"" if cookie is None else struct.pack(">BHHIH", 0, 41, 1232, 0, len(option)) + option
    return (struct.pack(">HHHHHH", number, flags, 1, 0, 0, 0 if cookie is None else 1) +
            wire_name(name) + struct.pack(">HH", kind, 1) + opt)


def ask(client, query):
    """Sends a message from a socket that is connected; what comes back."""
    client.send(query)
    return client.recv(65535)


def rcode_of(reply):
    """The result; that of EDNS too if OPT is the last record, with a cookie or nothing in it."""
    tail = reply[-39:] if reply[-28:-26] == b"\0\x0a" else reply[-11:]
    return reply[3] & 15 | (tail[5] << 4 if tail[:3] == b"\0\0\x29" else 0)


def question_of(message):
    """The question's bytes, from its name to its class; names are not compressed there."""
    end = message.index(b"\0", 12) + 5
    return message[12:end]


def make_reply(query, address, number=None, question=None):
    """An answer to an A query: with one address, and perhaps with the wrong number or question."""
    number = struct.unpack(">H", query[:2])[0] if number is None else number
    question = question_of(query) if question is None else question
    return (struct.pack(">HHHHHH", number, 0x8580, 1, 1, 0, 0) + question +
            b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 60, 4) + bytes(map(int, address.split("."))))


def counters(server, words=" dns received="):
    """What a server that has ended printed of its own counters, as numbers by name."""
    line = next(line for line in server.texts["err"].splitlines() if words in line)
    return {name: int(value) for name, value in programs.words(line).items()}


def write_zone(directory, text, name="test.zone"):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="latin-1", newline="") as file:
        file.write(text)
    return path
