//===- xf-compile.cpp - a model in, an executable out ---------------------===//
// Parses the command line; the work is in lib/Driver.
//===----------------------------------------------------------------------===//
#include "xf/Driver/Compile.h"
#include "xf/Runtime/CommandLine.h"
#include "xf/Runtime/Team.h"
#include <csignal>
#include <iostream>
#include <llvm/Support/Signals.h>
#include <unistd.h>

/// A crash of a pass is survived (lib/Driver/Reproducer.cpp); one elsewhere must not be without a word either.
static void tellOfCrash(void *) {
  constexpr std::string_view message = "xf-compile: error: crashed: a defect of xf, not of your input\n"
                                       "xf-compile: note: --dump-stages=DIR keeps the module after each stage before\n";
  (void)!write(STDERR_FILENO, message.data(), message.size());
  _exit(2);
}

int main(int argc, char **argv) {
  llvm::sys::AddSignalHandler(tellOfCrash, nullptr);
  xf::CompileOptions options;
  CLI::App app{"Compiles a Transformer into an executable that trains and infers.", "xf-compile"};
  bool listPresets = false;
  app.add_option(
         "INPUT", options.input,
         "FILE.mlir, FILE.mlirbc, - (standard input), preset:NAME[,key=value...], or a folder in Hugging Face's layout")
      ->option_text(" ");
  app.add_option("-o", options.output, "what to write")->option_text("FILE");
  app.add_option("--emit", options.emit,
                 "an executable; a library and its C header; or an object of the program and its kernels alone")
      ->option_text("exe|shared|static|object");
  app.add_option("--functions", options.functions,
                 "only these entry points or commands (train, evaluate, translate, attention, generate, embed)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->option_text("NAME,...");
  app.add_option("--vocab", options.vocab, "vocabulary of both languages, embedded")->option_text("FILE");
  app.add_option("--source-vocab", options.sourceVocab, "vocabulary of the source language, embedded")
      ->option_text("FILE");
  app.add_option("--target-vocab", options.targetVocab, "vocabulary of the target language, embedded")
      ->option_text("FILE");
  app.add_option("--weights", options.weights, "weights, embedded")->option_text("FILE.safetensors");
  app.add_option("--weights-map", options.weightsMap, "how the names of --weights become the model's (docs/Weights.md)")
      ->option_text("FILE.json");
  app.add_option("--target", options.target, "cpu, cuda (an NVIDIA GPU), or cpu,cuda for both in one executable")
      ->option_text("cpu|cuda");
  app.add_option("--gpu", options.gpu, "the oldest GPU that cuda is for (sm_80), or native: this machine's")
      ->option_text("NAME");
  app.add_option("--cpu", options.cpu, "native, x86-64-v3, aarch64, or a processor's name")->option_text("NAME");
  app.add_option("--precision", options.precision,
                 "bf16: of activations and of the weights that products read; tf32: of what products on a GPU take of "
                 "f32, a processor taking all; sums, parameters and the optimizer are f32")
      ->option_text("f32|bf16|tf32");
  app.add_option("--quantize", options.quantize,
                 "int8: predictions read the weights of products as 8-bit integers with a scale a row, a quarter of "
                 "the memory they read otherwise; training and what is saved stay f32")
      ->option_text("none|int8");
  app.add_option("--recompute", options.recompute,
                 "what the backward computes again instead of keeping: nothing, all, or as little as lets a training "
                 "step work in so much memory (for --report-tokens; such as 512M)")
      ->option_text("none|full|BYTES");
  app.add_option("--fit", options.fit,
                 "compile nothing: print the largest batches that train and infer in so much memory (such as 2GiB)")
      ->option_text("BYTES");
  app.add_option("--compile-to", options.compileTo, "stop after this stage and write the module")->option_text("STAGE");
  app.add_option("--compile-from", options.compileFrom, "INPUT is the module before this stage")->option_text("STAGE");
  app.add_option("--dump-stages", options.dumpStages, "write the module after every stage into this folder")
      ->option_text("DIR");
  app.add_option("--check", options.check,
                 "run the module after every stage on the same inputs (this folder's, or made up) and name the first "
                 "value that differs; INPUT may be a folder of --dump-stages")
      ->option_text("DIR");
  app.add_flag("--list-presets", listPresets, "list the presets");
  app.add_flag("--print-input", options.printInput, "write the model as readable .mlir");
  app.add_flag("-v,--verbose", options.verbose, "say what is done, and when it is");
  app.add_flag("--timing", options.timing, "print the time of every stage");
  app.add_flag("--report", options.report, "print each kernel's work, or write it as a page; needs no -o")
      ->transform([](const std::string &file) { return file == "true" ? "-" : file; }) // "true": no file is named
      ->option_text("[=F.html]");
  app.add_option("--report-tokens", options.reportTokens,
                 "tokens a side of the batch that --report counts, --tune runs and --recompute=BYTES is for (4096)")
      ->check(CLI::Range(1, 1 << 30))
      ->option_text("N");
  app.add_option("--report-sequences", options.reportSequences, "sequences of that batch (one in 25 tokens)")
      ->check(CLI::Range(1, 1 << 30))
      ->option_text("B");
  app.add_option("--tune", options.tune,
                 "measure other schedules of the kernels on this machine, write the best; needs no -o")
      ->option_text("FILE");
  app.add_option("--schedules", options.schedules, "take schedules that --tune has measured")->option_text("FILE");
  app.add_option("--threads", options.threads, "threads that compile kernels, and run them for --tune (one a core)")
      ->check(CLI::Range(1, xf::runtime::Team::most))
      ->option_text("N");
  app.add_flag_callback("--no-cache", [&] { options.cache = false; }, "compile every kernel anew, and keep none");
  app.add_option("--cache-size", options.cacheSize, "bound of the cache of kernels in MiB (256)")
      ->check(CLI::Range(1, 1 << 20))
      ->option_text("MIB");
  app.set_version_flag("--version", "xf-compile " XF_VERSION);
  // A limit of files' sizes is an error of the write. Not ignored: LLVM has a handler.
  sigset_t limits;
  sigemptyset(&limits);
  sigaddset(&limits, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &limits, nullptr);
  auto fail = [](const std::string &message) {
    std::cerr << "xf-compile: error: " << message << "\n";
    return 1;
  };
  auto parsed = xf::runtime::parseCommandLine(app, argc, argv, {"-o", "--report", "--tune"});
  if (!parsed)
    return fail(parsed.error().message);
  if (*parsed)
    return **parsed;
  if (listPresets)
    return std::cout << xf::listPresets() << std::flush ? 0 : fail("can't write the results to stdout");
  if (options.input.empty())
    return fail("a model is needed: FILE.mlir, preset:NAME (see --list-presets) or a folder in Hugging Face's layout");
  try {
    return xf::compile(options);
  } catch (const xf::runtime::Raised &raised) { // threads that the system refuses
    return fail(raised.error.message);
  }
}
