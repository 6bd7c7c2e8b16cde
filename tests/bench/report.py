# SPDX-License-Identifier: ISC
"""The machine in words, tables as Markdown and as plain text, and where results go."""

import dataclasses
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
LIBRARIES = {"LMDB": "liblmdb0", "zstd": "libzstd1", "glibc": "libc6"}
# In the order of RESULTS.md; each is PART.md with its graphs PART*.svg.
PARTS = ("end-to-end", "store", "store-large")


@dataclasses.dataclass
class Table:
    """columns: of text; the first `words` of them are words, the others numbers."""

    name: str  # of the graph's file
    title: str
    columns: list
    rows: list  # of lists of text
    svg: str
    note: str = ""
    words: int = 1


def text_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_name():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def revision():
    changed = "+" if text_of("git", "status", "--porcelain", "-uno") else ""
    return f"{text_of('git', 'rev-parse', '--short', 'HEAD') or 'of this tree'}{changed}"


def libraries():
    found = {name: text_of("dpkg-query", "-W", "-f", "${Version}", package)
             for name, package in LIBRARIES.items()}
    return ", ".join(f"{name} {version}" for name, version in found.items() if version)


def machine(directory):
    """What a reader must know of the machine, without its name."""
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) / 1048576
    return {"cores": len(os.sched_getaffinity(0)), "cpu": cpu_name(), "memory_gib": round(memory),
            "kernel": platform.release().split("-")[0],
            "file_system": text_of("findmnt", "-no", "FSTYPE", "-T", str(directory)),
            "sync_ms": round(sync_ms(directory), 3), "load": round(os.getloadavg()[0], 1),
            "pabal": revision(), "libraries": libraries(), "date": time.strftime("%Y-%m-%d")}


def machine_text(about):
    return (f"{about['date']}, Pabal {about['pabal']}. {about['cores']} cores ({about['cpu']}), "
            f"{about['memory_gib']} GiB of memory, Linux {about['kernel']}, "
            f"{about['file_system']}; a synced write of 4 KiB takes {about['sync_ms']} ms. "
            f"{about['libraries']}. Load average before: {about['load']}.")


def sync_ms(directory):
    """Median of what a small synced write costs here."""
    path, times = pathlib.Path(directory) / "fsync", []
    with open(path, "wb", buffering=0) as file:
        for _ in range(50):
            start = time.monotonic()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            times.append((time.monotonic() - start) * 1000)
    path.unlink()
    return statistics.median(times)


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def markdown_table(table):
    rules = ["---"] * table.words + ["---:"] * (len(table.columns) - table.words)
    lines = [table.columns, rules, *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def markdown(title, head, tables):
    parts = [f"# {title}\n", f"{head}\n"]
    for table in tables:
        parts += [f"## {table.title}\n", markdown_table(table)]
        parts += [f"{table.note}\n"] if table.note else []
        parts += [f"![{table.title}]({table.name}.svg)\n"]
    return "\n".join(parts)


def plain(table):
    widths = [max(len(line[i]) for line in [table.columns, *table.rows])
              for i in range(len(table.columns))]
    def shown(line):
        return "  ".join(cell.ljust(w) if i < table.words else cell.rjust(w)
                         for i, (cell, w) in enumerate(zip(line, widths)))
    return "\n".join([f"\n{table.title}", *(shown(line) for line in [table.columns, *table.rows])])


def write(directory, part, title, about, head, tables, values):
    """PART.md, PART.json and a graph per table; earlier ones of the part go."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in graphs(directory, part):
        old.unlink()
    for table in tables:
        (directory / f"{table.name}.svg").write_text(table.svg)
    (directory / f"{part}.md").write_text(markdown(title, head, tables))
    (directory / f"{part}.json").write_text(
        json.dumps({"about": about, "graphs": [t.name for t in tables], "values": values}, indent=1))


def graphs(directory, part):
    path = directory / f"{part}.json"
    if not path.is_file():
        return []
    names = json.loads(path.read_text()).get("graphs", [])
    return [p for p in (directory / f"{name}.svg" for name in names) if p.is_file()]


def save(directory):
    """Into the source tree: the parts that were measured in this build directory."""
    texts = []
    for part in PARTS:
        if not (directory / f"{part}.md").is_file():
            continue
        texts.append((directory / f"{part}.md").read_text())
        for path in graphs(directory, part):
            (HERE / path.name).write_text(path.read_text())
    (HERE / "RESULTS.md").write_text("\n".join(texts))
    print(f"saved {HERE / 'RESULTS.md'}")
