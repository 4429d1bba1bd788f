"""What faults cost: real processes, a real PostgreSQL, kill -9. After each, the job's result is exact and each segment is charged once."""

import signal
import struct
import sys
import time
import unittest
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from quarry_service import PATIENCE_SECONDS, ApiError, EndedEarly, Service, counting_graph  # noqa: E402

WIDTH = 64
SEGMENTS = 5
CREDIT = Decimal(100)


class Faults(unittest.TestCase):
    """Two workers, so that work can go elsewhere; one service for all cases: a fault must leave it fit for the next."""

    steps = 100_000  # of a job that can be struck in the middle: doubled when one was over too soon

    @classmethod
    def setUpClass(cls):
        cls.service = Service(devices=("opencl:0", "interpreter"))
        cls.addClassCleanup(cls.service.__exit__)
        cls.graph = cls.service.put_graph(counting_graph(WIDTH))
        cls.start = cls.service.put_tensors({"x": ("I32", [WIDTH], struct.pack(f"<{WIDTH}i", *range(WIDTH)))})

    def document(self, steps=None, segments=SEGMENTS):
        steps = steps or self.steps
        return {"version": 1, "seed": "0", "inputs": {"x": {"file": self.start, "tensor": "x"}},
                "stages": [{"graph": self.graph, "steps": steps, "carry": {"x": "x_next"}, "keep": {"x_next": "last", "total": "last"}}],
                "checkpoint_every": steps // segments}

    def spent_before(self):
        return CREDIT - self.service.balance()["available"]

    def check_exact(self, job, segments=SEGMENTS, spent_before=Decimal(0)):
        """Result, charges and balances are what one undisturbed run gives."""
        steps = int(job["steps"])
        self.assertEqual(job["state"], "succeeded", job)
        values = struct.unpack(f"<{WIDTH}i", self.service.result(job["id"], "x_next"))
        self.assertEqual(list(values), [i + steps for i in range(WIDTH)])
        bill = self.service.bill(job["id"])
        self.assertEqual(sorted(int(line["segment"]) for line in bill["segments"]), list(range(segments)))
        self.assertEqual(sum(int(line["steps"]) for line in bill["segments"]), steps)
        charged = sum(Decimal(line["charge"]) for line in bill["segments"])
        self.assertEqual(charged, Decimal(job["spent"]))
        balance = self.service.balance()
        self.assertEqual(balance["reserved"], 0)
        self.assertEqual(CREDIT - balance["available"] - spent_before, charged)

    def running(self, segment=2):
        """What was spent before, and a job that is in that segment or a later one."""
        while True:
            before = self.spent_before()
            job = self.service.submit(self.document(), patience=PATIENCE_SECONDS)
            done = segment * self.steps // SEGMENTS
            try:
                return before, self.service.wait_until(job["id"], lambda j: int(j["steps_done"]) > done)["id"]
            except EndedEarly:  # before this process, on a busy machine, could see it there
                Faults.steps *= 2

    def strike(self, blow):
        """Submits a job, strikes in its third segment, and waits for the exact result."""
        before, job = self.running()
        blow(job)
        self.check_exact(self.service.wait(job), spent_before=before)

    def test_kill_9_of_the_executors_costs_an_attempt_and_nothing_else(self):
        self.strike(lambda _: self.service.kill("quarry-executor"))

    def test_kill_9_of_the_workers_costs_an_attempt_and_nothing_else(self):
        self.strike(lambda _: self.service.kill("quarry-worker"))

    def test_kill_9_of_the_scheduler_costs_nothing(self):
        self.strike(lambda _: self.service.kill("quarry-scheduler"))

    def test_kill_9_of_the_server_costs_nothing(self):
        self.strike(lambda _: self.service.kill("quarry-server"))

    def test_kill_9_of_postgresql_costs_nothing(self):
        self.strike(lambda _: self.service.kill_database())

    def test_a_worker_that_dies_in_the_third_of_five_segments_is_replaced_from_the_last_durable_state(self):
        """The worker that runs the job is stopped for good; the other one resumes."""
        before, job = self.running()
        device = self.busy_device()
        self.service.signal_worker(device, signal.SIGSTOP)
        try:
            self.check_exact(self.service.wait(job), spent_before=before)
        finally:
            self.service.signal_worker(device, signal.SIGCONT)

    def test_a_late_completion_after_the_lease_expired_is_refused(self):
        before, job = self.running(segment=1)
        device = self.busy_device()
        self.service.signal_worker(device, signal.SIGSTOP)  # its executor runs on and finishes the segment
        time.sleep(13)                                      # past the lease of 10 s
        self.service.signal_worker(device, signal.SIGCONT)
        self.check_exact(self.service.wait(job), spent_before=before)

    def test_the_same_submit_twice_with_one_idempotency_key_makes_one_job(self):
        before = self.spent_before()
        headers = {"Idempotency-Key": f"twice-{time.time_ns()}"}
        body = {"job": self.document(steps=50, segments=5)}
        first = self.service.call("POST", "/v1/jobs", body, headers)
        second = self.service.call("POST", "/v1/jobs", body, headers)
        self.assertEqual(first["id"], second["id"])
        with self.assertRaises(ApiError) as refused:
            self.service.call("POST", "/v1/jobs", {"job": self.document(steps=55, segments=5)}, headers)
        self.assertEqual(refused.exception.status, 409)
        self.check_exact(self.service.wait(first["id"]), spent_before=before)

    def test_a_cancel_in_the_third_segment_charges_two_and_releases_the_rest(self):
        while True:
            before, job = self.running()
            self.service.call("DELETE", f"/v1/jobs/{job}")
            ended = self.service.wait(job)
            if ended["state"] != "succeeded":
                break
            Faults.steps *= 2  # it was quicker than the cancel
        self.assertEqual(ended["state"], "cancelled")
        bill = self.service.bill(job)
        charged = sum(Decimal(line["charge"]) for line in bill["segments"])
        self.assertEqual(sorted(int(line["segment"]) for line in bill["segments"]), list(range(len(bill["segments"]))))
        self.assertGreaterEqual(len(bill["segments"]), 2)
        self.assertLess(len(bill["segments"]), SEGMENTS)
        self.assertEqual(charged, Decimal(ended["spent"]))
        balance = self.service.balance()
        self.assertEqual(balance["reserved"], 0)
        self.assertEqual(CREDIT - balance["available"] - before, charged)

    def test_everything_killed_at_once_starts_again_with_every_accepted_job_finished_and_charged_once(self):
        before = self.spent_before()
        jobs = [self.service.submit(self.document(steps=5000), patience=PATIENCE_SECONDS)["id"] for _ in range(8)]
        for program in ("quarry-server", "quarry-scheduler", "quarry-executor", "quarry-worker"):
            self.service.kill(program)
        self.service.kill_database()
        ended = [self.service.wait(job) for job in jobs]
        self.assertEqual({job["state"] for job in ended}, {"succeeded"})
        charged = sum(Decimal(job["spent"]) for job in ended)
        balance = self.service.balance()
        self.assertEqual(balance["reserved"], 0)
        self.assertEqual(CREDIT - balance["available"] - before, charged)
        for job in ended:
            self.assertEqual(len(self.service.bill(job["id"])["segments"]), SEGMENTS)

    def busy_device(self):
        """The device whose executor uses the most processor time right now."""
        def ticks(device):
            total = 0
            for pid in self.service.pids("quarry-executor", device):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
            return total

        before = {device: ticks(device) for device in self.service.devices}
        for _ in range(50):  # until one of them got the processor for 30 ms
            time.sleep(0.05)
            used = {device: ticks(device) - before[device] for device in self.service.devices}
            if max(used.values()) >= 3:
                break
        return max(used, key=used.get)


if __name__ == "__main__":
    unittest.main(verbosity=2)
