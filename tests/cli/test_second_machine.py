"""A second machine joins, by the steps of docs/operators.md: another user, another directory, another address."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from quarry_service import PATIENCE_SECONDS, Service, counting_graph, safetensors, tensor_bytes  # noqa: E402

BIN = Path(os.environ["QUARRY_BIN"])
NOBODY = 65534


def another_address():
    """An address of this machine that is not 127.0.0.1: that of its network, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: the kernel only chooses the address to send from
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.2"


class SecondMachine(unittest.TestCase):
    def setUp(self):
        self.address = another_address()
        self.service = Service(devices=("none",), arguments=["--listen", "0.0.0.0", "--name", self.address, "--credit", "1"])
        self.addCleanup(self.service.__exit__)
        self.home = Path(tempfile.mkdtemp(prefix="quarry-second-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.port = re.search(r":(\d+)$", self.service.facts["server"]).group(1)

    def quarry(self, *arguments, code=0):
        done = subprocess.run([BIN / "quarry", "--json", "--config", str(self.service.config), *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout)

    def start_worker(self, claim_code):
        (self.home / "claim-code").write_text(claim_code)
        shutil.copy(self.service.data / "ca" / "authority.crt", self.home / "authority.crt")
        command = [BIN / "quarry-worker", "--api", f"https://{self.address}:{self.port}", "--authority-certificate", self.home / "authority.crt",
                   "--data", self.home / "worker", "--device", "opencl:0", "--claim-code-file", self.home / "claim-code"]
        if os.geteuid() == 0:
            for path in (self.home, *self.home.iterdir()):
                os.chown(path, NOBODY, NOBODY)
            command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
        environment = {**os.environ, "HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache")}
        command = ["setpriv", "--pdeathsig", "TERM", *map(str, command)]
        with open(self.home / "log", "wb") as log:
            worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd="/")
        self.addCleanup(worker.wait)
        self.addCleanup(worker.terminate)
        return worker

    def test_it_claims_runs_a_job_and_is_listed(self):
        box = self.quarry("boxes", "add", "garage-1")
        self.assertEqual([(row["name"], row["claimed"]) for row in self.quarry("boxes", "list")["boxes"]], [("garage-1", False)])
        graph = self.home / "count.json"
        graph.write_text(json.dumps(counting_graph(4)))
        x = self.home / "x.safetensors"
        x.write_bytes(safetensors({"x": ("I32", [4], struct.pack("<4i", 1, 2, 3, 4))}))
        job = self.quarry("submit", str(graph), "--input", f"x={x}")["id"]
        worker = self.start_worker(box["claim_code"])
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.quarry("job", job)["state"] != "succeeded":
            self.assertIsNone(worker.poll(), (self.home / "log").read_text())
            self.assertLess(time.monotonic(), deadline, (self.home / "log").read_text())
            time.sleep(0.2)
        got = self.quarry("get", job, "total", "--to", str(self.home / "results"))
        self.assertEqual(struct.unpack("<i", tensor_bytes(Path(got[0]["file"]).read_bytes())), (14,))  # the sum of each of 1, 2, 3, 4 and one
        self.assertEqual([(row["id"], row["claimed"]) for row in self.quarry("boxes", "list")["boxes"]], [(box["id"], True)])

    def test_the_certificate_holds_for_the_name_and_is_made_anew_for_another_one(self):
        for name in (self.address, "quarry.example"):
            self.service.stop()
            self.service.arguments = ["--listen", "0.0.0.0", "--name", name]
            self.service.start()
            text = subprocess.run(["openssl", "x509", "-in", str(self.service.data / "ca" / "server.crt"), "-noout", "-text"],
                                  capture_output=True, text=True, check=True).stdout
            self.assertIn(name, text)
        self.assertIn("--name", self.quarry("up", "--data-dir", str(self.home / "other"), "--listen", "0.0.0.0", code=2)["error"]["action"])
        self.assertIn("IPv4", self.quarry("up", "--data-dir", str(self.home / "other"), "--listen", "nowhere", code=2)["error"]["detail"])

    def test_credit_is_added_to_an_account_that_exists(self):
        before = Decimal(self.service.balance()["available"])
        self.service.stop()
        self.service.process = None  # the harness gives the credit of a first start only
        self.service.arguments = [*self.service.arguments[:-1], "2.5"]
        self.service.start()
        self.assertEqual(Decimal(self.service.balance()["available"]) - before, Decimal("2.5"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
