"""models.py [--seed=N] [--cases=N | --seconds=N] [--gpu]: random models, compiled and run, against the interpreter.

A case is a preset with random keys (no layers to four, odd widths, heads of their own widths, masks, norms, positions, dropout) and random
batches, some with no sequence, some with sequences of no token or one. Every function must give what xf-interpret gives, but for rounding,
the same bits on one thread and on three, for a sentence the same bits alone and in a batch, and no number where a weight is none. Cases
are processes of their own: one that crashes is a failure like any other. Case i of seed S is case 0 of seed S + i. With --gpu a case is
the loss and the gradients of an executable for some GPU in some precision, run on the emulated GPU or this machine's, beside the
processor's.
"""
import argparse
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "test" / "Reference" / "Inputs")]
import tensors
import xf

LIMIT = 1e-4  # of a tensor's norm, for float against double
GPUS = ["sm_80", "sm_86", "sm_89", "sm_90", "sm_90a"]
GPU_LIMITS = {"f32": 1e-3, "tf32": 5e-2, "bf16": 0.3}  # of all gradients' norm; a tenth of it of the loss


def below_half(rng):
    return rng.choice([0, 0, 0.1, 0.4])


def width(rng):
    return rng.choice([1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 24, 31, 33])


# Every key of the presets: what it may be. None: it does not change what is computed, or is chosen with others.
KEYS = {
    "layers": lambda rng: rng.choice([0, 1, 1, 2, 2, 3, 4]),
    "decoder_layers": None,
    "d_model": lambda rng: rng.choice([3, 4, 6, 8, 12, 16, 17, 20, 33, 40]),
    "heads": lambda rng: rng.choice([1, 2, 3, 4, 5]),
    "key_value_heads": lambda rng: rng.choice([1, 1, 2, 3]),
    "d_k": width,
    "d_v": width,
    "d_ff": lambda rng: rng.choice([1, 2, 7, 16, 31, 50, 64]),
    "vocabulary": lambda rng: rng.choice([3, 4, 17, 33, 50]),
    "source_vocabulary": None,
    "target_vocabulary": lambda rng: rng.choice([3, 5, 16, 31, 65]),
    "tied": lambda rng: rng.choice(["true", "false"]),
    "scale_embedding": lambda rng: rng.choice(["true", "false"]),
    "embedding_norm": lambda rng: rng.choice(["true", "false"]),
    "bias": lambda rng: rng.choice(["none", "feed_forward", "all"]),
    "projection_bias": lambda rng: rng.choice(["true", "false"]),
    "positions": lambda rng: rng.choice(["sinusoidal", "sinusoidal_halves", "learned", "alibi", "relative", "rotary", "rotary", "none"]),
    "max_distance": lambda rng: rng.choice([1, 2, 5, 20]),
    "max_positions": lambda rng: rng.choice([9, 12, 100]),
    "rope_theta": lambda rng: rng.choice([1, 100, 10000, 500000]),
    "rope_factor": lambda rng: rng.choice([1, 1, 0.5, 8]),
    "rope_original_positions": lambda rng: rng.choice(["none", "none", 5, 100]),
    "rope_low_factor": lambda rng: rng.choice([0.5, 1]),
    "rope_high_factor": lambda rng: rng.choice([1.5, 4]),
    "first_position": lambda rng: rng.choice([0, 0, 1, 5]),
    "source_end": None,
    "init": None,
    "norm": lambda rng: rng.choice(["post", "pre"]),
    "normalization": lambda rng: rng.choice(["layer", "rms"]),
    "norm_epsilon": lambda rng: rng.choice(["1e-5", "1e-3", "1e-12"]),
    "activation": lambda rng: rng.choice(["relu", "gelu", "gelu_tanh", "silu"]),
    "qk_norm": lambda rng: rng.choice(["true", "false"]),
    "gated": lambda rng: rng.choice(["true", "false"]),
    "dropout": below_half,
    "attention_dropout": below_half,
    "activation_dropout": below_half,
    "smoothing": below_half,
    "window": lambda rng: rng.choice(["none", "none", 0, 1, 3]),
    "soft_cap": lambda rng: rng.choice([0, 0, 0.5, 4]),
    "learning_rate": None,
    "schedule": None,
    "warmup": None,
    "clip_norm": None,
    "beta1": None,
    "beta2": None,
    "epsilon": None,
    "weight_decay": None,
    "beam": None,
    "length_penalty": None,
    "extra_length": None,
    "max_length": None,
    "search": None,
    "suppress_tokens": None,
    "renormalize": None,
    "classes": lambda rng: rng.choice([2, 3, 16, 33]),
    "pooling": lambda rng: rng.choice(["mean", "first"]),
    "pooler": lambda rng: rng.choice(["none", "relu", "tanh"]),
    "unit_length": None,
    "temperature": None,
    "top_k": None,
    "top_p": None,
    "text": None,
    "begins": None,
    "begin_token": None,
    "end_tokens": None,
    "max_tokens": None,
}
PRESETS = ["transformer-base", "transformer-d2l", "transformer-t2t-v3", "transformer-tiny", "transformer-char-lm", "gpt2-small", "llama-110m", "transformer-encoder", "transformer-classifier"]
LONGEST = 9  # tokens; max_positions has room for them


def specification(rng):
    """A preset with random keys, most of them given."""
    listed = run("xf-compile", "--list-presets").splitlines()[-1].removeprefix("keys:").split()
    if unknown := sorted(set(listed) - set(KEYS)):
        raise AssertionError(f"keys that no random model has: {', '.join(unknown)}; add them to KEYS")
    preset = rng.choice(PRESETS)
    text = run("xf-compile", f"preset:{preset}", "--print-input")
    own = text[text.index("xf.config") : text.index("}}")]  # the keys of its kind
    keys = {name: choose(rng) for name, choose in KEYS.items() if choose and f" {name} = " in own}
    if keys["layers"] == 0 and "target_vocabulary" in keys:  # nothing of the source reaches the loss: it can have no parameters of its own
        keys |= {"tied": "true", "norm": "post", "positions": "sinusoidal"}
    if keys.get("tied") == "true":
        keys.pop("target_vocabulary", None)
    if rng.randrange(2):
        del keys["key_value_heads"]
    else:
        keys["heads"] *= keys["key_value_heads"]
    if not keys["positions"].startswith("sinusoidal"):
        keys["first_position"] = 0
    if keys["positions"] == "rotary":
        keys["d_k"] += keys["d_k"] % 2
    if keys.get("qk_norm") == "true" and keys["d_k"] == 2:  # a norm of two numbers is nearly their signs, and its gradient what rounding leaves
        keys["d_k"] = 4
    if keys["positions"] == "sinusoidal_halves":
        keys["d_model"] += keys["d_model"] % 2 + 4
    for name in rng.sample(sorted(keys), rng.randrange(4)):  # the preset's own, but for what makes it large
        if keys["layers"] and name in ("activation", "bias", "dropout", "norm", "norm_epsilon", "scale_embedding", "smoothing", "window"):
            del keys[name]
    return f"preset:{preset}," + ",".join(f"{name}={value}" for name, value in keys.items())


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Case:
    def __init__(self, seed, folder):
        self.rng = random.Random(seed)
        self.numbers = numpy.random.default_rng(seed)
        self.folder = pathlib.Path(folder)
        self.specification = specification(self.rng)
        self.recompute = self.rng.choice(["none", "none", "full"])
        self.cpu = self.rng.choice(["native", "native", "x86-64-v3"])

    def compile(self, wrong, **options):
        """Makes the module, which the interpreter reads, and what it is compiled to; with an error in a derivative, if that is asked for."""
        self.module = self.folder / "autodiff.mlir"
        run("xf-compile", self.specification, f"--recompute={self.recompute}", "--compile-to=autodiff", "-o", self.module)
        compiled = self.module
        if wrong:
            compiled = self.folder / "wrong.mlir"
            run("xf-opt", self.module, "--test-xf-seed-gradient-error", "-o", compiled)
        self.model = xf.compile(compiled, compile_from="fuse", cpu=self.cpu, threads=1, **options)
        for name in self.model.parameters:
            values = self.model.parameters[name]
            centre = 1 if name.endswith("norm.weight") else 0
            values[...] = self.numbers.normal(centre, 0.25, values.shape)
        self.weights = self.folder / "weights.safetensors"
        self.model.save(self.weights, weights_only=True)

    def lengths(self, count):
        return [self.rng.choice([0, 1, 1, 2, 3, 4, 5, 7, LONGEST]) for _ in range(count)]

    def ids(self, count, vocabulary):
        return self.numbers.integers(0, vocabulary, count, dtype=numpy.int32)

    def batch(self, sources, targets):
        """What the inputs of a function are called by: ids, offsets and labels of as many sequences as there are lengths."""
        configuration = self.model.configuration

        def offsets(lengths):
            return numpy.cumsum([0, *lengths], dtype=numpy.int32)

        target = configuration.get("target_vocabulary", configuration["vocabulary"])
        if self.model.kind == "classifier":
            batch = {"queries": numpy.zeros(len(targets), numpy.int32), "query_offsets": offsets([1] * len(targets))}
            batch |= {"labels": self.ids(len(targets), configuration["classes"])}
            return batch | {"ids": self.ids(sum(targets), target), "offsets": offsets(targets)}
        batch = {"labels": self.ids(sum(targets), target)}
        if self.model.kind == "sequence_to_sequence":
            batch |= {"source_ids": self.ids(sum(sources), configuration["source_vocabulary"]), "source_offsets": offsets(sources)}
            return batch | {"target_ids": self.ids(sum(targets), target), "target_offsets": offsets(targets)}
        return batch | {"ids": self.ids(sum(targets), target), "offsets": offsets(targets)}

    def inputs(self, function, batch):
        known = {value.name for value in self.model.functions[function].inputs}
        return {name: values for name, values in batch.items() if name in known}

    def interpret(self, function, inputs, weights=None):
        kinds = {numpy.dtype(numpy.int32): "I32", numpy.dtype(numpy.int64): "I64", numpy.dtype(numpy.float32): "F32"}
        given, gives = self.folder / f"{function}.safetensors", self.folder / f"{function}.expected.safetensors"
        tensors.write(given, {name: (kinds[values.dtype], list(values.shape), values.ravel().tolist()) for name, values in inputs.items()})
        run("xf-interpret", self.module, f"--entry={function}", f"--model={weights or self.weights}", f"--input={given}", f"--output={gives}")
        return tensors.read(gives)

    def compare(self, function, given, expected):
        """All that was expected is given, and as large a part of it is right as rounding leaves."""
        norms = {name: float(numpy.linalg.norm(values)) for name, values in expected.items()}
        scale = max(norms.values(), default=0)
        for name, values in expected.items():
            distance = float(numpy.linalg.norm(given[name].ravel().astype(float) - numpy.asarray(values)))
            # Of what cancels out (a key's bias, all gradients before a norm over two numbers) rounding alone is left.
            allowed = LIMIT * (norms[name] + 1e-2 * scale + 1e-3)
            if not distance <= allowed:
                raise AssertionError(f"'{name}' of '{function}' is {distance:.3g} from what it should be, of a norm of {norms[name]:.3g}")

    def check(self, function, inputs, expected_too=(), clear=False, but=()):
        """A call against the interpreter, results `but` some, and on three threads; `expected_too` are arrays by the prefix of their
        names, `clear`: zero before."""
        def call():
            for _, arrays in expected_too if clear else ():
                for values in arrays.values():
                    values[...] = 0
            written = {value.name for value in self.model.functions[function].inputs if value.written}
            mine = {name: values.copy() if name in written else values for name, values in inputs.items()}
            results = self.model.functions[function](mine) | {name: mine[name] for name in written}
            for prefix, arrays in expected_too:
                results |= {prefix + name: arrays[name].copy() for name in arrays}
            return results

        results = call()
        self.compare(function, results, {name: values for name, values in self.interpret(function, inputs).items() if name not in but})
        self.model.load(self.weights)
        self.model.settings["threads"] = 3
        for name, values in call().items():
            if values.tobytes() != results[name].tobytes():
                raise AssertionError(f"'{name}' of '{function}' has other bits on three threads than on one")
        self.model.settings["threads"] = 1
        self.model.load(self.weights)
        return results

    def check_accumulate(self, batch):
        """To gradients that are zero: the interpreter knows no others."""
        part = {"random": numpy.array([7, 3]), "weight": numpy.array(self.rng.choice([1, 0.25]), numpy.float32)}
        self.check("accumulate", self.inputs("accumulate", batch | part), [("grad.", self.model.gradients)], clear=True)

    def check_decode(self, encoded, source_tokens):
        """Rows that see any rows of the caches, their own among them, and any of the memory."""
        rows, cached = self.rng.choice([0, 1, 2, 5]), self.rng.choice([5, 8, 20])
        slots = self.numbers.permutation(cached)[:rows].astype(numpy.int32)
        vocabulary = self.model.configuration.get("target_vocabulary", self.model.configuration["vocabulary"])
        inputs = {"ids": self.ids(rows, vocabulary), "ranks": numpy.zeros(min(self.rng.choice([0, 1, 3]), vocabulary), numpy.int32)}
        inputs["logit_rows"] = self.numbers.integers(0, rows, self.rng.choice([0, 1, 3]) if rows else 0, dtype=numpy.int32)
        inputs |= {"positions": self.numbers.integers(0, LONGEST, rows, dtype=numpy.int32), "cache_slots": slots}
        for value in self.model.decode.inputs:
            if value.written:
                inputs[value.name] = self.numbers.normal(0, 1, (cached, value.shape[1])).astype(numpy.float32)
        lists = {"cache": [self.rng.sample(range(cached), self.rng.randrange(4)) for _ in range(rows)]}
        lists["cache"] = [sorted({*others, int(slot)}) for others, slot in zip(lists["cache"], slots)]
        lists["memory"] = [sorted(self.rng.sample(range(source_tokens), self.rng.randrange(source_tokens + 1))) for _ in range(rows)]
        for kind, each in lists.items():
            inputs[f"{kind}_rows"] = numpy.array([row for some in each for row in some], numpy.int32)
            inputs[f"{kind}_offsets"] = numpy.cumsum([0, *map(len, each)], dtype=numpy.int32)
        # Of nearly equal logits rounding says which is first: tokens are those of the probabilities beside them.
        results = self.check("decode", self.inputs("decode", inputs | encoded), but=["top_tokens"])
        among = numpy.take_along_axis(results["logits"], results["top_tokens"].astype(int), 1) - results["log_sum_exp"][:, None]
        if among.tobytes() != results["top_log_probabilities"].tobytes():
            raise AssertionError("'top_tokens' of 'decode' are not those of 'top_log_probabilities'")

    def check_alone(self, name, batch, lengths):
        """A sentence gives the same bits alone as among others."""
        function = self.model.functions[name]
        which = self.rng.randrange(len(lengths))
        everything, alone = function(self.inputs(name, batch)), {}
        for prefix in ("source_", "target_", ""):
            if f"{prefix}offsets" not in batch:
                continue
            begin, end = batch[f"{prefix}offsets"][which : which + 2]
            alone |= {f"{prefix}ids": batch[f"{prefix}ids"][begin:end], f"{prefix}offsets": numpy.array([0, end - begin], numpy.int32)}
            if prefix != "source_" and "labels" in batch:
                alone["labels"] = batch["labels"][begin:end]
        if self.model.kind == "classifier":  # a row a sentence
            lengths = [1] * len(lengths)
            alone |= {"queries": batch["queries"][:1], "query_offsets": batch["query_offsets"][:2], "labels": batch["labels"][which : which + 1]}
        begin = sum(lengths[:which])
        for output, values in function(self.inputs(name, alone)).items():
            if values.shape and values.tobytes() != everything[output][begin : begin + lengths[which]].tobytes():
                raise AssertionError(f"'{output}' of '{name}' has other bits for sentence {which} alone than in its batch")

    def check_no_number(self, function, inputs):
        """A weight that is no number leaves none wherever the interpreter has none."""
        values = self.model.parameters[self.rng.choice(sorted(self.model.parameters))]
        values.flat[self.rng.randrange(values.size)] = numpy.nan
        spoilt = self.folder / "spoilt.safetensors"
        self.model.save(spoilt, weights_only=True)
        results = self.model.functions[function](inputs)
        for name, expected in self.interpret(function, inputs, spoilt).items():
            if (numpy.isnan(numpy.asarray(expected)) & ~numpy.isnan(results[name].ravel())).any():
                raise AssertionError(f"'{name}' of '{function}' has numbers where a weight leaves none")
        self.model.load(self.weights)

    def run_on_gpu(self):
        heads = self.rng.choice(["", "", ",d_k=64,d_v=64", ",d_k=128,d_v=128", ",d_k=96,d_v=64"])
        precision, gpu = self.rng.choice([*GPU_LIMITS, "bf16"]), self.rng.choice([*GPUS, "sm_90a", "sm_90a"])
        print(f"{heads} --gpu={gpu} --precision={precision}", flush=True)
        self.specification += heads
        if precision != "f32":  # a norm over a few numbers multiplies what rounding does to them
            self.specification = re.sub(r"d_model=(\d+)", lambda found: f"d_model={max(int(found[1]), 24)}", self.specification)
        if self.specification.startswith("preset:transformer-encoder"):
            return
        self.cpu = "native"  # and the one function that is run
        self.compile(False, functions=["gradients"])
        sources, targets = (self.lengths(self.rng.randrange(1, 5)) for _ in range(2))
        targets = targets[: len(sources)] + [1] * (len(sources) - len(targets))
        if sum(targets) == 0:
            return
        batch = self.inputs("gradients", self.batch(sources, targets))
        kinds = {numpy.dtype(numpy.int32): "I32", numpy.dtype(numpy.int64): "I64"}
        tensors.write(self.folder / "batch", {name: (kinds[values.dtype], list(values.shape), values.ravel().tolist()) for name, values in batch.items()})
        results = []
        for target in (["--cpu=native"], ["--target=cuda", f"--gpu={gpu}", f"--precision={precision}"]):
            run("xf-compile", self.specification, f"--recompute={self.recompute}", "--functions=gradients", *target, "-o", self.folder / "model")
            run(self.folder / "model", "run", "gradients", f"--model={self.weights}", f"--input={self.folder}/batch", f"--output={self.folder}/out", "--seed=3")
            results.append({name: numpy.asarray(values, float) for name, values in tensors.read(self.folder / "out").items()})
        (loss, expected), (given_loss, given) = ((each.pop("loss"), each) for each in results)
        norm = sum(float((values**2).sum()) for values in expected.values()) ** 0.5
        distance = sum(float(((given[name] - values) ** 2).sum()) for name, values in expected.items()) ** 0.5
        if not distance <= GPU_LIMITS[precision] * norm + 1e-6 or not abs(loss - given_loss) <= GPU_LIMITS[precision] / 10 * abs(loss) + 1e-6:
            raise AssertionError(f"gradients are {distance:.3g} from what they should be, of a norm of {norm:.3g}; loss {given_loss}, not {loss}")

    def run(self, wrong=False):
        self.compile(wrong)
        functions = self.model.functions
        count = self.rng.choice([0, 1, 2, 3, 4])
        sources, targets = self.lengths(count), self.lengths(count)
        batch = self.batch(sources, targets)
        if "loss" in functions and len(batch["labels"]) > 0:
            self.check("loss", self.inputs("loss", batch))
            self.check("gradients", self.inputs("gradients", batch), [("grad.", self.model.gradients)])
            hyper = [10 ** self.rng.uniform(-3, -1), self.rng.choice([0, 3]), self.rng.randrange(4), self.rng.choice([0, 0.1, 5]), 0.9, 0.98, 1e-2, self.rng.choice([0, 0.1])]
            self.check_accumulate(batch)
            step = {"random": numpy.array([self.rng.randrange(2**40), self.rng.randrange(1, 9)]), "hyper": numpy.array(hyper, numpy.float32)}
            arrays = [("", self.model.parameters), ("first_moment.", self.model.first_moments), ("second_moment.", self.model.second_moments)]
            self.check("train_step", self.inputs("train_step", batch | step), arrays)
            self.check_alone("loss", batch, targets)
            self.check_no_number("loss", self.inputs("loss", batch))
        elif "loss" in functions:
            functions["train_step"](self.inputs("train_step", batch))  # of nothing: no number, but no crash
            self.model.load(self.weights)
        if "classify" in functions:
            self.check("classify", self.inputs("classify", batch))
            if count:
                self.check_alone("classify", batch, targets)
        encoded = {}
        if "encode" in functions:
            encoded = self.check("encode", self.inputs("encode", batch))
            self.check_no_number("encode", self.inputs("encode", batch))
            if count:
                self.check_alone("encode", batch, sources if self.model.kind == "sequence_to_sequence" else targets)
        if "decode" in functions:
            self.check_decode(encoded, sum(sources))
        if "attention" in functions:
            pair = self.batch(self.lengths(1), self.lengths(1))
            self.check("attention", self.inputs("attention", pair))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--case", action="store_true", help="the one case of this seed, in this process")
    parser.add_argument("--gpu", action="store_true", help="on a GPU, beside the processor")
    parser.add_argument("--wrong", action="store_true", help="with an error in what is compiled, which must be found")
    options = parser.parse_args()
    if options.case:
        with tempfile.TemporaryDirectory() as folder:
            case = Case(options.seed, folder)
            print(case.specification, f"--recompute={case.recompute} --cpu={case.cpu}", flush=True)
            case.run_on_gpu() if options.gpu else case.run(options.wrong)
        return 0
    if options.cases == 10**9 and options.seconds == 1e9:
        options.cases = 10
    start, failures, cases = time.monotonic(), 0, 0
    while cases < options.cases and time.monotonic() - start < options.seconds:
        command = [sys.executable, __file__, "--case", f"--seed={options.seed + cases}", *["--gpu"] * options.gpu]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            said, failed = done.stdout + done.stderr, done.returncode != 0
            said += f"ended by signal {-done.returncode}\n" if done.returncode < 0 else ""
        except subprocess.TimeoutExpired as late:
            said, failed = f"{(late.stdout or b'').decode()}not done after 300 s\n", True
        if failed:
            failures += 1
            print(f"{said}to repeat: {' '.join(command)}", flush=True)
        cases += 1
    print(f"{cases} random models, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
