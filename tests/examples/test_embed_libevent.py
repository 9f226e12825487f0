# SPDX-License-Identifier: MIT
"""A status page of evhttp's and an echo of kirim's in one libevent base."""
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import unittest

import programs

PROGRAM = "embed_libevent"
METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
HEAD = re.compile(r"# (TYPE|UNIT|HELP) (\S+) (\S.*)")
SAMPLE = re.compile(r'([a-z_]+)((?:\{(?:[a-z]+="[^"\\\n]*",?)+\})?) (-?[0-9.]+)')


def start(*arguments, listen="127.0.0.1:0", http_at="127.0.0.1:0", stdin=subprocess.DEVNULL):
    server = programs.Program(PROGRAM, "--listen", listen, "--http", http_at, *arguments,
                              stdin=stdin)
    try:
        server.port = int(server.wait_for("err", r"listening on \S+:(\d+) ").group(1))
        found = server.wait_for("err", r"status page on http://(\S+):(\d+)/")
        server.http = found.group(1).strip("[]"), int(found.group(2))
    except BaseException:
        server.__exit__()
        raise
    return server


def connect(server):
    return http.client.HTTPConnection(*server.http, timeout=programs.START_SECONDS_MAX)


def get(server, path, method="GET"):
    """Status, headers and text of a page, over a connection of its own."""
    connection = connect(server)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def read_metrics(case, text):
    """Checks that a text is OpenMetrics, and returns the samples: {name{labels}: value}."""
    lines = text.split("\n")
    case.assertEqual(lines[-2:], ["# EOF", ""], "it ends with # EOF and a line end")
    families, samples, current = {}, {}, None
    for line in lines[:-2]:
        head, sample = HEAD.fullmatch(line), SAMPLE.fullmatch(line)
        if head:
            word, name, value = head.groups()
            if word == "TYPE":
                case.assertNotIn(name, families, "a family stands in one place")
                case.assertIn(value, ("counter", "gauge"))
                families[name], current = value, name
            case.assertEqual(name, current, line)
            case.assertTrue(word != "UNIT" or name.endswith(f"_{value}"), line)
        else:
            case.assertTrue(sample, f"neither head nor sample: {line}")
            name, labels, value = sample.groups()
            wanted = current + ("_total" if families[current] == "counter" else "")
            case.assertEqual(name, wanted, line)
            case.assertNotIn(name + labels, samples, "no sample stands twice")
            samples[name + labels] = float(value)
    return samples


def echo(server, client, count):
    for number in range(count):
        payload = b"%d " % number + os.urandom(number)
        client.send(payload)
        assert client.recv(65536) == payload


@unittest.skipUnless(pathlib.Path(programs.path_of(PROGRAM)).exists(), "built without libevent")
class EmbedLibevent(unittest.TestCase):
    def test_one_thread_serves_datagrams_and_pages(self):
        for family, host in programs.families().items():
            at = programs.join(host, 0)
            with self.subTest(family=family), start(listen=at, http_at=at) as server, \
                    programs.open_socket(family) as client:
                client.connect((host, server.port))
                echo(server, client, 20)
                status, headers, page = get(server, "/")
                self.assertEqual(status, 200)
                self.assertEqual(headers["Content-Type"], "text/html; charset=utf-8")
                self.assertIn(f"<tr><th>{programs.join(host, server.port)}</th><td>20</td>", page)
                self.assertIn("reactor libevent", page)
                tasks = os.listdir(f"/proc/{server.process.pid}/task")
                self.assertEqual(len(tasks), 1)
                self.assertEqual(server.stop(), 0)

    def test_metrics_are_openmetrics_and_count(self):
        with start() as server, programs.open_socket() as client:
            client.connect(("127.0.0.1", server.port))
            label = f'{{local="127.0.0.1:{server.port}"}}'
            for rounds in (1, 2):
                echo(server, client, 10)
                status, headers, text = get(server, "/metrics")
                self.assertEqual((status, headers["Content-Type"]), (200, METRICS_TYPE))
                found = read_metrics(self, text)
                self.assertEqual(found[f"kirim_endpoint_received_datagrams_total{label}"],
                                 10 * rounds)
                self.assertEqual(found[f"kirim_endpoint_sent_datagrams_total{label}"], 10 * rounds)
                self.assertEqual(found[f"kirim_endpoint_sent_bytes_total{label}"],
                                 found[f"kirim_endpoint_received_bytes_total{label}"])
                self.assertEqual(found[f"kirim_endpoint_queued_datagrams{label}"], 0)
                self.assertGreaterEqual(found["kirim_loop_turns_total"], 1)
            self.assertEqual(server.stop(), 0)

    def test_datagram_of_an_evhttp_handler_leaves_at_once(self):
        with programs.open_socket() as listener:
            to = programs.join(*listener.getsockname())
            with start("--notify", to) as server:
                connection = connect(server)  # kept open: no end of it wakes the base
                for path, first in (("/", b"<"), ("/metrics", b"#"), ("/metrics?again", b"#")):
                    connection.request("GET", path)
                    text, sender = listener.recvfrom(1000)
                    self.assertEqual(text.decode(), f"served {path}")
                    self.assertEqual(sender, ("127.0.0.1", server.port))
                    self.assertTrue(connection.getresponse().read().startswith(first))
                connection.close()
                self.assertEqual(server.stop(), 0)

    def test_wake_needs_no_thread_support_of_libevent(self):
        names = subprocess.run(["nm", "-u", programs.path_of(PROGRAM)], capture_output=True,
                               text=True, check=False).stdout
        self.assertNotIn("evthread", names)  # or this test would show nothing
        with programs.open_socket() as listener:
            to = programs.join(*listener.getsockname())
            with start("--notify", to, "--stdin", stdin=subprocess.PIPE) as server:
                for number in range(20):  # the base waits without limit each time
                    server.process.stdin.write(b"line %d\n" % number)
                    server.process.stdin.flush()
                    self.assertEqual(listener.recv(1000), b"line %d" % number)
                metrics = read_metrics(self, get(server, "/metrics")[2])
                self.assertEqual(metrics["kirim_loop_posts_total"], 20)
                self.assertGreaterEqual(metrics["kirim_loop_wakes_total"], 1)
                self.assertEqual(len(os.listdir(f"/proc/{server.process.pid}/task")), 2)
                self.assertEqual(server.stop(), 0)  # the thread is not waited for
                server.process.stdin.close()

    def test_dispatch_returns_though_the_thread_has_ended_before(self):
        with start("--stdin") as server, programs.open_socket() as client:  # stdin is empty
            client.connect(("127.0.0.1", server.port))
            echo(server, client, 3)
            self.assertEqual(server.stop(), 0)

    def test_timers_are_precise(self):
        # A timer of this base is late by up to a millisecond, for it counts in those.
        best = 1e9
        with programs.open_socket() as listener:
            to = programs.join(*listener.getsockname())
            with start("--notify", to, "--beat-us", 1300) as server:
                for _ in range(20):
                    texts = [listener.recv(1000).decode() for _ in range(50)]
                    late = sorted(int(programs.words(text)["late_ns"]) for text in texts)
                    self.assertGreaterEqual(late[0], 0)
                    best = min(best, late[len(late) // 2])
                    if best < 250000:
                        break
                self.assertEqual(server.stop(), 0)
        self.assertLess(best, 250000)  # the median of a busy machine's best fifty

    def test_child_reinitialises_and_the_parent_goes_on(self):
        with tempfile.TemporaryDirectory() as directory, programs.open_socket() as listener, \
                programs.open_socket() as client:
            path = pathlib.Path(directory, "metrics")
            to = programs.join(*listener.getsockname())
            # Few enough that the listener's buffer has those of seconds.
            with start("--snapshot", path, "--notify", to, "--beat-us", 20000) as server:
                client.connect(("127.0.0.1", server.port))
                label = f'{{local="127.0.0.1:{server.port}"}}'
                for rounds in (1, 2, 3):
                    echo(server, client, 5)
                    self.assertEqual(get(server, "/snapshot")[0], 200)
                    found = read_metrics(self, path.read_text(encoding="utf-8"))
                    self.assertEqual(found[f"kirim_endpoint_received_datagrams_total{label}"],
                                     5 * rounds)
                    numbers = [int(listener.recv(1000).split()[1]) for _ in range(20 * rounds)]
                    self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
                self.assertEqual(server.stop(), 0)

    def test_snapshot_that_cannot_be_written_is_told(self):
        with start("--snapshot", "/nowhere/metrics") as server:
            self.assertEqual(get(server, "/snapshot")[0], 500)
            self.assertEqual(server.stop(), 0)

    def test_echo_goes_on_beside_a_silent_connection(self):
        with start() as server, programs.open_socket() as client, \
                socket.create_connection(server.http, programs.START_SECONDS_MAX) as silent:
            silent.send(b"GET / HT")
            client.connect(("127.0.0.1", server.port))
            echo(server, client, 10)
            silent.send(b"TP/1.0\r\n\r\n")
            self.assertTrue(silent.recv(100).startswith(b"HTTP/1.0 200 "))
            self.assertEqual(server.stop(), 0)

    def test_ends_on_signals_by_itself(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number), start("--stats", 0) as server, \
                    socket.create_connection(server.http) as silent:
                self.assertEqual(server.stop(number), 0)  # the connection does not hold it up
                self.assertIn(f"stats endpoint=127.0.0.1:{server.port} ", server.texts["err"])
                self.assertEqual(silent.recv(1), b"")

    def test_statistics_come_from_a_timer_of_kirim(self):
        with start("--stats", 1) as server:
            server.wait_for("err", r"^embed_libevent: stats [^\0]*^embed_libevent: stats ")
            found = read_metrics(self, get(server, "/metrics")[2])
            self.assertGreaterEqual(found["kirim_loop_timers_fired_total"], 2)
            self.assertEqual(server.stop(), 0)

    def test_other_pages_and_methods_are_refused(self):
        with start() as server:
            self.assertEqual(get(server, "/nothing")[0], 404)
            self.assertEqual(get(server, "/", "POST")[0], 501)
            self.assertEqual(get(server, "/", "HEAD")[0::2], (200, ""))
            self.assertEqual(server.stop(), 0)

    def test_wrong_usage_is_status_2(self):
        for wrong in (["--reactor", "select"], ["--http", "8080"], ["--notify", "localhost:1"],
                      ["surplus"], ["--nonsense"], ["--beat-us", "0"],
                      ["--stdin", "--snapshot", "x"]):
            with self.subTest(wrong=wrong):
                done = programs.run(PROGRAM, *wrong)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertTrue(done.stderr.startswith(f"{PROGRAM}: "), done.stderr)

    def test_address_in_use_is_a_failure(self):
        with start() as server:
            for wrong in (["--listen", f"127.0.0.1:{server.port}"],
                          ["--listen", "127.0.0.1:0", "--http", programs.join(*server.http)]):
                done = programs.run(PROGRAM, "--http", "127.0.0.1:0", *wrong)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(f":{wrong[-1].rsplit(':', 1)[1]}: ", done.stderr)


if __name__ == "__main__":
    programs.main()
