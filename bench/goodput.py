#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Goodput of the channel beside TCP and ENet, over the same path with delay, loss and a bottleneck.

    goodput.py [--bin-dir DIR] [--seconds N] [--repetitions N] [--loss PERCENT...] [--json FILE]
               [--delay-ms N] [--rate-mbit N] [CONTESTANT...]

Each contestant has the path for itself, in turn, with a seed of its own for each repetition; the
path loses packets in both directions. A figure is what reached the other program within the time
from the first byte on, so the start is in it. Needs root, for bench-path. What was not built is
left out, and said.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

PORT = 7000
DELAY_MS = 25
RATE_MBIT = 100
QUEUE_MS = 50
LOSSES = (0, 1, 5)
RUN_SECONDS_EXTRA = 30
SKIPPED = 77
# Program, and what follows its words.
CONTESTANTS = {
    "channel": ("goodput_channel", ""),
    "tcp-reno": ("goodput_tcp", "reno"),
    "tcp-cubic": ("goodput_tcp", "cubic"),
    "tcp-bbr": ("goodput_tcp", "bbr"),
    "enet": ("goodput_enet", ""),
}
PACKAGES = {"goodput_enet": "libenet-dev"}


def available(bin_dir, names):
    """Of these contestants, those that can run here."""
    known = pathlib.Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text(
        encoding="ascii").split()
    found = []
    for name in names:
        program, way = CONTESTANTS[name]
        if not (bin_dir / program).exists():
            print(f"left out: {name}, {PACKAGES.get(program, program)} is missing")
        elif program == "goodput_tcp" and way not in known:
            print(f"left out: {name}, the kernel does not have it")
        else:
            found.append(name)
    return found


def run(chosen, name, loss, seed):
    """Mbit/s of one run, and what the path and the program have said."""
    program, way = CONTESTANTS[name]
    at = chosen.bin_dir / program
    words = [chosen.bin_dir / "bench-path", "--delay-ms", str(chosen.delay_ms), "--rate-mbit",
             str(chosen.rate_mbit), "--queue-ms", str(QUEUE_MS), "--loss-ppm",
             str(round(loss * 10000)), "--seed", str(seed),
             f"exec {at} serve {PORT} {chosen.seconds}",
             f"exec {at} send 10.77.0.1 {PORT} {chosen.seconds} {way}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False,
                          timeout=chosen.seconds + RUN_SECONDS_EXTRA)
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"{name}: {done.stdout}{done.stderr}") from None
    return found["bytes"] * 8e-6 / found["seconds"], done.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contestants", nargs="*", choices=[*CONTESTANTS, []], metavar="CONTESTANT")
    parser.add_argument("--bin-dir", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "build" / "bin")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--loss", type=float, nargs="+", default=LOSSES)
    parser.add_argument("--delay-ms", type=int, default=DELAY_MS)
    parser.add_argument("--rate-mbit", type=int, default=RATE_MBIT)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--verbose", action="store_true")
    chosen = parser.parse_args()
    chosen.bin_dir = chosen.bin_dir.resolve()
    if os.geteuid() != 0:
        print("skipped: bench-path needs root")
        return SKIPPED
    names = available(chosen.bin_dir, chosen.contestants or CONTESTANTS)
    runs = []
    for loss in chosen.loss:
        for repetition in range(chosen.repetitions):
            for name in names:
                rate, said = run(chosen, name, loss, 1000 * repetition + 1)
                runs.append({"contestant": name, "loss": loss, "mbit": rate, "said": said})
                if chosen.verbose:
                    print(f"{loss} % {name}: {rate:.2f}\n{said}", flush=True)
    print(f"Mbit/s over {2 * chosen.delay_ms} ms there and back, a bottleneck of "
          f"{chosen.rate_mbit} Mbit/s with a queue of {QUEUE_MS} ms; {chosen.seconds} s, median of "
          f"{chosen.repetitions} (least .. most)")
    print(f"{'loss':10}" + "".join(f"{loss:g} %".rjust(26) for loss in chosen.loss))
    for name in names:
        cells = []
        for loss in chosen.loss:
            rates = [r["mbit"] for r in runs if (r["contestant"], r["loss"]) == (name, loss)]
            cells.append(f"{statistics.median(rates):.2f} ({min(rates):.2f} .. {max(rates):.2f})")
        print(f"{name:10}" + "".join(cell.rjust(26) for cell in cells), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(runs, indent=1), encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
