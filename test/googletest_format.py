"""Runs GoogleTest programs under lit, one test a process, so that each is counted, filtered and reported by its own name and a
skipped one keeps its reason. (lit's own format reports by program and drops the reason.) It is a module of its own because
lit's workers unpickle it."""
import os
import re
import subprocess

import lit.Test
import lit.util
from lit.formats.base import TestFormat


class EachGoogleTest(TestFormat):
    def __init__(self, programs):
        self.programs = [name for name in programs if name]

    def getTestsInDirectory(self, testSuite, path_in_suite, litConfig, localConfig):
        if path_in_suite:
            return
        for program in self.programs:
            path = testSuite.getSourcePath((program,))
            if not os.path.exists(path):
                litConfig.warning(f"{path} is not built")
                continue
            listing = subprocess.run(
                [path, "--gtest_list_tests"], env=localConfig.environment, capture_output=True, text=True, check=False
            )
            if listing.returncode:
                litConfig.error(f"{path} can't list its tests: exit code {listing.returncode}\n{listing.stderr}")
                continue
            for name in self._names(listing.stdout):
                yield lit.Test.Test(testSuite, (program, *name.split("/")), localConfig)

    @staticmethod
    def _names(listing):
        suite = ""
        for line in listing.splitlines():
            word = line.split("#")[0].strip()
            if not line.startswith(" "):
                suite = word if word.endswith(".") else suite
            elif "DISABLED_" not in suite + word:
                yield suite + word

    def execute(self, test, litConfig):
        program, *name = test.path_in_suite
        command = [test.suite.getSourcePath((program,)), "--gtest_filter=" + "/".join(name)]
        header = " ".join(command) + "\n"
        try:
            output, _, code = lit.util.executeCommand(
                command, env=test.config.environment, timeout=litConfig.maxIndividualTestTime, redirect_stderr=True
            )
        except lit.util.ExecuteCommandTimeoutException as e:
            return lit.Test.TIMEOUT, f"{header}{e.out}\nstopped after {litConfig.maxIndividualTestTime} s"
        if code:
            return lit.Test.FAIL, f"{header}{output}\nexit code {code}"
        if "[  SKIPPED ] 1 test" in output:
            reason = re.search(r"Skipped\n(.*)", output)
            return lit.Test.UNSUPPORTED, reason.group(1) if reason else "no reason given"
        if "[  PASSED  ] 1 test" not in output:
            return lit.Test.FAIL, f"{header}{output}\nran no test"
        return lit.Test.PASS, ""
