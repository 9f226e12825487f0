#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares DNS servers under dnsperf: kirim's dnsd and dnsfwd beside nsd and knot.

    dns.py [--bin-dir DIR] [--seconds N] [--repetitions N] [CONTESTANT...]

All serve the same small zone with one worker, pinned to one CPU; dnsperf has another. They take
turns within a repetition, beginning with another one each time. A figure is the CPU time that the
system booked for the server and for its CPU's ksoftirqd, over the queries that were answered; a
ratio is taken within a repetition, over dnsd. dnsfwd answers from its cache. What is not installed
(Debian packages nsd, knot; dnsperf is needed) is left out, and said.

Sources: proc(5) (schedstat), sched_setaffinity(2).
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import compare  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
ZONE = ROOT / "examples" / "zones" / "example.test.zone"
NAMES = ("www", "mail", "nope", "web", "ns1")
TRY_SECONDS = 0.1  # between questions to a server that is starting
END_SECONDS_MAX = 20
SKIPPED = 77


def find(program):
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def nsd(place, port, _):
    path = place / "nsd.conf"
    path.write_text(
        f"server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n database: \"\"\n"
        f" zonesdir: \"{place}\"\n pidfile: \"{place}/pid\"\n xfrdfile: \"{place}/xfrd\"\n"
        f" zonelistfile: \"{place}/list\"\n server-count: 1\n rrl-ratelimit: 0\n"
        f"remote-control:\n control-enable: no\n"
        f"zone:\n name: example.test\n zonefile: {ZONE}\n", encoding="ascii")
    return [[find("nsd"), "-d", "-c", path]]


def knot(place, port, _):
    path = place / "knot.conf"
    path.write_text(
        f"server:\n    listen: 127.0.0.1@{port}\n    rundir: {place}\n    udp-workers: 1\n"
        f"    tcp-workers: 1\n    background-workers: 1\n"
        f"database:\n    storage: {place}/db\n"
        f"template:\n  - id: default\n    storage: {place}\n    zonefile-sync: -1\n"
        f"    journal-content: none\n"
        f"zone:\n  - domain: example.test\n    file: {ZONE}\n", encoding="ascii")
    return [[find("knotd"), "-c", path]]


def dnsd(_, port, bin_dir):
    return [[bin_dir / "dnsd", "--zone", ZONE, "--listen", f"127.0.0.1:{port}"]]


def dnsfwd(place, port, bin_dir):
    behind = free_port()
    return [*dnsd(place, behind, bin_dir),
            [bin_dir / "dnsfwd", "--upstream", f"127.0.0.1:{behind}", "--listen",
             f"127.0.0.1:{port}"]]


# How each is started, and the program that must be there; the first is the base.
CONTESTANTS = {"dnsd": (dnsd, None), "dnsfwd": (dnsfwd, None), "nsd": (nsd, "nsd"),
               "knot": (knot, "knotd")}


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


class Server:
    """Programs that serve, the last of them what is asked; all on one CPU, in one session each."""

    def __init__(self, commands, port, cpu):
        self.port = port
        self.processes = [
            subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             start_new_session=True,
                             preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
            for command in commands]

    def __enter__(self):
        name = b"".join(bytes([len(part)]) + part for part in (b"www", b"example", b"test"))
        query = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + name + b"\0\0\1\0\1"
        deadline = time.monotonic() + compare.START_SECONDS_MAX
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(TRY_SECONDS)
            client.connect(("127.0.0.1", self.port))
            while time.monotonic() < deadline:
                try:
                    client.send(query)
                    if client.recv(4096)[3] & 15 == 0:
                        return self
                except ConnectionRefusedError:
                    time.sleep(TRY_SECONDS)
                except TimeoutError:
                    pass
        self.__exit__()
        raise compare.BenchError(f"{self.processes[-1].args}: does not answer")

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def read_ns(self):
        """CPU time of all threads of all processes of the session that is asked."""
        total = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                session = int(stat.read_text(encoding="ascii", errors="replace")
                              .rpartition(")")[2].split()[3])
                if session == self.processes[-1].pid:
                    total += sum(compare.read_softirq_ns(path)
                                 for path in stat.parent.glob("task/*/schedstat"))
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
        return total


def measure(args, name, schedstat):
    """Runs one contestant once; ns for each query, queries a second, queries lost."""
    with tempfile.TemporaryDirectory() as text:
        place = pathlib.Path(text)
        port = free_port()
        queries = place / "queries"
        queries.write_text("".join(f"{word}.example.test A\n" for word in NAMES), encoding="ascii")
        with Server(CONTESTANTS[name][0](place, port, args.bin_dir), port,
                    args.server_cpu) as server:
            begin_ns = server.read_ns() + compare.read_softirq_ns(schedstat)
            done = subprocess.run(
                [find("dnsperf"), "-s", "127.0.0.1", "-p", str(port), "-d", str(queries), "-l",
                 str(args.seconds), "-c", "4", "-q", "100"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=args.seconds + END_SECONDS_MAX, check=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {args.load_cpu}))
            spent_ns = server.read_ns() + compare.read_softirq_ns(schedstat) - begin_ns
    found = {key: float(re.search(rf"{key}:\s+([0-9.]+)", done.stdout).group(1))
             for key in ("Queries completed", "Queries lost", "Queries per second")}
    return {"ns": spent_ns / found["Queries completed"], "rate": found["Queries per second"],
            "lost": found["Queries lost"]}


def print_runs(args, runs):
    print(f"{args.repetitions} x {args.seconds} s, 4 sockets, 100 queries outstanding")
    print(f"{'contestant':<12} {'ns/query':>8}  {'ratio':>5}  {'min..max':>10}  {'queries/s':>9}  "
          f"{'lost':>5}")
    base = next(iter(runs.values()))
    for name, own in runs.items():
        ratios = [a["ns"] / b["ns"] for a, b in zip(own, base)]
        spread = f"{min(ratios):.2f}..{max(ratios):.2f}"
        print(f"{name:<12} {statistics.median(run['ns'] for run in own):>8.0f}  "
              f"{statistics.median(ratios):>5.2f}  {spread:>10}  "
              f"{statistics.median(run['rate'] for run in own):>9.0f}  "
              f"{sum(run['lost'] for run in own):>5.0f}")


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contestants", nargs="*", metavar="CONTESTANT",
                        help=", ".join(CONTESTANTS))
    parser.add_argument("--seconds", type=int, default=10, help="of one run")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--bin-dir", type=pathlib.Path, default=ROOT / "build" / "bin")
    args = parser.parse_args()
    unknown = [name for name in args.contestants if name not in CONTESTANTS]
    if unknown:
        parser.error(f"no such contestant: {unknown[0]}")
    cpus = sorted(os.sched_getaffinity(0))
    args.server_cpu, args.load_cpu = cpus[0], cpus[-1]
    return args


def main():
    args = parse_args()
    if find("dnsperf") is None:
        print("skipped: dnsperf is missing")
        return SKIPPED
    names = []
    for name in args.contestants or CONTESTANTS:
        program = CONTESTANTS[name][1]
        if program is not None and find(program) is None:
            print(f"left out: {name}, {program} is missing")
        else:
            names.append(name)
    schedstat = compare.find_ksoftirqd(args.server_cpu)
    runs = {name: [] for name in names}
    try:
        for repetition in range(args.repetitions):
            shift = repetition % len(names)
            for name in names[shift:] + names[:shift]:
                runs[name].append(measure(args, name, schedstat))
    except (compare.BenchError, subprocess.SubprocessError) as err:
        print(f"dns.py: {err}", file=sys.stderr)
        return 1
    print_runs(args, runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
