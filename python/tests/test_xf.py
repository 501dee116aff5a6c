"""The package on small models: what functions compute, on whose memory, and what is said where something is wrong; once
more on a GPU where there is one, or an emulated one."""
import _ctypes
import copy
import ctypes
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import threading
import unittest
from typing import Any, Dict, List, Union
from unittest import mock

import numpy as np

import xf
from xf._compiler import find_compiler

PRESET = "preset:transformer-tiny,vocabulary=30,d_model=16,heads=2,d_ff=24,layers=1,tied=true"
SOURCES: List[List[int]] = [[5, 6, 7, 2], [], [8, 9, 2], [3]]
TARGETS: List[List[int]] = [[5, 6, 2], [2], [7, 8, 9, 4, 2], []]


def make_batch() -> "Dict[str, xf._model.Array]":
    source_ids, source_offsets = xf.pack(SOURCES)
    target_ids, target_offsets = xf.pack([[1, *target[:-1]] if target else [] for target in TARGETS])
    labels, _ = xf.pack(TARGETS)
    return dict(source_ids=source_ids, source_offsets=source_offsets, target_ids=target_ids, target_offsets=target_offsets, labels=labels)


def has_driver() -> bool:
    try:
        return bool(ctypes.CDLL("libcuda.so.1"))
    except OSError:
        return False


class ModelTest(unittest.TestCase):
    model: xf.Model
    target = "cpu"

    @classmethod
    def setUpClass(cls) -> None:
        cls.model = xf.compile(PRESET, threads=2, target=cls.target)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.model.close()

    def setUp(self) -> None:
        self.batch = make_batch()
        self.model.initialize(seed=3)
        self.model.settings.update(threads=2, learning_rate=0.01, schedule="constant")

    def steps(self, count: int) -> List[bytes]:
        return [self.model.train_step(self.batch)["loss"].tobytes() for _ in range(count)]

    def test_describes_itself(self) -> None:
        self.assertEqual((self.model.kind, self.model.device), ("sequence_to_sequence", self.target))
        self.assertEqual(self.model.configuration["d_ff"], 24)
        loss = self.model.functions["loss"]
        self.assertEqual(str(loss.inputs[0]), "source_ids: int32 [source_tokens]")
        self.assertEqual([output.name for output in loss.outputs], ["loss", "token_nll"])
        self.assertNotIn("prepare", self.model.functions)
        self.assertIn("threads", self.model.settings)
        self.assertLessEqual({"train_step", "loss", "encode", "save"}, set(dir(self.model)))

    def test_loss_is_the_mean_of_its_tokens(self) -> None:
        outputs = self.model.loss(self.batch)
        np.testing.assert_allclose(outputs["loss"], outputs["token_nll"].mean(), rtol=1e-6)

    def test_ids_may_have_64_bits(self) -> None:
        wide = {name: values.astype(np.int64) for name, values in self.batch.items()}
        self.assertEqual(self.model.loss(wide)["token_nll"].tobytes(), self.model.loss(self.batch)["token_nll"].tobytes())

    def test_gradients_are_slopes(self) -> None:
        self.model.gradients(self.batch)
        weight = self.model.parameters["decoder.0.feed_forward.out.weight"]
        direction = self.model.gradients["decoder.0.feed_forward.out.weight"].copy()
        start, losses = weight.copy(), []
        for sign in (1, -1):
            weight[...] = start + sign * 1e-2 * direction
            losses.append(self.model.loss(self.batch)["loss"].astype(float))
        slope = (losses[0] - losses[1]) / 2e-2
        np.testing.assert_allclose(slope, np.sum(direction.astype(float) ** 2), rtol=1e-2)

    def test_a_step_of_parts_is_a_step(self) -> None:
        self.steps(1)
        expected = {name: values.copy() for name, values in self.model.parameters.items()}
        self.model.initialize(seed=3)
        self.model.gradients(self.batch)
        self.model.gradients.clear()
        weights: List[Any] = [0.25, np.float32(0.5), np.array(0.25, np.float32)]
        for weight in weights:
            self.model.accumulate(self.batch, weight=weight)
        self.model.update()
        self.assertEqual(self.model.settings["step"], 1)
        for name, values in self.model.parameters.items():
            np.testing.assert_allclose(values, expected[name], atol=1e-4)
            self.assertFalse((values == 0).all())

    def test_trains_to_the_same_bits(self) -> None:
        first = self.steps(5)
        self.model.initialize(seed=3)
        self.model.settings["threads"] = 1
        self.assertEqual(self.steps(5), first)
        self.assertEqual(self.model.settings["step"], 5)
        self.model.initialize(seed=4)
        self.assertNotEqual(self.steps(5), first)

    def test_goes_on_from_a_checkpoint_as_the_executable_does(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            self.steps(2)
            self.model.save(path / "state.safetensors")
            last = self.steps(1)
            parameters = {name: values.copy() for name, values in self.model.parameters.items()}
            moments = {name: values.copy() for name, values in self.model.second_moments.items()}
            self.model.load(path / "state.safetensors")
            self.assertEqual(self.model.settings["step"], 2)
            self.assertEqual(self.steps(1), last)

            subprocess.run([find_compiler(), PRESET, f"--target={self.target}", "-o", str(path / "model")], check=True)
            run = [str(path / "model"), "run", "train_step", f"--model={path}/state.safetensors", "--learning-rate=0.01", "--schedule=constant"]
            self.write_batch(path / "batch.safetensors")
            subprocess.run([*run, f"--input={path}/batch.safetensors", f"--output={path}/next.safetensors"], check=True, stdout=subprocess.DEVNULL)
            self.model.initialize(seed=9)
            self.model.load(path / "next.safetensors")
            for name, values in self.model.parameters.items():
                np.testing.assert_array_equal(values, parameters[name])
            for name, values in self.model.second_moments.items():
                np.testing.assert_array_equal(values, moments[name])
            self.model.save(path / "weights.safetensors", weights_only=True)
            self.assertLess((path / "weights.safetensors").stat().st_size * 2, (path / "next.safetensors").stat().st_size)

    def write_batch(self, path: pathlib.Path) -> None:
        import json
        import struct

        header, data = {}, b""
        for name, values in self.batch.items():
            header[name] = {"dtype": "I32", "shape": values.shape, "data_offsets": [len(data), len(data) + values.nbytes]}
            data += values.tobytes()
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)

    def test_decodes_what_the_loss_says(self) -> None:
        """Token by token, with caches that decode writes: the same probabilities as all at once."""
        self.steps(3)
        expected = self.model.loss(self.batch)["token_nll"]
        memory = self.model.encode({name: self.batch[name] for name in ("source_ids", "source_offsets")})
        rows = len(self.batch["target_ids"])
        widths = {value.name: value.shape[1] for value in self.model.decode.inputs if value.written}
        caches = {name: np.zeros((rows, int(width)), np.float32) for name, width in widths.items()}
        starts, sources = self.batch["target_offsets"], self.batch["source_offsets"]
        given = np.full(rows, np.nan, np.float32)
        for sentence in range(len(SOURCES)):
            memory_rows = np.arange(sources[sentence], sources[sentence + 1], dtype=np.int32)
            for row in range(starts[sentence], starts[sentence + 1]):
                cached = np.arange(starts[sentence], row + 1, dtype=np.int32)
                outputs = self.model.decode(
                    {**memory, **caches},
                    ids=self.batch["target_ids"][row : row + 1],
                    positions=np.array([row - starts[sentence]], np.int32),
                    memory_rows=memory_rows,
                    memory_offsets=np.array([0, len(memory_rows)], np.int32),
                    cache_slots=np.array([row], np.int32),
                    cache_rows=cached,
                    cache_offsets=np.array([0, len(cached)], np.int32),
                    logit_rows=np.zeros(1, np.int32),
                    ranks=np.zeros(1, np.int32),
                )
                given[row] = outputs["log_sum_exp"][0] - outputs["logits"][0, self.batch["labels"][row]]
        np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-5)
        self.assertTrue(all(cache.any(axis=1).all() for cache in caches.values()))

    def test_attention_is_read_by_name(self) -> None:
        pair = dict(source_ids=np.array([5, 6, 2], np.int32), source_offsets=np.array([0, 3], np.int32), target_ids=np.array([1, 4], np.int32), target_offsets=np.array([0, 2], np.int32))
        maps = self.model.attention(pair)
        self.assertEqual({name: weights.shape for name, weights in maps.items()}, {"encoder.0.attention": (2, 3, 3), "decoder.0.attention": (2, 2, 2), "decoder.0.cross_attention": (2, 2, 3)})
        for weights in maps.values():
            np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-5)
        self.assertTrue((maps["decoder.0.attention"][:, 0, 1] == 0).all())

    def test_nothing_is_copied(self) -> None:
        token_nll = np.empty(len(self.batch["labels"]), np.float32)
        outputs = self.model.loss(self.batch, out={"token_nll": token_nll})
        self.assertIs(outputs["token_nll"], token_nll)
        np.testing.assert_array_equal(token_nll, self.model.loss(self.batch)["token_nll"])
        view = self.model.parameters["embedding.weight"]
        self.assertTrue(np.shares_memory(view, self.model.parameters["embedding.weight"]))
        before = view.copy()
        self.steps(1)
        self.assertFalse((view == before).all())

    def test_predictions_follow_written_parameters(self) -> None:
        source = {name: self.batch[name] for name in ("source_ids", "source_offsets")}
        first = self.model.encode(source)["memory.0"]
        held = self.model.parameters["encoder.0.attention.value.weight"]
        for attempt in range(3):
            if attempt == 0:
                self.model.parameters["encoder.0.attention.value.weight"] = held * 2
            else:
                held[attempt, 0] += 1  # the second time the view is older than the last prediction
            second = self.model.encode(source)["memory.0"]
            self.assertFalse((first == second).all())
            first = second

    def test_kept_tensors_are_halves_of_floats_in_bf16(self) -> None:
        source = {name: self.batch[name] for name in ("source_ids", "source_offsets")}
        preset = PRESET.replace("d_model=16", "d_model=22,d_k=5,d_v=7")  # of rows that no 16 bytes divide
        wide = xf.compile(preset, target=self.target, functions=["encode", "decode"]).encode(source)["memory.0"]
        narrow = xf.compile(preset, target=self.target, functions=["encode", "decode"], precision="bf16").encode(source)["memory.0"]
        self.assertEqual((narrow.dtype, narrow.shape), (np.uint16, (wide.shape[0], 16)))
        values = (narrow.astype(np.uint32) << 16).view(np.float32)[:, : wide.shape[1]]
        np.testing.assert_allclose(values, wide, atol=0.03 * np.abs(wide).max())

    def test_views_keep_the_model(self) -> None:
        view = xf.compile(PRESET, target=self.target, functions=["loss"]).parameters["embedding.weight"]
        self.assertTrue(np.isfinite(view).all())

    def test_threads_call_it_at_once(self) -> None:
        expected, wrong = self.model.loss(self.batch)["loss"], []

        def call() -> None:
            for _ in range(20):
                if self.model.loss(self.batch)["loss"] != expected:
                    wrong.append(1)

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def refused(self, message: str, **changes: Any) -> None:
        with self.assertRaisesRegex(xf.Error, message):
            self.model.loss({**self.batch, **changes})

    def test_says_what_is_wrong(self) -> None:
        labels = self.batch["labels"]
        self.refused(r"^expected 'target_tokens' of input 'labels' to match 'target_ids' \(9\), but got 4$", labels=labels[:4])
        self.refused(r"^value 4294967297 of 'labels' at index 0 does not fit 32 bits$", labels=np.full(9, 2**32 + 1))
        self.refused(r"^expected input 'labels' of 'loss' to be int32 \[target_tokens\], but got int32 \[3, 3\]$", labels=labels.reshape(3, 3))
        self.refused(r"^expected input 'labels' of 'loss' to be int32, but got float64; xf.pack makes it so, or .astype\(numpy.int32\)$", labels=labels.astype(float))
        with self.assertRaisesRegex(xf.Error, r"^expected input 'weight' of 'accumulate' to be float32, but got float64; .astype\(numpy.float32\)$"):
            self.model.accumulate(self.batch, weight=np.array(1.0))
        with self.assertRaisesRegex(xf.Error, r"^expected input 'memory.0' of 'decode' to be float32, but got uint16; .astype\(numpy.float32\)$"):
            self.model.decode({"memory.0": np.zeros((2, 16), np.uint16)})
        with self.assertRaisesRegex(xf.Error, r"needs the input 'labels' \(int32 \[target_tokens\]\), which is missing$"):
            self.model.loss({name: array for name, array in self.batch.items() if name != "labels"})
        self.refused(r"^expected input 'labels' of 'loss' to be an array, but got list$", labels=[1, 2])
        self.refused(r"^expected input 'labels' of 'loss' to be contiguous; numpy.ascontiguousarray makes it so$", labels=np.repeat(labels, 2)[::2])
        self.refused(r"^expected 'labels' at index 0 to be from 0 to 29 \(the vocabulary\), but got 99$", labels=np.full_like(labels, 99))
        self.refused(r"^'loss' has no input 'label'; its inputs are source_ids, ", label=labels)
        calls: List[Any] = [self.model.loss, self.model.gradients]
        for call in calls:
            with self.assertRaisesRegex(xf.Error, r"^expected the inputs of '\w+' by name, as in \w+\(source_ids=..., ...\) or a dict, but got ndarray$"):
                call(labels)
            with self.assertRaises(TypeError):
                call(labels, labels)
        copies: List[Any] = [copy.copy, copy.deepcopy, pickle.dumps]
        for make in copies:
            with self.assertRaisesRegex(TypeError, r"^a model can't be pickled or copied: save\(\) its state, "):
                make(self.model)
        with self.assertRaisesRegex(xf.Error, r"^expected output 'token_nll' of 'loss' to be float32 \[9\], but got float32 \[3\]$"):
            self.model.loss(self.batch, out={"token_nll": np.empty(3, np.float32)})
        frozen = np.empty(9, np.float32)
        frozen.flags.writeable = False
        with self.assertRaisesRegex(xf.Error, "^expected output 'token_nll' of 'loss', which is written, to be writeable$"):
            self.model.loss(self.batch, out={"token_nll": frozen})
        with self.assertRaisesRegex(AttributeError, "^'transformer_tiny' has no function 'predict'; it has train_step, "):
            self.model.predict(self.batch)
        for name, near in [("nothing", ""), ("embeding.weight", "; did you mean 'embedding.weight'\\?")]:
            with self.assertRaisesRegex(KeyError, f"'transformer_tiny' has no parameter '{name}'{near}\"$"):
                self.model.parameters[name]
        seeds: List[Any] = [-1, 2**64, 1.5, "a"]
        for seed in seeds:
            with self.assertRaisesRegex(xf.Error, "^expected the seed to be a whole number from 0 to 18446744073709551615, but got "):
                self.model.initialize(seed)
        with self.assertRaisesRegex(xf.Error, r"^expected 'embedding.weight' to be \[30, 16\], but got \[16\]$"):
            self.model.parameters["embedding.weight"] = np.zeros(16)
        with self.assertRaisesRegex(xf.Error, "^no setting 'speed'; the settings are threads, seed, step, learning_rate"):
            self.model.settings["speed"] = 1
        for name, value, expected in [("threads", 100000, "at most 1024"), ("beta1", 1.5, "a number from 0 to below 1"), ("learning_rate", 0, "a positive number")]:
            with self.assertRaisesRegex(xf.Error, f"^expected '{name}' to be {expected}, but got"):
                self.model.settings[name] = value
        wrong: List[Any] = [[2**40], [3.5], [True], 7, [[1]], [[1], [2, 3]], ["5"]]
        for sequence in wrong:
            with self.assertRaisesRegex(xf.Error, "^expected sequence 1 to be a list of whole numbers of 32 bits, but got"):
                xf.pack([[1], sequence])
        with self.assertRaisesRegex(xf.Error, "nowhere.safetensors.*No such file"):
            self.model.load("nowhere.safetensors")
        with self.assertRaisesRegex(xf.Error, "^expected weights to be a file .* or the folder of a run, but got ''$"):
            self.model.load("")

    def test_a_fork_is_told(self) -> None:
        self.model.loss(self.batch)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                self.model.loss(self.batch)
            except xf.Error as error:
                os.write(write, str(error).encode())
            self.model.close()
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            self.assertIn("this process was forked", pipe.read())
        self.assertEqual(os.waitpid(child, 0), (child, 0))


@unittest.skipUnless(has_driver(), "no NVIDIA driver")
class OnGPUTest(ModelTest):
    target = "cuda"

    def test_trains_as_a_processor_does(self) -> None:
        with xf.compile(PRESET, target="cpu,cuda", device="cpu") as other:
            self.assertEqual(other.device, "cpu")
            other.initialize(seed=3)
            other.settings.update(learning_rate=0.01, schedule="constant", epsilon=1e-3)
            self.model.settings["epsilon"] = 1e-3
            held = self.model.parameters["decoder.0.feed_forward.out.weight"]
            for step in range(3):
                np.testing.assert_allclose(self.model.train_step(self.batch)["loss"], other.train_step(self.batch)["loss"], rtol=1e-4)
                for model in (self.model, other):  # what is written to a view is what the next step goes on from
                    model.parameters["decoder.0.feed_forward.out.weight"] *= 0.5
                np.testing.assert_allclose(held, other.parameters["decoder.0.feed_forward.out.weight"], atol=1e-4)
            for name, values in self.model.first_moments.items():
                np.testing.assert_allclose(values, other.first_moments[name], atol=1e-6)

    def test_arrays_stay_there_when_nobody_looks(self) -> None:
        held = self.model.parameters["embedding.weight"]
        address, before = held.ctypes.data, held.copy()
        self.steps(1)
        self.assertFalse((held == before).all())
        before = held.copy()
        del held
        self.steps(1)
        unseen = (ctypes.c_float * before.size).from_address(address)
        self.assertEqual(list(unseen), before.ravel().tolist())
        self.assertFalse((self.model.parameters["embedding.weight"] == before).all())


class TextTest(unittest.TestCase):
    """Text in, text out: what the executables of the same models print, to the byte."""

    SOURCES = ["the cat sees the dog", "the dog sees a bird", "a bird sings", "the cat sings to the bird"]
    TARGETS = ["die Katze sieht den Hund", "der Hund sieht einen Vogel", "ein Vogel singt", "die Katze singt f\u00fcr den Vogel"]
    LINES = [*SOURCES, "", "a dog sings to the cat", "the " * 30, "\u00fc?"]
    folder: "tempfile.TemporaryDirectory[str]"
    translator: xf.Model
    writer: xf.Model

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(cls.folder.name)
        for name, lines, kind in [("source", cls.SOURCES, ["bpe", "--size=30"]), ("target", cls.TARGETS, ["word"])]:
            (path / name).write_text("\n".join(lines) + "\n")
            vocab = [find_compiler()[: -len("xf-compile")] + "xf-vocab", str(path / name), f"--type={kind[0]}", *kind[1:]]
            subprocess.run([*vocab, "-o", str(path / f"{name}.model")], check=True, capture_output=True)
        cls.translator = cls.make("translator", PRESET.replace("vocabulary=30", "positions=learned,max_positions=24").replace(",tied=true", ""), source_vocab=path / "source.model", target_vocab=path / "target.model")
        sources, targets = cls.translator.source_vocabulary, cls.translator.target_vocabulary
        source_ids, source_offsets = xf.pack([[*sources.encode(line), sources.end] for line in cls.SOURCES])
        encoded = [targets.encode(line) for line in cls.TARGETS]
        target_ids, target_offsets = xf.pack([[targets.begin, *ids] for ids in encoded])
        labels, _ = xf.pack([[*ids, targets.end] for ids in encoded])
        cls.train("translator", cls.translator, 60, source_ids=source_ids, source_offsets=source_offsets, target_ids=target_ids, target_offsets=target_offsets, labels=labels)
        cls.writer = cls.make("writer", "preset:transformer-char-lm,d_model=16,heads=2,d_ff=24,layers=1,max_positions=16", vocab=path / "target.model")
        words = cls.writer.vocabulary
        ids, offsets = xf.pack([[words.begin, *words.encode(line)] for line in cls.TARGETS])
        labels, _ = xf.pack([[*words.encode(line), words.end] for line in cls.TARGETS])
        cls.train("writer", cls.writer, 20, ids=ids, offsets=offsets, labels=labels)

    @classmethod
    def make(cls, name: str, preset: str, **vocabularies: pathlib.Path) -> xf.Model:
        """The library, and the executable."""
        flags = [f"--{option.replace('_', '-')}={path}" for option, path in vocabularies.items()]
        subprocess.run([find_compiler(), preset, "-o", f"{cls.folder.name}/{name}", *flags], check=True)
        options: Dict[str, Any] = dict(vocabularies)
        return xf.compile(preset, threads=2, **options)

    @classmethod
    def train(cls, name: str, model: xf.Model, steps: int, **batch: Any) -> None:
        model.settings.update(learning_rate=0.01, schedule="constant", warmup=0)
        for _ in range(steps):
            model.train_step(batch)
        model.save(f"{cls.folder.name}/{name}.safetensors", weights_only=True)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.translator.close()
        cls.writer.close()
        cls.folder.cleanup()

    def printed(self, name: str, command: str, text: str = "", **options: Any) -> str:
        flags = [f"--{option.replace('_', '-')}={value}" for option, value in options.items()]
        program = f"{self.folder.name}/{name}"
        return subprocess.run([program, command, f"--model={program}.safetensors", *flags], input=text, check=True, capture_output=True, text=True).stdout

    def test_translates_as_the_executable_does(self) -> None:
        found = []
        choices: List[Dict[str, Any]] = [{}, {"beam": 1}, {"beam": 3, "length_penalty": 0.0, "max_length": 3, "batch_size": 2}, {"min_length": 9}]
        for options in choices:
            with self.assertWarnsRegex(UserWarning, "^skipped 1 of 8 lines, which were too long \\(first: line 7\\); their translations are empty$") as warned:
                found.append(self.translator.translate(self.LINES, **options))
            self.assertEqual(warned.filename, __file__)
            self.assertEqual("".join(line + "\n" for line in found[-1]), self.printed("translator", "translate", "\n".join(self.LINES), **options))
        self.assertEqual(found[0][0], self.TARGETS[0].lower())
        self.assertEqual((found[0][4], found[0][6]), ("", ""))
        self.assertNotIn(found[0], found[2:])
        self.assertEqual(self.translator.translate([]), [])

    def test_generates_as_the_executable_does(self) -> None:
        choices: List[Dict[str, Any]] = [{}, {"max_length": 60, "temperature": 0.8, "top_k": 5, "seed": 3}, {"temperature": 0}, {"top_p": 0.7}]
        for prompt in ("", "die Katze", "ein Vogel\nder "):
            for options in choices:
                self.assertEqual(self.writer.generate(prompt, **options) + "\n", self.printed("writer", "generate", **({"prompt": prompt} if prompt else {}), **options))

    def test_text_is_tokens_and_back(self) -> None:
        words = self.translator.target_vocabulary
        ids = words.encode("der Hund singt f\u00fcr Otto")
        self.assertEqual(ids[-1], words.unknown)
        self.assertEqual(words.decode([words.begin, *ids[:-1], words.end]), "der hund singt f\u00fcr")
        self.assertEqual((len(words), words.encode("")), (self.translator.configuration["target_vocabulary"], []))
        pieces = self.translator.source_vocabulary
        self.assertEqual(pieces.decode(pieces.encode("the bird sees a cat")), "the bird sees a cat")
        self.assertEqual(self.writer.vocabulary.encode("ein Vogel"), self.writer.source_vocabulary.encode("ein Vogel"))

    def test_follows_its_parameters(self) -> None:
        with xf.compile("preset:transformer-char-lm,d_model=16,heads=2,d_ff=24,layers=1,max_positions=16", vocab=f"{self.folder.name}/target.model", functions=["generate"]) as model:
            first = model.generate(temperature=0)
            model.load(f"{self.folder.name}/writer.safetensors")
            self.assertEqual(model.generate(temperature=0), self.writer.generate(temperature=0))
            model.initialize(1)
            self.assertEqual(model.generate(temperature=0), first)
            self.assertNotEqual(self.writer.generate(temperature=0), first)

    def test_threads_get_their_own(self) -> None:
        lines = self.SOURCES * 2
        expected, wrong = self.translator.translate(lines), []

        def call(number: int) -> None:
            for _ in range(10):
                if self.translator.translate(lines[number:]) != expected[number:] or self.translator.settings["threads"] != 2:
                    wrong.append(number)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_says_what_is_wrong(self) -> None:
        for lines, expected in [
            ("the cat", "expected lines to translate, but got one text"),
            (["a", "b\0"], "line 2: NUL byte at byte 2$"),
            (["a\nb"], "line 1: expected one line, but it ends at byte 2$"),
            (["a", "\udc80"], "line 2: invalid UTF-8 at byte 1 \\(0xed\\)$"),
        ]:
            with self.assertRaisesRegex(xf.Error, f"^{expected}"):
                self.translator.translate(lines)
        for name, value, what in [("beam", 0, "a whole number from 1 to 1000"), ("beam", 2.5, "a whole number from 1 to 1000"), ("length_penalty", -1, "a number that is not negative"), ("max_length", 0, "a whole number from 1 on")]:
            options: Dict[str, Any] = {name: value}
            with self.assertRaisesRegex(xf.Error, f"^expected '{name}' to be {what}, but got '{value}'$"):
                self.translator.translate(["a"], **options)
        for name, text in [("top_p", "0"), ("top_p", "1.5"), ("temperature", "nan")]:
            options = {name: text}
            with self.assertRaisesRegex(xf.Error, f"^expected '{name}' to be a number .*, but got '{text}'$"):
                self.writer.generate("", **options)
        with self.assertRaisesRegex(xf.Error, "^'transformer_char_lm' can't translate: expected a sequence_to_sequence with encode and decode, but it is a language_model with train_step, "):
            self.writer.translate(["a"])
        with self.assertRaisesRegex(xf.Error, "^'transformer_tiny' can't generate: expected a language_model with decode, but it is a sequence_to_sequence with "):
            self.translator.generate("a")
        with self.assertRaisesRegex(xf.Error, "^expected sequence 0 to be a list of whole numbers of 32 bits"):
            self.translator.vocabulary.decode([2**40])
        with xf.compile(PRESET, functions=["encode", "decode"]) as model:
            for name in ("translate", "vocabulary"):
                with self.assertRaisesRegex(xf.Error, "^'transformer_tiny' was compiled without vocabularies; compile it with --source-vocab and --target-vocab, or with --vocab$"):
                    getattr(model, name)(["5 6"])
        with self.assertRaisesRegex(xf.Error, "^the model is closed$"):
            model.translate(["5 6"])


class CompileTest(unittest.TestCase):
    def test_takes_text_and_files(self) -> None:
        text = subprocess.run([find_compiler(), PRESET, "--print-input"], check=True, capture_output=True, text=True).stdout
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.mlir"
            path.write_text(text)
            losses = []
            sources: List[Union[str, pathlib.Path]] = [PRESET, text, path]
            for source in sources:
                with xf.compile(source, functions=["loss"]) as model:
                    losses.append(model.loss(make_batch())["loss"])
                    self.assertEqual(list(model.functions), ["loss"])
        self.assertTrue(losses[0] == losses[1] == losses[2])
        with self.assertWarnsRegex(UserWarning, "warning: the module has no 'xf.kind'") as warned:
            xf.compile(text.replace('xf.kind = "sequence_to_sequence", ', ""), functions=["loss"], gpu=None, precision="f32")
        self.assertEqual(warned.filename, __file__)

    def test_opens_libraries(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            library = pathlib.Path(folder) / "libzwei-W\u00f6rter.so"
            subprocess.run([find_compiler(), PRESET, "--functions=loss", "--emit=shared", "-o", str(library)], check=True)
            with xf.open(library) as model, xf.open(library, device="cpu") as other:
                model.parameters["embedding.weight"] = other.parameters["embedding.weight"] * 2
                self.assertNotEqual(model.loss(make_batch())["loss"], other.loss(make_batch())["loss"])
            with self.assertRaisesRegex(xf.Error, "^the model is closed$"):
                model.loss(make_batch())
            renamed = library.rename(library.with_name("model v2.so.1"))
            with xf.open(renamed) as model:
                model.loss(make_batch())
                model.save(renamed.with_suffix(".safetensors"), weights_only=True)
                trained = renamed.with_suffix(".safetensors").read_bytes()
                renamed.with_suffix(".safetensors").write_bytes(trained.replace(b'xf.checksum', b'xf.unchecke').replace(b'heads\\":2', b'heads\\":4'))
                with self.assertWarnsRegex(UserWarning, "was trained with heads=4 where this library has 2$") as warned:
                    model.load(renamed.with_suffix(".safetensors"))
                self.assertEqual(warned.filename, __file__)
                with self.assertRaisesRegex(xf.Error, "^'transformer_tiny' has no gradients: none of its functions computes them$"):
                    model.gradients["embedding.weight"]
                with self.assertRaisesRegex(AttributeError, "^'transformer_tiny' has no function 'gradients'; it has loss$"):
                    model.gradients(make_batch())
            with self.assertWarnsRegex(UserWarning, "was trained with heads=4") as warned:
                xf.open(renamed, weights=renamed.with_suffix(".safetensors")).close()
            self.assertEqual(warned.filename, __file__)
            with self.assertRaisesRegex(xf.Error, "^expected weights to be a file"):
                xf.open(renamed, weights="")
            with self.assertRaisesRegex(xf.Error, "^this library computes on cpu alone, but got ''"):
                xf.open(renamed, device="")
        with self.assertRaisesRegex(xf.Error, "^can't open the model: .*model v2.so.1"):
            xf.open(renamed)
        with self.assertRaisesRegex(xf.Error, "^can't open the model: expected '.*' to be a library of this version's xf-compile, but it has no xf_library_open_on$"):
            xf.open(_ctypes.__file__)

    def test_closes_after_the_last_use(self) -> None:
        model = xf.compile(PRESET, threads=1)
        loss = float(model.loss(make_batch())["loss"])
        view = model.parameters["embedding.weight"]
        before = view.copy()
        outcomes: List[Any] = []

        def call() -> None:
            try:
                while True:
                    outcomes.append(float(model.loss(make_batch())["loss"]))
            except xf.Error as error:
                outcomes.append(str(error))

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(outcomes) < 10:
            pass
        model.close()
        for thread in threads:
            thread.join()
        self.assertEqual(set(outcomes), {loss, "the model is closed"})
        np.testing.assert_array_equal(view, before)
        del view
        with self.assertRaisesRegex(xf.Error, "^the model is closed$"):
            model.parameters["embedding.weight"]

    def test_ends_while_it_computes(self) -> None:
        script = f"""
import threading, time, xf
model = xf.compile({PRESET!r}, threads=1)
ids, offsets = xf.pack([[5, 6, 7, 2]] * 100)
batch = dict(source_ids=ids, source_offsets=offsets, target_ids=ids, target_offsets=offsets, labels=ids)
started = threading.Event()
def call():
    while True:
        model.gradients(batch)
        started.set()
threading.Thread(target=call, daemon=True).start()
started.wait()
print("ends")
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, "ends\n"), done.stderr)

    def test_says_what_the_compiler_says(self) -> None:
        with self.assertRaisesRegex(xf.Error, "unknown preset 'transformer-tinny'"):
            xf.compile("preset:transformer-tinny")
        with self.assertRaisesRegex(xf.Error, "unsupported target 'tpu'; supported: cpu"):
            xf.compile(PRESET, target="tpu")
        with self.assertRaisesRegex(xf.Error, "^this library computes on cpu alone, but got 'cuda'; compile with --target=cpu,cuda to choose$"):
            xf.compile(PRESET, functions=["loss"], device="cuda")
        with self.assertRaisesRegex(xf.Error, "can't open 'weights.safetensors': No such file"):
            xf.compile(PRESET, functions=["loss"], weights="weights.safetensors")
        with self.assertRaisesRegex(xf.Error, "^expected weights to be a file"):
            xf.compile(PRESET, functions=["loss"], weights="")
        for option in ("print_input", "fit", "emit", "compile_to"):
            options: Dict[str, Any] = {option: True}
            with self.assertRaisesRegex(xf.Error, f"^expected options of a library that is compiled and opened, but got '{option}'; run xf-compile itself$"):
                xf.compile(PRESET, **options)
        with mock.patch.dict(os.environ, {"XF_COMPILE": "/nowhere/xf-compile"}):
            with self.assertRaisesRegex(xf.Error, "^can't run xf-compile: .*/nowhere/xf-compile"):
                xf.compile(PRESET)


if __name__ == "__main__":
    unittest.main()
