# SPDX-License-Identifier: ISC
"""A store of ten million messages beside one of a hundred thousand, and a mailbox of a million."""

import statistics

import chart
from report import Table, number
from store_cases import ACCOUNTS, MIB

SMALL_COUNT = 100_000
MAILBOX = 1_000_000  # messages in one mailbox
SIZE = 20 * 1024  # of a message, before it packs to nearly nothing
DELIVERIES = 20_000
SEGMENT = 64 * MIB  # so that there are many
GIB = 1 << 30
STEPS, FIRST_SEED = 10, 10


def fill(bench, store, count, **options):
    return bench.run("fill", dir=store, count=count, size=SIZE, hollow="yes", segment=SEGMENT,
                     limit=20000, **options)


def median_read(bench, store, what, count, cold, account=1):
    result = bench.run("read", dir=store, what=what, count=count, account=account,
                       cold="yes" if cold else "no", rounds=5)
    return statistics.median(result["ms"])


def fill_in_steps(bench, store, count, ceiling):
    """What each step said, and the sizes at the end; gives up before the disk is too full."""
    steps, step = [], max(count // STEPS, ACCOUNTS)
    for seed in range(STEPS):
        steps.append(fill(bench, store, step, accounts=ACCOUNTS, writers=512, once="no",
                          seed=FIRST_SEED + seed))
        size = bench.run("size", dir=store)
        print(f"  {step * (seed + 1)} messages, {steps[-1]['rate']:.0f}/s, "
              f"{size['disk'] / GIB:.2f} GiB", flush=True)
        if size["disk"] * (1 + 1 / (seed + 1)) > ceiling and seed + 1 < STEPS:
            raise RuntimeError(f"{size['disk'] / GIB:.1f} GiB for {step * (seed + 1)} messages")
    return steps, size


def measure(bench, name, count, ceiling):
    """[(text, unit, value)] of a store of count messages in ACCOUNTS accounts."""
    store = bench.empty(name)
    steps, size = fill_in_steps(bench, store, count, ceiling)
    # The first opening of each pair leaves a clean end behind.
    starts = [bench.run("open", dir=store, cold="yes")["open_ms"] for _ in range(3)]
    each = min(count // ACCOUNTS, 1000)
    reads = [(f"{what}, {text}", "ms", median_read(bench, store, kind, n, cold))
             for what, kind, n in (("SELECT", "select", 1), (f"FLAGS of {each}", "flags", each),
                                   (f"ENVELOPE of {each}", "envelope", each))
             for text, cold in (("cold", True), ("warm", False))]
    many = fill(bench, store, DELIVERIES, accounts=ACCOUNTS, writers=64, seed=2)
    one = fill(bench, store, DELIVERIES // 10, accounts=ACCOUNTS, writers=1, seed=3)
    return store, [
        ("mail, as clients see it", "GiB", sum(s["mail_bytes"] for s in steps) / GIB),
        ("disk in all", "GiB", size["disk"] / GIB),
        ("index", "GiB", size["index"] / GIB),
        ("index per message", "bytes", size["index"] / count),
        ("filled, 512 a commit, the first tenth", "1/s", steps[0]["rate"]),
        ("filled, 512 a commit, the last tenth", "1/s", steps[-1]["rate"]),
        ("delivered, 64 a commit", "1/s", many["rate"]),
        ("delivered, one a commit", "1/s", one["rate"]),
        ("start, cold", "ms", statistics.median(starts)), *reads]


def measure_mailbox(bench, store, account):
    """One mailbox of a million in the same store."""
    filled = fill(bench, store, MAILBOX, account=account, writers=512, once="no", seed=4)
    after = fill(bench, store, DELIVERIES, account=account, writers=64, seed=5)
    changed = bench.run("change", dir=store, account=account, count=10000, size=SIZE, hollow="yes",
                        segment=SEGMENT)
    rows = [("filled, 512 a commit", "1/s", filled["rate"]),
            ("delivered, 64 a commit", "1/s", after["rate"])]
    rows += [(f"{what}, {text}", "ms", median_read(bench, store, kind, n, cold, account))
             for what, kind, n in (("SELECT", "select", 1), (f"FLAGS of {MAILBOX}", "flags", MAILBOX))
             for text, cold in (("cold", True), ("warm", False))]
    return rows + [(f"{name.upper()} of 10000", "ms", changed[name])
                   for name in ("store", "copy", "move", "expunge")]


def is_better_more(unit):
    return unit == "1/s"


def compare(small, large, count):
    rows, marks = [], []
    for (text, unit, a), (_, _, b) in zip(small, large):
        rows.append([text, unit, number(a), number(b)])
        if unit in ("1/s", "ms", "bytes") and a and b:
            marks.append((f"{text}, {unit}", [b / a if is_better_more(unit) else a / b], None))
    title = f"{count} messages beside {SMALL_COUNT}"
    return Table("store-large", title,
                 ["what", "unit", f"{SMALL_COUNT} messages", f"{count} messages"], rows,
                 chart.ratios(title, marks, [f"{SMALL_COUNT} messages"]),
                 f"In {ACCOUNTS} accounts. Messages of {SIZE // 1024} KiB that pack to nearly nothing, so "
                 f"that the disk holds them, with small structures.", 2)


def mailbox_table(rows):
    title = f"One mailbox of {MAILBOX}"
    times = [(text, value) for text, unit, value in rows if unit == "ms"]
    return Table("store-large-mailbox", title, ["what", "unit", "value"],
                 [[text, unit, number(value)] for text, unit, value in rows],
                 chart.bars(title, "ms", [text.replace(" of ", "\nof ") for text, _ in times],
                            [("ms", [value for _, value in times])], True), "", 2)


def large(bench, count, gib):
    """The tables; gib: most that the files may take."""
    _, small = measure(bench, "small", SMALL_COUNT, gib * GIB)
    print(f"  {SMALL_COUNT} done", flush=True)
    store, rows = measure(bench, "large", count, gib * GIB)
    print(f"  {count} done", flush=True)
    mailbox = measure_mailbox(bench, store, ACCOUNTS + 1)
    return [compare(small, rows, count), mailbox_table(mailbox)]
