"""gpu-evaluate.py DRIVER TEXT COMMAND...: what an evaluation copies home for each word or end of a line of TEXT more: COMMAND's `--text=` is added, once and with TEXT twice."""
import sys

import emulated


def main():
    driver, path, *command = sys.argv[1:]
    text = open(path).read()
    with open("twice.txt", "w") as file:
        file.write(text * 2)
    home = [emulated.run(driver, [*command, f"--text={name}"])[1]["home"] for name in (path, "twice.txt")]
    print(f"{(home[1] - home[0]) / (len(text.split()) + len(text.splitlines())):g} bytes home a token")


main()
