"""transliteration.py WEIGHTS.md DATA: compiles the model with the keys and the map that the document gives, and compares translations with
DATA/answers.tsv: the words, and scores within 1e-4."""
import pathlib
import re
import subprocess
import sys

document, data = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"), pathlib.Path(sys.argv[2])
TOLERANCE = 1e-4 + 1e-9
pathlib.Path("map.json").write_text(re.search(r"```json\n(.*?)```", document, re.S)[1], encoding="utf-8")
preset = re.search(r"xf-compile (preset:\S+) \\", document)[1]
for side in ("source", "target"):
    subprocess.run(["xf-vocab", data / f"{side}_vocabulary.txt", "--type=split", "-o", f"{side}.model"], check=True)
command = ["xf-compile", preset, "--source-vocab=source.model", "--target-vocab=target.model", f"--weights={data}/model.safetensors"]
subprocess.run([*command, "--weights-map=map.json", "--functions=translate,train", "-o", "transliterator"], check=True)

header, *lines = (data / "answers.tsv").read_text(encoding="utf-8").split("\n")[:-1]
answers = [dict(zip(header.split("\t"), line.split("\t"))) for line in lines]
assert len(answers) == 70


def translate(lines, *options):
    printed = subprocess.run(["./transliterator", "translate", *options], input="".join(line + "\n" for line in lines), check=True, capture_output=True, text=True)
    return printed.stdout.split("\n")[:-1]


for what, options, word, score in [
    ("greedy: 70 words, and their log probabilities", ["--beam=1", "--length-penalty=0"], "greedy", "greedy_log_prob"),
    ("beam 4: 70 words, and their log probabilities", ["--beam=4", "--length-penalty=0"], "beam4", "beam4_log_prob"),
    ("beam 4, length penalty 0.6: 70 words, and their scores", ["--beam=4", "--length-penalty=0.6"], "beam4_paper", "beam4_paper_score"),
]:
    given = [line.split("\t") for line in translate([answer["source"] for answer in answers], *options, "--scores")]
    assert len(given) == len(answers)
    for (value, text), answer in zip(given, answers):
        assert text == answer[word], (what, text, answer)
        assert abs(float(value) - float(answer[score])) <= TOLERANCE, (what, value, answer)
    print(what)

forced = translate([answers[0]["source"]], "--beam=1", "--prefix=a t s")
print("with the prefix 'a t s':", forced[0])
# Any part of a greedy answer, forced, goes on as the answer does.
prefixes = [answer["greedy"].rsplit(" ", i % 3)[0] for i, answer in enumerate(answers)]
lines = [f"{answer['source']}\t{prefix}" for answer, prefix in zip(answers, prefixes)]
assert translate(lines, "--beam=1", "--prefix-column") == [answer["greedy"] for answer in answers]
print("a prefix a line: 70 words, each the greedy one from any of its tokens on")
