# SPDX-License-Identifier: ISC
"""The store under power cuts, kills and faults of the disk: tests/power.

What is acknowledged must be there afterwards, whole and once; a commit that was under way is there
as a whole or not at all; the store opens by itself and verify finds nothing.

PABAL_POWER_RUNS=1000 makes so many cuts, kills and faults (each) instead of some seconds of them;
PABAL_POWER_SEED=n repeats a run.  What failed is left where the message says.
"""

import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

from suite import BUILD, Suite, compose

TOOLS = pathlib.Path(BUILD) / "tests"
SHIM, WORKLOAD, SIMULATE = TOOLS / "shim.so", TOOLS / "power_workload", TOOLS / "power_simulate"
RUNS = int(os.environ.get("PABAL_POWER_RUNS", "0"))
SEED = int(os.environ.get("PABAL_POWER_SEED", random.SystemRandom().randrange(1 << 30)))
SANITIZED = b"__asan_init" in WORKLOAD.read_bytes()
# Memory is as good as a disk here: what a cut leaves is computed.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
CUTS_PER_TRACE = 100
WRONG, GAVE_UP = 3, 4
FAULTS = ["EIO", "ENOSPC", "EMFILE", "short", "EIO+", "ENOSPC+"]


def seconds(in_gcc):
    return in_gcc / 3 if SANITIZED else in_gcc


class Place:
    """A directory with a store in it, and what the workload says of it beside it."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="pabal-power-", dir=SCRATCH))
        self.store, self.trace = self.path / "store", self.path / "trace"
        self.scratch = self.path / "scratch"
        self.scratch.mkdir()

    def fresh(self):
        shutil.rmtree(self.store, ignore_errors=True)
        self.trace.unlink(missing_ok=True)
        self.store.mkdir()

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, verb, *words, **plan):
        """The workload; with a plan, below the shim.  Returns the exit status and the output."""
        environment = dict(os.environ)
        if plan:
            environment.update({"LD_PRELOAD": str(SHIM), "POWER_DIR": str(self.store)})
            environment.update({"POWER_" + key: str(value) for key, value in plan.items()})
            # The shim stands before the sanitizer's own functions, and makes its calls by itself.
            environment["ASAN_OPTIONS"] = (environment.get("ASAN_OPTIONS", "") +
                                           ":verify_asan_link_order=0:detect_leaks=0")
        done = subprocess.run([str(WORKLOAD), verb, f"dir={self.store}", *words], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                              check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def play(self, name, seed, steps, *words, **plan):
        return self.run("run", f"out={self.path / name}", f"seed={seed}", f"steps={steps}",
                        f"apart={seed % 2}", *words, **plan)

    def expect(self, name):
        return f"expect={self.path / name}.states"

    def acked(self, name):
        """The last step that was acknowledged."""
        said = (self.path / (name + ".acks")).read_bytes()
        return struct.unpack("I", said[-4:])[0] if said else 0

    def simulate(self, seed, cuts, *words):
        environment = dict(os.environ)
        environment["ASAN_OPTIONS"] = (environment.get("ASAN_OPTIONS", "") +
                                       ":verify_asan_link_order=0:detect_leaks=0")
        done = subprocess.run([str(SIMULATE), f"trace={self.trace}", f"dir={self.scratch}",
                               f"seed={seed}", f"cuts={cuts}", f"apart={seed % 2}",
                               f"workload={WORKLOAD}", f"shim={SHIM}", *words], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")


class PowerTest(unittest.TestCase):
    def setUp(self):
        self.place = Place()
        self.random = random.Random(f"{SEED} {self.id()}")
        self.done = 0
        self.start = time.monotonic()

    def tearDown(self):
        self.place.remove()

    def goes_on(self, budget_s):
        """So many runs, or so many seconds; at least one."""
        self.done += 1
        if RUNS:
            return self.done <= RUNS
        return self.done == 1 or time.monotonic() - self.start < budget_s

    def wrong(self, what, output):
        kept = self.place.path
        self.place = Place()
        self.fail(f"PABAL_POWER_SEED={SEED}: {what}; left in {kept}\n{output[-6000:]}")

    def played(self, seed, steps):
        """What must come of a seed, by a run that nothing disturbs."""
        self.place.fresh()
        status, output = self.place.play("expected", seed, steps, COUNT=self.place.path / "count")
        if status != 0:
            self.wrong(f"workload seed {seed}", output)
        return [int(n) for n in (self.place.path / "count").read_text().split()]

    def checked(self, name, what, boot=1):
        """The process is dead, the machine is not."""
        acked = self.place.acked(name)
        status, output = self.place.run("check", self.place.expect("expected"), f"acked={acked}",
                                        f"boot={boot}")
        if status != 0:
            self.wrong(f"{what}, acknowledged {acked}: status {status}", output)


class Cuts(PowerTest):
    def test_power_cuts_lose_nothing(self):
        budget, cuts = seconds(9), 0
        while self.goes_on(budget) and (not RUNS or cuts < RUNS):
            seed = self.random.randrange(1 << 30)
            steps = 40 if SANITIZED else self.random.choice([20, 60, 150])
            self.place.fresh()
            status, output = self.place.play("expected", seed, steps, TRACE=self.place.trace)
            if status != 0:
                self.wrong(f"workload seed {seed}", output)
            count = CUTS_PER_TRACE if RUNS else 8 if SANITIZED else 30
            status, output = self.place.simulate(seed, count, self.place.expect("expected"),
                                                 f"real={self.place.store}")
            if status != 0:
                self.wrong(f"power cuts, seed {seed}, {steps} steps", output)
            cuts += count
            if RUNS:
                print(f"{cuts} cuts; seed {seed}: {output.splitlines()[-1]}", flush=True)
        self.assertGreater(cuts, 0)


class Kills(PowerTest):
    def test_kills_at_any_change_lose_nothing(self):
        budget, changes, seed = seconds(5), 0, 0
        while self.goes_on(budget):
            if self.done % 50 == 1:
                seed = self.random.randrange(1 << 30)
                changes = self.played(seed, 40)[0]
            at = self.random.randrange(1, changes + 1)
            plan = {"KILL": at}
            if self.random.random() < 0.5:
                plan["KILL_HALF"] = 1
            self.place.fresh()
            status, output = self.place.play("killed", seed, 40, **plan, TRACE=self.place.trace)
            if status != -9:
                self.wrong(f"kill at {at} of seed {seed}: status {status}", output)
            self.after_a_kill(seed, f"kill at {at} of seed {seed}")

    def after_a_kill(self, seed, what):
        """The recovery dies as well, if it has so many changes to make; or the power fails then."""
        plan = {"TRACE": self.place.trace}
        if self.random.random() < 0.5:
            plan["KILL"] = self.random.randrange(1, 20)
        self.place.run("open", self.place.expect("expected"),
                       f"acked={self.place.acked('killed')}", **plan)
        if self.random.random() < 0.5:
            status, output = self.place.simulate(seed, 3, self.place.expect("expected"), "tail=1",
                                                 f"real={self.place.store}")
            if status != 0:
                self.wrong(f"{what}, then power cuts after a new start", output)
        self.checked("killed", what)


class Faults(PowerTest):
    """A disk that fails, for once or for good, and is well again at the next start."""

    STEPS = 30

    def faulty(self, seed, **plan):
        self.place.fresh()
        what = f"{plan}, seed {seed}"
        status, output = self.place.play("faulty", seed, self.STEPS,
                                         self.place.expect("expected"), TRACE=self.place.trace,
                                         **plan)
        if status not in (0, GAVE_UP):
            self.wrong(f"{what}: status {status}", output)
        # Whatever was believed to be on the disk must be there after a power cut, too.
        status, output = self.place.simulate(seed, 4, self.place.expect("expected"),
                                             f"real={self.place.store}")
        if status != 0:
            self.wrong(f"{what}: power cuts", output)
        self.checked("faulty", what)

    def any_fault(self, seed, first, last):
        """first, last: counts of changes, reads and opens between which it comes."""
        fault = self.random.choice(FAULTS)
        later = "+" if fault.endswith("+") else ""
        opens, changes = (self.random.randint(min(first[i] + 1, last[i]), last[i]) for i in (2, 0))
        if fault == "EMFILE":
            self.faulty(seed, OPEN_FAULT=f"{opens}:EMFILE")
        else:
            self.faulty(seed, FAULT=f"{changes}{later}:{fault.rstrip('+')}")

    def test_faults_while_the_store_is_made(self):
        made = self.played(1, 0)
        self.played(1, self.STEPS)
        while self.goes_on(seconds(2)):
            self.any_fault(1, [0, 0, 0], made)

    def test_faults_of_changes_and_opens(self):
        budget, counts, seed = seconds(5), [], 0
        made = self.played(1, 0)
        while self.goes_on(budget):
            if self.done % 50 == 1:
                seed = self.random.randrange(1 << 30)
                counts = self.played(seed, self.STEPS)
            self.any_fault(seed, made, counts)

    def test_faults_of_reads(self):
        budget, counts, seed = seconds(1.5), [], 0
        while self.goes_on(budget):
            if self.done % 50 == 1:
                seed = self.random.randrange(1 << 30)
                counts = self.played(seed, self.STEPS)
            at = self.random.randrange(1, counts[1] + 1)
            self.faulty(seed, READ_FAULT=f"{at}:{self.random.choice(['EIO', 'short'])}")

    def test_a_recovery_that_cannot_read_destroys_nothing(self):
        budget, changes, seed = seconds(1.5), 0, 0
        while self.goes_on(budget):
            if self.done % 50 == 1:
                seed = self.random.randrange(1 << 30)
                changes = self.played(seed, self.STEPS)[0]
            at, read = self.random.randrange(changes // 2, changes + 1), self.random.randrange(1, 40)
            self.place.fresh()
            self.place.play("killed", seed, self.STEPS, KILL=at)
            acked = self.place.acked("killed")
            for boot in ("1", "2"):
                # Replay is what another start of the machine does.
                what = f"EIO at read {read} of a recovery, boot {boot}, seed {seed}, killed at {at}"
                status, output = self.place.run("open", self.place.expect("expected"),
                                                f"acked={acked}", f"boot={boot}",
                                                READ_FAULT=f"{read}:EIO")
                if status not in (0, GAVE_UP):
                    self.wrong(f"{what}: status {status}", output)
            self.checked("killed", what, 2)


class Controls(PowerTest):
    """That the harness can fail: a disk that lies and a writer that lies are found out."""

    def lies(self, *words, **plan):
        self.place.fresh()
        status, output = self.place.play("lying", 4, 40, *words, TRACE=self.place.trace, **plan)
        self.assertEqual(status, 0, output)
        status, output = self.place.simulate(4, 40, self.place.expect("expected"))
        self.assertEqual(status, 1, output)
        self.assertNotIn(" 0 failed", output.splitlines()[-1])

    def test_lies_are_found_out(self):
        self.played(4, 40)
        for plan in ({"SWALLOW": ".seg"}, {"SWALLOW": "data.mdb"}):
            with self.subTest(plan=plan):
                self.lies(**plan)
        with self.subTest("acknowledged before the commit"):
            self.lies("early=1")

    def test_a_killed_writer_that_lies_is_found_out(self):
        changes, found = self.played(4, 40)[0], 0
        for at in range(changes // 3, changes, max(1, changes // 40)):
            self.place.fresh()
            self.place.play("lying", 4, 40, "early=1", KILL=at)
            status, _ = self.place.run("check", self.place.expect("expected"),
                                       f"acked={self.place.acked('lying')}")
            found += status == WRONG
            if found:
                break
        self.assertGreater(found, 0)


class Daemon(unittest.TestCase):
    """mailboxd itself, in its sandbox, below the shim."""

    @unittest.skipIf(SANITIZED, "skipped: a daemon's ASan runtime must come first, and the "
                     "environment of a suite is that of all its processes")
    def test_mailboxd_dies_at_a_change_and_what_it_acknowledged_is_there(self):
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="pabal-power-"))
        self.addCleanup(shutil.rmtree, scratch, ignore_errors=True)
        scratch.chmod(0o777)
        at = random.Random(SEED).randrange(60, 200)
        suite = Suite()
        plan = {"LD_PRELOAD": str(SHIM), "POWER_PROGRAM": "mailboxd", "POWER_KILL": str(at),
                "POWER_ONCE": str(scratch / "once"), "POWER_TRACE": str(scratch / "trace"),
                "POWER_DIR": os.path.join(suite.directory, "data", "store")}
        os.environ.update(plan)
        try:
            suite.__enter__()
        finally:
            for key in plan:
                del os.environ[key]
        self.addCleanup(suite.__exit__, None, None, None)
        sent = 0
        for sent in range(1, 60):
            with suite.smtp() as client:
                client.sendmail("a@x.org", [suite.bob], compose("a@x.org", suite.bob, f"nr {sent}!"))
            if (scratch / "once").stat().st_size > 0:
                break
        self.assertEqual((scratch / "once").read_bytes(), b"x", f"PABAL_POWER_SEED={SEED}")
        suite.wait_running()
        found = b"".join(suite.wait_for_messages(sent))
        for number in range(1, sent + 1):
            self.assertEqual(found.count(b"Subject: nr %d!" % number), 1,
                             f"PABAL_POWER_SEED={SEED}")
        self.assertEqual(suite.ctl("store", "verify")["findings"], 0)


if __name__ == "__main__":
    print(f"PABAL_POWER_SEED={SEED}", flush=True)
    unittest.main()
