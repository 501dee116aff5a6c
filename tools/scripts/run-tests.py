#!/usr/bin/env python3
"""Runs every test of a build folder in one lit invocation, prints why tests were skipped, and ends with `N passed, N failed`."""
import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys


def reason(test):
    text = test["output"].strip().splitlines()
    return re.sub(r"^Test requires the following unavailable features: ", "needs ", text[0]) if text else "no reason given"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--lit", required=True)
    parser.add_argument("-k", dest="pattern", help="only tests whose name matches this regular expression")
    parser.add_argument("-j", dest="jobs", default="2")
    parser.add_argument("--repeat", default="", help="what to say that repeats a failed run")
    options = parser.parse_args()
    folder = options.build / "test"
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = [*options.lit.split(), "-v", "-j", options.jobs, "--output", str(report), str(folder), str(folder / "Unit")]
    command += ["--succinct"] if sys.stdout.isatty() else []
    command += ["--filter", options.pattern] if options.pattern else []
    status = subprocess.run(command, check=False, env=os.environ | {"LIT_OPTS": ""}).returncode
    if not report.exists():
        print(f"lit ended with exit code {status} and no report", flush=True)
        print(f"to repeat: {options.repeat}")
        print("0 passed, 0 failed")
        return 1
    result = json.loads(report.read_text())
    counts, skipped = collections.Counter(), collections.defaultdict(list)
    for test in result["tests"]:
        kind = {"PASS": "passed", "FLAKYPASS": "passed", "UNSUPPORTED": "skipped"}.get(test["code"], "failed")
        counts[kind] += 1
        if kind == "skipped":
            skipped[reason(test)].append(test["name"])
    for why, names in sorted(skipped.items()):
        print(f"skipped {len(names)}: {why}")
        for name in names:
            print(f"    {name}")
    ending = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    if options.repeat and (counts["failed"] or status):
        print(f"to repeat: {options.repeat}")
    print(f"tests: {result['elapsed']:.1f} s")
    print(f"{counts['passed']} passed, {counts['failed']} failed{ending}")
    return 1 if counts["failed"] or status else 0


if __name__ == "__main__":
    sys.exit(main())
