# SPDX-License-Identifier: MIT
"""kirim-probe: its three forms say the same, and what it says of sockets is true."""
import json
import unittest

import programs

BUFFERS = ("buffers_default", "buffers_plain", "buffers_forced")


class Probe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = programs.run("kirim-probe", "--json")
        assert done.returncode == 0, done.stderr
        cls.found = json.loads(done.stdout)
        cls.open = {reactor["name"]: reactor for reactor in cls.found["reactors"]
                    if reactor["opens"]}

    def test_names_are_those_that_open(self):
        done = programs.run("kirim-probe", "--reactors")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout.split(), list(self.open))
        self.assertIn("select", self.open)

    def test_version_is_the_librarys(self):
        version = programs.run("kirim-probe", "--version").stdout.split()[-1]
        self.assertEqual(self.found["version"], version)
        self.assertEqual(self.found["compiled_against"], version)

    def test_every_open_reactor_has_its_fields(self):
        for name, reactor in self.open.items():
            with self.subTest(reactor=name):
                self.assertIsNone(reactor["error"])
                self.assertTrue(reactor["capabilities"])
                self.assertTrue(all(isinstance(has, bool)
                                    for has in reactor["capabilities"].values()))
                timer = reactor["timer"]
                self.assertEqual(timer["measured_count"], 20)
                self.assertLessEqual(0, timer["late_min_ns"])
                self.assertLessEqual(timer["late_min_ns"], timer["late_median_ns"])
                self.assertLessEqual(timer["late_median_ns"], timer["late_max_ns"])
                self.assertGreaterEqual(timer["resolution_ns"], 0)
                self.assertEqual([family["family"] for family in reactor["families"]], [4, 6])

    def test_families_are_those_of_the_machine(self):
        for name, reactor in self.open.items():
            for family in reactor["families"]:
                with self.subTest(reactor=name, family=family["family"]):
                    if name != "sim":
                        self.assertEqual(family["opens"],
                                         programs.can_bind(family["family"]))
                    if family["opens"]:
                        self.check_family(family)

    def check_family(self, family):
        most = {4: 65507, 6: 65527}[family["family"]]
        self.assertLessEqual(1200, family["payload_bytes_max"])
        self.assertLessEqual(family["payload_bytes_max"], most)
        self.assertTrue(family["has_largest_arrived"])
        self.assertEqual(family["buffer_bytes_asked"], 4 << 20)
        for name in BUFFERS:
            if family[name]["opens"]:
                self.assertGreater(family[name]["receive_bytes"], 0)
                self.assertGreater(family[name]["send_bytes"], 0)
            else:
                self.assertTrue(family[name]["error"].startswith("KIRIM_E"))
        self.assertTrue(family["buffers_default"]["opens"])

    def test_hints_say_what_and_how(self):
        for hint in self.found["missing"]:
            self.assertEqual(list(hint), ["what", "how"])
            self.assertTrue(hint["what"] and hint["how"])

    def test_one_reactor_can_be_asked_for(self):
        done = programs.run("kirim-probe", "--json", "--reactor", "select")
        self.assertEqual(done.returncode, 0)
        names = [reactor["name"] for reactor in json.loads(done.stdout)["reactors"]]
        self.assertEqual(names, ["select"])
        done = programs.run("kirim-probe", "--reactors", "--reactor=select")
        self.assertEqual(done.stdout, "select\n")

    def test_text_tells_of_every_reactor(self):
        done = programs.run("kirim-probe", "--stats=0", "--listen=127.0.0.2:0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith(f"kirim {self.found['version']}"))
        for name in self.open:
            self.assertIn(f"\nreactor {name}\n", done.stdout)
        self.assertIn("\nmissing:", done.stdout)
        self.assertIn("stats endpoint=127.0.0.2:", done.stderr)


if __name__ == "__main__":
    programs.main()
