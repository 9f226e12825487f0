# SPDX-License-Identifier: MIT
"""The echo server: over every reactor and family, at its limits, and at its end."""
import json
import os
import shutil
import sys
import time
import unittest

import programs

PLACES = [(reactor, family, host) for reactor in programs.reactors()
          for family, host in programs.families().items()]
PAYLOAD_BYTES_MAX = {4: 65507, 6: 65527}

# A service manager in a few lines: opens sockets, hands them over from descriptor 3 on, and becomes
# the program. Its arguments: whom the sockets are for ("self", or a number), their names, how many
# there are, for each a kind and an address, and the program.
MANAGER = """
import os, socket, sys
KINDS = {"udp4": (socket.AF_INET, socket.SOCK_DGRAM), "udp6": (socket.AF_INET6, socket.SOCK_DGRAM),
         "dual": (socket.AF_INET6, socket.SOCK_DGRAM), "tcp4": (socket.AF_INET, socket.SOCK_STREAM),
         "unix": (socket.AF_UNIX, socket.SOCK_DGRAM)}
pid, names, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
command = sys.argv[4 + 2 * count:]
made = []
for kind, host in zip(sys.argv[4:4 + 2 * count:2], sys.argv[5:5 + 2 * count:2]):
    made.append(socket.socket(*KINDS[kind]))
    if kind in ("udp6", "dual"):
        made[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(kind == "udp6"))
    made[-1].bind("" if kind == "unix" else (host, 0))
# Out of the way first: one of them may have a number that another one is to get.
high = [os.dup(s.detach()) for s in made]
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(high)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.closerange(3 + count, 200)
os.environ["LISTEN_PID"] = str(os.getpid()) if pid == "self" else pid
os.environ["LISTEN_FDS"] = str(count)
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execv(command[0], command)
"""


def start_activated(*arguments, sockets, pid="self", names=""):
    """An echo server that a service manager starts with sockets, each a kind and an address."""
    places = [word for pair in sockets for word in pair]
    return programs.Program(sys.executable, "-c", MANAGER, pid, names, len(sockets), *places,
                            programs.path_of("echod"), *arguments)


class Echod(unittest.TestCase):
    def test_there_is_something_to_test(self):
        self.assertIn("select", programs.reactors())
        self.assertIn(4, programs.families())

    def test_answers_echo(self):
        for reactor, family, host in PLACES:
            listen = programs.join(host, 0)
            with self.subTest(reactor=reactor, family=family), \
                    programs.start_echod("--reactor", reactor, listen=listen) as server:
                done = programs.run_echo("--json", "--count", 500, "--reactor", reactor,
                                         programs.join(host, server.port))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(json.loads(done.stdout)["echoed"], 500)
                self.assertEqual(server.stop(), 0)

    def test_reactor_is_that_of_the_option_or_of_the_environment(self):
        names = [*programs.reactors(), "sim"]
        for name, other in zip(names, names[1:] + names[:1]):
            for option, wanted in (([], name), (["--reactor", other], other)):
                with self.subTest(environment=name, option=option), \
                        programs.start_echod(*option, env={"KIRIM_REACTOR": name}) as server:
                    self.assertIn(f"({wanted})", server.texts["err"])
                    self.assertEqual(server.stop(), 0)

    def test_empty_and_largest_datagrams_come_back(self):
        for reactor, family, host in PLACES:
            listen = programs.join(host, 0)
            with self.subTest(reactor=reactor, family=family), \
                    programs.start_echod("--reactor", reactor, listen=listen) as server, \
                    programs.open_socket(family) as client:
                client.connect((host, server.port))
                for size in (0, 1, PAYLOAD_BYTES_MAX[family] - 1, PAYLOAD_BYTES_MAX[family]):
                    payload = os.urandom(size)
                    client.send(payload)
                    self.assertEqual(client.recv(65536), payload)
                self.assertEqual(server.stop(), 0)

    def test_serves_several_addresses(self):
        listens = [f"--listen={programs.join(host, 0)}" for host in programs.families().values()]
        if not programs.binds_to_all():
            listens.append("--listen=127.0.0.2:0")
        with programs.Program("echod", *listens) as server:
            found = []
            for _ in listens:
                pattern = r"listening on (\S+) [^\0]*?" * (len(found) + 1)
                found = list(server.wait_for("err", pattern).groups())
            for addr in found:
                self.assertEqual(programs.run_echo("--count", 10, addr).returncode, 0, addr)
            self.assertEqual(server.stop(), 0)

    def test_ends_on_signals(self):
        for reactor in [*programs.reactors(), "sim"]:
            for number in programs.STOP_SIGNALS:
                with self.subTest(reactor=reactor, number=number), \
                        programs.start_echod("--reactor", reactor) as server:
                    self.assertEqual(server.stop(number), 0)

    def test_ends_as_soon_as_promised(self):
        took = []
        while not took or took[-1] > programs.PROMISED_SECONDS_MAX:
            self.assertLess(len(took), 5, took)
            with programs.start_echod() as server:
                begin = time.monotonic()
                self.assertEqual(server.stop(), 0)
                took.append(time.monotonic() - begin)

    def test_ends_under_load(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    programs.start_echod("--reactor", reactor) as server, \
                    programs.Program("kirim-bench", "source", "--dest-port", server.port) as load:
                load.wait_for("out", r"^READY")
                programs.run_echo("--count", 1, "--timeout-ms", 100, f"127.0.0.1:{server.port}")
                self.assertEqual(server.stop(), 0)

    def test_statistics_are_printed_again_and_again(self):
        with programs.start_echod("--stats", "1") as server:
            self.assertEqual(
                programs.run_echo("--count", 20, f"127.0.0.1:{server.port}").returncode, 0)
            line = server.wait_for("err", r"^echod: stats .* rx=20 .*$").group(0)
            server.wait_for("err", r"^echod: stats [^\0]*^echod: stats ")
            self.assertEqual(server.stop(), 0)
        found = programs.words(line)
        self.assertEqual(found["endpoint"], f"127.0.0.1:{server.port}")
        self.assertEqual((found["rx"], found["tx"]), ("20", "20"))
        self.assertEqual((found["rx_bytes"], found["tx_bytes"]), ("1280", "1280"))
        calls = int(found["rx_calls"]) + int(found["tx_calls"])
        self.assertAlmostEqual(float(found["datagrams_per_call"]), 40 / calls, delta=0.06)

    def test_statistics_of_0_seconds_come_at_the_end(self):
        with programs.start_echod("--stats", "0") as server:
            self.assertEqual(
                programs.run_echo("--count", 5, f"127.0.0.1:{server.port}").returncode, 0)
            self.assertNotIn("stats", server.texts["err"])
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.texts["err"].count("stats endpoint="), 1)
            self.assertEqual(programs.words(server.texts["err"])["rx"], "5")

    def test_does_not_answer_another_server(self):
        with programs.start_echod() as server, \
                programs.open_socket(host="127.0.0.2", port=server.port) as other, \
                programs.open_socket() as client:
            other.sendto(b"forged", ("127.0.0.1", server.port))
            client.sendto(b"fair", ("127.0.0.1", server.port))
            self.assertEqual(client.recv(100), b"fair")  # and so the forged one has been handled
            other.setblocking(False)
            with self.assertRaises(BlockingIOError):
                other.recv(100)
            self.assertEqual(server.stop(), 0)
            self.assertIn("1 (from a server's port)", server.texts["err"])

    def addresses(self, server, count):
        """The addresses that a server says it listens on."""
        pattern = r"listening on (\S+) [^\0]*?" * count
        return server.wait_for("err", pattern).groups()

    @programs.unless_windows("no service manager hands over sockets")
    def test_serves_the_sockets_it_was_handed(self):
        sockets = [("udp4", "127.0.0.1"), ("udp4", "127.0.0.2")]
        if 6 in programs.families():
            sockets += [("udp6", "::1"), ("dual", "::")]
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    start_activated("--activated", "--reactor", reactor, sockets=sockets) as server:
                found = list(self.addresses(server, len(sockets)))
                if 6 in programs.families():
                    port = found.pop().rsplit(":", 1)[1]  # of both families
                    found += [f"127.0.0.1:{port}", f"[::1]:{port}"]
                for addr in found:
                    self.assertEqual(programs.run_echo("--count", 10, addr).returncode, 0, addr)
                self.assertEqual(server.stop(), 0)

    @programs.unless_windows("no service manager hands over sockets")
    def test_serves_addresses_beside_the_sockets_it_was_handed(self):
        with start_activated("--activated", "--listen", "127.0.0.2:0",
                             sockets=[("udp4", "127.0.0.1")]) as server:
            for addr in self.addresses(server, 2):
                self.assertEqual(programs.run_echo("--count", 5, addr).returncode, 0, addr)
            self.assertEqual(server.stop(), 0)

    @programs.unless_windows("no service manager hands over sockets")
    def test_sockets_of_another_process_are_not_taken(self):
        for pid in ("1", "garbage"):
            with self.subTest(pid=pid), \
                    start_activated("--activated", sockets=[("udp4", "127.0.0.1")],
                                    pid=pid) as server:
                self.assertEqual(server.wait_end(), 1)
                self.assertIn("no socket was handed over", server.texts["err"])

    @programs.unless_windows("no service manager hands over sockets")
    def test_sockets_are_not_taken_unasked(self):
        with start_activated("--listen", "127.0.0.1:0", sockets=[("udp4", "127.0.0.2")]) as server:
            self.assertTrue(self.addresses(server, 1)[0].startswith("127.0.0.1:"))
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.texts["err"].count("listening on"), 1)

    @programs.unless_windows("no service manager hands over sockets")
    def test_what_cannot_echo_is_named(self):
        for kind, error in (("tcp4", "KIRIM_EOPNOTSUPP"), ("unix", "KIRIM_EAFNOSUPPORT")):
            with self.subTest(kind=kind), \
                    start_activated("--activated", names="first:odd one",
                                    sockets=[("udp4", "127.0.0.1"), (kind, "127.0.0.1")]) as server:
                self.assertEqual(server.wait_end(), 1)
                self.assertIn("descriptor 4 (odd one)", server.texts["err"])
                self.assertIn(error, server.texts["err"])

    @programs.unless_windows("no service manager hands over sockets")
    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "no systemd-socket-activate")
    def test_is_started_by_systemd(self):
        port = programs.free_port()
        # It starts the program when the first datagram comes, which the program then answers.
        with programs.Program(shutil.which("systemd-socket-activate"), "--datagram",
                              f"--listen=127.0.0.1:{port}", "--fdname=echo",
                              programs.path_of("echod"), "--activated") as server, \
                programs.open_socket() as client:
            server.wait_for("err", r"Listening on ")
            client.sendto(b"wake up", ("127.0.0.1", port))
            self.assertEqual(client.recv(100), b"wake up")
            server.wait_for("err", rf"listening on 127\.0\.0\.1:{port} ")
            self.assertEqual(server.stop(), 0)

    def test_address_in_use_is_a_failure(self):
        with programs.start_echod() as server:
            done = programs.run("echod", "--listen", f"127.0.0.1:{server.port}")
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"127.0.0.1:{server.port}", done.stderr)
            self.assertIn("KIRIM_EADDRINUSE", done.stderr)


if __name__ == "__main__":
    programs.main()
