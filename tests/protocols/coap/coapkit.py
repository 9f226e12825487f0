# SPDX-License-Identifier: MIT
"""What the scripts about the CoAP programs share: a server that listens, raw messages."""
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "examples"))
import programs  # noqa: E402  (found by the path above)

CON, NON, ACK, RST = range(4)
GET, POST, PUT, DELETE, FETCH = range(1, 6)
IF_NONE_MATCH, OBSERVE, URI_PATH, BLOCK2, BLOCK1, ECHO = 5, 6, 11, 23, 27, 252


def start_coapd(*arguments, listen="127.0.0.1:0", prefix=()):
    """A CoAP server that listens; its port is in `port`. `prefix` is what starts it."""
    return programs.start_listening(*prefix, programs.path_of("coapd") if prefix else "coapd",
                                    "--listen", listen, "--write", *arguments)


def uri(host, port, path=""):
    return f"coap://{programs.join(host, port)}/{path}"


def run_coap(verb, host, port, path, *arguments):
    return programs.run("coap", verb, uri(host, port, path), *arguments)


def observe_time(port):
    """What our client is told of /time in seconds, which are more on a machine that stands still:
    different lines, and how many times it had to ask for them."""
    for tries in range(1, 4):
        done = run_coap("get", "127.0.0.1", port, "time", "--observe", 3, "--quiet")
        found = set(done.stdout.splitlines())
        if len(found) > 1:
            break
    return found, tries


def code(number):
    """4.04 as its byte."""
    return int(number) << 5 | round(number * 100) % 100


def number(value):
    """A number as options have it."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def extended(value):
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes([value - 13])
    return 14, struct.pack(">H", value - 269)


def message(kind, what, identity, *options, token=b"", payload=b""):
    """A message's bytes; options are pairs of a number and bytes."""
    wire = bytes([0x40 | kind << 4 | len(token), what]) + struct.pack(">H", identity) + token
    last = 0
    for option, value in options:
        delta, more_delta = extended(option - last)
        size, more_size = extended(len(value))
        wire += bytes([delta << 4 | size]) + more_delta + more_size + value
        last = option
    return wire + (b"\xff" + payload if payload else b"")


def head(wire):
    """Kind, code and id of a message."""
    return wire[0] >> 4 & 3, wire[1], struct.unpack(">H", wire[2:4])[0]


def counters(server):
    """What a server that has ended printed of its own counters, as numbers by name."""
    line = next(line for line in server.texts["err"].splitlines() if " coap received=" in line)
    return {name: int(value) for name, value in programs.words(line).items()}


def large(size):
    """The first bytes of coapd's /large."""
    return "".join(f"{line:015x}\n" for line in range(size // 16 + 1))[:size]
