//===- Generate.cpp - The command `generate` ----------------------------------------------------===//
// Goes on with a text, token by token, and prints it line by line as it comes.
//===-------------------------------------------------------------------------------------------===//
#include "Commands.h"
#include "xf/Runtime/Text/Generator.h"
#include "xf/Runtime/Text/Vocabularies.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>

using namespace xf::runtime;

namespace {
struct GenerateOptions : GeneratorOptions {
  std::string model, prompt;
  int repeat = 0;
};
} // namespace

/// All of stdin, without the newline that ends its last line.
static Expected<std::string> readInput() {
  std::string text;
  constexpr size_t block = size_t(1) << 16;
  for (ssize_t count = 1; count != 0;) {
    size_t before = text.size();
    text.resize(before + block);
    count = read(STDIN_FILENO, text.data() + before, block);
    text.resize(before + size_t(std::max<ssize_t>(count, 0)));
    if (count < 0 && errno != EINTR)
      return userError(fmt::format("can't read standard input: {}", std::strerror(errno)));
  }
  if (text.ends_with('\n'))
    text.pop_back();
  return text;
}

static Expected<int> generate(Session &session, const GenerateOptions &options) {
  Expected<Vocabulary> vocabulary = openVocabulary(session);
  if (!vocabulary)
    return vocabulary.error();
  bool isPiped = options.prompt == "-";
  Expected<std::string> text = isPiped ? readInput() : Expected<std::string>(options.prompt);
  if (!text)
    return text.error();
  Expected<std::vector<int32_t>> prompt =
      encodePrompt(*text, *vocabulary, TextForm::of(session.program), isPiped ? "standard input" : "--prompt");
  if (!prompt)
    return prompt.error();
  Expected<ModelState> model = session.loadModel(options.model, {"decode"});
  if (!model)
    return model.error();
  auto goOn = [&](const std::function<Expected<void>(std::string)> &give) {
    return generateText(session, *model, *vocabulary, *prompt, options, give);
  };
  Expected<void> generated =
      options.repeat
          ? measure(session, options.repeat, [&] { return goOn([](const std::string &) { return Expected<void>(); }); })
          : goOn([](const std::string &line) {
              printResult("{}\n", line);
              return flushResults();
            });
  return generated ? Expected<int>(0) : generated.error();
}

void xf::runtime::addGenerate(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<GenerateOptions>();
  static_cast<GeneratorOptions &>(*options) = GeneratorOptions::of(session.program);
  CLI::App *command = app.add_subcommand("generate", "Go on with a text");
  addModelOption(*command, session, options->model);
  command->add_option("--prompt", options->prompt, "The text to go on with; -: standard input")->default_str("none");
  command
      ->add_option("--max-length", options->maxLength,
                   "Tokens to generate; where the model's positions end it goes on with the newer half of what it sees")
      ->check(positiveNumber());
  command
      ->add_option("--temperature", options->sampling.temperature,
                   "Above 1: more surprising, below: less; 0: always the likeliest token")
      ->check(nonNegativeNumber());
  command->add_option("--top-k", options->sampling.topK, "Draw among so many likeliest tokens; 0: all")
      ->check(nonNegativeNumber());
  command
      ->add_option("--top-p", options->sampling.topP,
                   "Draw among the likeliest tokens whose probabilities sum up to this")
      ->check(share());
  command->add_option("--seed", options->sampling.seed, "Seed of the draws")->check(nonNegativeNumber());
  command->add_option("--repeat", options->repeat, "Print no text, but how long this many times take")
      ->check(positiveNumber());
  addExecutionOptions(*command, session);
  command->callback(
      [&session, &action, options] { action = [&session, options] { return generate(session, *options); }; });
}
