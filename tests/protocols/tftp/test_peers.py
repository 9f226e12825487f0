# SPDX-License-Identifier: MIT
"""tftpd and tftp with programs that are not ours, over a path that is whole and one that loses,
and seen by one that reads what is on the wire.

Debian packages: curl, tftp-hpa, atftp, busybox; tftpd-hpa, and atftpd, which cannot be installed
beside it: it may be unpacked, and be in the PATH; nftables, tcpdump, tshark.
"""
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import tftpkit
import peers
from peers import find, need, run_words
import programs

BYTES = 300000
LOST_BYTES = 3000
OWN_LOST_BYTES = 100000
LOST_PERCENT = 7
LOST_TRIES = 3  # some give up early themselves
# A wildcard socket is asked at another address than the first, where answers can leave from it.
HOST = "127.0.0.1" if programs.IS_WINE else "127.0.0.9"

SETGROUPS = pathlib.Path("/proc/self/setgroups")
IS_ROOT = os.geteuid() == 0 and not (SETGROUPS.exists() and SETGROUPS.read_text() == "deny\n")


def commands(program, host, port, verb, ascii_mode=False):
    """The words by which a client gets `f` as `got`, or puts `file` there as `new`."""
    is_get = verb == "get"
    if program == "curl":
        return [["curl", "-sS", "--tftp-blksize", 1428, *words, "-m", 50,
                 *(["-o", "got", f"tftp://{host}:{port}/f"] if is_get else
                   ["-T", "file", f"tftp://{host}:{port}/new"])]
                for words in ([], ["--tftp-no-options"])]
    if program == "tftp-hpa":
        mode = "ascii" if ascii_mode else "binary"
        return [["tftp", "-m", mode, host, port, "-c",
                 *(["get", "f", "got"] if is_get else ["put", "file", "new"])]]
    if program == "atftp":
        return [["atftp", "--option", "blksize 1024", "--option", f"windowsize {window}",
                 "--option", "timeout 1", "--tftp-timeout", 1,
                 *(["-g", "-r", "f", "-l", "got"] if is_get else ["-p", "-r", "new", "-l", "file"]),
                 host, port] for window in (1, 16)]
    return [["busybox", "tftp", "-b", size,
             *(["-g", "-r", "f", "-l", "got"] if is_get else ["-p", "-r", "new", "-l", "file"]),
             host, port] for size in (512, 8192)]


CLIENTS = (("curl", "curl", "curl"), ("tftp-hpa", "tftp", "tftp-hpa"), ("atftp", "atftp", "atftp"),
           ("busybox", "busybox", "busybox"))


class Base(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root = os.path.join(place.name, "root")
        self.here = os.path.join(place.name, "here")
        os.mkdir(self.root)
        os.mkdir(self.here)
        os.chmod(place.name, 0o755)


def carry(root, here, words, verb):
    """Runs a client; returns what it says if the file has not arrived, else nothing."""
    source, target = ((os.path.join(root, "f"), os.path.join(here, "got")) if verb == "get" else
                      (os.path.join(here, "file"), os.path.join(root, "new")))
    try:
        done = run_words(words, here)
        text = f"status {done.returncode}: {done.stdout}{done.stderr}"
    except subprocess.TimeoutExpired:
        text = "it takes too long"
    is_same = os.path.exists(target) and tftpkit.read_file(source) == tftpkit.read_file(target)
    if os.path.exists(target):
        os.unlink(target)
    return "" if is_same else text


class Clients(Base):
    """Each client on each reactor, at an address of a socket that has all of them."""

    def check(self, name):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    tftpkit.start_tftpd(self.root, "--write", "--stats", 0, "--reactor", reactor,
                                        listen="0.0.0.0:0") as server:
                tftpkit.make_file(os.path.join(self.root, "f"), BYTES)
                tftpkit.make_file(os.path.join(self.here, "file"), BYTES, seed=2)
                for verb in ("get", "put"):
                    for words in commands(name, HOST, server.port, verb):
                        self.assertEqual(carry(self.root, self.here, words, verb), "", words)
                self.assertEqual(server.stop(), 0)
                found = tftpkit.counters(server)
                self.assertEqual((found["failed"], found["strangers"]), (0, 0))
                self.assertEqual(tftpkit.names_in(self.root), ["f"])

    @need("curl", "curl")
    def test_curl(self):
        self.check("curl")

    @need("tftp", "tftp-hpa")
    def test_tftp_hpa(self):
        self.check("tftp-hpa")

    @need("atftp", "atftp")
    def test_atftp(self):
        self.check("atftp")

    @need("busybox", "busybox")
    def test_busybox(self):
        self.check("busybox")

    @need("tftp", "tftp-hpa")
    def test_netascii(self):
        text = b"one\ntwo\rthree\r\nfour\n" * 1000
        with tftpkit.start_tftpd(self.root, "--write") as server:
            for path in (os.path.join(self.root, "f"), os.path.join(self.here, "file")):
                with open(path, "wb") as file:
                    file.write(text)
            for verb, place, name in (("get", self.here, "got"), ("put", self.root, "new")):
                words = commands("tftp-hpa", "127.0.0.1", server.port, verb, ascii_mode=True)[0]
                done = run_words(words, self.here)
                self.assertEqual(tftpkit.read_file(os.path.join(place, name)), text,
                                 done.stdout + done.stderr)

    @need("curl", "curl")
    def test_refusals_are_understood(self):
        with tftpkit.start_tftpd(self.root, listen="0.0.0.0:0") as server:
            at = f"tftp://{HOST}:{server.port}/"
            self.assertEqual(run_words(["curl", "-s", at + "none"], self.here).returncode, 68)
            self.assertEqual(run_words(["curl", "-s", at + "NUL"], self.here).returncode, 69)


class Servers(Base):
    """Our client, and servers of others."""

    bytes = BYTES
    tries = 1

    def wait_until_it_answers(self, port):
        """A server says nothing when it is ready; a request it does not like tells."""
        done = None
        for _ in range(programs.START_SECONDS_MAX):
            done = tftpkit.run_tftp("get", "127.0.0.1", port, "nothing", "--json", "--give-up", 1,
                                    "--local", os.path.join(self.here, "nothing"))
            if '"code": 1' in done.stdout:
                return
        self.fail(f"no answer: {done.stdout} {done.stderr}")

    def check(self, words, port, windows):
        tftpkit.make_file(os.path.join(self.root, "f"), self.bytes)
        tftpkit.make_file(os.path.join(self.here, "file"), self.bytes, seed=2)
        os.chmod(self.root, 0o777)
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL) as server:
            try:
                self.wait_until_it_answers(port)
                for number, options in enumerate(((), ("--no-options",), ("--windowsize", 1),
                                                  ("--blksize", 512, "--timeout", 1))):
                    with self.subTest(options=options):
                        said = self.carry_own(port, "f", "f", "got", *options)
                        if not options:
                            self.assertIn(f'"windowsize": {windows},', said)
                        self.carry_own(port, f"new{number}", f"new{number}", "file", *options)
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait()

    def carry_own(self, port, name, there, here, *options):
        """Our client gets what is `got` here, and puts everything else; returns what it says."""
        there, here = os.path.join(self.root, there), os.path.join(self.here, here)
        verb = "get" if here.endswith("got") else "put"
        for left in reversed(range(self.tries)):
            done = tftpkit.run_tftp(verb, "127.0.0.1", port, name, "--json", "--local", here,
                                    *options)
            if done.returncode == 0 or left == 0:
                break
        self.assertEqual(done.returncode, 0, done.stderr)
        wanted = tftpkit.read_file(here)
        deadline = time.monotonic() + programs.START_SECONDS_MAX
        while tftpkit.read_file(there) != wanted and time.monotonic() < deadline:
            os.sched_yield()  # a server of others acknowledges all, and then writes the end of it
        self.assertEqual(tftpkit.read_file(there), wanted)
        return done.stdout

    @need("in.tftpd", "tftpd-hpa")
    @unittest.skipUnless(IS_ROOT, "in.tftpd has to change its root and groups: it needs root")
    def test_tftpd_hpa(self):
        port = programs.free_port()
        self.check([find("in.tftpd"), "-L", "-a", f"127.0.0.1:{port}", "-u", "root", "-c", "-s",
                    self.root], port, 1)

    @need("atftpd", "atftpd")
    def test_atftpd(self):
        port = programs.free_port()
        owner = ["--user", "root", "--group", "root"] if os.geteuid() == 0 else []
        self.check([find("atftpd"), "--daemon", "--no-fork", "--port", str(port), "--bind-address",
                    "127.0.0.1", *owner, "--logfile", "-", self.root], port, 16)


class Lossy(Servers):
    """Runs in a network of its own that loses datagrams, each by itself: without offload. The
    reactors differ in what they ask the system, not in what the protocol does: one is enough.
    The servers of others are asked as on a whole path, but for less."""

    bytes = LOST_BYTES
    tries = LOST_TRIES

    def test_every_client_gets_there(self):
        # All at once, as most of them wait for seconds when something is lost.
        ways = [(name, verb, number) for name, program, _ in CLIENTS if find(program)
                for verb in ("get", "put")
                for number in range(len(commands(name, HOST, 1, verb)))]
        with concurrent.futures.ThreadPoolExecutor(len(ways) + 1) as pool:
            said = dict(zip(ways, pool.map(self.try_way, ways)))
        self.assertEqual({way: texts for way, texts in said.items() if texts[-1]}, {})

    def try_way(self, way):
        """What a client says in each of its tries to bring a file here or there."""
        name, verb, number = way
        root, here = (os.path.join(self.here, f"{name}-{verb}-{number}-{end}")
                      for end in ("root", "here"))
        os.mkdir(root)
        os.mkdir(here)
        tftpkit.make_file(os.path.join(root, "f"), LOST_BYTES)
        tftpkit.make_file(os.path.join(here, "file"), LOST_BYTES, seed=2)
        said = []
        with tftpkit.start_tftpd(root, "--write", "--overwrite", listen="0.0.0.0:0") as server:
            words = commands(name, HOST, server.port, verb)[number]
            while len(said) < LOST_TRIES and (not said or said[-1]):
                said.append(carry(root, here, words, verb))
        return said

    def test_own_client_gets_there(self):
        with tftpkit.start_tftpd(self.root, "--write", "--overwrite", "--stats", 0, "--log",
                                 listen="0.0.0.0:0") as server:
            self.check_own(server)
            self.assertEqual(server.stop(), 0)
            lines = [line for line in server.texts["err"].splitlines() if "resent=" in line]
            self.assertGreater(sum(int(programs.words(line)["resent"]) for line in lines), 0)
            print("\n".join(lines))

    def check_own(self, server):
        data = tftpkit.make_file(os.path.join(self.root, "f"), OWN_LOST_BYTES)
        path = os.path.join(self.here, "got")
        for options in ((), ("--windowsize", 1), ("--no-options",)):
            for verb in ("get", "put"):
                with self.subTest(options=options, verb=verb):
                    name = "f" if verb == "get" else "new"
                    done = tftpkit.run_tftp(verb, "127.0.0.1", server.port, name, "--json",
                                            "--local", path, *options)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    print(verb, *options, done.stdout.strip())
                    self.assertEqual(tftpkit.read_file(os.path.join(self.root, name)), data)
                    self.assertEqual(tftpkit.read_file(path), data)


class Network(Base):
    @programs.unless_windows("a network namespace of the test's own")
    @need("nft", "nftables")
    @need("unshare", "util-linux")
    def test_over_a_path_that_loses(self):
        # in.tftpd looks its address up, which fails on a machine with those of loopback alone.
        peers.run_inside(self, __file__, "ip addr add 10.9.9.1/32 dev lo && " +
                         peers.losing(LOST_PERCENT), "Lossy")

    @programs.unless_wine("a socket bound to one address has every one, and answers from one")
    @need("tshark", "tshark")
    @need("tcpdump", "tcpdump")
    def test_tshark_finds_nothing_malformed(self):
        file = os.path.join(self.here, "capture.pcap")
        with tftpkit.start_tftpd(self.root, "--write", "--overwrite",
                                 listen=f"{programs.OWN_HOST}:0") as server:
            self.capture(file, server)
            self.assertEqual(server.stop(), 0)
        self.assertEqual(self.read_capture(file, server, "_ws.malformed"), [])
        self.assertEqual(self.read_capture(file, server, "!tftp && !icmp"), [])
        for kind in range(1, 7):
            self.assertNotEqual(self.read_capture(file, server, f"tftp.opcode == {kind}"), [])

    def capture(self, file, server):
        """Has transfers of each kind, and captures what goes over the wire meanwhile."""
        tftpkit.make_file(os.path.join(self.root, "f"), 20000)
        tftpkit.make_file(os.path.join(self.here, "got"), 20000)
        with peers.capturing(self, file, "host", programs.OWN_HOST):
            for verb in ("get", "put"):
                for options in ((), ("--no-options",), ("--netascii",), ("--timeout", 2)):
                    for name in ("f", "../f"):
                        tftpkit.run_tftp(verb, programs.OWN_HOST, server.port, name, "--local",
                                         os.path.join(self.here, "got"), *options)

    def read_capture(self, file, server, wanted):
        """The packets of a capture that a display filter finds, one line each."""
        return peers.read_capture(self, file, "tftp", [server.port], "-Y", wanted)


if __name__ == "__main__":
    peers.main("Lossy")
