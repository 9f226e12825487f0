#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares CPU time per relayed datagram: kirim's relay beside relays written by hand.

Between `load` and a hand-written echo server stands the relay, pinned to a CPU of its own; the two
others share the other CPU. A figure is the CPU time that the system booked for the relay, and for
its CPU's ksoftirqd, while the load ran, over the datagrams that it handed on, both directions
counted. Contestants take turns within a repetition, beginning with another one each time; a ratio
is taken within a repetition, over the contestant that the table names as the base.

    plain   raw_relay: no trains, no ECN; beside it kirim's relay with --unmarked and offload off
    whole   raw_relay --variant whole: trains, ECN and DSCP; beside it kirim's relay as it is

Sources: proc(5) (schedstat), sched_setaffinity(2).
"""

import argparse
import os
import pathlib
import re
import select
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import compare  # noqa: E402

# Peers, and whether load and server send trains.
CASES = {
    "relay-64-peers": (64, False),
    "relay-1000-peers": (1000, False),
    "relay-1-peer": (1, False),
    "relay-trains": (1, True),
}
NO_OFFLOAD = {"KIRIM_GSO": "0", "KIRIM_GRO": "0"}
# Name, base, command behind the program, environment.
CONTESTANTS = (
    ("raw", "raw", ["raw_relay", "--port", "0"], {}),
    ("kirim-plain", "raw", ["relay", "--unmarked"], NO_OFFLOAD),
    ("raw-whole", "raw-whole", ["raw_relay", "--port", "0", "--variant", "whole"], {}),
    ("kirim", "raw-whole", ["relay"], {}),
)
RELAY = ["--listen", "127.0.0.1:0", "--peers-max", "4096", "--new-per-second", "0"]


class Relay:
    """The relay that is measured, pinned."""

    def __init__(self, args, words, env, dest_port):
        command = [f"{args.bin_dir}/{words[0]}", *words[1:]]
        if words[0] == "relay":
            command += [*RELAY, "--to", f"127.0.0.1:{dest_port}"]
        else:
            command += ["--dest-port", dest_port]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
            env={**os.environ, **env},
            preexec_fn=lambda: os.sched_setaffinity(0, {args.server_cpu}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def wait_port(self):
        text = b""
        deadline = time.monotonic() + compare.START_SECONDS_MAX
        while time.monotonic() < deadline:
            found = re.search(rb"READY port=(\d+)|listening on \S+:(\d+) ", text)
            if found:
                return (found.group(1) or found.group(2)).decode()
            if select.select([self.process.stdout], [], [], deadline - time.monotonic())[0]:
                chunk = os.read(self.process.stdout.fileno(), 4096)
                if not chunk:
                    break
                text += chunk
        raise compare.BenchError(f"{self.process.args}: does not listen: {text.decode()}")

    def read_ns(self):
        return compare.read_softirq_ns(pathlib.Path(f"/proc/{self.process.pid}/schedstat"))


def measure(args, words, env, schedstat):
    """Runs one contestant once; returns ns for each relayed datagram, rate, share lost."""
    peers, is_train = CASES[args.case]
    server = [f"{args.bin_dir}/{'raw_gro' if is_train else 'raw_mmsg'}", "echo", "--port", "0"]
    load = [f"{args.bin_dir}/load", *(["--trains"] if is_train else []), "--window", "256",
            "--peers", str(peers), "--size", str(args.size), "--seconds", str(args.seconds)]
    with compare.Child(server, args.load_cpu) as echo:
        port = echo.wait_ready()
        with Relay(args, words, env, port) as relay:
            port = relay.wait_port()
            with compare.Child([*load, "--dest-port", port], args.load_cpu) as generator:
                softirq_ns = compare.read_softirq_ns(schedstat)
                begin_ns = relay.read_ns()
                generator.wait_ready()
                made = generator.wait_result(args.seconds)
                spent_ns = relay.read_ns() - begin_ns
                spent_ns += compare.read_softirq_ns(schedstat) - softirq_ns
        echo.stop()
    relayed = 2 * (made["tx"] - made["drop"])
    if relayed == 0:
        raise compare.BenchError(f"{words}: nothing passed")
    return {"ns": spent_ns / relayed, "rate": relayed * 1e6 / made["wall_us"],
            "lost": made["drop"] / made["tx"]}


def run_case(args, schedstat):
    runs = {name: [] for name, *_ in CONTESTANTS}
    for repetition in range(args.repetitions):
        shift = repetition % len(CONTESTANTS)
        for name, _, words, env in CONTESTANTS[shift:] + CONTESTANTS[:shift]:
            runs[name].append(measure(args, words, env, schedstat))
    return runs


def print_case(args, runs):
    print(f"case {args.case}: {args.size} bytes, {args.repetitions} x {args.seconds} s")
    print(f"{'contestant':<12} {'ns/datagram':>11}  {'base':<10} {'ratio':>5}  {'+-':>4}  "
          f"{'min..max':>10}  {'relayed/s':>9}  {'lost':>6}")
    for name, base, *_ in CONTESTANTS:
        own = runs[name]
        ratios = [a["ns"] / b["ns"] for a, b in zip(own, runs[base])]
        error = compare.estimate_error(ratios)
        median = {key: statistics.median(run[key] for run in own) for key in own[0]}
        spread = f"{min(ratios):.2f}..{max(ratios):.2f}"
        print(f"{name:<12} {median['ns']:>11.1f}  {base:<10} {statistics.median(ratios):>5.2f}  "
              f"{'' if error is None else f'{error:.2f}':>4}  {spread:>10}  "
              f"{median['rate']:>9.0f}  {median['lost']:>6.1%}")
    sys.stdout.flush()


def parse_args():
    default_bin = pathlib.Path(__file__).resolve().parent.parent / "build" / "bin"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="all", choices=[*CASES, "all"])
    parser.add_argument("--seconds", type=int, default=1, help="of one run")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--size", type=int, default=64, help="bytes of each datagram")
    parser.add_argument("--bin-dir", default=os.path.relpath(default_bin))
    args = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    args.server_cpu, args.load_cpu = cpus[0], cpus[-1]
    return args


def main():
    args = parse_args()
    schedstat = compare.find_ksoftirqd(args.server_cpu)
    try:
        for args.case in list(CASES) if args.case == "all" else [args.case]:
            print_case(args, run_case(args, schedstat))
    except compare.BenchError as err:
        print(f"relay.py: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
