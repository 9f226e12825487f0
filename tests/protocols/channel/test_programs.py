# SPDX-License-Identifier: MIT
"""channel_copy and chat: with each other on every reactor, over a path that loses, on noise,
and the programs of Windows with those of Linux.

Debian packages: nftables.
"""
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "examples"))
import peers  # noqa: E402  (found by the path above)
from peers import need  # noqa: E402
import programs  # noqa: E402

SIZES = (0, 1, 1200, 65536, 300001)
LOST_PERCENT = 5
NOISE_COUNT = 4000
NOISE_PAUSE = 64  # small enough for the buffer of any socket
OTHER_HELLO = bytes([4]) * 1200  # of a version that nobody speaks: it is told which ones are
HUGE_BYTES = (16 << 20) - 1  # of a file in one message; a letter goes before them
LINUX_BIN = pathlib.Path(os.environ.get("KIRIM_SOURCE", ROOT), "build", "bin")


def start(program, *arguments, listen="127.0.0.1:0"):
    return programs.start_listening(program, "--listen", listen, *arguments)


def counters(server):
    """What a receiver that has ended printed of its own counters, as numbers by name."""
    line = next(line for line in server.texts["err"].splitlines() if " channel hellos=" in line)
    return {name: int(value) for name, value in programs.words(line).items()}


class Base(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root = os.path.join(place.name, "root")
        self.here = os.path.join(place.name, "here")
        os.mkdir(self.root)
        os.mkdir(self.here)
        self.files = []
        for size in SIZES:
            self.files.append(os.path.join(self.here, f"f{size}"))
            pathlib.Path(self.files[-1]).write_bytes(random.Random(size).randbytes(size))

    def send(self, port, *arguments, host="127.0.0.1", program="channel_copy"):
        words = [word for path in self.files for word in ("--send", path)]
        return programs.run(program, "--connect", programs.join(host, port), *words, "--json",
                            *arguments)

    def check_arrived(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout)
        self.assertEqual((found["files"], found["bytes"]), (len(SIZES), sum(SIZES)))
        for path in self.files:
            there = pathlib.Path(self.root, os.path.basename(path))
            self.assertEqual(there.read_bytes(), pathlib.Path(path).read_bytes(), path)
        self.assertEqual(len(os.listdir(self.root)), len(SIZES))
        return found


class Copy(Base):
    def test_every_reactor_carries_files(self):
        for reactor in programs.reactors():
            for host in programs.families().values():
                with self.subTest(reactor=reactor, host=host), \
                        start("channel_copy", "--root", self.root, "--overwrite", "--stats", 0,
                              "--reactor", reactor, listen=programs.join(host, 0)) as server:
                    self.check_arrived(self.send(server.port, "--reactor", reactor, host=host))
                    self.assertEqual(server.stop(), 0)
                    found = counters(server)
                    self.assertEqual((found["accepted"], found["files"], found["failed"]),
                                     (1, len(SIZES), 0))

    @programs.unless_wine("the control data of a send, with its source address, is ignored")
    def test_answers_leave_from_the_address_that_was_asked(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    start("channel_copy", "--root", self.root, "--overwrite", "--reactor", reactor,
                          listen="0.0.0.0:0") as server:
                self.check_arrived(self.send(server.port, "--reactor", reactor, host="127.0.0.9"))
                self.assertEqual(server.stop(), 0)

    @unittest.skipUnless(6 in programs.families(), "no IPv6")
    def test_wildcard_address_of_ipv6(self):
        with start("channel_copy", "--root", self.root, listen="[::]:0") as server:
            self.check_arrived(self.send(server.port, host="::1"))
            self.assertEqual(server.stop(), 0)

    def test_longest_message_there_is_carries_a_file(self):
        self.files = [os.path.join(self.here, "huge")]
        data = random.Random(6).randbytes(HUGE_BYTES)
        pathlib.Path(self.files[0]).write_bytes(data)
        with start("channel_copy", "--root", self.root, "--message", HUGE_BYTES) as server:
            done = self.send(server.port, "--message", HUGE_BYTES)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(pathlib.Path(self.root, "huge").read_bytes(), data)

    def test_message_that_the_receiver_does_not_take_is_told(self):
        self.files = [os.path.join(self.here, "huge")]
        pathlib.Path(self.files[0]).write_bytes(bytes(HUGE_BYTES))
        with start("channel_copy", "--root", self.root) as server:
            done = self.send(server.port, "--message", HUGE_BYTES)
            self.assertEqual(done.returncode, 1)
        self.assertFalse(pathlib.Path(self.root, "huge").exists())

    def test_file_that_may_not_be_replaced_is_told(self):
        self.files = self.files[-1:]
        with start("channel_copy", "--root", self.root) as server:
            self.assertEqual(self.send(server.port).returncode, 0)
            done = self.send(server.port)
            self.assertEqual(done.returncode, 1)
            self.assertIn("no --overwrite", done.stderr)

    def test_ends_of_either_side_are_heard(self):
        with start("channel_copy", "--discard") as server:
            words = ("--connect", f"127.0.0.1:{server.port}", "--generate", 1 << 40)
            with programs.Program("channel_copy", *words) as client:
                server.wait_for("err", "listening")
                self.assertEqual(server.stop(), 0)
                self.assertEqual(client.wait_end(), 1)
                self.assertRegex(client.texts["err"], "closed: code 4|could not|deadline|reset")

    def test_noise_leaves_nothing(self):
        """Paced by a HELLO that is answered, so that no buffer runs over and all of it is read."""
        noise = random.Random(5)
        for reactor in programs.reactors():
            for name in os.listdir(self.root):
                os.unlink(os.path.join(self.root, name))
            with self.subTest(reactor=reactor), \
                    start("channel_copy", "--root", self.root, "--stats", 0, "--reactor",
                          reactor) as server, \
                    programs.open_socket() as hostile, programs.open_socket() as client:
                client.connect(("127.0.0.1", server.port))
                for count in range(NOISE_COUNT):
                    data = bytes([noise.randrange(4, 10)]) + noise.randbytes(noise.randrange(1400))
                    hostile.sendto(data, ("127.0.0.1", server.port))
                    if count % NOISE_PAUSE == NOISE_PAUSE - 1:
                        client.send(OTHER_HELLO)
                        self.assertGreater(len(client.recv(2000)), 0)
                self.check_arrived(self.send(server.port))
                self.assertEqual(server.stop(), 0)
                found = counters(server)
                self.assertEqual(found["accepted"], 1)
                read = int(re.search(r" rx=(\d+) ", server.texts["err"]).group(1))
                self.assertGreater(read, NOISE_COUNT * 95 // 100, found)
                # The kinds that only servers send are nobody's: what remains are three of six.
                self.assertGreater(sum(found[name] for name in ("refused", "dropped", "resets")),
                                   NOISE_COUNT * 4 // 10, found)

    def test_nobody_there_is_told(self):
        self.files = self.files[-1:]
        done = self.send(programs.closed_port())
        self.assertEqual(done.returncode, 1)
        self.assertIn("ended", done.stderr)


class Lossy(Base):
    @programs.unless_windows("a network namespace of the test's own")
    @need("nft", "nftables")
    @need("unshare", "util-linux")
    def test_files_cross_a_path_that_loses(self):
        peers.run_inside(self, __file__, peers.losing(LOST_PERCENT), "Inside", "InsideChat")


class Inside(Base):
    """Run by itself in a namespace that loses."""

    def test_files_arrive_and_losses_were_seen(self):
        lost = 0
        with start("channel_copy", "--root", self.root, "--overwrite") as server:
            for _ in range(3):
                lost += self.check_arrived(self.send(server.port))["lost"]
            self.assertEqual(server.stop(), 0)
        self.assertGreater(lost, 0)


class Guests(unittest.TestCase):
    host = "127.0.0.1"
    loses = False  # and where somebody stands is told once

    def guest(self, port, name, program="chat"):
        guest = programs.Program(program, "--connect", programs.join(self.host, port), "--name",
                                 name, stdin=subprocess.PIPE)
        self.addCleanup(guest.process.stdin.close)
        return guest

    def say(self, guest, line):
        guest.process.stdin.write((line + "\n").encode())
        guest.process.stdin.flush()

    def talk(self, port, first="chat", second="chat"):
        with self.guest(port, "ann", first) as ann:
            ann.wait_for("out", "^ann: is here$")
            self.talk_with_ann(port, ann, second)

    def talk_with_ann(self, port, ann, program):
        with self.guest(port, "bob", program) as bob:
            ann.wait_for("out", "^bob: is here$")
            bob.wait_for("out", "^bob: is here$")
            self.say(ann, "hello there")
            self.say(ann, "/at 3 4")
            bob.wait_for("out", "^ann: hello there$")
            if not self.loses:
                bob.wait_for("out", "^@ ann 3 4$")
            self.say(bob, "good bye")
            ann.wait_for("out", "^bob: good bye$")
            self.say(bob, "/quit")
            self.assertEqual(bob.wait_end(), 0, bob.texts)
            ann.wait_for("out", "^bob: leaves$")
            ann.process.stdin.close()  # the end of what she types
            self.assertEqual(ann.wait_end(), 0, ann.texts)


class InsideChat(Guests):
    """Run by itself in a namespace that loses."""

    loses = True

    def test_guests_hear_each_other(self):
        with start("chat") as lobby:
            for _ in range(3):
                self.talk(lobby.port)


class Chat(Guests):
    def test_guests_hear_each_other(self):
        with start("chat") as lobby:
            self.talk(lobby.port)
            self.assertEqual(lobby.stop(), 0)

    @programs.unless_wine("the control data of a send, with its source address, is ignored")
    def test_lobby_is_heard_from_the_address_that_was_asked(self):
        self.host = "127.0.0.9"
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    start("chat", "--reactor", reactor, listen="0.0.0.0:0") as lobby:
                self.talk(lobby.port)
                self.assertEqual(lobby.stop(), 0)

    def test_lobby_that_closes_says_so(self):
        with start("chat") as lobby, self.guest(lobby.port, "ann") as ann:
            ann.wait_for("out", "^ann: is here$")
            self.assertEqual(lobby.stop(), 0)
            ann.wait_end()
            self.assertIn("the lobby is closed", ann.texts["err"])


@unittest.skipUnless(programs.IS_WINE and (LINUX_BIN / "chat").exists(),
                     "needs the programs of Windows, and those of Linux in build/bin")
class BothSystems(Base):
    def linux(self, name, *arguments):
        return subprocess.run([LINUX_BIN / name, *map(str, arguments)], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, check=False,
                              timeout=programs.RUN_SECONDS_MAX)

    def test_windows_receives_from_linux(self):
        with start("channel_copy", "--root", self.root) as server:
            words = [word for path in self.files for word in ("--send", path)]
            self.check_arrived(self.linux("channel_copy", "--connect",
                                          f"127.0.0.1:{server.port}", *words, "--json"))

    def test_linux_receives_from_windows(self):
        server = subprocess.Popen([LINUX_BIN / "channel_copy", "--listen", "127.0.0.1:0", "--root",
                                   self.root], stderr=subprocess.PIPE, text=True)
        try:
            port = int(server.stderr.readline().rsplit(":", 1)[1].split()[0])
            self.check_arrived(self.send(port))
        finally:
            server.terminate()
            server.communicate()


@unittest.skipUnless(programs.IS_WINE and (LINUX_BIN / "chat").exists(),
                     "needs the programs of Windows, and those of Linux in build/bin")
class BothSystemsChat(Guests):
    def start_linux(self, *words, **options):
        with unittest.mock.patch.multiple(programs, LAUNCHER=[], SUFFIX=""):
            return programs.Program(LINUX_BIN / "chat", *words, **options)

    def guest(self, port, name, program="chat"):
        if program == "chat":
            return super().guest(port, name)
        guest = self.start_linux("--connect", f"127.0.0.1:{port}", "--name", name,
                                 stdin=subprocess.PIPE)
        self.addCleanup(guest.process.stdin.close)
        return guest

    def test_guests_of_both_hear_each_other_in_a_lobby_of_either(self):
        with start("chat") as lobby:
            self.talk(lobby.port, "chat", "linux")
        with self.start_linux("--listen", "127.0.0.1:0") as lobby:
            port = int(lobby.wait_for("err", r"listening on \S+:(\d+) ").group(1))
            self.talk(port, "linux", "chat")


if __name__ == "__main__":
    peers.main("Inside", "InsideChat")
