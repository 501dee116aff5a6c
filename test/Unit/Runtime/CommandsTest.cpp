//===- CommandsTest.cpp - The toy's executable from end to end ---------------------------===//
// Runs the commands as a user does: their results, their messages, their exit codes; with damaged files. Training has a
// file of its own.
//===--------------------------------------------------------------------------------------===//
#include "Commands.h"
#include "xf/Runtime/Parameters.h"
#include "xf/Runtime/Safetensors.h"

#include <cmath>
#include <cstring>
#include <regex>

using namespace xf::runtime;
using namespace xf::toy;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

TEST_F(Commands, InfoAndHelp) {
  Outcome info = run("info");
  EXPECT_EQ(info.code, 0);
  EXPECT_THAT(info.out, HasSubstr("2,176 in 4 tensors"));
  EXPECT_THAT(info.out, HasSubstr("\nconfiguration  d_model=16 max_positions=512 positions=sinusoidal preset=toy "
                                  "smoothing=0\n               source_vocabulary=24 target_vocabulary=24 "
                                  "vocabulary=37000\nparameters "));
  EXPECT_THAT(info.out, HasSubstr("workspace for 1,024 tokens"));
  EXPECT_EQ(info.err, "");
  for (const char *command :
       {"", "info", "run", "train", "average", "report", "evaluate", "translate", "attention", "gradcheck"}) {
    Outcome help = run(std::string(command) + " --help");
    EXPECT_EQ(help.code, 0) << command;
    EXPECT_THAT(help.out, HasSubstr("--help")) << command;
    EXPECT_EQ(help.err, "");
  }
}

TEST_F(Commands, MistakesInOptionsAreOneLine) {
  for (const char *command : {"", "fly", "train", "info --threads", "run loss --input=x --output=y --threads=0"}) {
    Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 1) << command;
    EXPECT_THAT(outcome.err, testing::StartsWith("error: ")) << command;
    EXPECT_EQ(outcome.out, "") << command;
  }
  EXPECT_THAT(run("").err, testing::StartsWith("error: expected a command; this executable has info, train, "));
  EXPECT_THAT(run("fly").err, testing::StartsWith("error: there is no command 'fly'; this executable has info, "));
  EXPECT_THAT(run("--version").err,
              testing::StartsWith("error: expected a command before '--version'; this executable "));
  EXPECT_THAT(run("info --fit=x").err, testing::StartsWith("error: --fit: expected a number of bytes, such as "));
}

TEST_F(Commands, AnotherMachineIsSaidAtTheStart) {
  Outcome outcome = run("info", {.environment = {"XF_TOY_TARGET_ARM=1"}});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("was compiled for 'arm_64-unknown-linux-gnu', this machine is x86_64"));
  Outcome newer = run("info", {.environment = {"XF_TOY_TARGET_NEWER=1"}});
  EXPECT_EQ(newer.code, 1);
  EXPECT_THAT(newer.err, HasSubstr("was compiled for the CPU 'x86-64', this machine lacks sse9; compile with an older "
                                   "--cpu, such as x86-64-v2"));
}

TEST_F(Commands, GradcheckSeesAWrongGradient) {
  Outcome right = run("gradcheck");
  EXPECT_EQ(right.code, 0) << right.out << right.err;
  EXPECT_THAT(right.out, HasSubstr("gradcheck: 4 of 4 parameters agree"));
  EXPECT_THAT(run("gradcheck --memory=1K").err,
              testing::StartsWith("error: not enough memory for the batch: checking derivatives needs "));
  for (const char *seed : {"2", "3", "4"})
    EXPECT_EQ(run(std::string("gradcheck --seed=") + seed).code, 0);
  Outcome wrong = run("gradcheck loss", {.environment = {"XF_TOY_WRONG_GRADIENT=1"}});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_THAT(wrong.out, HasSubstr("gradcheck: 3 of 4 parameters agree"));
  EXPECT_THAT(wrong.out, testing::ContainsRegex("target_positions.weight.*differs"));
  Outcome unknown = run("gradcheck decode");
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("'decode' can't be checked: 'loss' is the function with derivatives"));
}

TEST_F(Commands, TrainsEvaluatesTranslates) {
  Outcome trained = run(train("run", "--epochs=30 --valid-source=source --valid-target=target"));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr("validation loss"));
  EXPECT_THAT(trained.err, Not(HasSubstr("\033"))) << "no bar without a terminal";
  std::ifstream log(folder / "run/log.jsonl");
  int intervals = 0, epochs = 0;
  for (std::string line; std::getline(log, line);) {
    auto record = nlohmann::json::parse(line);
    (record["kind"] == "epoch" ? epochs : intervals)++;
  }
  EXPECT_EQ(epochs, 30);
  EXPECT_EQ(intervals, 30 * 10 / 50);

  Outcome evaluated = run("evaluate --model=run --source=source --target=target");
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  for (const char *what : {"loss per token", "perplexity", "BLEU", "tokens per second"})
    EXPECT_THAT(evaluated.out, HasSubstr(what));
  EXPECT_EQ(run("evaluate --model=run --source=source --target=target --bleu-tokenizer=none --lowercase").code, 0);
  EXPECT_THAT(run("evaluate --model=run --source=source --target=target --bleu-tokenizer=zh").err,
              HasSubstr("--bleu-tokenizer: "));

  for (const char *beam : {"1", "4"}) {
    Outcome translated =
        run(std::string("translate --model=run --beam=") + beam, {.input = readAll(folder / "source")});
    ASSERT_EQ(translated.code, 0) << translated.err;
    EXPECT_EQ(translated.out, readAll(folder / "target")) << "beam " << beam;
  }
}

TEST_F(Commands, TranslateKeepsLinesInOrder) {
  ASSERT_EQ(run(train("run")).code, 0);
  std::string model = " --model=run/checkpoint-50.safetensors";
  std::string alone, lines;
  for (const char *line : {"5 6 7 8 9 10\n", "\n", "4\n", "23 22 21\n"}) {
    Outcome one = run("translate" + model, {.input = line});
    ASSERT_EQ(one.code, 0) << one.err;
    alone += one.out;
    lines += line;
  }
  Outcome together = run("translate" + model, {.input = lines});
  EXPECT_EQ(together.out, alone) << "a sentence's translation does not depend on the others";
  Outcome best = run("translate --beam=3 --n-best=2 --scores" + model, {.input = "5 6\n7\n"});
  ASSERT_EQ(best.code, 0) << best.err;
  EXPECT_THAT(best.out,
              testing::MatchesRegex("1\t-[0-9.]+\t[^\n]*\n1\t-[0-9.]+\t[^\n]*\n2\t-[0-9.]+\t[^\n]*\n2\t-[0-9.]+\t[^"
                                    "\n]*\n"));
  EXPECT_EQ(run("translate" + model, {.input = ""}).out, "");
  Outcome tooMany = run("translate --beam=2 --n-best=3" + model, {.input = "5\n"});
  EXPECT_EQ(tooMany.code, 1);
  EXPECT_THAT(tooMany.err, HasSubstr("expected --n-best to be at most --beam (2), but got 3"));
  Outcome wrongId = run("translate" + model, {.input = "5\n99\n"});
  EXPECT_EQ(wrongId.code, 1);
  EXPECT_THAT(wrongId.err, HasSubstr("standard input, line 2"));
  EXPECT_EQ(std::count(wrongId.out.begin(), wrongId.out.end(), '\n'), 1) << "the lines before it are translated";
  Outcome invalid = run("translate" + model, {.input = "5\n6\n\xff\n"});
  EXPECT_EQ(invalid.code, 1);
  EXPECT_EQ(std::count(invalid.out.begin(), invalid.out.end(), '\n'), 2);
  EXPECT_THAT(invalid.err, HasSubstr("standard input, line 3"));
  Outcome longLine = run("translate" + model, {.input = "5\n" + std::string(1 << 20, ' ') + "\n"});
  EXPECT_EQ(longLine.code, 0);
  EXPECT_THAT(longLine.err, HasSubstr("skipped 1 of 2 lines"));
  EXPECT_EQ(std::count(longLine.out.begin(), longLine.out.end(), '\n'), 2);
}

TEST_F(Commands, WeightsSayWhatTheyAreOf) {
  ASSERT_EQ(run(train("run", "--steps=3")).code, 0);
  auto change = [&](const std::string &file) {
    Safetensors whole = std::move(*Safetensors::open(folder / file));
    Safetensors::Metadata metadata = whole.metadata();
    nlohmann::json keys = nlohmann::json::parse(metadata.at("xf.model"));
    for (const char *other :
         {"learning_rate", "preset", "vocabulary", "max_positions"}) // the same model by another name
      EXPECT_FALSE(keys.contains(other)) << other;
    keys["d_model"] = 99;
    metadata["xf.model"] = keys.dump();
    ASSERT_TRUE(writeSafetensors(folder / file, whole.tensors(), metadata));
  };
  change("run/model.safetensors");
  change("run/checkpoint-3.safetensors");
  Outcome evaluated = run("evaluate --model=run --source=source --target=target");
  EXPECT_EQ(evaluated.code, 0);
  EXPECT_THAT(evaluated.err, HasSubstr("warning: 'run/model.safetensors' was trained with d_model=99 where this "
                                       "executable has "));
  Outcome resumed = run(train("run", "--steps=5 --resume"));
  EXPECT_EQ(resumed.code, 1);
  EXPECT_THAT(resumed.err, HasSubstr("the run in 'run' has a model of d_model=99 where this executable has "));
  // As many sentences, but others.
  ASSERT_EQ(run(train("texts", "--steps=3")).code, 0);
  Outcome texts = run("train --source=target --target=source --output=texts --batch-size=32 --steps=5 --resume");
  EXPECT_EQ(texts.code, 1);
  EXPECT_THAT(texts.err, HasSubstr("expected the text and vocabularies of the run in 'texts', but got as many others"));
  // Weights to start from are not taken into a run that has its own.
  Outcome both = run(train("texts", "--steps=5 --resume --model=run"));
  EXPECT_EQ(both.code, 0);
  EXPECT_THAT(both.err, HasSubstr("warning: --model=run is not read: the run has weights already"));
}

TEST_F(Commands, RunOnTensors) {
  ASSERT_EQ(run(train("run")).code, 0);
  int64_t source[] = {5, 6, 2, 7, 2}, target[] = {1, 8, 1}, labels[] = {8, 2, 2}; // int64 will do
  int64_t sourceOffsets[] = {0, 3, 5}, targetOffsets[] = {0, 2, 3};
  auto list = [](std::string_view name, auto &values) {
    return TensorView{name, ElementType::I64, {int64_t(std::size(values))}, values};
  };
  auto write = [&](const char *name) {
    std::vector<TensorView> tensors = {list("source_ids", source), list("source_offsets", sourceOffsets),
                                       list("target_ids", target), list("target_offsets", targetOffsets),
                                       list("labels", labels)};
    ASSERT_TRUE(writeSafetensors(folder / name, tensors));
  };
  write("batch.safetensors");
  std::string model = " --model=run/checkpoint-50.safetensors --input=batch.safetensors --output=";
  Outcome loss = run("run loss" + model + "loss.safetensors");
  ASSERT_EQ(loss.code, 0) << loss.err;
  EXPECT_THAT(loss.out, testing::StartsWith("loss "));
  Expected<Safetensors> result = Safetensors::open(folder / "loss.safetensors");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->find("token_nll")->shape, (std::vector<int64_t>{3}));

  ASSERT_EQ(run("run gradients" + model + "gradients.safetensors").code, 0);
  result = Safetensors::open(folder / "gradients.safetensors");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->tensors().size(), 5u);
  EXPECT_TRUE(result->find("loss") && result->find("grad.projection.weight"));

  Outcome step = run("run train_step" + model + "next.safetensors --learning-rate=0.05 --schedule=constant");
  ASSERT_EQ(step.code, 0) << step.err;
  EXPECT_THAT(step.out, HasSubstr("learning_rate 0.05"));
  EXPECT_THAT(step.out, HasSubstr("gradient_norm "));
  result = Safetensors::open(folder / "next.safetensors");
  ASSERT_TRUE(result && result->find("second_moment.projection.weight"));
  EXPECT_THAT(result->metadata().at("xf.progress"), HasSubstr("\"step\":51"));
  // What comes out goes in again, and weights alone are a state before its first step.
  EXPECT_EQ(run("run train_step --model=next.safetensors --input=batch.safetensors --output=b.safetensors").code, 0);
  EXPECT_EQ(run("run train_step --model=run/model.safetensors --input=batch.safetensors --output=c.safetensors").code,
            0);
  Outcome timed = run("run loss --repeat=5" + model + "loss.safetensors");
  EXPECT_THAT(timed.err, testing::ContainsRegex("repeat: median_s=[0-9.]+ best_s=[0-9.]+ runs=5 peak_rss_mib=[0-9]+"));

  struct Case {
    const char *message;
    std::function<void()> breakIt;
  };
  const Case cases[] = {
      {"expected 'source_ids' at index 1 to be from 0 to 23 (rows of 'source_embedding.weight'), but got 24",
       [&] { source[1] = 24; }},
      {"expected 'labels' at index 0 to be from 0 to 23 (the vocabulary), but got -1", [&] { labels[0] = -1; }},
      {"value 5000000000 of 'labels' at index 0 does not fit 32 bits", [&] { labels[0] = 5000000000; }},
      {"expected 'source_offsets' to start with 0, but got 1", [&] { sourceOffsets[0] = 1; }},
      {"expected 'target_offsets' not to decrease, but got 3 after 9 at index 2", [&] { targetOffsets[1] = 9; }},
      {"expected 'source_offsets' to end with the length of 'source_ids' (5), but got 4",
       [&] { sourceOffsets[2] = 4; }},
  };
  for (const Case &c : cases) {
    auto before = std::tuple(std::to_array(source), std::to_array(labels), std::to_array(sourceOffsets),
                             std::to_array(targetOffsets));
    c.breakIt();
    write("batch.safetensors");
    Outcome outcome = run("run loss" + model + "x.safetensors");
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, HasSubstr(c.message));
    EXPECT_FALSE(fs::exists(folder / "x.safetensors"));
    std::ranges::copy(std::get<0>(before), source), std::ranges::copy(std::get<1>(before), labels);
    std::ranges::copy(std::get<2>(before), sourceOffsets), std::ranges::copy(std::get<3>(before), targetOffsets);
  }
  Outcome wrong = run("run loss" + model + "x.safetensors --model=nowhere");
  EXPECT_EQ(wrong.code, 1);
  wrong = run("run fly --input=batch.safetensors --output=x.safetensors");
  EXPECT_THAT(wrong.err, HasSubstr("no function 'fly'; this executable has loss, gradients, train_step"));
  wrong = run("run loss --input=batch.safetensors --output=x.safetensors");
  EXPECT_THAT(wrong.err, HasSubstr("compiled without weights; pass --model=RUN"));
  wrong = run("run loss --model=batch.safetensors --input=batch.safetensors --output=x.safetensors");
  EXPECT_THAT(wrong.err, HasSubstr("missing: source_embedding.weight, target_embedding.weight"));
  EXPECT_THAT(wrong.err, HasSubstr("unexpected: labels, source_ids"));
  wrong = run("run encode --model=run --input=batch.safetensors --output=x.safetensors");
  EXPECT_THAT(wrong.err, HasSubstr("'encode' has no input 'labels'"));
}

TEST_F(Commands, AttentionDrawsEveryLayer) {
  ASSERT_EQ(run(train("run")).code, 0);
  Outcome outcome = run("attention --model=run --input=5 --output=maps");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::string svg = readAll(folder / "maps/attention.svg");
  EXPECT_THAT(svg, HasSubstr("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_THAT(svg, Not(HasSubstr("var("))); // which not all that takes SVG knows
  EXPECT_THAT(svg, HasSubstr("head 1"));
  EXPECT_THAT(svg, HasSubstr("0.500</title>")) << "two source tokens share the weight";
  Expected<Safetensors> numbers = Safetensors::open(folder / "maps/attention.safetensors");
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->find("decoder.0.cross_attention")->shape[0], 2);
  // A title of a wide font's bold letters ends where the picture does.
  std::string sentence = "5";
  for (int i = 0; i < 100; ++i)
    sentence += "\u00a0";
  ASSERT_EQ(run("attention --model=run --input=" + sentence + " --output=maps").code, 0);
  svg = readAll(folder / "maps/attention.svg");
  std::smatch found;
  ASSERT_TRUE(std::regex_search(svg, found, std::regex("<svg[^>]* width=\"([0-9]+)\"")));
  double width = std::stod(found[1]);
  ASSERT_TRUE(std::regex_search(svg, found, std::regex("class=\"title\"[^>]*>([^<]*)…</text>")));
  std::string title = found[1];
  auto letters = std::count_if(title.begin(), title.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
  EXPECT_LE(double(letters) * 18 * 0.7, width - 48);
  EXPECT_GT(double(letters + 1) * 18 * 0.7, width - 48);
  Outcome nothing = run("attention --model=run --input=\u00a0 --output=maps"); // a space, but for the command line
  EXPECT_EQ(nothing.code, 1);
  EXPECT_EQ(nothing.err, "error: expected --input to be a sentence, but it has no tokens\n");
  // What was made for results that did not come goes again; what was there stays.
  EXPECT_EQ(run("attention --model=run --input=\u00a0 --output=new/deep/maps/").code, 1);
  EXPECT_FALSE(fs::exists(folder / "new"));
  fs::create_directories(folder / "taken/attention.safetensors/full");
  EXPECT_THAT(run("attention --model=run --input=5 --output=taken").err, HasSubstr("can't write 'taken/attention.s"));
  EXPECT_FALSE(fs::exists(folder / "taken/attention.svg"));
  fs::create_directory(folder / "empty");
  EXPECT_EQ(run("attention --model=nowhere --input=5 --output=empty").code, 1);
  EXPECT_TRUE(fs::exists(folder / "empty"));
}

TEST_F(Commands, ReportDrawsRuns) {
  std::string valid = " --valid-source=source --valid-target=target --log-steps=1 --epochs=3";
  ASSERT_EQ(run(train("a", valid + " --valid-steps=4")).code, 0);
  ASSERT_EQ(run(train("b", valid + " --seed=2")).code, 0);
  Outcome one = run("report a");
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.out, "a/report.html\n");
  std::string page = readAll(folder / "a/report.html");
  EXPECT_THAT(page, HasSubstr("<title>toy: training of a</title>"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("http")));
  EXPECT_THAT(page, Not(HasSubstr("run1\" d=")));
  auto count = [](const std::string &text, const std::string &what) {
    int times = 0;
    for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1))
      ++times;
    return times;
  };
  EXPECT_EQ(count(page, "<circle"), 3 + 6) << "an epoch each, and two within it";
  size_t training = page.find("<path class=\"curve thin run0\"");
  ASSERT_NE(training, page.npos);
  EXPECT_EQ(count(page.substr(training, page.find("/>", training) - training), "L"), 29) << "30 steps";

  Outcome two = run("report a b/log.jsonl --output=both.html");
  EXPECT_EQ(two.code, 0) << two.err;
  page = readAll(folder / "both.html");
  EXPECT_THAT(page, HasSubstr("training of 2 runs"));
  EXPECT_THAT(page, HasSubstr("run1\" d="));
  EXPECT_EQ(count(page, "<figure>"), 4);

  // A line that is being written is left out; any other that is no record is said.
  std::ofstream(folder / "a/log.jsonl", std::ios::app) << "{\"kind\":\"inter";
  EXPECT_EQ(run("report a").code, 0);
  std::ofstream(folder / "a/log.jsonl", std::ios::app) << "\n";
  Outcome broken = run("report a");
  EXPECT_EQ(broken.code, 1);
  EXPECT_EQ(broken.err, "error: 'a/log.jsonl', line 40: expected a record with 'kind' and 'step'\n");
  std::ofstream(folder / "empty.jsonl");
  EXPECT_EQ(run("report empty.jsonl").err, "error: 'empty.jsonl' has no records of a loss yet\n");
  EXPECT_THAT(run("report nowhere").err, HasSubstr("'nowhere': No such file or directory"));
  EXPECT_EQ(run("report .").err, "error: expected '.' to be the folder of a run, but it has no log.jsonl\n");
  EXPECT_THAT(run("report").err, HasSubstr("error: RUN is required; see "));
}

TEST_F(Commands, ProfilePrintsKernels) {
  Outcome outcome = run(train("run", "--steps=5 --profile"));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("embedding_gradients"));
  EXPECT_THAT(outcome.err, HasSubstr("of limit"));
  outcome = run(train("page", "--steps=5 --profile=pages/profile.html"));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, Not(HasSubstr("embedding_gradients")));
  EXPECT_THAT(readAll(folder / "pages/profile.html"), HasSubstr("<td>embedding_gradients</td>"));
  outcome = run(train("nowhere", "--steps=5 --profile=/proc/profile.html"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("/proc"));
  EXPECT_FALSE(fs::exists(folder / "nowhere")) << "said before training begins";
}

TEST_F(Commands, AverageIsTheMeanOfTheLastCheckpoints) {
  ASSERT_EQ(run(train("run", "--steps=7 --checkpoint-steps=1 --keep=3")).code, 0);
  EXPECT_FALSE(fs::exists(folder / "run/checkpoint-4.safetensors")) << "--keep";
  Outcome averaged = run("average run --last=3 --output=mean.safetensors");
  ASSERT_EQ(averaged.code, 0) << averaged.err;
  EXPECT_EQ(averaged.err, "averaged 3 checkpoints into 'mean.safetensors'\n");
  EXPECT_EQ(averaged.out, "");
  auto values = [&](const std::string &name) {
    Expected<Safetensors> file = Safetensors::open((folder / name).string());
    EXPECT_TRUE(file) << name;
    std::vector<float> all;
    for (const TensorView &tensor : file->tensors()) {
      if (tensor.name.find("_moment.") != tensor.name.npos)
        continue;
      size_t begin = all.size();
      all.resize(begin + tensor.elements());
      std::memcpy(all.data() + begin, tensor.data, tensor.bytes());
    }
    return all;
  };
  std::vector<float> mean = values("mean.safetensors"), a = values("run/checkpoint-5.safetensors"),
                     b = values("run/checkpoint-6.safetensors"), c = values("run/checkpoint-7.safetensors");
  ASSERT_NE(a, c);
  ASSERT_EQ(mean.size(), 2176u);
  for (size_t i = 0; i < mean.size(); ++i)
    ASSERT_EQ(mean[i], float((double(a[i]) + b[i] + c[i]) / 3));

  // Files are taken as they are; the mean of one is itself, and what it gives is a model.
  ASSERT_EQ(run("average run/checkpoint-6.safetensors --output=one.safetensors").code, 0);
  EXPECT_EQ(values("one.safetensors"), b);
  // Weights of other widths too.
  Expected<Safetensors> file = Safetensors::open((folder / "one.safetensors").string());
  ASSERT_TRUE(file);
  std::vector<std::vector<double>> wide;
  std::vector<TensorView> tensors;
  for (TensorView tensor : file->tensors()) {
    std::vector<float> narrow(tensor.elements());
    copyReals(tensor, narrow.data());
    tensor.data = wide.emplace_back(narrow.begin(), narrow.end()).data();
    tensor.type = ElementType::F64;
    tensors.push_back(tensor);
  }
  ASSERT_TRUE(writeSafetensors(folder / "wide.safetensors", tensors));
  ASSERT_EQ(run("average wide.safetensors one.safetensors --output=both.safetensors").code, 0);
  EXPECT_EQ(values("both.safetensors"), b);
  Outcome evaluated = run("evaluate --model=mean.safetensors --source=source --target=target");
  EXPECT_EQ(evaluated.code, 0) << evaluated.err;

  Outcome few = run("average run --output=mean.safetensors");
  EXPECT_EQ(few.code, 1);
  EXPECT_EQ(few.err, "error: expected 'run' to have 5 checkpoints, but it has 3; --last=N averages fewer, and train's "
                     "--keep and --checkpoint-steps say how many there are\n");
  EXPECT_THAT(run("average nowhere --output=x").err, HasSubstr("can't open 'nowhere'"));
  EXPECT_FALSE(fs::exists(folder / "x"));
  EXPECT_THAT(run("average --output=x").err, HasSubstr("inputs is required"));
}

TEST_F(Commands, InputsThatAreNoneOfTheirKind) {
  ASSERT_EQ(run(train("run", "--steps=1")).code, 0);
  auto expectError = [&](const std::string &command, const std::string &message, const std::string &input = "") {
    Outcome outcome = run(command, {.input = input});
    EXPECT_EQ(outcome.code, 1) << command;
    EXPECT_THAT(outcome.err, HasSubstr("error: " + message));
  };
  expectError("translate --model=run --prefix=word", "--prefix: ", "5\n");
  expectError("translate --model=run --prefix-column", "standard input, line 2, behind the tab: ", "5\t6\n7\tword\n");
  expectError("translate --model=/dev/null", "can't read '/dev/null': expected a file or a pipe");
  std::ofstream(folder / "short.safetensors") << "abc";
  expectError("translate --model=short.safetensors",
              "'short.safetensors' is not a valid safetensors file: it has 3 bytes, the header's length alone takes 8");
  std::ofstream(folder / "long") << "5 6 7\n";
  expectError("evaluate --model=run --source=long --target=long --max-length=2",
              "all 1 pairs of 'long' and 'long' are too long");
  Safetensors whole = std::move(*Safetensors::open(folder / "run/checkpoint-1.safetensors"));
  fs::create_directory(folder / "other");
  auto writeCheckpoint = [&](const Safetensors::Metadata &metadata) {
    ASSERT_TRUE(writeSafetensors(folder / "other/checkpoint-1.safetensors", whole.tensors(), metadata));
  };
  writeCheckpoint({});
  expectError(train("other", "--steps=2 --resume"),
              "'other/checkpoint-1.safetensors' is not a checkpoint: its metadata has no 'xf.progress'");
  writeCheckpoint({{"xf.progress", "{}"}});
  expectError(train("other", "--steps=2 --resume"),
              "'other/checkpoint-1.safetensors' is not a checkpoint: its metadata "
              "'xf.progress' is malformed: ");
  fs::remove(folder / "in");
  fs::create_directory(folder / "in"); // what is read as standard input
  expectError("translate --model=run", "can't read standard input: Is a directory");
}
