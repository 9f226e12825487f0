# SPDX-License-Identifier: MIT
"""tftpd and tftp: with each other on every reactor, on bad names, on hostile bytes."""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import tftpkit
import programs
from tftpkit import (DATA, ERROR, RRQ, WRQ, ack, block, kind_and_number, recv_behind,
                     request)

SIZES = (0, 1, 511, 512, 513, 1428, 100000)
NOISE_COUNT = 4000
SERVER_COUNTERS = ("accepted", "refused", "duplicates", "dropped", "limited", "forged")
SWAP_COUNT = 500


class Base(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root = os.path.join(place.name, "root")
        self.here = os.path.join(place.name, "here")
        os.mkdir(self.root)
        os.mkdir(self.here)
        self.outside = os.path.join(place.name, "secret")
        tftpkit.make_file(self.outside, 100)

    def path(self, name):
        return os.path.join(self.here, name)

    def get(self, server, name, *arguments, host="127.0.0.1"):
        return tftpkit.run_tftp("get", host, server.port, name, "--local", self.path("got"),
                                *arguments)

    def put(self, server, name, *arguments, host="127.0.0.1"):
        return tftpkit.run_tftp("put", host, server.port, name, "--local", self.path("file"),
                                *arguments)

    def check_refused(self, done, code):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(json.loads(done.stdout)["code"], code, done.stderr)


class Together(Base):
    def test_every_reactor_carries_both_ways(self):
        for reactor, host in tftpkit.places():
            with self.subTest(reactor=reactor, host=host), \
                    tftpkit.start_tftpd(self.root, "--write", "--overwrite", "--reactor", reactor,
                                        "--stats", 0, "--fragments",
                                        listen=programs.join(host, 0)) as server:
                for size, *options in ((300000,), (60000, "--no-options"), (300000, "--netascii"),
                                       (20000, "--blksize", 8, "--windowsize", 1000),
                                       (1000000, "--blksize", 65464, "--windowsize", 8,
                                        "--timeout", 60)):
                    data = tftpkit.make_file(self.path("file"), size)
                    options = ("--reactor", reactor, *options)
                    done = self.put(server, "f", *options, host=host)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(tftpkit.read_file(os.path.join(self.root, "f")), data)
                    done = self.get(server, "f", "--json", *options, host=host)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(tftpkit.read_file(self.path("got")), data)
                    if 65464 in options:
                        found = json.loads(done.stdout)
                        self.assertEqual((found["blksize"], found["resent"]), (65464, 0))
                self.assertEqual(server.stop(), 0)
                found = tftpkit.counters(server)
                self.assertEqual((found["done"], found["failed"]), (10, 0))
                self.assertEqual(tftpkit.names_in(self.root), ["f"])

    def test_every_length_arrives(self):
        with tftpkit.start_tftpd(self.root, "--write", "--overwrite") as server:
            for size in SIZES:
                data = tftpkit.make_file(self.path("file"), size)
                for options in ((), ("--no-options",), ("--netascii",)):
                    with self.subTest(size=size, options=options):
                        self.assertEqual(self.put(server, "f", *options).returncode, 0)
                        self.assertEqual(tftpkit.read_file(os.path.join(self.root, "f")), data)
                        self.assertEqual(self.get(server, "f", *options).returncode, 0)
                        self.assertEqual(tftpkit.read_file(self.path("got")), data)
            self.assertEqual(server.stop(), 0)

    @programs.unless_wine("65,540 blocks take half a minute")
    def test_numbers_wrap(self):
        data = tftpkit.make_file(os.path.join(self.root, "big"), 512 * 65540)
        with tftpkit.start_tftpd(self.root) as server:
            done = self.get(server, "big", "--blksize", 512, "--windowsize", 64)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(tftpkit.read_file(self.path("got")), data)

    @programs.unless_wine("the control data of a send, with its source address, is ignored")
    def test_answers_leave_from_the_address_that_was_asked(self):
        data = tftpkit.make_file(os.path.join(self.root, "f"), 5000)
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    tftpkit.start_tftpd(self.root, "--reactor", reactor,
                                        listen="0.0.0.0:0") as server:
                done = self.get(server, "f", host="127.0.0.9")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(tftpkit.read_file(self.path("got")), data)
                done = self.get(server, "nothing", "--json", host="127.0.0.9")
                self.check_refused(done, 1)

    @unittest.skipUnless(6 in programs.families(), "no IPv6")
    def test_wildcard_address_of_ipv6(self):
        data = tftpkit.make_file(os.path.join(self.root, "f"), 5000)
        with tftpkit.start_tftpd(self.root, listen="[::]:0") as server:
            done = self.get(server, "f", host="::1")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(tftpkit.read_file(self.path("got")), data)


class Names(Base):
    @programs.unless_windows("links, FIFOs")
    def test_nothing_outside_is_reached(self):
        os.symlink(self.outside, os.path.join(self.root, "link"))
        os.symlink(os.path.dirname(self.outside), os.path.join(self.root, "dir"))
        os.mkdir(os.path.join(self.root, "sub"))
        os.mkfifo(os.path.join(self.root, "fifo"))
        os.symlink("f", os.path.join(self.root, "inner"))
        data = tftpkit.make_file(os.path.join(self.root, "f"), 10)
        secret = tftpkit.read_file(self.outside)
        names = ("../secret", "/../secret", "sub/../../secret", "link", "dir/secret", "inner",
                 "sub", "fifo", "..\\secret", "C:/secret", "f:stream", "NUL", "sub/com1.txt",
                 "f/", "f.")
        with tftpkit.start_tftpd(self.root, "--write", "--overwrite") as server, \
                programs.open_socket() as client:
            for name in names:
                with self.subTest(name=name):
                    tftpkit.make_file(self.path("file"), 10)
                    self.check_refused(self.get(server, name, "--json"), 2)
                    self.check_refused(self.put(server, name, "--json"), 2)
            client.sendto(request(RRQ, ""), ("127.0.0.1", server.port))
            self.assertEqual(kind_and_number(client.recv(600)), (ERROR, 4))
            self.assertEqual(tftpkit.read_file(self.outside), secret)
            for name in ("f", "/f", ".//./f"):
                self.assertEqual(self.get(server, name).returncode, 0, name)
                self.assertEqual(tftpkit.read_file(self.path("got")), data)
            self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.exists(os.path.join(self.here, "secret")))

    @programs.unless_windows("links that everybody may make")
    def test_directory_that_becomes_a_link_leads_nowhere(self):
        """While it is asked for what is in a directory, that is a link to the outside by turns."""
        place, aside = (os.path.join(self.root, name) for name in ("sub", "aside"))
        os.mkdir(place)
        tftpkit.make_file(os.path.join(place, "secret"), 10)
        inside = block(1, tftpkit.read_file(os.path.join(place, "secret")))
        is_over = threading.Event()
        said = []

        def swap():
            while not is_over.is_set():
                os.rename(place, aside)
                os.symlink(os.path.dirname(self.outside), place)
                os.unlink(place)
                os.rename(aside, place)

        with tftpkit.start_tftpd(self.root) as server:
            swapper = threading.Thread(target=swap)
            swapper.start()
            try:
                deadline = time.monotonic() + programs.START_SECONDS_MAX
                while len(said) < SWAP_COUNT or (inside not in said and
                                                 time.monotonic() < deadline):
                    said.append(self.first_answer(server, "sub/secret"))
            finally:
                is_over.set()
                swapper.join()
        self.assertIn(inside, said)
        self.assertEqual({kind_and_number(answer)[0] for answer in set(said) - {inside}} - {ERROR},
                         set())

    def first_answer(self, server, name):
        with programs.open_socket() as client:
            client.sendto(request(RRQ, name), ("127.0.0.1", server.port))
            answer, peer = client.recvfrom(600)
            client.sendto(ack(1), peer)
            return answer

    def test_codes(self):
        tftpkit.make_file(self.path("file"), 5000)
        tftpkit.make_file(os.path.join(self.root, "there"), 10)
        with tftpkit.start_tftpd(self.root) as server:
            self.check_refused(self.get(server, "nothing", "--json"), 1)
            self.check_refused(self.get(server, "no/thing", "--json"), 1)
            self.check_refused(self.put(server, "new", "--json"), 2)
        with tftpkit.start_tftpd(self.root, "--write") as server:
            self.check_refused(self.put(server, "there", "--json"), 6)
        with tftpkit.start_tftpd(self.root, "--write", "--upload-bytes-max", 4999) as server:
            self.check_refused(self.put(server, "new", "--json"), 3)  # announced
            self.check_refused(self.put(server, "new", "--json", "--no-options"), 3)  # found out
        self.assertEqual(tftpkit.names_in(self.root), ["there"])
        self.assertFalse(os.path.exists(self.path("got")))

    @programs.unless_windows("a small disk that the test mounts")
    def test_full_disk(self):
        words = ["unshare", "-rm", "sh", "-c",
                 'mount -t tmpfs -o size=64k none "$1" && shift && exec "$@"', "sh", self.root]
        probe = subprocess.run([*words, "true"], capture_output=True, check=False) \
            if shutil.which("unshare") else None
        if probe is None or probe.returncode != 0:
            self.skipTest("a small disk cannot be mounted here: unshare -rm, mount -t tmpfs")
        tftpkit.make_file(self.path("file"), 200000)
        prefix = [shutil.which(words[0]), *words[1:]]
        with tftpkit.start_tftpd(self.root, "--write", prefix=prefix) as server:
            self.check_refused(self.put(server, "f", "--json"), 3)
            self.check_refused(self.put(server, "f", "--json", "--no-options"), 3)
            self.check_refused(self.get(server, "f", "--json"), 1)
            tftpkit.make_file(self.path("file"), 20000)  # nothing has stayed there
            for name in ("a", "b"):
                self.assertEqual(self.put(server, name, "--no-options").returncode, 0)
            self.assertEqual(server.stop(), 0)


class Server(Base):
    def test_upload_that_is_given_up_leaves_nothing(self):
        for end in ("error", "stop", *(() if programs.IS_WINE else ("hangup",))):
            with self.subTest(end=end), \
                    tftpkit.start_tftpd(self.root, "--write", "--stats", 0) as server, \
                    programs.open_socket() as client:
                client.sendto(request(WRQ, "f"), ("127.0.0.1", server.port))
                reply, peer = client.recvfrom(600)
                self.assertEqual(reply, ack(0))
                client.sendto(block(1, bytes(512)), peer)
                self.assertEqual(recv_behind(client, ack(0)), ack(1))
                names = tftpkit.names_in(self.root)
                self.assertEqual(len(names), 1)
                client.sendto(request(RRQ, names[0]), ("127.0.0.1", server.port))
                if end == "error":
                    client.sendto(b"\0\5\0\0enough\0", peer)
                if end == "hangup":
                    server.process.send_signal(signal.SIGHUP)
                    self.assertEqual(server.wait_end(), 0)
                self.assertEqual(server.stop(), 0)
                self.assertEqual(tftpkit.names_in(self.root), [])
                self.assertEqual(tftpkit.counters(server)["failed"], 1)

    def test_unfinished_files_are_not_served(self):
        tftpkit.make_file(os.path.join(self.root, ".tftp-1-1"), 10)
        tftpkit.make_file(self.path("file"), 10)
        with tftpkit.start_tftpd(self.root, "--write") as server:
            self.check_refused(self.get(server, ".tftp-1-1", "--json"), 1)
            self.check_refused(self.put(server, ".tftp-2", "--json"), 1)

    def test_one_request_is_one_transfer(self):
        tftpkit.make_file(os.path.join(self.root, "f"), 600)
        with tftpkit.start_tftpd(self.root, "--stats", 0) as server, \
                programs.open_socket() as client, programs.open_socket() as stranger:
            for _ in range(3):
                client.sendto(request(RRQ, "f"), ("127.0.0.1", server.port))
            reply, peer = client.recvfrom(600)
            self.assertEqual(kind_and_number(reply), (DATA, 1))
            stranger.sendto(ack(1), peer)
            self.assertEqual(kind_and_number(stranger.recv(600)), (ERROR, 5))
            client.sendto(ack(1), peer)
            client.connect(peer)  # what follows comes from there
            self.assertEqual(kind_and_number(recv_behind(client, reply)), (DATA, 2))
            client.send(ack(2))
            self.assertEqual(server.stop(), 0)
            found = tftpkit.counters(server)
            self.assertEqual((found["accepted"], found["duplicates"], found["strangers"]),
                             (1, 2, 1))

    def test_no_prefix_takes_everything(self):
        tftpkit.make_file(os.path.join(self.root, "f"), 600)
        with tftpkit.start_tftpd(self.root, "--prefix-transfers-max", 1, "--stats", 0) as server, \
                programs.open_socket() as one, programs.open_socket() as other:
            one.sendto(request(RRQ, "f"), ("127.0.0.1", server.port))
            self.assertEqual(kind_and_number(one.recv(600)), (DATA, 1))
            other.sendto(request(RRQ, "f"), ("127.0.0.1", server.port))
            self.assertEqual(kind_and_number(other.recv(600)), (ERROR, 0))
        with tftpkit.start_tftpd(self.root, "--prefix-rate", 1, "--stats", 0) as server, \
                programs.open_socket() as client:
            for number in range(40):
                client.sendto(request(RRQ, f"{number}"), ("127.0.0.1", server.port))
            with programs.open_socket(host="127.9.9.9") as last:  # another prefix
                last.sendto(request(RRQ, "last"), ("127.0.0.1", server.port))
                self.assertEqual(kind_and_number(last.recv(600)), (ERROR, 1))
            self.assertEqual(kind_and_number(client.recv(600)), (ERROR, 1))
            self.assertEqual(server.stop(), 0)
            found = tftpkit.counters(server)
            self.assertEqual(found["refused"] + found["limited"], 41)
            self.assertGreater(found["limited"], 20)  # 39, unless it takes seconds

    def test_noise_does_no_harm(self):
        """Bytes of every length and kind at the server's port and at a transfer's."""
        noise = random.Random(20240229)
        sound = request(RRQ, "f", blksize=512, windowsize=4)
        data = tftpkit.make_file(os.path.join(self.root, "f"), 3000)
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    tftpkit.start_tftpd(self.root, "--write", "--reactor", reactor,
                                        "--stats", 0, "--prefix-rate", 1000000) as server, \
                    programs.open_socket() as hostile, programs.open_socket() as asker, \
                    programs.open_socket() as client:
                client.sendto(request(RRQ, "f"), ("127.0.0.1", server.port))
                first, peer = client.recvfrom(600)
                hostile.setblocking(False)
                for number in range(NOISE_COUNT):
                    size = noise.choice((0, 1, 2, 3, 4, 5, 30, 516, 1024, 1025))
                    changed = bytearray((sound * 40)[:size])
                    for _ in range(noise.randrange(4) if size else 0):
                        changed[noise.randrange(size)] = noise.randrange(256)
                    head = bytes([0, noise.randrange(8)])
                    hostile.sendto(head + bytes(changed[2:]), ("127.0.0.1", server.port))
                    hostile.sendto(head + noise.randbytes(size), peer)
                    if number % 64 == 0:
                        self.drain(hostile)
                        client.sendto(head[:1] + b"\7" + noise.randbytes(8), peer)
                        asker.sendto(request(RRQ, "nothing"), ("127.0.0.1", server.port))
                        self.assertEqual(kind_and_number(asker.recv(600)), (ERROR, 1))
                self.drain(hostile)
                done = self.get(server, "f")  # all of it has been worked off
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(tftpkit.read_file(self.path("got")), data)
                self.assertEqual(kind_and_number(first), (DATA, 1))
                self.assertEqual(server.stop(), 0)
                found = tftpkit.counters(server)
                self.assertGreater(sum(found[name] for name in SERVER_COUNTERS),
                                   NOISE_COUNT * 95 // 100, found)
                self.assertEqual(tftpkit.names_in(self.root), ["f"])

    def drain(self, hostile):
        """What came back, without waiting: a full buffer would lose nothing of worth."""
        try:
            while True:
                hostile.recv(2000)
        except BlockingIOError:
            pass

    def test_roots_that_are_refused(self):
        for arguments, status, text in ((("--root", "/nonexistent"), 1, "not a directory"),
                                        (("--root", self.outside), 1, "not a directory"),
                                        ((), 2, "--root is missing")):
            done = programs.run("tftpd", *arguments, "--listen", "127.0.0.1:0")
            self.assertEqual(done.returncode, status)
            self.assertIn(text, done.stderr)


class Client(Base):
    def test_wrong_words_are_usage(self):
        for arguments, text in ((("get", "127.0.0.1"), "is missing"),
                                (("take", "::1", "f"), "neither get"),
                                (("get", "localhost", "f"), "not a numeric"),
                                (("get", "::1", "a/"), "no name of a file"),
                                (("--blksize", "7", "get", "::1", "f"), "number from 8")):
            with self.subTest(arguments=arguments):
                done = programs.run("tftp", *arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)

    @programs.unless_wine("a closed port is not told to a socket that is not connected")
    def test_closed_port_is_known_at_once(self):
        done = tftpkit.run_tftp("get", "127.0.0.1", programs.closed_port(), "f", "--local",
                                self.path("got"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("KIRIM_ECONNRESET", done.stderr)
        self.assertEqual(os.listdir(self.here), [])

    def test_silent_server_is_given_up(self):
        with programs.open_socket() as silent:
            port = silent.getsockname()[1]
            with programs.Program("tftp", "--local", self.path("got"), "get", f"127.0.0.1:{port}",
                                  "f") as client:
                self.assertEqual(silent.recv(600), silent.recv(600))  # it asks again
                client.stop()
            done = tftpkit.run_tftp("get", "127.0.0.1", port, "f", "--local", self.path("got"),
                                    "--give-up", 1)
            self.assertEqual(done.returncode, 1)
            self.assertIn("KIRIM_ETIMEDOUT", done.stderr)

    def test_file_that_cannot_be_read_or_written(self):
        with programs.open_socket() as silent:
            port = silent.getsockname()[1]
            done = tftpkit.run_tftp("put", "127.0.0.1", port, "f", "--local", self.path("none"))
            self.assertEqual(done.returncode, 1)
            self.assertIn("file not found", done.stderr)
            done = tftpkit.run_tftp("get", "127.0.0.1", port, "f", "--local", "/nonexistent/f")
            self.assertEqual(done.returncode, 1)
            self.assertIn("not a directory", done.stderr)

    def test_server_of_few_words_and_a_stranger(self):
        """A server that knows no options, beside somebody who guesses."""
        with programs.open_socket() as server, programs.open_socket() as answer, \
                programs.open_socket() as stranger:
            port = server.getsockname()[1]
            with programs.Program("tftp", "--local", self.path("got"), "get",
                                  f"127.0.0.1:{port}", "f") as client:
                asked, peer = server.recvfrom(600)
                self.assertTrue(asked.startswith(b"\0\1f\0octet\0blksize\0"))
                answer.sendto(block(1, b"x" * 512), peer)
                self.assertEqual(answer.recv(600), ack(1))
                stranger.sendto(block(2, b"forged"), peer)
                self.assertEqual(kind_and_number(stranger.recv(600)), (ERROR, 5))
                for _ in range(2):  # the second one as if its ACK was lost
                    answer.sendto(block(2, b"end"), peer)
                self.assertEqual(recv_behind(answer, ack(1)), ack(2))
                self.assertEqual(answer.recv(600), ack(2))
                self.assertEqual(client.wait_end(), 0)
            self.assertEqual(tftpkit.read_file(self.path("got")), b"x" * 512 + b"end")

    def test_get_that_fails_leaves_the_old_file(self):
        pathlib.Path(self.path("got")).write_bytes(b"old")
        with programs.open_socket() as server:
            port = server.getsockname()[1]
            with programs.Program("tftp", "--local", self.path("got"), "get",
                                  f"127.0.0.1:{port}", "f") as client:
                asked, peer = server.recvfrom(600)
                server.sendto(block(1, b"x" * 512), peer)
                self.assertEqual(recv_behind(server, asked), ack(1))
                client.stop()
                self.assertEqual(kind_and_number(recv_behind(server, ack(1))), (ERROR, 0))
        self.assertEqual(tftpkit.read_file(self.path("got")), b"old")
        self.assertEqual(os.listdir(self.here), ["got"])


class Help(unittest.TestCase):
    def test_help_and_version(self):
        for program, option in (("tftpd", "--root DIR"), ("tftp", "--windowsize N")):
            done = programs.run(program, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"\n  {option}", done.stdout)
            done = programs.run(program, "--version")
            self.assertRegex(done.stdout, rf"\A{program} \(kirim\) \d+\.\d+\.\d+\n\Z")


if __name__ == "__main__":
    programs.main()
