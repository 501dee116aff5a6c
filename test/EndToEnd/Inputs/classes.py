# classes.py NAME COUNT SEED: texts of 0 to 9 ids, and of each the class: whether a 4 stands in it, a 5, both or neither.
import random
import sys

name, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
draw = random.Random(seed)
with open(name + ".txt", "w") as texts, open(name + ".labels", "w") as labels:
    for _ in range(count):
        ids = [draw.randrange(6, 20) for _ in range(draw.randrange(10))]
        marks = draw.choice([[], [4], [5], [4, 5]])
        for mark in marks:
            ids.insert(draw.randrange(len(ids) + 1), mark)
        print(*ids, file=texts)
        print({0: "neither", 1: {4: "a four", 5: "a five"}.get(sum(marks))}.get(len(marks), "both"), file=labels)
