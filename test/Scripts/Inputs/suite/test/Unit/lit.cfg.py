import os
import sys

sys.path.insert(0, lit_config.params["formats"])
import googletest_format

config.name = "sample-unit"
config.test_exec_root = os.path.dirname(__file__)
config.test_format = googletest_format.EachGoogleTest(["SampleTest"])
