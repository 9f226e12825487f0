#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares contestants' CPU time per datagram, side by side.

One repetition runs every contestant once, in turn and beginning with another one each time, the
contestant pinned to one CPU and the other end of its traffic to another. A figure is the
contestant's CPU time (cpu_us of its RESULT line) plus the time of that CPU's ksoftirqd, divided by
its datagrams; a ratio is a figure over the first contestant's of the same repetition. The table
shows medians, and as +- the standard error of the mean ratio. Only loopback traffic; every child
is ended within a bound.

A contestant is NAME=COMMAND, where the word {mode} in the command stands for echo, sink or source
(without it the mode comes after the program), or a bare NAME: one of those that --help lists, or
else kirim-bench with --variant NAME. The cases own-N have no other end: the preloaded shim stands
in the kernel's place, and what is measured is the contestant's own work, with the shim's.

Sources: sched_setaffinity(2), proc(5) (schedstat), ld.so(8).
"""

import argparse
import json
import math
import os
import pathlib
import platform
import select
import shlex
import signal
import statistics
import subprocess
import sys
import time

START_SECONDS_MAX = 5  # from exec to READY
END_SECONDS_MAX = 5  # from SIGTERM, or the end of the run, to RESULT and exit
LINE_BYTES_MAX = 4096
WINDOW = 256

OWN_COUNT = 2000000  # datagrams of a run against the shim

# The contestant's mode, the peers, the payload, and what the other end is. For the shim: the burst.
CASES = {
    "echo-64-peers": ("echo", 64, 64, "load"),
    "echo-1000-peers": ("echo", 1000, 64, "load"),
    "echo-1-peer": ("echo", 1, 64, "load"),
    "echo-trains": ("echo", 1, 64, "trains"),
    "sink": ("sink", 1, 64, "source"),
    "sink-trains": ("sink", 1, 64, "flood"),
    "source": ("source", 1, 1200, "drain"),
    "source-1000-peers": ("source", 1000, 1200, "drain"),
    "own-64": ("echo", 64, 64, "shim"),
    "own-8": ("echo", 64, 8, "shim"),
    "own-1": ("echo", 64, 1, "shim"),
}

# Contestants with a name: the program, and its arguments behind the mode.
KNOWN = {
    "raw": ["raw_mmsg"],
    "raw-gro": ["raw_gro"],
    "raw-select": ["raw_select"],
    "libuv": ["peer_libuv"],
    "libuv-mmsg": ["peer_libuv", "--variant", "mmsg"],
    "libuv-send": ["peer_libuv", "--variant", "send"],
    "libevent-drain": ["peer_libevent"],
    "libevent-one": ["peer_libevent", "--variant", "one"],
    "asio": ["peer_asio"],
    "asio-sync": ["peer_asio", "--variant", "sync"],
}


class BenchError(Exception):
    """A contestant or its other end did not keep to the protocol of READY and RESULT."""


class Child:
    """One pinned process that prints READY and RESULT; killed at the end whatever happens."""

    def __init__(self, command, cpu, env=None):
        self.command = shlex.join(command)
        self.pending = b""
        try:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                bufsize=0,
                env=None if env is None else {**os.environ, **env},
                preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
            )
        except OSError as err:
            raise BenchError(f"{self.command}: {err.strerror} (is it built?)") from err

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def read_line(self, word, seconds):
        """Returns the fields of the next line that begins with the word."""
        deadline = time.monotonic() + seconds
        while True:
            line, newline, rest = self.pending.partition(b"\n")
            if newline:
                self.pending = rest
                words = line.decode(errors="replace").split()
                if words[:1] == [word]:
                    return dict(field.partition("=")[::2] for field in words[1:])
                continue
            left = deadline - time.monotonic()
            if left <= 0 or len(self.pending) > LINE_BYTES_MAX:
                raise BenchError(f"{self.command}: no {word} line within {seconds} s")
            if select.select([self.process.stdout], [], [], left)[0]:
                chunk = os.read(self.process.stdout.fileno(), LINE_BYTES_MAX)
                if not chunk:
                    raise BenchError(f"{self.command}: ended without a {word} line")
                self.pending += chunk

    def wait_ready(self):
        """Returns the port of the READY line, or None."""
        return self.read_line("READY", START_SECONDS_MAX).get("port")

    def wait_result(self, seconds=0):
        """Returns the counts of the RESULT line, once the process has ended well."""
        fields = self.read_line("RESULT", seconds + END_SECONDS_MAX)
        try:
            status = self.process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired as err:
            raise BenchError(f"{self.command}: does not end") from err
        if status != 0:
            raise BenchError(f"{self.command}: status {status}")
        counts = {key: int(value) for key, value in fields.items() if value.isdecimal()}
        missing = {"rx", "tx", "drop", "wall_us"} - counts.keys()
        if missing:
            raise BenchError(f"{self.command}: RESULT lacks {', '.join(sorted(missing))}")
        return counts

    def stop(self):
        """Ends the process as a user would, and returns its RESULT."""
        self.process.terminate()
        return self.wait_result()


def find_ksoftirqd(cpu):
    """Returns the schedstat file of the CPU's ksoftirqd, or None where it cannot be seen."""
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text(encoding="ascii", errors="replace").strip() == f"ksoftirqd/{cpu}":
                return comm.with_name("schedstat")
        except OSError:
            continue  # it ended meanwhile
    return None


def read_softirq_ns(schedstat):
    """Returns the ns that ksoftirqd has run so far."""
    return int(schedstat.read_text(encoding="ascii").split()[0]) if schedstat else 0


def list_reactors(bin_dir):
    """Returns the reactors of the build that have sockets."""
    program = f"{bin_dir}/kirim-bench"
    try:
        text = subprocess.run([program, "--help"], check=True, capture_output=True, text=True,
                              timeout=START_SECONDS_MAX).stdout
    except (OSError, subprocess.SubprocessError) as err:
        raise BenchError(f"{program}: {err} (is it built?)") from err
    names = text.partition("reactors of this build:")[2].split()
    return [name for name in names if name != "sim"]


def parse_contestant(text, bin_dir):
    """Returns (name, command words, with {mode} among them)."""
    name, equals, command = text.partition("=")
    if not equals and name in KNOWN:
        program, *rest = KNOWN[name]
        return name, [f"{bin_dir}/{program}", "{mode}", *rest]
    if not equals:
        return name, [f"{bin_dir}/kirim-bench", "{mode}", "--variant", name]
    words = shlex.split(command)
    if not words:
        raise BenchError(f"{text}: the command is empty")
    return name, words if "{mode}" in words else [words[0], "{mode}", *words[1:]]


def run_server(args, command, peers, size, other_end):
    """One run of an echo or a sink: it serves until its load has ended."""
    shape = ["--peers", str(peers), "--size", str(size), "--seconds", str(args.seconds)]
    limit = ["--seconds", str(args.seconds + 1)] if args.timed else []
    with Child([*command, "--port", "0", *limit], args.server_cpu) as server:
        port = server.wait_ready()
        if not port or port == "0":
            raise BenchError(f"{server.command}: READY names no port")
        load = {
            "load": [f"{args.bin_dir}/load", "--window", str(WINDOW)],
            "trains": [f"{args.bin_dir}/load", "--trains", "--window", str(WINDOW)],
            "flood": [f"{args.bin_dir}/load", "--flood"],
            "source": [f"{args.bin_dir}/raw_mmsg", "source"],
        }[other_end]
        with Child([*load, "--dest-port", port, *shape], args.load_cpu) as generator:
            generator.wait_ready()
            made = generator.wait_result(args.seconds)
        return server.wait_result(1) if args.timed else server.stop(), made


def run_source(args, command, peers, size):
    """One run of a source: its receiver is there before it, and a little longer."""
    shape = ["--peers", str(peers), "--size", str(size), "--seconds"]
    drain = [f"{args.bin_dir}/load", "--drain", "--port", "0", *shape, str(args.seconds + 1)]
    with Child(drain, args.load_cpu) as receiver:
        port = receiver.wait_ready() or "0"
        with Child([*command, "--dest-port", port, *shape, str(args.seconds)],
                   args.server_cpu) as source:
            source.wait_ready()
            result = source.wait_result(args.seconds)
        return result, receiver.wait_result(1)


def run_own(args, command, peers, burst):
    """One run of an echo against the shim, which ends it."""
    env = {"LD_PRELOAD": f"{args.bin_dir}/libshim.so", "SHIM_COUNT": str(OWN_COUNT),
           "SHIM_PEERS": str(peers), "SHIM_BURST": str(burst)}
    with Child([*command, "--port", "0"], args.server_cpu, env) as server:
        server.wait_ready()
        result = server.wait_result(args.seconds)
    if result["rx"] != OWN_COUNT:
        raise BenchError(f"{server.command}: rx={result['rx']} of {OWN_COUNT} that the shim gave")
    return result, result


def measure(args, command, schedstat):
    """Runs one contestant once and returns its figures."""
    mode, peers, size, other_end = CASES[args.case]
    command = [mode if word == "{mode}" else word for word in command]
    softirq_ns = read_softirq_ns(schedstat)
    if other_end == "shim":
        result, other = run_own(args, command, peers, size)
    elif mode == "source":
        result, other = run_source(args, command, peers, size)
    else:
        result, other = run_server(args, command, peers, size, other_end)
    softirq_ns = read_softirq_ns(schedstat) - softirq_ns
    if not {"cpu_us", "rxcalls", "txcalls"} <= result.keys():
        raise BenchError(f"{shlex.join(command)}: RESULT lacks cpu_us, rxcalls or txcalls")
    count = result["rx" if mode == "sink" else "tx"]
    if count == 0:
        raise BenchError(f"{shlex.join(command)}: no datagram passed")
    # A server's own wall time also holds what came before and after the load.
    wall_us = result["wall_us"] if mode == "source" else other["wall_us"]
    calls = max(result["rxcalls"], result["txcalls"])
    sent, arrived = {
        "echo": (other["tx"], other["tx"] - other["drop"]),
        "sink": (other["tx"], result["rx"]),
        "source": (result["tx"], other["rx"]),
    }[mode]
    return {
        "ns": (result["cpu_us"] * 1000 + softirq_ns) / count,
        "softirq_ns": softirq_ns,
        "rate": count * 1e6 / wall_us,
        "busy": (result["cpu_us"] + softirq_ns / 1000) / wall_us,
        "per_call": count / calls if calls else 0,
        "lost": max(0, sent - arrived) / sent,
        "result": result,
        "other_end": other,
    }


def run_all(args, contestants):
    """Returns {name: [figures of each repetition]}."""
    schedstat = find_ksoftirqd(args.server_cpu)
    if schedstat is None:
        print("note: ksoftirqd is not visible here, its time is left out", file=sys.stderr)
    runs = {name: [] for name, _ in contestants}
    for repetition in range(args.repetitions):
        shift = repetition % len(contestants)
        for name, command in contestants[shift:] + contestants[:shift]:
            runs[name].append(measure(args, command, schedstat))
    return runs


def estimate_error(ratios):
    """Returns the relative standard error of the geometric mean, or None for one ratio."""
    if len(ratios) < 2:
        return None
    return statistics.stdev(math.log(ratio) for ratio in ratios) / math.sqrt(len(ratios))


def summarise(runs):
    """Returns one row of medians for each contestant, with its ratios to the first."""
    first = next(iter(runs.values()))
    rows = []
    for name, figures in runs.items():
        ratios = [own["ns"] / base["ns"] for own, base in zip(figures, first)]
        row = {"name": name, "ratio": statistics.median(ratios)}
        row["ratio_error"] = estimate_error(ratios)
        row |= {"ratio_min": min(ratios), "ratio_max": max(ratios)}
        row["rate_ratio"] = statistics.median(own["rate"] / base["rate"]
                                              for own, base in zip(figures, first))
        for key in ("ns", "rate", "busy", "per_call", "lost"):
            row[key] = statistics.median(run[key] for run in figures)
        rows.append(row)
    return rows


def print_table(args, rows):
    """Prints the medians for people."""
    mode, peers, size, other_end = CASES[args.case]
    what = f"{size} bytes, other end: {other_end}"
    length = f"{args.seconds} s, CPU {args.server_cpu} against {args.load_cpu}"
    if other_end == "shim":
        what = f"bursts of {size}, the shim in the kernel's place"
        length = f"{OWN_COUNT} datagrams, CPU {args.server_cpu}"
    print(f"case {args.case}: {mode}, {peers} peer(s), {what}; {args.repetitions} x {length}")
    width = max(len("contestant"), *(len(row["name"]) for row in rows))
    print(
        f"{'contestant':<{width}}  {'ns/datagram':>11}  {'ratio':>5}  {'+-':>4}  "
        f"{'min..max':>10}  "
        f"{'datagrams/s':>11}  {'ratio':>5}  {'busy':>5}  {'per call':>8}  {'lost':>6}"
    )
    for row in rows:
        error = "" if row["ratio_error"] is None else f"{row['ratio_error']:.2f}"
        spread = f"{row['ratio_min']:.2f}..{row['ratio_max']:.2f}"
        print(
            f"{row['name']:<{width}}  {row['ns']:>11.1f}  {row['ratio']:>5.2f}  {error:>4}  "
            f"{spread:>10}  {row['rate']:>11.0f}  {row['rate_ratio']:>5.2f}  {row['busy']:>5.0%}  "
            f"{row['per_call']:>8.1f}  {row['lost']:>6.1%}"
        )
    sys.stdout.flush()


def parse_args():
    """Returns the command line, with a list of cases and of contestants."""
    default_bin = os.path.relpath(pathlib.Path(__file__).resolve().parent.parent / "build" / "bin")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="contestants: " + ", ".join(f"{n} ({' '.join(c)})" for n, c in KNOWN.items()),
    )
    parser.add_argument("contestants", nargs="*", default=["raw", "epoll", "select"],
                        metavar="NAME[=COMMAND]", help="default: raw epoll select")
    parser.add_argument("--case", default="echo-64-peers", choices=[*CASES, "all"])
    parser.add_argument("--seconds", type=int, default=1, help="of one run")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--bin-dir", default=default_bin, help="where the programs are")
    parser.add_argument("--server-cpu", type=int, default=0, help="the contestants' CPU")
    parser.add_argument("--load-cpu", type=int, default=1, help="their other ends' CPU")
    parser.add_argument("--timed", action="store_true",
                        help="servers end by --seconds, for those that no signal reaches")
    parser.add_argument("--json", metavar="FILE", help="also write every run to FILE")
    args = parser.parse_args()
    if not 1 <= args.seconds <= 600 or not 1 <= args.repetitions <= 1000:
        parser.error("--seconds is 1 to 600, --repetitions 1 to 1000")
    cpus = os.sched_getaffinity(0)
    if args.server_cpu == args.load_cpu or not {args.server_cpu, args.load_cpu} <= cpus:
        parser.error(f"two different CPUs of {sorted(cpus)} are needed")
    return args, list(CASES) if args.case == "all" else [args.case]


def main():
    """Runs the cases; the status is 1 if a contestant fails, 2 for wrong usage."""
    args, cases = parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of Child.__exit__
    report = {"kernel": platform.release(), "seconds": args.seconds, "cases": {}}
    try:
        contestants = [parse_contestant(text, args.bin_dir) for text in args.contestants]
        if len({name for name, _ in contestants}) != len(contestants):
            raise BenchError("two contestants have one name")
        for args.case in cases:
            runs = run_all(args, contestants)
            rows = summarise(runs)
            print_table(args, rows)
            report["cases"][args.case] = {"medians": rows, "runs": runs}
    except BenchError as err:
        print(f"compare.py: {err}", file=sys.stderr)
        return 1
    if args.json:
        with open(args.json, "w", encoding="utf-8") as out:
            json.dump(report, out, indent=2)
            out.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
