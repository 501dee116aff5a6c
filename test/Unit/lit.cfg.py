# The GoogleTest programs: each of their tests is one lit test, `xf-unit :: PlanTest/Plan.FitsBelowTheSum`.
import os
import sys

sys.path.insert(0, os.path.join(config.xf_source, "test"))
import environment
import googletest_format

config.name = "xf-unit"
config.test_source_root = config.test_exec_root = os.path.join(config.xf_build, "test", "Unit")
config.test_format = googletest_format.EachGoogleTest(config.unit_tests)
environment.prepare(config, lit_config)
