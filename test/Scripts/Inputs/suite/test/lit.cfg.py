import lit.formats

config.name = "sample"
config.test_format = lit.formats.ShTest()
config.suffixes = [".test"]
config.excludes = ["Unit"]
