# SPDX-License-Identifier: MIT
"""What the scripts about DTLS share: certificates, a server that listens, clients of ours."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "examples"))
import programs  # noqa: E402  (found by the path above)

KEY, IDENTITY = "00112233445566778899aabbccddeeff", "device"
HAS_PROGRAM = (programs.BIN / "dtls_echo").exists()
OPENSSL = shutil.which("openssl")


def openssl(place, *words):
    subprocess.run([OPENSSL, *words], cwd=place, check=True, stdin=subprocess.DEVNULL,
                   capture_output=True, timeout=programs.RUN_SECONDS_MAX)


def make_certificates(place):
    """ca.pem, which issued server.pem (localhost, 127.0.0.1 .. 9) and client.pem; with keys."""
    elliptic = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(place, "req", "-x509", *elliptic, "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/CN=test ca", "-days", "30")
    for name, subject in (("server", "DNS:localhost,IP:127.0.0.1,IP:127.0.0.9,IP:::1"),
                          ("client", "DNS:client.test")):
        pathlib.Path(place, "names").write_text(f"subjectAltName={subject}\n", encoding="ascii")
        openssl(place, "req", *elliptic, "-keyout", f"{name}.key", "-out", "request",
                "-subj", f"/CN={name}")
        openssl(place, "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "30", "-extfile", "names", "-out", f"{name}.pem")


def path(place, name):
    return os.path.join(place, name)


def start_server(place, *arguments, listen="127.0.0.1:0"):
    """An echo server with certificate and key that listens; its port is in `port`."""
    return programs.start_listening(
        "dtls_echo", "--listen", listen, "--cert", path(place, "server.pem"), "--key",
        path(place, "server.key"), "--psk", KEY, "--identity", IDENTITY, "--stats", 0, "--log",
        *arguments)


def ask(place, port, *arguments, host="127.0.0.1", trust=True):
    """Runs our client; returns what it ended with, and its JSON."""
    believed = ("--ca", path(place, "ca.pem"), "--host", "localhost") if trust else ()
    done = programs.run("dtls_echo", "--connect", programs.join(host, port), "--json",
                        "--timeout-ms", 20000, *believed, *arguments)
    return done, json.loads(done.stdout) if done.stdout.startswith("{") else {}


def counters(server):
    """What a server that has ended printed of its own counters, as numbers by name."""
    line = next(line for line in server.texts["err"].splitlines() if " dtls begun=" in line)
    return {name: int(value) for name, value in programs.words(line).items()}
