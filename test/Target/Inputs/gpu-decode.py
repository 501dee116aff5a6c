"""gpu-decode.py DRIVER SOURCE COMMAND...: what each token that COMMAND decodes costs: how often the driver is called, and what is copied home. Options are
added for outputs of two lengths, between which no graph is made: what differs is the steps' alone."""
import sys

import emulated

SHORT, LONG = 12, 28


def main():
    driver, source, *command = sys.argv[1:]
    text = open(source).read()
    options = ["--max-length", "--min-length"] if "translate" in command else ["--max-length"]
    counts = [emulated.run(driver, [*command, *(f"{option}={length}" for option in options)], text)[1] for length in (SHORT, LONG)]
    each = {name: (counts[1][name] - counts[0][name]) / (LONG - SHORT) for name in counts[0]}
    print(f"a token: {each['calls']:g} calls, {each['graphs']:g} graphs, {each['copies']:g} copies, {each['home']:g} bytes home")


main()
