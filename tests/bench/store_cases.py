# SPDX-License-Identifier: ISC
"""What is measured of the store by itself: each case gives a table with its graph."""

import json
import pathlib
import shutil
import statistics
import subprocess

import chart
from report import Table, number

SIZES = {"4 KiB": 4096, "10 KiB": 10240, "64 KiB": 65536, "1 MiB": 1048576}
MIX, SMALL = 0, 1  # sizes drawn from a distribution, see tests/tools/store_bench/mail.h
WRITERS = (1, 8, 64)
ACCOUNTS = 100
MIB = 1048576


class Scale:
    """Counts of the default and of the quick run."""

    def __init__(self, quick):
        self.milliseconds, self.rounds = (100, 2) if quick else (500, 3)
        self.messages = 20000 if quick else 100000
        self.some = 2000 if quick else 10000  # envelopes, changes
        self.bodies = 1000 if quick else 5000
        self.churn = 3000 if quick else 20000


class Bench:
    """Runs store_bench in a directory of its own."""

    def __init__(self, program, directory, scale):
        self.program, self.directory, self.scale = str(program), pathlib.Path(directory), scale
        self.filled = None
        self.appended, self.packed = {}, {}

    def run(self, mode, **options):
        words = [f"{key.replace('_', '-')}={value}" for key, value in options.items()]
        done = subprocess.run([self.program, mode, *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"store_bench {mode} {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def empty(self, name):
        path = self.directory / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def store(self):
        """One mailbox of many small messages, for all that reads."""
        if self.filled is None:
            self.filled = self.empty("filled")
            self.run("fill", dir=self.filled, count=self.scale.messages, size=SMALL, writers=64)
        return self.filled

    def append(self, size, writers):
        """Measured once, for three tables."""
        if (size, writers) not in self.appended:
            self.appended[size, writers] = self.run(
                "append", dir=self.empty("append"), size=SIZES[size], writers=writers,
                accounts=ACCOUNTS, milliseconds=self.scale.milliseconds, rounds=self.scale.rounds)
            shutil.rmtree(self.directory / "append")
        return self.appended[size, writers]

    def pack(self, size):
        if size not in self.packed:
            self.packed[size] = self.run("pack", size=size)
        return self.packed[size]


def mib(count):
    return number(count / MIB)


def median(result, name):
    return statistics.median(result[name]["rates"])


def cells():
    return [(size, writers) for size in SIZES for writers in WRITERS]


def labels():
    return [f"{writers}\n{size if writers == WRITERS[1] else ''}" for size, writers in cells()]


def append(bench):
    rows, series = [], {"append and sync": [], "the same, over blocks that are there": [],
                        "store": []}
    for size, writers in cells():
        r = bench.append(size, writers)
        raw, reused, store = (median(r, name) for name in ("raw", "reused", "store"))
        for values, value in zip(series.values(), (raw, reused, store)):
            values.append(value)
        rows.append([size, str(writers), number(raw), number(reused), number(store),
                     f"{100 * store / raw:.0f} %", number(r["store"]["p50_ms"]),
                     number(r["store"]["p99_ms"])])
    title = "Appends per second against the disk's own ceiling"
    return Table("store-append", title,
                 ["message", "writers", "append and sync /s", "over blocks that are there /s",
                  "store /s", "of append and sync", "commit p50 ms", "p99 ms"], rows,
                 chart.bars(title, "1/s, by size and writers", labels(), list(series.items()), True),
                 f"{bench.scale.rounds} stretches of {bench.scale.milliseconds} ms each, in turn; "
                 f"medians. Each of the writers waits for an answer at all times, a commit takes "
                 f"what waits. The ceiling writes the same bytes (packed body, structure, prefix) in "
                 f"the same groups by one writev and one fdatasync, at the end of a growing file; or "
                 f"over a file whose blocks are all there, where the file system has nothing to note. "
                 f"{ACCOUNTS} accounts, every delivery with an id, checkpoints beside the commits as "
                 f"in mailboxd. Packing is not in it: that is deliverd's.", 2)


def written(bench):
    rows, series = [], {"append and sync": [], "store": [], "the store's files": []}
    for size, writers in cells():
        r = bench.append(size, writers)
        raw, store = r["raw"]["device_ratio"], r["bytes"]
        for values, value in zip(series.values(),
                                 (raw, store["device_ratio"], store["disk_ratio"])):
            values.append(value)
        rows.append([size, str(writers), number(bench.pack(SIZES[size])["stored_ratio"]),
                     number(raw), number(store["device_ratio"]), number(store["written_ratio"]),
                     number(store["disk_ratio"])])
    title = "Bytes written per byte of mail"
    return Table("store-written", title,
                 ["message", "writers", "packed to", "disk wrote: append and sync",
                  "disk wrote: store", "store's process wrote", "files take"], rows,
                 chart.bars(title, "bytes per byte, by size and writers", labels(),
                            list(series.items()), True),
                 "A byte of mail is one before packing. \"Disk wrote\" is the counter of the whole "
                 "disk, the file system's journal included (and whatever else the machine did); of "
                 "one stretch that ends with the store closed and all on the disk. \"Process wrote\" "
                 "is /proc/self/io, which counts a large page of the cache as a whole. \"Files take\": "
                 "the blocks of the closed store against all mail in it.", 2)


def cpu(bench):
    rows = []
    for size, length in SIZES.items():
        pack = bench.pack(length)
        writer = [bench.append(size, writers)["store"]["cpu_us"] for writers in WRITERS]
        raw = bench.append(size, 64)["raw"]["cpu_us"]
        rows.append([size, *writer, raw, pack["pack_us"], pack["structure_us"], pack["pack_mb_s"]])
    names = [*(f"store, {w} writer{'s' if w > 1 else ''}" for w in WRITERS),
             "append and sync, 64", "packing", "structure"]
    title = "CPU per message"
    series = [(name, [row[1 + i] for row in rows]) for i, name in enumerate(names)]
    return Table("store-cpu", title, ["message", *(f"{n}, µs" for n in names), "packing MB/s"],
                 [[row[0], *map(number, row[1:])] for row in rows],
                 chart.bars(title, "µs", list(SIZES), series, True),
                 "Packing and making the structure are done by deliverd and imapd, the rest by "
                 "mailboxd; the kernel's share is in it.")


def read(bench):
    s, store = bench.scale, bench.store()
    rows, series = [], {"cold": [], "warm": []}
    kinds = [("select", "SELECT", 1), ("flags", f"FLAGS of {s.messages}", s.messages),
             ("envelope", f"ENVELOPE of {s.some}", s.some),
             ("bodies", f"bodies of {s.bodies}", s.bodies)]
    for what, _, count in kinds:
        results = [bench.run("read", dir=store, what=what, count=count, cold=cold, rounds=rounds)
                   for cold, rounds in (("yes", 3), ("no", 7))]
        times = [statistics.median(r["ms"]) for r in results]
        for values, value in zip(series.values(), times):
            values.append(value)
        speed = [number(r["bytes"] / 1e3 / ms) if r["bytes"] else ""
                 for r, ms in zip(results, times)]
        rows.append([*map(number, times), *(number(count * 1e3 / ms) for ms in times), *speed])
    title = f"Reads of a mailbox of {s.messages}"
    return Table("store-read", title,
                 ["what", "cold ms", "warm ms", "cold /s", "warm /s", "cold MB/s", "warm MB/s"],
                 [[text, *row] for (_, text, _), row in zip(kinds, rows)],
                 chart.bars(title, "ms", [text for _, text, _ in kinds], list(series.items()), True),
                 "Made mail of 2 to 20 KiB, median 4. Cold: every file of the store dropped from the "
                 "page cache of this machine (the disk may have one of its own).")


def change(bench):
    s = bench.scale
    result = bench.run("change", dir=bench.store(), count=s.some, size=SMALL)
    names = ["store", "copy", "move", "expunge"]
    times = [result[name] for name in names]
    title = f"Changes of {s.some} messages, durable"
    return Table("store-change", title, ["what", "ms", "messages/s"],
                 [[n.upper(), number(t), number(s.some * 1e3 / t)] for n, t in zip(names, times)],
                 chart.bars(title, "ms", [n.upper() for n in names], [("store", times)]),
                 "One commit each, with its sync.")


def churn(bench):
    s, rounds = bench.scale, 5
    r = bench.run("churn", dir=bench.empty("churn"), count=s.churn, size=MIX, rounds=rounds,
                  accounts=10, segment=64 * MIB)
    shutil.rmtree(bench.directory / "churn")
    turns = [r[f"round{i}"] for i in range(1, rounds + 1)]
    rows = [["fill", "", "", "", "", number(r["fill"]["rate"]), mib(r["after_fill"]["disk"]),
             mib(r["after_fill"]["live"]), mib(r["after_fill"]["index"])]]
    rows += [[str(i), number(t["delete_rate"]), number(t["housekeep_ms"]),
              mib(t["after_delete"]["disk"]), mib(t["after_delete"]["live"]),
              number(t["refill"]["rate"]), mib(t["after_refill"]["disk"]),
              mib(t["after_refill"]["live"]), mib(t["after_refill"]["index"])]
             for i, t in enumerate(turns, 1)]
    title = "Churn: delete half at random, refill, five times"
    rates = [r["fill"]["rate"], *(t["refill"]["rate"] for t in turns)]
    def sizes(key):
        return [r["after_fill"][key] / MIB, *(t["after_refill"][key] / MIB for t in turns)]
    halved = [None, *(t["after_delete"]["disk"] / MIB for t in turns)]
    svg = chart.panels(title, ["fill", *map(str, range(1, rounds + 1))],
                       [("messages/s", [("(re)fill rate", rates)]),
                        ("MiB", [("disk, refilled", sizes("disk")), ("disk, half deleted", halved),
                                 ("live bodies, refilled", sizes("live"))])])
    return Table("store-churn", title,
                 ["round", "deleted /s", "housekeeping ms", "then: disk MiB", "live MiB",
                  "refilled /s", "then: disk MiB", "live MiB", "index MiB"], rows, svg,
                 f"{s.churn} messages of mixed sizes (median 10 KiB, some 1 MiB), 64 a commit, segments "
                 f"of 64 MiB so that there are many. The clock goes 15 days on after each deletion, then "
                 f"housekeeping runs to its end. Live: packed bodies only.")


def segments_of(bench, store):
    """Bytes of them on the disk; the index has free pages, which would flatter."""
    size = bench.run("size", dir=store)
    return size["disk"] - size["index"]


def upkeep(bench):
    s, store = bench.scale, bench.store()
    backup, restored = bench.empty("backup"), bench.empty("restored")
    rows = []

    def note(text, result, size, messages=None):
        rows.append((text, result["ms"], size, messages))

    verified = [(bench.run("verify", dir=store, cold=cold), text)
                for cold, text in (("yes", "verify, cold"), ("no", "verify, warm"))]
    for result, text in verified:
        note(text, result, segments_of(bench, store), result["messages"])
    whole = bench.run("backup", dir=store, to=backup, cold="yes")
    note("backup, cold", whole, whole["bytes"])
    bench.run("fill", dir=store, count=s.messages // 100, size=SMALL, seed=2)
    more = bench.run("backup", dir=store, to=backup)
    note("backup of 1 % more", more, more["bytes"])
    back = bench.run("backup", dir=backup, to=restored, cold="yes")
    note("restore, cold", back, back["bytes"])
    messages = bench.run("verify", dir=restored)["messages"]
    length = segments_of(bench, restored)
    salvaged = bench.run("salvage", dir=restored, cold="yes")
    # What was expunged and not purged comes back.
    if salvaged["messages"] < messages or salvaged["lost"]:
        raise RuntimeError(f"salvage found {salvaged['messages']} of {messages} messages")
    note(f"salvage of {salvaged['messages']:.0f}, cold", salvaged, length, salvaged["messages"])
    bench.run("verify", dir=restored)
    for path in (backup, restored):
        shutil.rmtree(path)
    title = "Backup, restore, verify, salvage"
    return Table("store-upkeep", title, ["what", "ms", "MiB", "MB/s", "messages/s"],
                 [[text, number(ms), mib(size), number(size / 1e3 / ms),
                   number(count * 1e3 / ms) if count else ""] for text, ms, size, count in rows],
                 chart.bars(title, "MB/s", [row[0].replace(", ", "\n") for row in rows],
                            [("MB/s", [size / 1e3 / ms for _, ms, size, _ in rows])]),
                 "Of the mailbox above. MiB: the segments (verify, salvage), or bytes copied. Backup and "
                 "restore end with all of it on the disk. What was restored and what was salvaged is "
                 "verified, every checksum, and must be whole.")


def start(bench):
    store, s = bench.store(), bench.scale
    def opened(**options):
        return bench.run("open", dir=store, **options)["open_ms"]
    def crash(seed):
        bench.run("fill", dir=store, count=s.messages // 50, size=SMALL, seed=seed, crash="yes")
    opened()
    rows = [("after a clean end", opened()), ("the same, cold", opened(cold="yes"))]
    crash(3)
    rows.append(("after a kill", opened()))
    crash(4)
    rows.append(("after a power cut, cold", opened(cold="yes", power_cut="yes")))
    opened()
    title = f"Opening a store of {s.messages} messages to write"
    return Table("store-start", title, ["what", "ms"],
                 [[text, number(ms)] for text, ms in rows],
                 chart.bars(title, "ms", [text for text, _ in rows],
                            [("opening", [ms for _, ms in rows])]),
                 f"Kill and power cut: {s.messages // 50} messages behind the last clean end; the power "
                 f"cut puts the index back to its last checkpoint and replays the log.")


CASES = [append, written, cpu, read, change, upkeep, start, churn]
