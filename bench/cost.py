#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts what kirim itself does per datagram and per timer operation, in instructions.

    cost.py check     compares with cost.tsv: status 1 if a figure is more than 2 % above
    cost.py update    writes cost.tsv
    cost.py show      prints, and the hand-written loops and the peers beside it

callgrind counts; the preloaded shim stands in the kernel's place, and what it executes itself is
left out. A figure is the difference between two counts, so that start-up is not in it, and hardly
varies between two runs. It holds for one compiler, its flags and one kind of processor: where they
are not those of cost.tsv, `check` says so and ends with status 77. Status 2 is wrong usage, or a
program that failed.

Sources: callgrind's manual (file format, --toggle-collect), ld.so(8).
"""

import argparse
import collections
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import compare  # noqa: E402

TOLERANCE = 0.02
RUN_SECONDS_MAX = 120
STATUS_WORSE, STATUS_FAILED, STATUS_SKIPPED = 1, 2, 77

BURSTS = (64, 8, 1)
TRAIN_COUNT = 64  # datagrams in a train, of which a burst is one
ECHO_COUNTS = (20000, 60000)
TIMER_ROUNDS = (2, 6)
TIMERS_PER_ROUND = 4096  # COUNTED_TIMERS of timer.c
# What is counted, and whether the function is only the loop around it.
TIMER_FUNCTIONS = {
    "arm": ("arm_timers", True),
    "re-arm": ("rearm_timers", True),
    "cancel": ("cancel_timers", True),
    "fire": ("ki_wheel_run", False),
}
class CostError(Exception):
    """A program failed, or is not there."""


class Skipped(Exception):
    """The figures cannot be compared here."""


# Counting

def run(command, env):
    """Runs a command to its end, and returns what it printed."""
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, check=False, text=True,
                              capture_output=True, timeout=RUN_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as err:
        raise CostError(f"{command[0]}: {err}") from err
    if done.returncode != 0:
        raise CostError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def read_profile(path):
    """Returns {(object, function): instructions of its own} of a file that callgrind wrote."""
    names = {"ob": {}, "fn": {}}
    current = {"ob": "?", "fn": "?"}
    costs = collections.Counter()
    is_call = False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.match(r"(ob|fn)=\((\d+)\)(?: (.*))?", line)
        if match:
            kind, number, name = match.groups()
            if name is not None:
                names[kind][number] = name
            current[kind] = names[kind].get(number, "?")
            continue
        # A name may be told first where it is called.
        match = re.match(r"c(ob|fn)=\((\d+)\) (.*)", line)
        if match:
            names[match.group(1)][match.group(2)] = match.group(3)
        elif line.startswith("calls="):
            is_call = True  # the next line is the cost of what was called
        elif re.match(r"[0-9+*-]", line):
            if not is_call:
                costs[current["ob"], current["fn"]] += int(line.split()[1])
            is_call = False
    return costs


def count_instructions(command, env, function=None, is_harness=False):
    """Returns how many instructions a command executes, in a function and below if one is named."""
    with tempfile.TemporaryDirectory() as directory:
        out = pathlib.Path(directory, "callgrind.out")
        only = [] if function is None else ["--collect-atstart=no", f"--toggle-collect={function}"]
        text = run(["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}",
                    *only, *command], env)
        costs = read_profile(out)
    total = sum(cost for (obj, name), cost in costs.items()
                if not obj.endswith("/libshim.so") and not (is_harness and name == function))
    if total == 0:
        raise CostError(f"{' '.join(command)}: nothing was counted")
    return total, text


def count_echo(bin_dir, program, burst, train=1):
    """Returns the instructions per echoed datagram of a program and its arguments."""
    totals = []
    for count in ECHO_COUNTS:
        env = {"PATH": os.defpath, "LD_PRELOAD": str(bin_dir / "libshim.so"),
               "SHIM_BURST": str(burst), "SHIM_COUNT": str(count), "SHIM_TRAIN": str(train)}
        command = [str(bin_dir / program[0]), "echo", "--port", "0", *program[1:]]
        total, text = count_instructions(command, env)
        if not re.search(rf"^RESULT mode=echo rx={count} tx=", text, re.MULTILINE):
            raise CostError(f"{' '.join(command)}: {count} datagrams went in, but it says\n{text}")
        totals.append(total)
    return (totals[1] - totals[0]) / (ECHO_COUNTS[1] - ECHO_COUNTS[0])


def count_timers(bin_dir, operation):
    """Returns the instructions of a timer operation."""
    function, is_harness = TIMER_FUNCTIONS[operation]
    totals = [count_instructions([str(bin_dir / "bench-timer"), "--count", str(rounds)],
                                 {"PATH": os.defpath}, function, is_harness)[0]
              for rounds in TIMER_ROUNDS]
    return (totals[1] - totals[0]) / ((TIMER_ROUNDS[1] - TIMER_ROUNDS[0]) * TIMERS_PER_ROUND)


def count_all(bin_dir):
    """Returns {(figure, subject): instructions} of kirim."""
    figures = {}
    for name in compare.list_reactors(bin_dir):
        for burst in BURSTS:
            program = ("kirim-bench", "--variant", name)
            figures[f"echo-burst-{burst}", name] = count_echo(bin_dir, program, burst)
        figures["train-segment", name] = count_echo(bin_dir, program, TRAIN_COUNT, TRAIN_COUNT)
    for operation in TIMER_FUNCTIONS:
        figures["timer", operation] = count_timers(bin_dir, operation)
    return figures


# The file, and what it holds for

def read_build(bin_dir):
    """Returns what the figures depend on."""
    build = bin_dir.parent
    try:
        cache = dict(re.findall(r"^(\w+):\w+=(.*)$", (build / "CMakeCache.txt").read_text("utf-8"),
                                re.MULTILINE))
        text = next(build.glob("CMakeFiles/*/CMakeCCompiler.cmake")).read_text("utf-8")
    except (OSError, StopIteration) as err:
        raise CostError(f"{build} is not a build tree") from err
    compiler = dict(re.findall(r'^set\(CMAKE_C_COMPILER_(ID|VERSION) "(.*)"\)$', text,
                               re.MULTILINE))
    kind = cache.get("CMAKE_BUILD_TYPE", "").upper()
    flags = [cache.get("CMAKE_C_FLAGS", ""), cache.get(f"CMAKE_C_FLAGS_{kind}", "")]
    options = [name for name in ("KIRIM_CHECKS", "KIRIM_SANITIZE", "BUILD_SHARED_LIBS")
               if cache.get(name, "").upper() not in ("", "0", "OFF", "NO", "FALSE")]
    return {
        "compiler": f"{compiler.get('ID')} {compiler.get('VERSION')}",
        "flags": " ".join(" ".join(flags).split()),
        "options": " ".join(options) or "none",
        "processor": platform.machine(),
    }


def read_file(path):
    """Returns what the file holds for, and its figures."""
    build, figures = {}, {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as err:
        raise CostError(f"{path}: {err.strerror}; `cost.py update` writes it") from err
    for line in lines:
        match = re.match(r"# (\w+)\t(.*)", line)
        if match:
            build[match.group(1)] = match.group(2)
        elif line and line[0] != "#":
            figure, subject, instructions = line.split("\t")
            figures[figure, subject] = float(instructions)
    return build, figures


def write_file(path, build, figures):
    """Writes the file that read_file() reads."""
    lines = ["# Instructions per echoed datagram, per datagram of an echoed train of 64, and per",
             "# timer operation, without the kernel's.",
             "# `bench/cost.py update` writes this file, `bench/cost.py check` compares with it.",
             "#"]
    lines += [f"# {key}\t{value}" for key, value in build.items()]
    lines += [f"{figure}\t{subject}\t{instructions:.1f}"
              for (figure, subject), instructions in figures.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def print_rows(rows):
    """Prints a table: words to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [text.ljust(width) if i < 2 else text.rjust(width)
                 for i, (text, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


# Commands

def check(args, build):
    """Compares with the file; returns the status."""
    kept_build, kept = read_file(args.file)
    for key, value in kept_build.items():
        if build.get(key) != value:
            raise Skipped(f"{args.file.name} holds for {key} {value}, this is {build.get(key)}")
    figures = count_all(args.bin_dir)
    rows = [("figure", "subject", "kept", "now", "change", "")]
    worse, better, new = 0, 0, 0
    for key in list(kept) + [key for key in figures if key not in kept]:
        now = figures.get(key)
        if now is None:
            rows.append((*key, f"{kept[key]:.1f}", "-", "-", "not in this build"))
            continue
        if key not in kept:
            new += 1
            rows.append((*key, "-", f"{now:.1f}", "-", "NEW"))
            continue
        change = now / kept[key] - 1
        word = "ABOVE" if change > TOLERANCE else "below" if change < -TOLERANCE else ""
        worse += change > TOLERANCE
        better += change < -TOLERANCE
        rows.append((*key, f"{kept[key]:.1f}", f"{now:.1f}", f"{change:+.1%}", word))
    print_rows(rows)
    if worse:
        print(f"cost: {worse} of {len(figures)} figures are more than {TOLERANCE:.0%} above what"
              f" {args.file.name} allows. If that is worth it, `bench/cost.py update`, and say why")
    if better:
        print(f"cost: {better} figures are more than {TOLERANCE:.0%} below: keep the gain with"
              " `bench/cost.py update`")
    if new:
        print(f"cost: {new} figures are not in {args.file.name}: `bench/cost.py update`")
    if not worse and not new:
        print(f"cost: {len(figures)} figures, none above")
    return STATUS_WORSE if worse or new else 0


def update(args, build):
    """Writes the file anew."""
    figures = count_all(args.bin_dir)
    write_file(args.file, build, figures)
    rows = [("figure", "subject", "instructions")]
    rows += [(*key, f"{value:.1f}") for key, value in figures.items()]
    print_rows(rows)
    return 0


def show(args, build):
    """Prints kirim's figures beside those of the others."""
    print(", ".join(f"{key} {value}" for key, value in build.items()))
    rows = [("instructions per datagram", "", *(f"bursts of {burst}" for burst in BURSTS),
             f"trains of {TRAIN_COUNT}")]
    programs = {name: ["kirim-bench", "--variant", name]
                for name in compare.list_reactors(args.bin_dir)} | compare.KNOWN
    for name, program in programs.items():
        if not (args.bin_dir / program[0]).exists():
            rows.append((name, "", *("-" for _ in BURSTS), "-"))
            continue
        kind = "kirim" if program[0] == "kirim-bench" else ""
        counts = [count_echo(args.bin_dir, program, burst) for burst in BURSTS]
        counts.append(count_echo(args.bin_dir, program, TRAIN_COUNT, TRAIN_COUNT))
        rows.append((name, kind, *(f"{count:.1f}" for count in counts)))
    print_rows(rows)
    print()
    print_rows([("instructions per timer operation", "", "")] +
               [(name, "", f"{count_timers(args.bin_dir, name):.1f}") for name in TIMER_FUNCTIONS])
    return 0


def main():
    """Returns the status."""
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = {"check": check, "update": update, "show": show}
    parser.add_argument("command", choices=commands)
    parser.add_argument("--bin-dir", type=pathlib.Path, default=here.parent / "build" / "bin",
                        help="where the programs are, below a build tree")
    parser.add_argument("--file", type=pathlib.Path, default=here / "cost.tsv")
    args = parser.parse_args()
    args.bin_dir = args.bin_dir.resolve()
    try:
        if not shutil.which("valgrind"):
            raise Skipped("valgrind is missing")
        for program in ("kirim-bench", "bench-timer", "libshim.so"):
            if not (args.bin_dir / program).exists():
                raise Skipped(f"{args.bin_dir} has no {program}")
        return commands[args.command](args, read_build(args.bin_dir))
    except Skipped as reason:
        print(f"cost: SKIPPED: {reason}")
        return STATUS_SKIPPED
    except (CostError, compare.BenchError) as err:
        print(f"cost: {err}", file=sys.stderr)
        return STATUS_FAILED


if __name__ == "__main__":
    sys.exit(main())
