# SPDX-License-Identifier: MIT
"""kirim-bench: its lines can be read, its counts add up, its datagrams look as it says."""
import struct
import unittest

import programs

FIELDS = ["mode", "rx", "tx", "drop", "rxcalls", "txcalls", "wall_us", "cpu_us"]


class Bench(unittest.TestCase):
    def read_result(self, program, mode):
        """Returns the numbers of the RESULT line, the last one of a program that has ended."""
        lines = program.texts["out"].splitlines()
        self.assertEqual(len(lines), 2, program.texts)
        self.assertRegex(lines[0], r"\AREADY port=\d+\Z")
        self.assertTrue(lines[1].startswith("RESULT "))
        found = programs.words(lines[1])
        self.assertEqual(list(found), FIELDS)
        self.assertEqual(found.pop("mode"), mode)
        return {name: int(value) for name, value in found.items()}

    def start(self, mode, *arguments):
        """A program that is ready; its port is in `port`."""
        program = programs.Program("kirim-bench", mode, *arguments)
        self.addCleanup(program.__exit__)
        program.port = int(program.wait_for("out", r"^READY port=(\d+)$").group(1))
        return program

    def wait_idle(self, server):
        """Waits until a server with --stats 1 has worked off what came: two lines say the same."""
        server.wait_for("err", r" stats [^\n]* rx=([1-9]\d*) [^\n]*\n[^\n]* stats [^\n]* rx=\1 ")

    def run_source(self, port, *arguments):
        source = self.start("source", "--dest-port", port, *arguments)
        self.assertEqual(source.wait_end(), 0, source.texts)
        return self.read_result(source, "source")

    def test_echo_adds_up(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor):
                server = self.start("echo", "--port", 0, "--stats", 1, "--variant", reactor)
                made = self.run_source(server.port, "--count", 20000, "--size", 64)
                self.assertEqual(made["tx"] + made["drop"], 20000)
                self.wait_idle(server)
                done = programs.run_echo("--count", 100, f"127.0.0.1:{server.port}")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(server.stop(), 0)
                found = self.read_result(server, "echo")
                self.assertEqual(found["rx"], found["tx"] + found["drop"])
                self.assertGreaterEqual(found["rx"], 100)
                self.assertLessEqual(found["rx"], made["tx"] + 100)
                self.assertGreater(min(found["rxcalls"], found["txcalls"], found["wall_us"],
                                       found["cpu_us"]), 0)

    def test_echo_counts_what_its_queue_refuses(self):
        server = self.start("echo", "--port", 0, "--stats", 1, "--variant",
                            "select,queue=1,slots=64")
        self.run_source(server.port, "--count", 20000, "--size", 64)
        self.wait_idle(server)  # a datagram that comes with others is one too many for it
        done = programs.run_echo("--count", 20, "--window", 1, f"127.0.0.1:{server.port}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(server.stop(), 0)
        found = self.read_result(server, "echo")
        self.assertEqual(found["rx"], found["tx"] + found["drop"])
        self.assertGreaterEqual(found["tx"], 20)

    def test_sink_counts_what_arrives(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor):
                sink = self.start("sink", "--port", 0, "--stats", 1, "--variant",
                                  f"{reactor},slots=4096")
                made = self.run_source(sink.port, "--count", 5000, "--variant", reactor)
                self.assertEqual(made["tx"] + made["drop"], 5000)
                sink.wait_for("err", r" stats .* rx=[1-9]")  # a stop comes before what waits
                self.assertEqual(sink.stop(), 0)
                found = self.read_result(sink, "sink")
                self.assertEqual((found["tx"], found["drop"], found["txcalls"]), (0, 0, 0))
                self.assertTrue(0 < found["rx"] <= made["tx"], (found, made))

    def test_source_ends_in_time(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), programs.open_socket() as receiver:
                port = receiver.getsockname()[1]
                for variant in (reactor, f"{reactor},queue=8"):
                    found = self.run_source(port, "--seconds", 1, "--variant", variant)
                    self.assertTrue(900000 < found["wall_us"] < 30000000 * programs.SLOWNESS, found)
                    self.assertGreater(found["tx"], 1000)
                    self.assertLessEqual(found["txcalls"], found["tx"])

    def test_source_ends_on_signals(self):
        for number in programs.STOP_SIGNALS:
            with self.subTest(number=number), programs.open_socket() as receiver:
                source = self.start("source", "--dest-port", receiver.getsockname()[1])
                receiver.recv(65536)
                self.assertEqual(source.stop(number), 0)
                self.assertGreater(self.read_result(source, "source")["tx"], 0)

    def test_datagrams_are_numbered(self):
        for size in (8, 9, 1200, 65507):
            with self.subTest(size=size), programs.open_socket() as receiver:
                self.run_source(receiver.getsockname()[1], "--count", 3, "--size", size)
                for number in range(3):
                    data = receiver.recv(65536)
                    self.assertEqual(len(data), size)
                    self.assertEqual(struct.unpack("=Q", data[:8])[0], number)

    def test_peers_take_turns(self):
        with programs.open_socket(host="127.2.0.1") as first:
            port = first.getsockname()[1]
            with programs.open_socket(host="127.2.0.2", port=port) as second:
                self.run_source(port, "--peers", 2, "--count", 4)
                for receiver, numbers in ((first, (0, 2)), (second, (1, 3))):
                    for number in numbers:
                        self.assertEqual(struct.unpack("=Q", receiver.recv(65536)[:8])[0], number)

    def test_serves_a_port_of_choice(self):
        port = programs.free_port()
        server = self.start("echo", "--port", port, "--stats", 0)
        self.assertEqual(server.port, port)
        self.assertEqual(server.stop(), 0)
        self.assertIn(f"stats endpoint=127.0.0.1:{port} ", server.texts["err"])


if __name__ == "__main__":
    programs.main()
