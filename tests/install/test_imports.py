# SPDX-License-Identifier: MIT
"""What the DLL asks of Windows: its import table against imports.tsv (S53), by objdump.

imports.tsv lists every function that may be imported, with the Windows that brought it as the
function's documentation says; a function that is older than the documentation has "XP". The floor
is what docs/windows.md states. What later ones have added is asked for at run time, and so it is
not there. No function that sends or receives a datagram is either: WSASendMsg and WSARecvMsg are
asked for at run time, and there is no other way out (S1).
"""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import archive
import programs

HERE = pathlib.Path(__file__).resolve().parent
SYSTEMS = ["XP", "Vista", "7", "8", "8.1", "10", "11"]  # in their order
FORBIDDEN = {"send", "sendto", "WSASend", "WSASendTo", "WSASendMsg", "WSASendDisconnect",
             "recv", "recvfrom", "WSARecv", "WSARecvFrom", "WSARecvMsg", "WSARecvEx"}


def imports(file):
    """(dll, function) of each import, the DLL in small letters."""
    text = subprocess.run([archive.TRIPLET + "-objdump", "-p", file], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    text = text[text.index("The Import Tables"):]
    found = set()
    for part in text.split("\tDLL Name: ")[1:]:
        name, body = part.split("\n", 1)
        table = re.match(r"\tvma:.*\n((?:\t[0-9a-f]+\t? +.*\n)*)", body).group(1)
        for line in table.splitlines():
            found.add((name.strip().lower(), line.split()[-1]))
    return found


def floor():
    """The least Windows, as the documentation says."""
    text = (HERE.parents[1] / "docs" / "windows.md").read_text(encoding="utf-8")
    return re.search(r"\*\*Least system\*\*: Windows (\S+)", text).group(1)


def allowed():
    """(dll, function) and the Windows that brought it."""
    lines = (HERE / "imports.tsv").read_text(encoding="utf-8").splitlines()
    return {(dll, name): since for dll, name, since in (line.split("\t") for line in lines[1:])}


def faults(found, permitted, least):
    """What is wrong with these imports, in words."""
    wrong = []
    for dll, name in sorted(found):
        since = permitted.get((dll, name))
        if name in FORBIDDEN:
            wrong.append(f"{name}: only WSASendMsg and WSARecvMsg, asked for at run time")
        elif since is None:
            wrong.append(f"{dll} {name}: not in imports.tsv")
        elif SYSTEMS.index(since) > SYSTEMS.index(least):
            wrong.append(f"{dll} {name}: came with Windows {since}, the floor is {least}")
    return wrong


class Imports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.library = archive.unpacked() / "bin" / "libkirim.dll"

    def test_dll_keeps_to_the_floor(self):  # S53
        found = imports(self.library)
        self.assertIn(("ws2_32.dll", "WSAIoctl"), found)
        self.assertIn(("kernel32.dll", "GetLastError"), found)
        self.assertEqual(faults(found, allowed(), floor()), [])

    def test_list_forbids_what_sends_another_way(self):
        names = {name for _, name in allowed()}
        self.assertEqual(names & FORBIDDEN, set())
        self.assertLessEqual(set(allowed().values()), set(SYSTEMS))

    def test_what_is_not_allowed_is_found(self):
        with tempfile.TemporaryDirectory() as directory:
            source = pathlib.Path(directory, "bad.c")
            source.write_text("#include <winsock2.h>\n"
                              "int main(void) { return sendto(1, \"\", 0, 0, NULL, 0)"
                              " + (int)GetTickCount64(); }\n", encoding="utf-8")
            program = f"{directory}/bad.exe"
            subprocess.run([archive.CC, "-o", program, str(source), "-lws2_32"], check=True)
            found = imports(program)
        self.assertIn(("ws2_32.dll", "sendto"), found)
        text = "\n".join(faults(found, allowed(), floor()))
        self.assertIn("sendto: only WSASendMsg", text)
        self.assertIn("kernel32.dll GetTickCount64: not in imports.tsv", text)

    def test_newer_function_is_found(self):
        newer = {**allowed(), ("kernel32.dll", "New"): "11"}
        self.assertEqual(faults({("kernel32.dll", "New")}, newer, "10"),
                         ["kernel32.dll New: came with Windows 11, the floor is 10"])


if __name__ == "__main__":
    programs.main()
