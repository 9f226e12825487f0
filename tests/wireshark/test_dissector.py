# SPDX-License-Identifier: MIT
"""The Wireshark dissector of the channel, run by tshark: every packet and frame with its fields,
what breaks a rule, what a capture has cut, and bytes of no meaning.

Packets are written here by docs/channel.md alone, so that the dissector and the protocol's code are
held to that page, and not to each other. Debian package: tshark.
"""
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "examples"))
import programs  # noqa: E402  (found by the path above)

SCRIPT = ROOT / "packaging" / "wireshark" / "kirim-channel.lua"
PORT = 7000
OTHER_PORT = 7001
CUT_BYTES = 100
NOISE_COUNT = 1000
HELLO, TOKEN, BEGIN, DATA, RESET, VERSIONS = range(4, 10)
CLIENT_ID, SERVER_ID = bytes(range(8)), bytes(range(8, 16))
RESET_TOKEN = bytes(range(16, 32))
LINK_RAW_IP = 101


def varint(number):
    for exponent, bound in enumerate((1 << 6, 1 << 14, 1 << 30, 1 << 62)):
        if number < bound:
            size = 1 << exponent
            return (number | exponent << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(number)


def varints(*numbers):
    return b"".join(map(varint, numbers))


def params(datagram=1452, window=4 << 20, stream=2 << 20, message=1 << 20, streams=64, delay=25,
           idle=30000):
    return struct.pack(">IIIIHHI", datagram, window, stream, message, streams, delay, idle)


def hello(version=1, size=1200):
    return (bytes([HELLO, version]) + CLIENT_ID).ljust(size, b"\0")


def token(told=None, secret=b"t" * 30):
    return (bytes([TOKEN]) + CLIENT_ID + b"\1" + SERVER_ID + RESET_TOKEN + (told or params()) +
            bytes([len(secret)]) + secret)


def begin(frames, told=None, version=1):
    return (bytes([BEGIN]) + SERVER_ID + (0).to_bytes(6, "big") + bytes([version]) + CLIENT_ID +
            RESET_TOKEN + (told or params()) + b"\3abc" + frames)


def data(frames, number=5):
    return bytes([DATA]) + CLIENT_ID + number.to_bytes(6, "big") + frames


def close(code=300, text=b"bye"):
    return b"\x08" + varint(code) + RESET_TOKEN + varint(len(text)) + text


def fragment(kind, stream, number, length, offset, part):
    return bytes([kind]) + varints(stream, number, length, offset, len(part)) + part


def message(kind, stream, number, body):
    return bytes([kind]) + varints(stream, number, len(body)) + body


PING, CHALLENGE, RESPONSE = b"\1", b"\6" + b"c" * 8, b"\7" + b"r" * 8
ACK = b"\2" + varints(1000, 20000, 2, 9, 0, 4, 1, 2)
ACK_ECN = b"\3" + varints(70000, 0, 0, 0, 5, 6, 7)
# Every frame, and all of them in one packet.
FRAMES = (b"\0" * 5, PING, ACK, ACK_ECN, b"\4" + varint(1 << 40), b"\5" + varints(3, 9),
          CHALLENGE, RESPONSE, close(), close(0, b""), message(0x10, 1, 2, b"whole"),
          message(0x12, 255, 0, b""), message(0x14, 0, 4095, b"s" * 70),
          fragment(0x11, 1, 3, 1 << 24, (1 << 24) - 3, b"end"),
          fragment(0x13, 1, 4, 2, 0, b"a"), fragment(0x15, 1, 5, 1000, 500, b"b" * 500))
GOOD = (hello(), hello(size=256), hello(version=9, size=1200), token(), token(secret=b""),
        begin(PING), *map(data, FRAMES), data(b"".join(FRAMES)), data(PING, (1 << 48) - 2),
        bytes([RESET]) + RESET_TOKEN, bytes([VERSIONS]) + CLIENT_ID + b"\7\2\1\3")
# What breaks a rule, and the reason that is given.
BAD = (
    (b"\x03", "kind 3"), (b"\x0a" + bytes(20), "kind 10"), (bytes([HELLO, 1]), "connection id"),
    (hello()[:-1] + b"x", "not zero"), (hello(size=200), "shorter"),
    (token(params(datagram=255)), "less than 256"), (token(params(window=1)), "below that"),
    (token(params(message=2 << 20)), "longest message and 64"),
    (token(params(streams=0)), "256 st"), (token(params(streams=257)), "256 st"),
    (token(params(delay=1001)), "1 s"), (token(params(idle=999)), "less than 1 s"),
    (token() + b"x", "behind the end"),
    (token(params(4096, (16 << 20) + 80, (16 << 20) + 70, (16 << 20) + 1)), "16 MiB"),
    (token()[:-1], "token: the packet ends"), (begin(PING, version=2), "version 2"),
    (begin(b""), "no frame"), (data(b""), "no frame"), (data(b"\x09"), "0x09"),
    (data(b"\x16"), "0x16"), (data(PING)[:14], "packet number"),
    (data(b"\2" + varints(3, 0, 0, 4)), "below 0"),
    (data(b"\2" + varints(9, 0, 1, 0, 8, 0)), "below 0"),
    (data(b"\2" + varints(999, 0, 64, 0)), "63 further"),
    (data(b"\2" + varint(1 << 48)), "no packet has"),
    (data(ACK[:-1]), "length of a range"), (data(ACK_ECN[:-1]), "CE"),
    (data(b"\5" + varints(256, 1)), "above 255"), (data(message(0x10, 256, 0, b"")), "above 255"),
    (data(close(text=b"x" * 257)), "256 bytes"), (data(close()[:-1]), "text"),
    (data(b"\x10" + varints(0, 0, (16 << 20) + 1)), "16 MiB"),
    (data(fragment(0x11, 0, 0, 5, 0, b"")), "of nothing"),
    (data(fragment(0x13, 0, 0, 5, 3, b"abc")), "beyond the end"),
    (data(message(0x14, 0, 0, b"abc"))[:-1], "data"), (data(CHALLENGE[:-1]), "challenge"),
    (data(b"\4\xc0"), "limit"), (bytes([RESET]) + RESET_TOKEN[1:], "reset token"),
    (bytes([RESET]) + RESET_TOKEN + b"x", "behind the end"),
    (bytes([VERSIONS]) + CLIENT_ID + b"\7\0", "no versions"),
    (bytes([VERSIONS]) + CLIENT_ID + b"\7\3\1\3", "version"),
)


def write_capture(path, payloads, snap=65535, port=PORT):
    """A capture of UDP datagrams over IPv4."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, snap, LINK_RAW_IP))
        for number, payload in enumerate(payloads):
            udp = struct.pack(">HHHH", OTHER_PORT, port, 8 + len(payload), 0) + payload
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number & 0xffff, 0, 64, 17, 0,
                             bytes([127, 0, 0, 1]), bytes([127, 0, 0, 1])) + udp
            file.write(struct.pack("<IIII", number, 0, len(ip[:snap]), len(ip)) + ip[:snap])


@unittest.skipIf(shutil.which("tshark") is None, "tshark is missing: install the package tshark")
class Dissector(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.file = os.path.join(place.name, "capture.pcap")

    def dissect(self, *arguments, decode=True):
        """What tshark prints, by lines."""
        words = ["tshark", "-X", f"lua_script:{SCRIPT}", "-r", self.file, *arguments]
        words += ["-d", f"udp.port=={PORT},kirim_channel"] if decode else []
        done = subprocess.run(words, check=False, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=programs.RUN_SECONDS_MAX)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("Lua", done.stdout + done.stderr)
        return done.stdout.splitlines()

    def fields(self, *names, decode=True):
        """The fields of each packet; those of one name are joined by commas."""
        words = [word for name in names for word in ("-e", name)]
        return [line.split("\t") for line in self.dissect("-T", "fields", *words, decode=decode)]

    def test_everything_is_read(self):
        write_capture(self.file, GOOD)
        self.assertEqual(self.dissect("-Y", "kirim_channel.malformed || kirim_channel.cut || "
                                      "_ws.malformed || !kirim_channel"), [])
        kinds = [kind for kind, in self.fields("kirim_channel.kind")]
        self.assertEqual(kinds, [str(payload[0]) for payload in GOOD])
        types = self.fields("kirim_channel.frame.type")[6:6 + len(FRAMES)]
        self.assertEqual(types, [[f"0x{frame[0]:02x}"] for frame in FRAMES])

    def test_fields_have_their_values(self):
        write_capture(self.file, (token(), data(ACK), data(b"".join(FRAMES)), data(close())))
        found = self.fields("kirim_channel.params.message_bytes_max", "kirim_channel.token",
                            "kirim_channel.ack.largest", "kirim_channel.ack.lowest",
                            "kirim_channel.number", "kirim_channel.offset",
                            "kirim_channel.max_data", "kirim_channel.close.code",
                            "kirim_channel.close.text", "kirim_channel.ack.ce")
        self.assertEqual(found[0][:2], [str(1 << 20), (b"t" * 30).hex()])
        self.assertEqual(found[1][2:5], ["1000", "980", "5"])  # 1000..991, 989..985, 982..980
        self.assertEqual(found[2][5:7], [f"{(1 << 24) - 3},0,500", str(1 << 40)])
        self.assertEqual(found[3][7:9], ["300", "bye"])
        self.assertEqual(found[2][9], "7")

    def test_what_breaks_a_rule_is_told(self):
        write_capture(self.file, [payload for payload, _ in BAD])
        lines = self.fields("kirim_channel.malformed", "_ws.expert.message")
        for (payload, reason), (_, said) in zip(BAD, lines, strict=True):
            with self.subTest(payload=payload.hex()[:80]):
                self.assertIn("Malformed: ", said)
                self.assertIn(reason, said)

    def test_packets_of_every_length(self):
        """Cut short by their sender, they are malformed; cut by the capture, they are not."""
        whole = data(b"".join(FRAMES[1:]))
        ends = {15 + sum(map(len, FRAMES[1:count])) for count in range(2, len(FRAMES) + 1)}
        write_capture(self.file, [whole[:size] for size in range(1, len(whole) + 1)])
        said = self.fields("_ws.expert.message")
        self.assertEqual({size for size, (text,) in enumerate(said, 1) if not text}, ends)
        write_capture(self.file, GOOD, snap=28 + CUT_BYTES)
        self.assertEqual(self.dissect("-Y", "kirim_channel.malformed || _ws.malformed"), [])
        cut = self.fields("kirim_channel.cut", "_ws.expert.message")
        self.assertTrue(any("cut" in text for _, text in cut))

    def test_noise_does_no_harm(self):
        noise = random.Random(20240229)
        payloads = []
        for _ in range(NOISE_COUNT):
            changed = bytearray(noise.choice(GOOD)[:noise.randrange(1, 1300)])
            for _ in range(noise.randrange(6)):
                changed[noise.randrange(len(changed))] = noise.randrange(256)
            payloads.append(bytes(changed))
        payloads += [bytes([noise.randrange(4, 10)]) + noise.randbytes(noise.randrange(200))
                     for _ in range(NOISE_COUNT)]
        write_capture(self.file, payloads)
        self.assertEqual(len(self.dissect("-Y", "kirim_channel")), len(payloads))
        self.assertEqual(self.dissect("-Y", "_ws.lua.error || "
                                      "(_ws.malformed && !kirim_channel.malformed)"), [])
        self.assertGreater(len(self.dissect("-Y", "kirim_channel.malformed")), NOISE_COUNT)

    def test_a_channel_is_found_by_itself(self):
        write_capture(self.file, (hello(), token(), begin(PING), data(PING), data(b"\x09")))
        self.assertEqual(len(self.dissect("-Y", "kirim_channel", decode=False)), 5)
        self.assertEqual(len(self.dissect("-Y", "kirim_channel.malformed", decode=False)), 1)
        write_capture(self.file, (b"\4hello", bytes([RESET]) + RESET_TOKEN, b"\7" + b"x" * 40,
                                  bytes(30)))
        self.assertEqual(self.dissect("-Y", "kirim_channel", decode=False), [])
        lines = self.dissect("-Y", "kirim_channel", "-o", f"kirim_channel.ports:{PORT}",
                             decode=False)
        self.assertEqual(len(lines), 4)


if __name__ == "__main__":
    programs.main()
