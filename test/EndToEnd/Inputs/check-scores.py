"""check-scores.py GREEDY BEST N: --scores of greedy translations, and --scores --n-best=N of a beam's, agree with each other."""
import sys

greedy = [line.rstrip("\n").split("\t") for line in open(sys.argv[1], encoding="utf-8")]
best = [line.rstrip("\n").split("\t") for line in open(sys.argv[2], encoding="utf-8")]
count = int(sys.argv[3])
assert [int(line) for line, _, _ in best] == [1 + i // count for i in range(count * len(greedy))], "the lines' numbers"
better = 0
for i, (score, _) in enumerate(greedy):
    found = best[count * i : count * (i + 1)]
    scores = [float(score) for _, score, _ in found]
    assert scores == sorted(scores, reverse=True), f"sentence {i + 1} does not have the best first: {scores}"
    assert len({text for _, _, text in found}) == count, f"sentence {i + 1} has a translation twice"
    better += scores[0] >= float(score) - 1e-3
assert better >= 0.9 * len(greedy), f"only {better} of {len(greedy)} are at least as good as the greedy ones"
print(f"{len(greedy)} sentences, {count} translations each")
