"""The command line against a real service: what it prints, its exit codes, and what bad input gets."""

import json
import os
import pty
import signal
import stat
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from quarry_service import Service, counting_graph, safetensors, tensor_bytes  # noqa: E402

QUARRY = Path(os.environ["QUARRY_BIN"]) / "quarry"


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service(arguments=["--credit", "0.5"])
        cls.addClassCleanup(cls.service.__exit__)
        cls.graph = cls.service.data / "count.json"
        cls.graph.write_text(json.dumps(counting_graph(4)))
        cls.x = cls.service.data / "x.safetensors"
        cls.x.write_bytes(safetensors({"x": ("I32", [4], struct.pack("<4i", 1, 2, 3, 4))}))
        cls.job_flags = ["--input", f"x={cls.x}", "--carry", "x=x_next", str(cls.graph), "--steps", "10", "--keep", "total=each"]

    def run_quarry(self, *arguments, code=0, environment=None):
        command = [str(QUARRY), "--config", str(self.service.config), *arguments]
        ours = {name: value for name, value in os.environ.items() if not name.startswith("QUARRY_")}
        done = subprocess.run(command, capture_output=True, text=True, env={**ours, **(environment or {})})
        self.assertEqual(done.returncode, code, f"{command}\n{done.stdout}\n{done.stderr}")
        return done

    def json_of(self, *arguments, code=0):
        return json.loads(self.run_quarry("--json", *arguments, code=code).stdout)

    @staticmethod
    def caught(pid):
        """The line of /proc that says which signals the process handles, once SIGINT is among them; else nothing."""
        line = next(line for line in Path(f"/proc/{pid}/status").read_bytes().splitlines() if line.startswith(b"SigCgt"))
        return line if int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1 else b""

    def totals(self, path):
        return list(struct.unpack("<10i", tensor_bytes(Path(path).read_bytes())))

    def test_a_submitted_job_and_a_local_run_give_the_same_results(self):
        job = self.json_of("submit", *self.job_flags, "--watch")
        self.assertEqual(job["state"], "succeeded")
        remote = self.json_of("get", job["id"], "--to", str(self.service.data / "remote"))
        local = self.json_of("run", *self.job_flags, "--device", "interpreter", "--to", str(self.service.data / "local"))
        expected = [10 + 4 * step for step in range(1, 11)]
        self.assertEqual(self.totals(remote[0]["file"]), expected)
        self.assertEqual(self.totals(local["outputs"][0]["file"]), expected)

    def test_a_quote_has_its_lines_and_charges_nothing(self):
        before = self.service.balance()
        quote = self.json_of("quote", *self.job_flags)
        self.assertEqual([line["item"] for line in quote["lines"]][0], "compute")
        self.assertIn("compute", self.run_quarry("quote", *self.job_flags).stdout)
        self.assertEqual(self.service.balance(), before)

    def test_the_job_its_bill_the_usage_and_the_account_agree(self):
        self.run_quarry("submit", *self.job_flags, "--watch")
        job = self.json_of("job", "last")
        self.assertEqual(job["id"], self.json_of("jobs")["jobs"][0]["id"])
        self.assertEqual(job["bill"]["spent"], job["spent"])
        self.assertTrue(any(line["job"] == job["id"] for line in self.json_of("usage")["segments"]))
        self.assertIn("available", self.run_quarry("account", "--ledger").stdout)
        self.assertIn("succeeded", self.run_quarry("jobs").stdout)

    def test_graph_inspect_and_devices_work_without_a_service(self):
        facts = self.json_of("graph", "inspect", str(self.graph), "--carry", "x=x_next")
        self.assertTrue(facts["id"].startswith("graph_"))
        self.assertEqual(facts["id"], self.service.put_graph(counting_graph(4)))
        names = [device["device"] for device in self.json_of("devices")]
        self.assertIn("interpreter", names)
        self.assertIn("opencl:0", names)
        everything = {device["device"]: device["left_out"] for device in self.json_of("devices", "--all")}
        self.assertEqual(everything["interpreter"], "")
        for backend in ("cuda", "hip"):  # a card of it, or why there is none
            self.assertTrue(any(name.startswith(backend + ":") for name in everything) or everything[backend], everything)

    def test_nothing_in_the_data_directory_is_open_to_other_users(self):
        self.run_quarry("submit", *self.job_flags, "--watch")
        for folder in ("ca", "blobs", "postgres", "run", "logs", "worker"):
            paths = [self.service.data / folder, *(self.service.data / folder).rglob("*")]
            for path in paths:
                try:
                    mode = path.lstat().st_mode
                except FileNotFoundError:  # PostgreSQL's come and go
                    continue
                if not stat.S_ISLNK(mode):
                    self.assertEqual(mode & 0o077, 0, f"{path} is open to others: {stat.filemode(mode)}")
            self.assertTrue(len(paths) > 1, folder)

    def test_no_log_holds_a_key_or_a_tensor(self):
        secret = b"0123-A-TENSOR-89"
        x = self.service.data / "secret.safetensors"
        x.write_bytes(safetensors({"x": ("I32", [4], secret)}))
        flags = [f"x={x}" if flag.startswith("x=") and flag.endswith(".safetensors") else flag for flag in self.job_flags]
        self.run_quarry("submit", *flags, "--watch")
        keys = [line for path in self.service.data.rglob("*key*") if path.is_file()
                for line in path.read_bytes().splitlines() if len(line) >= 32 and b"-----" not in line]
        keys += [path.read_bytes().strip() for path in self.service.data.rglob("claim-code")]
        keys.append(json.loads(self.service.config.read_text())["api_key"].encode())
        self.assertGreater(len(keys), 4)
        logs = list((self.service.data / "logs").glob("*"))
        self.assertTrue(any(path.name.startswith("worker") for path in logs), logs)
        for path in logs:
            text = path.read_bytes()
            for hidden in [secret, secret.hex().encode(), *keys]:
                self.assertNotIn(hidden, text, path)

    def test_output_that_is_piped_has_no_colour(self):
        for command in (["jobs"], ["account"], ["devices"]):
            self.assertNotIn("\x1b", self.run_quarry(*command).stdout)

    def test_exit_codes_tell_scripts_what_went_wrong(self):
        self.run_quarry("submit", code=2)
        self.run_quarry("no-such-command", code=2)
        self.run_quarry("job", "job_00000000000000000000000000", code=4)
        self.run_quarry("account", code=5, environment={"QUARRY_API_KEY": "qk_live_wrong"})
        self.run_quarry("account", code=7, environment={"QUARRY_SERVER": "https://127.0.0.1:1"})
        costly = ["--steps", "2000000000", "--checkpoint-every", "1000000"]
        done = self.run_quarry("submit", *[f for f in self.job_flags if f not in ("--steps", "10", "--keep", "total=each")], *costly, code=6)
        self.assertIn("balance", done.stderr)

    def test_with_json_every_refusal_is_one_json_value(self):
        self.assertEqual(self.json_of("submit", code=2)["error"]["code"], "usage")
        self.assertIn("nope.json", self.json_of("quote", "nope.json", code=3)["error"]["detail"])
        name = os.fsdecode(b"x=bad\xff.safetensors")  # a file's name is bytes, and need not be UTF-8
        self.assertEqual(self.json_of("run", str(self.graph), "--input", name, code=3)["error"]["code"], "cannot_read")
        self.assertEqual(self.json_of("run", str(self.graph), "--keep", os.fsdecode(b"\xff=last"), code=2)["error"]["code"], "usage")

    def test_a_server_that_is_no_https_address_is_named_as_such(self):
        for server in ("http://127.0.0.1:1", "127.0.0.1:8443"):
            error = self.json_of("jobs", "--server", server, code=2)["error"]
            self.assertEqual(error["code"], "bad_config")

    def test_a_selector_that_is_no_job_reaches_nothing_else(self):
        for selector in ("../account", "a b", ""):
            self.assertEqual(self.json_of("job", selector, code=4)["error"]["code"], "not_found")

    def test_outputs_of_any_name_are_fetched_and_none_is_left_out_silently(self):
        graph = counting_graph(4)
        graph["outputs"] = {"a b": 3, "é?#%": 3}
        path = self.service.data / "names.json"
        path.write_text(json.dumps(graph))
        job = self.json_of("submit", str(path), "--input", f"x={self.x}", "--watch")
        directory = self.service.data / "names"
        self.json_of("get", job["id"], "--to", str(directory))
        self.assertEqual({file.name for file in directory.iterdir()}, {"a b.safetensors", "é?#%.safetensors"})
        self.assertIn('"c"', self.run_quarry("get", job["id"], "a b", "c", "--to", str(directory), code=4).stderr)
        self.assertIn("--force", self.run_quarry("get", job["id"], "a b", "--to", str(directory), code=1).stderr)
        self.run_quarry("get", job["id"], "a b", "--to", str(directory), "--force")

    def test_ctrl_c_while_watching_says_that_the_job_goes_on(self):
        job = self.json_of("submit", *self.job_flags[:-4], "--steps", "10000000")["id"]
        command = [str(QUARRY), "--config", str(self.service.config), "job", job, "--watch"]
        watching = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while self.json_of("job", job)["state"] == "queued" or b"SigCgt" not in self.caught(watching.pid):
            time.sleep(0.05)
        watching.send_signal(signal.SIGINT)
        self.assertIn(f"quarry cancel {job}", watching.communicate(timeout=60)[1])
        self.assertEqual(watching.returncode, 130)
        self.assertIn(self.json_of("job", job)["state"], ("queued", "running"))
        self.json_of("cancel", job)

    def test_no_proxy_is_asked_for_this_machine(self):
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            self.run_quarry("account", environment={name: "http://127.0.0.1:1"})

    def test_people_get_units_and_programs_every_digit(self):
        quote = self.run_quarry("quote", *self.job_flags).stdout
        self.assertIn("-hours", quote)
        self.assertNotIn("byte_hour", quote)
        self.assertRegex(quote, r"total \S*\$\d\.\de-\d")
        total = self.json_of("quote", *self.job_flags)["total"]
        self.assertRegex(total, r"^0\.\d{12}$")
        self.assertIn(f"total ${total}", self.run_quarry("--exact", "quote", *self.job_flags).stdout)

    def test_a_local_run_writes_nothing_outside_its_directory(self):
        graph = counting_graph(4)
        graph["outputs"] = {"../outside": 3}
        path = self.service.data / "outside.json"
        path.write_text(json.dumps(graph))
        inside = self.service.data / "inside"
        flags = ["--input", f"x={self.x}", "--device", "interpreter", "--to", str(inside)]
        self.run_quarry("run", str(path), *flags, code=1)
        self.assertFalse((self.service.data / "outside.safetensors").exists())

    def test_stderr_is_coloured_by_what_it_is_itself_and_never_with_no_color(self):
        def talk(**environment):
            primary, secondary = pty.openpty()
            command = [str(QUARRY), "--config", str(self.service.config), "job", "job_00000000000000000000000000"]
            with os.fdopen(primary, "rb", buffering=0) as screen:
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=secondary, env={**os.environ, **environment}, timeout=60)
                os.close(secondary)
                return screen.read(4096)
        self.assertIn(b"\x1b[31merror:", talk(NO_COLOR=""))
        self.assertNotIn(b"\x1b", talk(NO_COLOR="1"))

    def test_up_does_not_overwrite_a_config_that_it_cannot_read(self):
        text = '{"server": "https://elsewhere", "api_kye": "the only copy"}'
        config = self.service.data / "mistyped.json"
        config.write_text(text)
        data = self.service.data / "another"
        data.mkdir(mode=0o755)
        command = [str(QUARRY), "--json", "--config", str(config), "up", "--data-dir", str(data), "--port", "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(json.loads(done.stdout)["error"]["code"], "bad_config")
        self.assertEqual(config.read_text(), text)

    def test_a_bad_graph_is_refused_by_node_and_shape(self):
        graph = counting_graph(4)
        graph["nodes"][1]["shape"] = [5]
        bad = self.service.data / "bad.json"
        bad.write_text(json.dumps(graph))
        done = self.run_quarry("graph", "inspect", str(bad), code=3)
        self.assertIn("/nodes/2", done.stderr)
        self.assertIn("[4]", done.stderr)
        error = self.json_of("graph", "inspect", str(bad), code=3)["error"]
        self.assertEqual(error["code"], "shape_mismatch")

    def test_a_broken_safetensors_file_is_refused(self):
        bad = self.service.data / "bad.safetensors"
        bad.write_bytes(b"\xff" * 7)
        self.run_quarry("run", str(self.graph), "--input", f"x={bad}", code=3)
        bad.write_bytes(safetensors({"x": ("I32", [4], bytes(16))})[:-1])
        self.run_quarry("run", str(self.graph), "--input", f"x={bad}", code=3)
        self.run_quarry("submit", str(self.graph), "--input", f"x={bad}", code=3)

    def test_only_who_watches_a_job_fails_with_it(self):
        job = self.json_of("submit", *self.job_flags[:-4], "--steps", "10000000")["id"]
        self.json_of("cancel", job)
        self.assertEqual(self.json_of("job", job)["state"], "cancelled")
        self.assertEqual(self.json_of("job", job, "--watch", code=1)["state"], "cancelled")
        self.assertIn("was cancelled", self.run_quarry("job", job, "--watch", code=1).stderr)

    def test_started_again_it_finds_its_state_again(self):
        self.run_quarry("submit", *self.job_flags, "--watch")
        before = self.json_of("jobs")["jobs"], self.service.balance(), self.service.key
        self.service.stop()
        self.service.start()
        self.assertEqual((self.json_of("jobs")["jobs"], self.service.balance(), self.service.key), before)
        self.assertEqual(self.json_of("submit", *self.job_flags, "--watch")["state"], "succeeded")

    def test_a_second_up_on_the_same_directory_is_told_so(self):
        error = self.json_of("up", "--data-dir", str(self.service.data), "--port", "0", code=1)["error"]
        self.assertEqual(error["code"], "already_running")

    def test_the_demo_learns_to_two_percent_and_bills(self):
        demo = self.json_of("demo")
        self.assertLess(demo["loss"] / demo["optimum"], 1.02)
        self.assertGreaterEqual(demo["loss"] / demo["optimum"], 0.98)
        self.assertEqual(len(demo["losses"]), 300)
        self.assertEqual(len(demo["words"]), 10)
        self.assertEqual(demo["bill"]["spent"], demo["job"]["spent"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
