#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Figures of TFTP: what windows are worth on a long path, and many transfers at once.

    tftp.py window [--bin-dir DIR]            a file of 1 MiB over 50 ms there and back, each
                                              windowsize; needs root (bench-path)
    tftp.py many [COUNT] [--bin-dir DIR]      COUNT clients (1000) get 1 MiB each over loopback

tftpd and tftp are the examples. Status 1 if a transfer failed, 77 if it cannot be run here.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

FILE_BYTES = 1 << 20
DELAY_MS = 25
WINDOWS = (1, 4, 16, 64)
RUN_SECONDS_MAX = 300
SKIPPED = 77
SERVER = "10.77.0.1:69"
FILES_EACH = 4  # descriptors of a transfer, at most


def make_file(place):
    path = os.path.join(place, "f")
    pathlib.Path(path).write_bytes(os.urandom(FILE_BYTES))
    return path


def get_over_path(bin_dir, place, window):
    """What tftp says of one transfer over the path."""
    server = f"exec {bin_dir}/tftpd --root {place} --listen {SERVER}"
    client = (f"exec {bin_dir}/tftp get {SERVER} f --local {place}/got --json --linger-ms 1 "
              f"--windowsize {window}")
    done = subprocess.run([bin_dir / "bench-path", "--delay-ms", str(DELAY_MS), server, client],
                          capture_output=True, text=True, check=False, timeout=RUN_SECONDS_MAX)
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def measure_windows(bin_dir):
    if os.geteuid() != 0:
        print("skipped: bench-path needs root")
        return SKIPPED
    with tempfile.TemporaryDirectory() as place:
        path = make_file(place)
        print(f"{FILE_BYTES} bytes, {2 * DELAY_MS} ms there and back\n"
              "window  blocks        s    MB/s  ratio")
        first = None
        for window in WINDOWS:
            found = get_over_path(bin_dir, place, window)
            seconds = found["took_us"] / 1e6
            first = first or seconds
            print(f"{found['windowsize']:6} {found['blocks']:7} {seconds:8.3f} "
                  f"{FILE_BYTES / seconds / 1e6:7.3f} {first / seconds:6.1f}", flush=True)
            if pathlib.Path(path).read_bytes() != pathlib.Path(place, "got").read_bytes():
                raise SystemExit("another file has arrived")
    return 0


def raise_limit(count):
    """Descriptors for the server and for the clients, which inherit it; False: there are not so
    many."""
    wanted = FILES_EACH * count + 100
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True


def memory_of(process):
    """The most that a process has had, in KiB."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))


def cpu_of(process):
    """Seconds that a process has had."""
    words = pathlib.Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").split()
    return (int(words[13]) + int(words[14])) / os.sysconf("SC_CLK_TCK")


def measure_many(bin_dir, count):
    if not raise_limit(count):
        print(f"skipped: {count} transfers need more descriptors than are permitted")
        return SKIPPED
    with tempfile.TemporaryDirectory() as place:
        make_file(place)
        words = [bin_dir / "tftpd", "--root", place, "--listen", "127.0.0.1:0", "--transfers-max",
                 str(count), "--prefix-transfers-max", "0"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
            try:
                idle = server.stderr.readline()
                port = re.search(r"listening on \S+:(\d+) ", idle).group(1)
                idle_kib = memory_of(server)
                client = [bin_dir / "bench-tftp", f"127.0.0.1:{port}", "f", str(count)]
                done = subprocess.run(client, capture_output=True, text=True, check=False,
                                      timeout=RUN_SECONDS_MAX)
                peak_kib, cpu = memory_of(server), cpu_of(server)
            finally:
                server.terminate()
    if done.returncode != 0 or server.returncode != 0:
        print(f"{done.stdout}{done.stderr}")
        return 1
    found = json.loads(done.stdout)
    seconds = found["took_us"] / 1e6
    print(f"{count} transfers of {FILE_BYTES} bytes at once: {found['done']} whole and alike in "
          f"{seconds:.2f} s, {found['bytes'] / seconds / 1e6:.0f} MB/s; the server took "
          f"{cpu:.2f} s of CPU, and {(peak_kib - idle_kib) / count:.1f} KiB for each")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("window", "many"))
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("--bin-dir", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "build" / "bin")
    chosen = parser.parse_args()
    bin_dir = chosen.bin_dir.resolve()
    return measure_windows(bin_dir) if chosen.what == "window" \
        else measure_many(bin_dir, chosen.count)


if __name__ == "__main__":
    sys.exit(main())
