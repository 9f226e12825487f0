#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants one fault of mutants.txt in a copy of its file, or shows that the suite kills them all.

    mutate.py list
    mutate.py file NAME             which file NAME changes
    mutate.py apply NAME OUTPUT     writes the changed file
    mutate.py run --build DIR [--jobs N] [--only NAME]...

`run` configures DIR once for each mutant with -DKIRIM_MUTANT=NAME, builds the conformance program
and runs it on the reactors below until it fails. A mutant is killed if the program fails, crashes
or hangs; it survives if all pass. Exit status: 0 if every mutant was killed and the suite passes
without one, 1 if not, 2 for wrong usage.
"""
import argparse
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
RUNS = [("sim", "4"), ("epoll", "4"), ("sim", "6"), ("select", "4")]
PATIENCE_S = 90


def read_mutants():
    mutants = {}
    lines = (HERE / "mutants.txt").read_text().splitlines()
    i = 0
    while i < len(lines):
        line = lines[i]
        i += 1
        if not line or line.startswith("#"):
            continue
        name, what = line.split(": ", 1)
        path = lines[i]
        i += 1
        old, new = [], []
        while i < len(lines) and lines[i][:2] in ("- ", "+ "):
            (old if lines[i][0] == "-" else new).append(lines[i][2:])
            i += 1
        if name in mutants or not old:
            sys.exit(f"mutants.txt: {name}: twice, or without a text to replace")
        mutants[name] = (what, path, "\n".join(old), "\n".join(new))
    return mutants


def mutated(mutants, name):
    _, path, old, new = mutants[name]
    text = (TREE / path).read_text()
    if text.count(old) != 1:
        sys.exit(f"mutants.txt: {name}: its text stands {text.count(old)} times in {path}")
    return text.replace(old, new)


def sh(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def build(directory, name, jobs):
    """Configures and builds the conformance program with the mutant `name`, or with none ('')."""
    configure = ["cmake", "-S", str(TREE), "-B", str(directory), f"-DKIRIM_MUTANT={name}"]
    if not (directory / "CMakeCache.txt").exists():
        configure += ["-DKIRIM_EXAMPLES=OFF", "-DKIRIM_BENCH=OFF", "-DCMAKE_BUILD_TYPE=Debug"]
    for command in (configure, ["cmake", "--build", str(directory), f"-j{jobs}", "--target",
                                "kirim-conformance"]):
        done = sh(command)
        if done.returncode != 0:
            sys.exit(f"{name or 'no mutant'}: does not build\n{done.stdout}")


def verdict(directory):
    """Why the suite fails, or None if all of it passes."""
    for reactor, family in RUNS:
        program = [str(directory / "bin" / "kirim-conformance"), "--reactor", reactor,
                   "--family", family, "--fail-fast", "--patience", "2"]
        try:
            done = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, errors="replace", timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            return f"{reactor}-{family} hangs"
        if done.returncode != 0:
            told = [l for l in done.stdout.splitlines() if l.startswith("FAILED: ")]
            first = told[0].split(":")[1].strip() if told else f"exit status {done.returncode}"
            return first if told else f"{reactor}-{family} {first}"
    return None


def run(mutants, args):
    directory = pathlib.Path(args.build)
    directory.mkdir(parents=True, exist_ok=True)
    build(directory, "", args.jobs)
    why = verdict(directory)
    if why is not None:
        sys.exit(f"the suite fails without a mutant: {why}")
    survivors = []
    names = args.only or list(mutants)
    for name in names:
        start = time.monotonic()
        build(directory, name, args.jobs)
        why = verdict(directory)
        seconds = time.monotonic() - start
        word = "killed  " if why else "SURVIVES"
        print(f"{word} {name:24} {seconds:5.1f} s  {why or mutants[name][0]}", flush=True)
        if why is None:
            survivors.append(name)
    print(f"mutants: {len(names)} planted, {len(names) - len(survivors)} killed, "
          f"{len(survivors)} survived")
    return 1 if survivors else 0


def main():
    parser = argparse.ArgumentParser(description="Plants faults and shows that they are found.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list")
    for verb in ("file", "apply"):
        p = verbs.add_parser(verb)
        p.add_argument("name")
        if verb == "apply":
            p.add_argument("output")
    p = verbs.add_parser("run")
    p.add_argument("--build", required=True)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--only", action="append")
    args = parser.parse_args()
    mutants = read_mutants()
    wanted = [args.name] if "name" in args else (args.__dict__.get("only") or [])
    for name in wanted:
        if name not in mutants:
            sys.exit(f"mutants.txt has no mutant '{name}'")
    if args.verb == "list":
        for name, (what, path, _, _) in mutants.items():
            mutated(mutants, name)
            print(f"{name:24} {path:18} {what}")
    elif args.verb == "file":
        print(mutants[args.name][1])
    elif args.verb == "apply":
        output = pathlib.Path(args.output)
        output.parent.mkdir(parents=True, exist_ok=True)
        text = mutated(mutants, args.name)
        if not output.exists() or output.read_text() != text:
            output.write_text(text)
    else:
        return run(mutants, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
