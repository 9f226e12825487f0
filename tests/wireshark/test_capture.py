# SPDX-License-Identifier: MIT
"""What channel_copy sends over a path that loses, captured, and read by the Wireshark dissector.

Runs in a network namespace of its own. Debian packages: nftables, tshark.
"""
import contextlib
import hashlib
import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "examples"))
import peers  # noqa: E402  (found by the path above)
from peers import need  # noqa: E402
import programs  # noqa: E402

SCRIPT = ROOT / "packaging" / "wireshark" / "kirim-channel.lua"
FILE_BYTES = 3000000  # more than a window, so that windows are raised
FILES = ("one", "two")
LOST_PERCENT = 3
ETH_P_IP = 0x0800
SO_RCVBUFFORCE = 33  # socket(7); not in the socket module
LINK_RAW_IP = 101
BUFFER_BYTES = 16 << 20
LOOK_SECONDS = 0.05
HELLO, TOKEN, BEGIN, DATA = "4567"
# PADDING, PING, ACK with ECN, MAX_DATA, MAX_STREAM, CLOSE, ORDERED whole and in fragments
TYPES = {"0x00", "0x01", "0x03", "0x04", "0x05", "0x08", "0x10", "0x11"}


class Recorder(threading.Thread):
    """Writes what arrives over loopback to a capture, before anything is dropped. What was sent
    before the end is in it: loopback hands a packet over while it is sent."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.is_over = threading.Event()
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self.socket.bind(("lo", ETH_P_IP))
        self.socket.settimeout(LOOK_SECONDS)
        for option in (socket.SO_RCVBUF, SO_RCVBUFFORCE):  # the second one is not for everybody
            with contextlib.suppress(PermissionError):
                self.socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)

    def run(self):
        with open(self.path, "wb") as file, self.socket:
            file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, LINK_RAW_IP))
            is_last = False
            while not is_last:
                is_last = self.is_over.is_set()
                with contextlib.suppress(TimeoutError):
                    while True:
                        self.take(file)

    def take(self, file):
        packet = self.socket.recv(65535)
        file.write(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)

    def finish(self):
        self.is_over.set()
        self.join()


class Inside(unittest.TestCase):
    """Runs in the namespace."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        os.chmod(place.name, 0o755)
        self.file = os.path.join(place.name, "capture.pcap")
        self.root = os.path.join(place.name, "root")
        os.mkdir(self.root)
        self.paths = [os.path.join(place.name, name) for name in FILES]
        for number, path in enumerate(self.paths):
            pathlib.Path(path).write_bytes(random.Random(number).randbytes(FILE_BYTES))

    def copy(self):
        with programs.Program("channel_copy", "--listen", "127.0.0.1:0", "--root",
                              self.root) as receiver:
            match = receiver.wait_for("err", r"listening on \S+:(\d+)")
            sends = [word for path in self.paths for word in ("--send", path)]
            done = programs.run("channel_copy", "--connect", f"127.0.0.1:{match.group(1)}", *sends)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(receiver.stop(), 0)
        for path in self.paths:
            got = pathlib.Path(self.root, os.path.basename(path)).read_bytes()
            self.assertEqual(hashlib.sha256(got).hexdigest(),
                             hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest())

    def dissect(self, *arguments):
        done = subprocess.run(["tshark", "-X", f"lua_script:{SCRIPT}", "-r", self.file, *arguments],
                              check=False, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=programs.RUN_SECONDS_MAX)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def test_a_channel_that_loses(self):
        recorder = Recorder(self.file)
        recorder.start()
        try:
            self.copy()
        finally:
            recorder.finish()
        self.assertEqual(self.dissect("-Y", "kirim_channel.malformed || kirim_channel.cut || "
                                      "_ws.malformed || _ws.lua.error")[:5], [])
        self.assertEqual(self.dissect("-Y", "!kirim_channel")[:5], [])
        lines = self.dissect("-T", "fields", "-e", "kirim_channel.kind", "-e",
                             "kirim_channel.frame.type")
        self.assertGreater(len(lines), len(FILES) * FILE_BYTES / 1452)
        seen = [line.split("\t") for line in lines]
        self.assertLessEqual({HELLO, TOKEN, BEGIN, DATA}, {kind for kind, _ in seen})
        types = {word for _, words in seen for word in words.split(",")}
        self.assertLessEqual(TYPES, types)


class Capture(unittest.TestCase):
    @programs.unless_windows("a network namespace of the test's own")
    @need("nft", "nftables")
    @need("tshark", "tshark")
    @need("unshare", "util-linux")
    def test_over_a_path_that_loses(self):
        """Each datagram by itself: a train would be captured, and lost, as one."""
        peers.run_inside(self, __file__, peers.losing(LOST_PERCENT), "Inside")


if __name__ == "__main__":
    peers.main("Inside")
