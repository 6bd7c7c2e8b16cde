# SPDX-License-Identifier: ISC
"""What is measured: each case runs against one system and returns {row: value}.

A case is run in rounds, the systems in turn; rows are the lines of the report.  The accounts are
parted into groups, so that one case does not fill the mailboxes of another.
"""

import contextlib
import json
import pathlib
import subprocess
import time

ACCOUNTS = 150
GROUPS = {"many": (0, 100), "one": (100, 1), "mix": (101, 20), "large": (121, 1), "pop3": (122, 1),
          "idle": (123, 1), "append": (124, 20), "append-one": (144, 1), "single": (145, 1),
          "busy": (0, 10), "relay": (146, 1), "folders": (147, 1),
          "fetch": (148, 1), "hold": (149, 1)}


class Row:
    """A line of the report; better is "more" or "less", aim the ratio that the design asks for."""

    def __init__(self, key, text, unit, better="more", aim=None):
        self.key, self.text, self.unit, self.better, self.aim = key, text, unit, better, aim


ROWS = [
    Row("smtp_many", "SMTP in until visible, 10 KiB, 100 sessions, 100 mailboxes", "msg/s", aim=8),
    Row("smtp_many_cpu", "the same: server CPU per 1000", "s", "less", 10),
    Row("smtp_one", "SMTP in until visible, 10 KiB, 100 sessions, one mailbox", "msg/s", aim=12),
    Row("smtp_one_cpu", "the same: server CPU per 1000", "s", "less", 10),
    Row("smtp_mix", "SMTP in until visible, mixed sizes, 50 sessions, 20 mailboxes", "msg/s"),
    Row("smtp_mix_cpu", "the same: server CPU per 1000", "s", "less"),
    Row("smtp_large", "SMTP in until visible, 1 MiB, 20 sessions, 20 mailboxes", "msg/s", aim=3),
    Row("smtp_single_p50", "DATA reply, one session, 10 KiB, p50", "ms", "less", 1),
    Row("smtp_single_p95", "DATA reply, one session, 10 KiB, p95", "ms", "less"),
    Row("relay", "relay to a sink, 4 KiB, 20 sessions", "msg/s", aim=4),
    Row("relay_cpu", "the same: server CPU per 1000", "s", "less"),
    Row("idle_p50", "delivery to an idling client's EXISTS, p50", "ms", "less", 45),
    Row("login", "IMAP login, plain, 10 at a time", "1/s", aim=5),
    Row("login_cpu", "the same: server CPU per login", "ms", "less"),
    Row("login_tls", "IMAP login, TLS full handshake, 10 at a time", "1/s", aim=3),
    Row("append_1", "APPEND 4 KiB, one client", "1/s", aim=1),
    Row("append_20", "APPEND 4 KiB, 20 clients, 20 mailboxes", "1/s", aim=3),
    Row("append_20_one", "APPEND 4 KiB, 20 clients, one mailbox", "1/s", aim=8),
    Row("mixed_10", "mixed IMAP work, 50 clients over 10 mailboxes", "ops/s", aim=3),
    Row("mixed_1", "mixed IMAP work, 50 clients on one mailbox", "ops/s", aim=5),
    Row("select", "SELECT of {many}", "ms", "less", 1),
    Row("flags", "UID FETCH 1:* (FLAGS) of {many}", "ms", "less", 2),
    Row("store", "STORE 1:{some} +FLAGS.SILENT (Pabal's is durable)", "ms", "less"),
    Row("copy", "COPY of {some}", "ms", "less", 2),
    Row("move", "MOVE of {some}", "ms", "less", 2),
    Row("envelope_first", "FETCH (ENVELOPE BODYSTRUCTURE) of {few}, first time", "ms", "less", 2),
    Row("envelope", "FETCH (ENVELOPE BODYSTRUCTURE) of {few}, again", "ms", "less", 2),
    Row("bodies", "FETCH BODY.PEEK[] of {few} x 10 KiB", "MB/s", aim=1.5),
    Row("search", "SEARCH BODY over {few} x 10 KiB", "ms", "less"),
    Row("pop3_retr", "POP3 RETR 4 KiB, one at a time", "1/s", aim=1),
    Row("pop3_pipelined", "POP3 RETR 4 KiB, 50 in flight", "1/s", aim=2),
    Row("pss_idle", "memory of the whole suite, idle (PSS)", "MiB", "less"),
    Row("pss_connection", "memory per idling IMAP connection, INBOX of 1000", "KiB", "less", 70),
]


class Scale:
    """Counts of the default and of the quick run."""

    def __init__(self, quick):
        self.divisor = 4 if quick else 1
        self.many = 20000 if quick else 100000
        self.some = 5000 if quick else 10000
        self.few = 1000 if quick else 4000

    def of(self, count):
        return max(count // self.divisor, 1)

    def text(self, row):
        return row.text.format(many=self.many, some=self.some, few=self.few)


class Bench:
    """Runs the load generator against a system."""

    def __init__(self, load, directory, scale):
        self.load, self.directory, self.scale = str(load), pathlib.Path(directory), scale
        self.prepared = set()
        self.round = 0

    def arguments(self, system, mode, group, **options):
        start, count = GROUPS[group]
        path = self.directory / f"accounts-{system.name}-{group}"
        path.write_text("".join(f"{a} {p}\n" for a, p in system.accounts[start:start + count]))
        options.setdefault("mailboxes", count)
        options.setdefault("roots", ",".join(map(str, system.roots())))
        return [self.load, mode, f"accounts={path}",
                *(f"{key.replace('_', '-')}={value}" for key, value in options.items())]

    def run(self, system, mode, group, words=(), **options):
        command = self.arguments(system, mode, group, **options) + (["--", *words] if words else [])
        done = subprocess.run(command, capture_output=True, text=True, timeout=330)
        if done.returncode != 0:
            raise RuntimeError(f"load {mode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def imap(self, system, group, *words):
        """Times of the commands in ms, in order."""
        return self.run(system, "imap", group, words, port=system.ports["imap"])

    def once(self, system, what):
        """True the first time that a system is prepared for something."""
        fresh = (system.name, what) not in self.prepared
        self.prepared.add((system.name, what))
        return fresh

    def deliver(self, system, group, **options):
        options.setdefault("port", system.ports["smtp"])
        options.setdefault("imap_port", system.ports["imap"])
        return self.run(system, "smtp", group, **options)


def per_1000(result):
    return result["cpu_s"] * 1000 / result["count"]


def smtp_many(bench, system):
    result = bench.deliver(system, "many", sessions=100, count=bench.scale.of(2000))
    return {"smtp_many": result["rate"], "smtp_many_cpu": per_1000(result)}


def smtp_one(bench, system):
    result = bench.deliver(system, "one", sessions=100, count=bench.scale.of(1600))
    return {"smtp_one": result["rate"], "smtp_one_cpu": per_1000(result)}


def smtp_mix(bench, system):
    result = bench.deliver(system, "mix", sessions=50, count=bench.scale.of(1200), size="mix")
    return {"smtp_mix": result["rate"], "smtp_mix_cpu": per_1000(result)}


def smtp_large(bench, system):
    result = bench.deliver(system, "mix", sessions=20, count=bench.scale.of(160), size=1048576)
    return {"smtp_large": result["rate"]}


def smtp_single(bench, system):
    result = bench.deliver(system, "single", sessions=1, count=bench.scale.of(400))
    return {"smtp_single_p50": result["p50_ms"], "smtp_single_p95": result["p95_ms"]}


def relay(bench, system):
    result = bench.run(system, "relay", "relay", port=system.ports["relay"], sessions=20,
                       count=bench.scale.of(2000), size=4096, recipient="someone@sink.example",
                       smtp_port=system.sink_port,
                       submission="yes" if "submission" in system.ports else "no")
    return {"relay": result["rate"], "relay_cpu": per_1000(result)}


def idle(bench, system):
    result = bench.run(system, "idle", "idle", port=system.ports["imap"],
                       smtp_port=system.ports["smtp"], imap_port=system.ports["imap"],
                       count=max(bench.scale.of(16), 6))
    return {"idle_p50": result["p50_ms"]}


def login(bench, system):
    plain = bench.run(system, "login", "many", port=system.ports["imap"], sessions=10,
                      count=bench.scale.of(600))
    over_tls = bench.run(system, "login", "many", port=system.ports["imaps"], sessions=10,
                         count=bench.scale.of(400), tls="yes")
    return {"login": plain["rate"], "login_cpu": plain["cpu_s"] * 1000 / plain["count"],
            "login_tls": over_tls["rate"]}


def append(bench, system):
    def rate(group, sessions, count):
        return bench.run(system, "append", group, port=system.ports["imap"], sessions=sessions,
                         count=bench.scale.of(count), size=4096)["rate"]
    return {"append_1": rate("append-one", 1, 400), "append_20": rate("append", 20, 2400),
            "append_20_one": rate("append-one", 20, 1200)}


def mixed(bench, system):
    ports = {"port": system.ports["imap"]}
    if bench.once(system, "mixed"):
        for group in ("busy", "large"):
            bench.run(system, "append", group, sessions=10, count=500, size=4096, **ports)
    ten = bench.run(system, "mixed", "busy", sessions=50, count=bench.scale.of(6000), **ports)
    one = bench.run(system, "mixed", "large", sessions=50, count=bench.scale.of(2000), **ports)
    return {"mixed_10": ten["rate"], "mixed_1": one["rate"]}


def fill_folder(bench, system):
    """A folder of many messages, by COPY of a hundredth of them again and again."""
    seed = bench.scale.some // 10
    bench.run(system, "append", "folders", port=system.ports["imap"], sessions=10, count=seed,
              size=3072)
    copies = ["COPY 1:* Large"] * (bench.scale.many // seed)
    bench.imap(system, "folders", "CREATE Large", "CREATE Other", "SELECT INBOX", *copies)


def folders(bench, system):
    if bench.once(system, "folders"):
        fill_folder(bench, system)
    some, many = bench.scale.some, bench.scale.many
    sign = "+-"[bench.round % 2]
    times = bench.imap(system, "folders", "SELECT Large", "UID FETCH 1:* (FLAGS)",
                       f"STORE 1:{some} {sign}FLAGS.SILENT (\\Flagged)", f"COPY 1:{some} Other",
                       "SELECT Other", "MOVE 1:* Large", "SELECT Large",
                       f"STORE {many + 1}:* +FLAGS.SILENT (\\Deleted)", "EXPUNGE")
    if times[1]["untagged"] < many:
        raise RuntimeError(f"{times[1]['untagged']} messages in the large folder")
    return {"select": times[0]["ms"], "flags": times[1]["ms"], "store": times[2]["ms"],
            "copy": times[3]["ms"], "move": times[5]["ms"]}


def fetch(bench, system):
    """A new mailbox in each round, so that its first FETCH is a first one."""
    few, mailbox = bench.scale.few, f"Round{bench.round}"
    bench.imap(system, "fetch", f"CREATE {mailbox}")
    bench.run(system, "append", "fetch", port=system.ports["imap"], sessions=20, count=few,
              mailbox=mailbox)
    structure = "FETCH 1:* (ENVELOPE BODYSTRUCTURE)"
    times = bench.imap(system, "fetch", f"SELECT {mailbox}", structure, structure,
                       "FETCH 1:* (BODY.PEEK[])", "FETCH 1:* (BODY.PEEK[])",
                       "SEARCH BODY unfindable")
    if min(t["untagged"] for t in times[1:5]) < few:
        raise RuntimeError(f"fewer than {few} answers to FETCH")
    return {"envelope_first": times[1]["ms"], "envelope": times[2]["ms"],
            "bodies": times[4]["bytes"] / 1e3 / times[4]["ms"], "search": times[5]["ms"]}


def pop3(bench, system):
    ports = {"port": system.ports["pop3"]}
    if bench.once(system, "pop3"):
        bench.run(system, "append", "pop3", port=system.ports["imap"], sessions=10, count=500,
                  size=4096)
    count = bench.scale.of(10000)
    return {"pop3_retr": bench.run(system, "pop3", "pop3", count=count, **ports)["rate"],
            "pop3_pipelined": bench.run(system, "pop3", "pop3", count=count, window=50,
                                        **ports)["rate"]}


def children(pid):
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield int(child)
            yield from children(int(child))


def pss_kib(system, kinds=("Pss",)):
    """Proportional set size of all processes of a system, or of some kinds of memory in it."""
    total = 0
    for pid in {pid for root in system.roots() for pid in (root, *children(root))}:
        with contextlib.suppress(OSError):  # it may have ended meanwhile
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.split(":")[0] in kinds:
                    total += int(line.split()[1])
    return total


def memory(bench, system):
    """The first case: before anything else has run, and once, as later there is memory to reuse."""
    if bench.round > 0:
        return {}
    idle = pss_kib(system)
    count = bench.scale.of(400)
    bench.run(system, "append", "hold", port=system.ports["imap"], sessions=10, count=1000,
              size=2048)
    # What the processes have mapped of their files comes and goes, whoever is connected.
    own = ("Pss_Anon", "Pss_Shmem")
    before = pss_kib(system, own)
    command = bench.arguments(system, "hold", "hold", port=system.ports["imap"], sessions=count)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as held:
        if not held.stdout.readline():
            raise RuntimeError(f"load hold: {held.stderr.read()}")
        time.sleep(1)  # processes that only log in end by themselves
        after = pss_kib(system, own)
        held.communicate("")
    return {"pss_idle": idle / 1024, "pss_connection": (after - before) / count}


CASES = [memory, smtp_many, smtp_one, smtp_mix, smtp_large, smtp_single, relay, idle, login, append,
         mixed, folders, fetch, pop3]
