# SPDX-License-Identifier: ISC
"""The real Thunderbird against a throw-away suite: every step is done inside the program, by the
services that its windows use, and then checked by Python's own clients on another connection.

    python3 tests/clients/thunderbird.py [--keep DIR] [--screenshot FILE] [STEP...]

Needs Debian's thunderbird, xvfb and libnss3-tools; not a part of `make check`.
"""

import argparse
import base64
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from suite import Suite  # noqa: E402
from thunderbird_changes import Changes  # noqa: E402
from thunderbird_mailboxes import Mailboxes  # noqa: E402
from thunderbird_pop3 import Pop3  # noqa: E402
from thunderbird_profile import Thunderbird, missing_packages  # noqa: E402
from thunderbird_sending import Sending  # noqa: E402


GROUPS = (Mailboxes, Sending, Changes, Pop3)


def chosen_steps(suite, client, wanted):
    """(short name, object, method); the passwords are needed always."""
    for group in GROUPS:
        steps = group(suite, client)
        for name in (n for n in vars(group) if n.startswith("step_")):
            short = name[len("step_"):]
            if not wanted or short in wanted or short == "passwords":
                yield short, steps, getattr(steps, name)


def run_step(short, steps, method):
    steps.notes = []
    begin = time.monotonic()
    verdict = "ok"
    try:
        method()
    except Exception as error:  # the next step may still tell something
        verdict = "FAILED: %s" % (str(error) or traceback.format_exc())
    print("%-34s %5.1f s  %s %s" % (short, time.monotonic() - begin, verdict,
                                    "; ".join(steps.notes)), flush=True)
    return verdict == "ok"


def run_steps(suite, client, options):
    passed, failed = [], []
    for short, steps, method in chosen_steps(suite, client, options.steps):
        (passed if run_step(short, steps, method) else failed).append(short)
    if options.screenshot:
        with open(options.screenshot, "wb") as out:
            out.write(base64.b64decode(client.remote.screenshot()))
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description="The real Thunderbird against a suite.")
    parser.add_argument("--screenshot", metavar="FILE", help="of the main window at the end")
    parser.add_argument("--config", default="", help="lines for the suite's config")
    parser.add_argument("--keep", metavar="DIR",
                        help="a new directory that stays, with all dialogues")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="only these")
    options = parser.parse_args()
    missing = missing_packages()
    if missing:
        print("skipped: not installed: %s\n0 passed, 0 failed" % " ".join(missing))
        return 0
    if options.keep:
        os.makedirs(options.keep)
    with Suite(accounts=2, config=options.config, directory=options.keep) as suite:
        with Thunderbird(suite, log=options.keep is not None) as client:
            passed, failed = run_steps(suite, client, options)
    print("%d passed, %d failed%s" % (len(passed), len(failed),
                                      ": " * bool(failed) + " ".join(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
