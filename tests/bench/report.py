# SPDX-License-Identifier: ISC
"""Medians and ratios as a table, Markdown and JSON."""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import time


def machine(directory):
    """What a reader must know of the machine, without its name."""
    cpu = next((line.split(":")[1].strip() for line in
                pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) // 1048576
    kind = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", str(directory)], capture_output=True,
                          text=True)
    return {"cores": len(os.sched_getaffinity(0)), "cpu": cpu, "memory_gib": memory,
            "kernel": platform.release().split("-")[0], "file_system": kind.stdout.strip(),
            "fsync_ms": round(fsync_ms(directory), 3), "load": round(os.getloadavg()[0], 1)}


def fsync_ms(directory):
    """Median of what a small synced write costs here."""
    path, times = pathlib.Path(directory) / "fsync", []
    with open(path, "wb", buffering=0) as file:
        for _ in range(50):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - start) * 1e3)
    path.unlink()
    return statistics.median(times)


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def ratio(row, peer, pabal):
    """How many times better Pabal is; None when one of them was not measured."""
    if not peer or not pabal:
        return None
    return pabal / peer if row.better == "more" else peer / pabal


def lines_of(rows, scale, results, names):
    """[(text, unit, peer, pabal, ratio, aim)] of the rows that were measured."""
    for row in rows:
        medians = [statistics.median(results[name][row.key]) if results.get(name, {}).get(row.key)
                   else None for name in names]
        if medians == [None, None]:
            continue
        yield (scale.text(row), row.unit, *map(number, medians),
               number(ratio(row, *medians)), number(row.aim) if row.aim else "")


def markdown(lines, about):
    text = [about["head"], "", f"| work | unit | {about['peer']} | Pabal | times better | aim |",
            "|---|---|---:|---:|---:|---:|"]
    text += [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join(text) + "\n"


def plain(lines):
    text = [f"{'':68} {'theirs':>8} {'Pabal':>8} {'times':>7} {'aim':>5}"]
    for what, unit, peer, pabal, times, aim in lines:
        text.append(f"{what + ', ' + unit:68} {peer:>8} {pabal:>8} {times:>7} {aim:>5}")
    return "\n".join(text)


def save(directory, lines, about, results):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.md").write_text(markdown(lines, about))
    (directory / "results.json").write_text(json.dumps({"about": about, "values": results}, indent=1))
