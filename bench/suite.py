#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs all benchmarks side by side, as compare.py does each, and the timers. See bench/run.

Prints a table for each case, what of it is a goal, and what disturbed it; writes all of it to
bench.txt, and every single run to bench.json, in the build directory.
"""

import argparse
import contextlib
import datetime
import io
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import compare  # noqa: E402

TIMER_SECONDS_MAX = 120
BUSY_MIN = 0.9  # of a contestant that has enough to do
NOISE_MAX = 0.03  # by which a program may differ from itself

# Which package a program needs.
PACKAGES = {
    "peer_libuv": "libuv1-dev",
    "peer_libevent": "libevent-dev",
    "peer_asio": "libasio-dev and g++",
}

# Groups of contestants; REACTORS stands for those of the build. The first is the base.
REACTORS = "REACTORS"
PEERS = ["libuv", "libuv-mmsg", "libuv-send", "libevent-drain", "libevent-one", "asio",
         "asio-sync"]
NEAR = ["raw", REACTORS]
TRAINS = ["raw-gro", "raw", REACTORS]
ECHOES = ["raw", "raw-again", "raw-gro", "raw-select", REACTORS, *PEERS]
SOURCES = ["raw", "raw-gro", REACTORS, *PEERS]

# Case, contestants, repetitions.
PLANS = {
    "quick": [
        ("echo-64-peers", ["raw", "raw-again", REACTORS, *PEERS], 3),
        ("echo-trains", TRAINS, 3),
        ("source", TRAINS, 3),
        ("sink", NEAR, 3),
        ("own-64", ["raw", "raw-select", REACTORS, "libevent-drain"], 5),
        ("own-8", ["raw", "raw-select", REACTORS, "libevent-drain"], 5),
        ("own-1", ["raw", "raw-select", REACTORS, "libevent-drain"], 5),
    ],
    "full": [
        ("echo-64-peers", ECHOES, 12),
        ("echo-1000-peers", ECHOES, 4),
        ("echo-1-peer", ECHOES, 4),
        ("echo-trains", TRAINS, 12),
        ("sink", ["raw", "raw-gro", "raw-select", REACTORS, *PEERS], 5),
        ("sink-trains", ["raw", "raw-gro", "raw-select", REACTORS, *PEERS], 4),
        ("source", ["raw-gro", "raw", REACTORS, *PEERS], 8),
        ("source-1000-peers", SOURCES, 4),
        ("own-64", ECHOES, 7),
        ("own-8", ECHOES, 7),
        ("own-1", ECHOES, 7),
    ],
}

# What kirim wants to reach: case, figure, the most it may be (of a rate: the least).
GOALS = [
    ("echo-64-peers", "ratio", 1.05),
    ("echo-trains", "ratio", 1.10),
    ("echo-trains", "rate_ratio", 1 / 1.10),
    ("source", "ratio", 1.15),
]
GOAL_REACTORS = ("epoll", "libevent")
FIGURE_NAMES = {"ratio": "CPU", "rate_ratio": "rate"}


def choose_contestants(names, reactors, bin_dir, missing):
    """Returns (name, command words) of those that are there, and adds the others to `missing`."""
    chosen = []
    for name in names:
        if name == REACTORS:
            chosen += [compare.parse_contestant(reactor, bin_dir) for reactor in reactors]
            continue
        program = compare.KNOWN["raw" if name == "raw-again" else name][0]
        if not (bin_dir / program).exists():
            missing.add(program)
            continue
        text = f"{name}={bin_dir / program}" if name == "raw-again" else name
        chosen.append(compare.parse_contestant(text, bin_dir))
    return chosen


def read_processor():
    """Returns the name of the processor."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def read_version(package):
    """Returns the version of a library, or None."""
    with contextlib.suppress(OSError):
        done = subprocess.run(["pkg-config", "--modversion", package], check=False, text=True,
                              capture_output=True)
        return done.stdout.strip() or None
    return None


def describe_machine():
    """Returns what a reader has to know to compare."""
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "processor": read_processor(),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "libuv": read_version("libuv"),
        "libevent": read_version("libevent_core"),
    }


def run_timers(bin_dir):
    """Runs bench-timer; returns its text and {armed: {column: ns}}."""
    done = subprocess.run([bin_dir / "bench-timer"], check=False, capture_output=True, text=True,
                          timeout=TIMER_SECONDS_MAX)
    if done.returncode != 0:
        raise compare.BenchError(f"bench-timer: status {done.returncode}: {done.stderr}")
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    return done.stdout, {row[0]: dict(zip(lines[0][1:], map(float, row[1:])))
                         for row in lines[1:]}


def find_disturbances(case, rows):
    """Returns what in a table says that the machine did something else as well."""
    notes = []
    other_end = compare.CASES[case][3]
    base = rows[0]
    if other_end != "source" and base["busy"] < BUSY_MIN:
        notes.append(f"{case}: {base['name']} had only {base['busy']:.0%} of its CPU: not alone")
    for row in rows:
        if row["name"] == "raw-again" and abs(row["ratio"] - 1) > NOISE_MAX:
            notes.append(f"{case}: raw differs from itself by {row['ratio'] - 1:+.0%}")
    return notes


def print_goals(cases):
    """Prints the goals beside what was measured."""
    print("goals")
    for case, figure, bound in GOALS:
        for row in cases.get(case, {"medians": []})["medians"]:
            if row["name"] not in GOAL_REACTORS:
                continue
            is_rate = figure == "rate_ratio"
            value = row[figure]
            word = "met" if (value >= bound if is_rate else value <= bound) else "NOT MET"
            sign = ">=" if is_rate else "<="
            base = cases[case]["medians"][0]["name"]
            name = FIGURE_NAMES[figure]
            print(f"  {case:<14} {row['name']:<9} {name:<5} {value:6.2f} x {base:<8}"
                  f" {sign} {bound:.2f}  {word}")


def run_plan(args, report, out):
    """Runs the cases of the plan; `out` is called with the text of each."""
    reactors = compare.list_reactors(args.bin_dir)
    missing, notes = set(), []
    for case, names, repetitions in PLANS[args.plan]:
        args.case, args.repetitions = case, repetitions
        runs = compare.run_all(args, choose_contestants(names, reactors, args.bin_dir, missing))
        rows = compare.summarise(runs)
        report["cases"][case] = {"medians": rows, "runs": runs}
        notes += find_disturbances(case, rows)
        out(lambda: compare.print_table(args, rows))
    text, report["timers"] = run_timers(args.bin_dir)
    out(lambda: print("timers: " + text, end=""))
    out(lambda: print_goals(report["cases"]))
    notes += [f"{name} is not built; it needs {PACKAGES.get(name, 'nothing but a build')}"
              for name in sorted(missing)]
    report["notes"] = notes
    out(lambda: print("\n".join(["notes", *(f"  {note}" for note in notes or ["none"])])))


def parse_args():
    """Returns the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--build-dir", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--seconds", type=int, default=1, help="of one run")
    parser.add_argument("--server-cpu", type=int, default=0, help="the contestants' CPU")
    parser.add_argument("--load-cpu", type=int, default=1, help="their other ends' CPU")
    args = parser.parse_args()
    args.bin_dir = args.build_dir / "bin"
    cpus = os.sched_getaffinity(0)
    if not 1 <= args.seconds <= 600:
        parser.error("--seconds is 1 to 600")
    if args.server_cpu == args.load_cpu or not {args.server_cpu, args.load_cpu} <= cpus:
        parser.error(f"two different CPUs of {sorted(cpus)} are needed")
    return args


def main():
    """Runs the plan; the status is 1 if a contestant fails, 2 for wrong usage."""
    args = parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of compare.Child.__exit__
    report = {"plan": args.plan, "seconds": args.seconds, **describe_machine(), "cases": {}}
    texts = []

    def out(write):
        with contextlib.redirect_stdout(io.StringIO()) as stream:
            write()
        texts.append(stream.getvalue())
        print(texts[-1], flush=True)

    out(lambda: print(f"{args.plan}: {report['processor']}, {report['cpus']} CPUs, Linux "
                      f"{report['kernel']}, load average {report['load_average']:.2f}"))
    start = time.monotonic()
    try:
        run_plan(args, report, out)
    except compare.BenchError as err:
        print(f"suite.py: {err}", file=sys.stderr)
        return 1
    report["wall_seconds"] = round(time.monotonic() - start)
    (args.build_dir / "bench.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    (args.build_dir / "bench.txt").write_text("\n".join(texts), "utf-8")
    print(f"{report['wall_seconds']} s; written: {args.build_dir}/bench.json and bench.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
