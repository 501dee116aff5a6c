//===- TrainCommandTest.cpp - Training by the toy's executable ----------------------------===//
// The command 'train' as a user runs it: killed and resumed, at different numbers of threads, stopped early, with
// damaged checkpoints and batches too large.
//===---------------------------------------------------------------------------------------===//
#include "Commands.h"
#include "xf/Runtime/Safetensors.h"

using namespace xf::runtime;
using namespace xf::toy;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

TEST_F(Commands, SameBitsAtAnyThreadCount) {
  std::string expected;
  for (const char *threads : {"1", "2", "3", "8"}) {
    std::string output = std::string("run") + threads;
    ASSERT_EQ(run(train(output, std::string("--steps=50 --threads=") + threads)).code, 0);
    std::string bytes = readAll(folder / output / "checkpoint-50.safetensors");
    if (expected.empty())
      expected = bytes;
    EXPECT_FALSE(bytes.empty());
    EXPECT_TRUE(bytes == expected) << threads << " threads";
  }
}

TEST_F(Commands, KilledAndResumedEndsInTheSameBits) {
  const std::string steps = "--steps=50 --log-steps=7 --valid-source=source --valid-target=target --valid-steps=4";
  ASSERT_EQ(run(train("whole", steps)).code, 0);
  std::string expected = readAll(folder / "whole/checkpoint-50.safetensors");
  for (int attempt = 0; attempt < 6; ++attempt) {
    std::string output = "killed" + std::to_string(attempt);
    std::string command = train(output, steps + " --checkpoint-steps=3 --threads=2");
    Outcome killed = run(command, {.environment = {"XF_TOY_DELAY_MS=3"}, .killAfterMs = 30 + 25 * attempt});
    EXPECT_EQ(killed.code, 128 + SIGKILL);
    Outcome resumed = run(command + " --resume");
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_TRUE(readAll(folder / output / "checkpoint-50.safetensors") == expected) << "attempt " << attempt;
    EXPECT_TRUE(readAll(folder / output / "model.safetensors") == readAll(folder / "whole/model.safetensors"));
    EXPECT_EQ(recordsOf(output), recordsOf("whole")) << "every record once, of the same steps";
  }
}

// Behind the last step, and before what belongs to the run's end.
TEST_F(Commands, StoppedAtTheEndIsEndedByResuming) {
  const std::string options = "--steps=50 --checkpoint-steps=7 --valid-source=source --valid-target=target";
  ASSERT_EQ(run(train("whole", options)).code, 0);
  ASSERT_EQ(run(train("cut", "--steps=49 --checkpoint-steps=7 --valid-source=source --valid-target=target")).code, 0);
  for (int step : {50, 49}) { // as a kill leaves it: a checkpoint of the step, and nothing that comes after it
    std::string output = "stopped" + std::to_string(step), last = "checkpoint-" + std::to_string(step) + ".safetensors";
    fs::create_directory(folder / output);
    Safetensors whole = std::move(*Safetensors::open(folder / (step == 50 ? "whole" : "cut") / last));
    nlohmann::json progress = nlohmann::json::parse(whole.metadata().at("xf.progress"));
    progress["ended"] = progress["best"] = 0;
    progress.erase("best_validation_loss");
    ASSERT_TRUE(writeSafetensors(folder / output / last, whole.tensors(), {{"xf.progress", progress.dump()}}));
    Outcome resumed = run(train(output, options + " --resume"));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_THAT(resumed.err, HasSubstr("trained 50 steps"));
    EXPECT_TRUE(readAll(folder / output / "model.safetensors") == readAll(folder / "whole/model.safetensors"));
    EXPECT_THAT(readAll(folder / output / "log.jsonl"), HasSubstr("validation_loss"));
  }
  // And between its checkpoint and its model.
  fs::remove(folder / "whole/model.safetensors");
  std::vector<std::string> records = recordsOf("whole");
  ASSERT_EQ(run(train("whole", options + " --resume")).code, 0);
  EXPECT_TRUE(readAll(folder / "stopped50/model.safetensors") == readAll(folder / "whole/model.safetensors"));
  EXPECT_EQ(recordsOf("whole"), records);
}

TEST_F(Commands, RunsKeepTheirFolder) {
  pid_t first = start(train("run", "--steps=50 --warmup=1"), {.environment = {"XF_TOY_DELAY_MS=20"}});
  while (!fs::exists(folder / "run/log.jsonl"))
    usleep(2000);
  Outcome second = run(train("run", "--steps=50 --resume"));
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.err, HasSubstr("another process writes to the folder 'run'"));
  int status = 0;
  waitpid(first, &status, 0);
  EXPECT_EQ(status, 0);
  // A model whose checkpoints are gone is not trained over.
  for (const fs::directory_entry &entry : fs::directory_iterator(folder / "run"))
    if (entry.path().filename().string().starts_with("checkpoint-"))
      fs::remove(entry.path());
  for (const char *how : {"--steps=50", "--steps=50 --resume"}) {
    Outcome again = run(train("run", how));
    EXPECT_EQ(again.code, 1);
    EXPECT_THAT(again.err, HasSubstr("'run' holds the model of a run, and no checkpoint to go on from"));
  }
  // Nor is a run whose checkpoints are all broken begun anew.
  ASSERT_EQ(run(train("broken", "--steps=3")).code, 0);
  fs::resize_file(folder / "broken/checkpoint-3.safetensors", 1000);
  Outcome broken = run(train("broken", "--steps=50 --resume"));
  EXPECT_EQ(broken.code, 1);
  EXPECT_THAT(broken.err, HasSubstr("'broken' holds no whole checkpoint to go on from: 'broken/checkpoint-3"));
}

TEST_F(Commands, ControlCWritesACheckpointAndResumes) {
  ASSERT_EQ(run(train("whole", "--steps=50 --checkpoint-steps=4 --keep=4")).code, 0);
  std::string command = train("stopped", "--steps=50 --checkpoint-steps=4 --keep=4");
  Outcome stopped = run(command, {.environment = {"XF_TOY_DELAY_MS=10"}, .killAfterMs = 200, .signal = SIGINT});
  EXPECT_EQ(stopped.code, 130);
  EXPECT_THAT(stopped.err, HasSubstr("interrupted: the state is in 'stopped/checkpoint-"));
  ASSERT_EQ(run(command + " --resume").code, 0);
  EXPECT_TRUE(readAll(folder / "stopped/checkpoint-50.safetensors") ==
              readAll(folder / "whole/checkpoint-50.safetensors"));
  // The same ones are kept, so that their average is the same.
  for (int step = 1; step <= 50; ++step) {
    std::string name = "checkpoint-" + std::to_string(step) + ".safetensors";
    EXPECT_EQ(fs::exists(folder / "stopped" / name), fs::exists(folder / "whole" / name)) << step;
  }
}

TEST_F(Commands, ResumesWhatALibrarySaved) {
  ASSERT_EQ(run(train("run", "--steps=3")).code, 0);
  Safetensors whole = std::move(*Safetensors::open(folder / "run/checkpoint-3.safetensors"));
  nlohmann::json progress = nlohmann::json::parse(whole.metadata().at("xf.progress"));
  progress["data"] = nullptr;
  fs::create_directory(folder / "other");
  ASSERT_TRUE(
      writeSafetensors(folder / "other/checkpoint-3.safetensors", whole.tensors(), {{"xf.progress", progress.dump()}}));
  Outcome resumed = run(train("other", "--steps=5 --resume"));
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("trained 5 steps"));
}

TEST_F(Commands, ResumeFallsBackToTheNewestWholeCheckpoint) {
  ASSERT_EQ(run(train("run", "--steps=30 --checkpoint-steps=7")).code, 0);
  fs::resize_file(folder / "run/checkpoint-30.safetensors", 1000);
  std::fstream damaged(folder / "run/checkpoint-28.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  damaged.seekp(-7, std::ios::end);
  damaged.put('x');
  damaged.close();
  Outcome resumed = run(train("run", "--steps=50 --resume"));
  EXPECT_EQ(resumed.code, 0);
  EXPECT_THAT(resumed.err, HasSubstr("warning: 'run/checkpoint-30.safetensors' is not a valid safetensors file"));
  EXPECT_THAT(resumed.err,
              HasSubstr("warning: 'run/checkpoint-28.safetensors' is not a valid safetensors file: expected "
                        "its checksum to be"));
  EXPECT_THAT(resumed.err, HasSubstr("falling back to run/checkpoint-"));
  Outcome again = run(train("run", "--steps=50"));
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, HasSubstr("'run' already holds the checkpoints of a run; pass --resume"));
  Outcome other = run("train --source=source --target=target --output=run --batch-size=16 --steps=60 --resume");
  EXPECT_EQ(other.code, 1);
  EXPECT_THAT(other.err, HasSubstr("expected the data and batches of the run in 'run' (--batch-size=32), but got "
                                   "--batch-size=16; pass the run's own, or another --output"));
}

TEST_F(Commands, LossThatIsNotFinite) {
  Outcome outcome = run(train("run"), {.environment = {"XF_TOY_NAN_STEP=7"}});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              HasSubstr("the loss is not finite at step 7: the first tensor that was not finite is 'hidden', "
                        "written by 'decoder.hidden'; the state before it is kept in "
                        "'run/checkpoint-6.safetensors'"));
  EXPECT_TRUE(Safetensors::open(folder / "run/checkpoint-6.safetensors"));
}

TEST_F(Commands, WhatCanBeKnownBeforeTrainingIsSaidBefore) {
  Outcome missing = run("train --source=nowhere --target=target --output=run --steps=1");
  EXPECT_EQ(missing.code, 1);
  EXPECT_THAT(missing.err, HasSubstr("'nowhere': No such file or directory"));
  std::ofstream(folder / "file") << "x";
  Outcome unwritable = run(train("file"));
  EXPECT_EQ(unwritable.code, 1);
  EXPECT_THAT(unwritable.err, HasSubstr("can't make the folder 'file'"));
  std::ofstream(folder / "short") << "4\n5\n";
  Outcome unequal = run("train --source=source --target=short --output=run --steps=1");
  EXPECT_EQ(unequal.code, 1);
  EXPECT_THAT(unequal.err, HasSubstr("300"));
  std::ofstream(folder / "empty");
  Outcome empty = run("train --source=empty --target=empty --output=run --steps=1");
  EXPECT_EQ(empty.code, 1);
  EXPECT_THAT(empty.err, HasSubstr("'empty'"));
}

TEST_F(Commands, BatchThatDoesNotFitSaysWhichWould) {
#if defined(__SANITIZE_ADDRESS__) || (defined(__has_feature) && __has_feature(address_sanitizer))
  GTEST_SKIP() << "the sanitizer's shadow takes the whole address space";
#endif
  std::ofstream source(folder / "long-source"), target(folder / "long-target");
  for (int line = 0; line < 20000; ++line)
    for (auto *file : {&source, &target}) {
      for (int word = 0; word < 50; ++word)
        *file << 4 + (line + word) % 20 << (word < 49 ? " " : "\n");
    }
  source.close(), target.close();
  std::string command = "train --source=long-source --target=long-target --output=run --steps=1 --threads=1";
  Outcome outcome = run(command + " --batch-tokens=1000000", {.addressSpace = int64_t(160) << 20});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("not enough memory for the batch: training with --batch-tokens=1000000 needs "));
  size_t place = outcome.err.find("; --batch-tokens=");
  ASSERT_NE(place, std::string::npos) << outcome.err;
  std::string fits = outcome.err.substr(place + 2, outcome.err.find(' ', place + 2) - place - 2);
  Outcome fitting = run(command + " " + fits, {.addressSpace = int64_t(160) << 20});
  EXPECT_EQ(fitting.code, 0) << fits << ": " << fitting.err;
}

TEST_F(Commands, TrainingThatCannotBeginLeavesNothing) {
  EXPECT_EQ(run("train --source=source --target=nowhere --output=none --steps=1").code, 1);
  EXPECT_EQ(run(train("none", "--steps=1 --memory=1K")).code, 1);
  EXPECT_EQ(run(train("none", "--steps=1 --patience=1")).code, 1);
  // Nor does one of empty sentences; where many are, it is said how many.
  auto withEmpty = [&](const std::string &name, int empty) {
    std::ofstream file(folder / name);
    for (int i = 0; i < 300; ++i)
      file << (i < empty ? "\n" : "4\n");
  };
  withEmpty("blank", 300), withEmpty("many", 31), withEmpty("few", 30);
  EXPECT_EQ(run("train --source=source --target=blank --output=none/deep --steps=1").err,
            "error: expected 'blank' to have text to train on, but all its 300 sentences are empty\n");
  EXPECT_EQ(run("train --source=blank --target=target --output=none/deep --steps=1").code, 1);
  EXPECT_FALSE(fs::exists(folder / "none"));
  EXPECT_THAT(run("train --source=source --target=many --output=many-run --steps=1").err,
              testing::StartsWith("'many': 31 of 300 sentences are empty\n"));
  EXPECT_THAT(run("train --source=few --target=target --output=few-run --steps=1").err, Not(HasSubstr("empty")));
  EXPECT_THAT(run("evaluate --model=few-run --source=blank --target=target").err, HasSubstr("300 of 300 sentences"));
  // One that can, but learns little.
  EXPECT_THAT(
      run(train("run", "--steps=9")).err,
      HasSubstr("warning: the run's 9 steps end within the warm-up of 4000, in which the learning rate is small; "
                "--warmup=N makes it shorter"));
  EXPECT_THAT(run(train("other", "--steps=9 --warmup=9")).err, Not(HasSubstr("warm-up")));
  EXPECT_THAT(run(train("single", "--steps=1")).err,
              AllOf(HasSubstr("the run's 1 step ends within"), HasSubstr("trained 1 step; ")));
}

TEST_F(Commands, ValidatesWithinEpochs) {
  const std::string options = "--steps=19 --log-steps=1";
  const std::string validation = " --valid-source=source --valid-target=target --valid-steps=4";
  ASSERT_EQ(run(train("blind", options)).code, 0);
  ASSERT_EQ(run(train("run", options + validation)).code, 0);
  std::vector<int> validated;
  std::vector<double> losses[2]; // of intervals
  for (const char *output : {"blind", "run"})
    for (const std::string &line : recordsOf(output)) {
      nlohmann::json record = nlohmann::json::parse(line);
      if (record["kind"] == "interval")
        losses[output[0] == 'r'].push_back(record["loss"]);
      else if (record.contains("validation_loss"))
        validated.push_back(int(record["step"]) * (record["kind"] == "epoch" ? -1 : 1));
    }
  EXPECT_THAT(validated, testing::ElementsAre(4, 8, -10, 12, 16, -19)); // an epoch has ten batches
  EXPECT_THAT(losses[0], testing::SizeIs(19));
  EXPECT_EQ(losses[0], losses[1]) << "training is as it is without";
  EXPECT_TRUE(fs::exists(folder / "run/checkpoint-16.safetensors"));
  Outcome blind = run(train("other", "--valid-steps=4"));
  EXPECT_EQ(blind.code, 1);
  EXPECT_EQ(blind.err, "error: --valid-steps asks for a validation loss, but there is no validation text\n");
}

TEST_F(Commands, PatienceEndsATraining) {
  // Validated on nonsense, training makes the loss worse from some epoch on.
  std::ofstream nonsense(folder / "nonsense");
  for (int i = 0; i < 300; ++i)
    nonsense << 4 + (i * 7 + i / 3) % 20 << "\n";
  nonsense.close();
  std::string validated = " --valid-source=source --valid-target=nonsense --epochs=50";
  Outcome patient = run(train("run", "--patience=2" + validated));
  ASSERT_EQ(patient.code, 0) << patient.err;
  EXPECT_THAT(patient.err, HasSubstr("stopped: the validation loss was 2 times no better than "));
  EXPECT_THAT(patient.err, Not(HasSubstr("epoch 50 ")));
  // What a run that was stopped knows, the one that goes on knows.
  Outcome again = run(train("run", "--resume --patience=2" + validated));
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("stopped: the validation loss was 2 times no better than "));
  EXPECT_THAT(again.err, Not(HasSubstr("epoch ")));
  EXPECT_THAT(run(train("run", "--resume --patience=3" + validated)).err,
              HasSubstr("stopped: the validation loss was 3 times no better than "));
  // Validations within an epoch count too.
  Outcome within = run(train("within", "--patience=2 --valid-steps=3" + validated));
  ASSERT_EQ(within.code, 0) << within.err;
  EXPECT_THAT(within.err, HasSubstr("stopped: the validation loss was 2 times no better than "));
  EXPECT_LT(nlohmann::json::parse(recordsOf("within").back())["step"],
            nlohmann::json::parse(recordsOf("run").back())["step"]);
  Outcome blind = run(train("other", "--patience=2"));
  EXPECT_EQ(blind.code, 1);
  EXPECT_EQ(blind.err, "error: --patience asks for a validation loss, but there is no validation text\n");
}
