//===- Commands.h - the toy's executable, run as a user does ------------*- C++ -*-===//
// A folder with a corpus, and what a command in it gave: its output, its messages, its exit code.
//===-------------------------------------------------------------------------------===//
#ifndef XF_TEST_COMMANDS_H
#define XF_TEST_COMMANDS_H

#include "Toy.h"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace xf::toy {
inline std::string readAll(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Outcome {
  int code; // 128 + signal where one ended it
  std::string out, err;
};

class Commands : public testing::Test {
protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "xf-commands-XXXXXX").string();
    folder = mkdtemp(name.data());
    std::ofstream source(folder / "source"), target(folder / "target");
    for (int i = 0; i < 300; ++i) {
      int word = 4 + (i * 13 + i / 7) % 20;
      source << word << "\n";
      target << 4 + (word * 7 + 3) % 20 << "\n";
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  struct How {
    std::vector<std::string> environment = {};
    std::string input = {};
    int killAfterMs = 0, signal = SIGKILL;
    int64_t addressSpace = 0;
  };

  pid_t start(const std::string &command, const How &how) {
    std::ofstream(folder / "in") << how.input;
    pid_t child = fork();
    if (child)
      return child;
    if (chdir(folder.c_str()) != 0)
      _exit(127);
    auto redirect = [](const char *path, int flags, int to) { dup2(open(path, flags, 0666), to); };
    redirect("in", O_RDONLY, STDIN_FILENO);
    redirect("out", O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
    redirect("err", O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
    for (const std::string &variable : how.environment)
      putenv(const_cast<char *>(variable.c_str()));
    if (how.addressSpace) {
      rlimit limit = {rlim_t(how.addressSpace), rlim_t(how.addressSpace)};
      setrlimit(RLIMIT_AS, &limit);
    }
    std::istringstream words(command);
    std::vector<std::string> arguments = {XF_TOY};
    for (std::string word; words >> word;)
      arguments.push_back(word);
    std::vector<char *> pointers;
    for (std::string &argument : arguments)
      pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    execv(XF_TOY, pointers.data());
    _exit(127);
  }

  Outcome run(const std::string &command) { return run(command, How()); }
  Outcome run(const std::string &command, const How &how) {
    pid_t child = start(command, how);
    if (how.killAfterMs) {
      usleep(how.killAfterMs * 1000);
      kill(child, how.signal);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return {WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), readAll(folder / "out"),
            readAll(folder / "err")};
  }

  /// Options of a short training run.
  std::string train(const std::string &output, const std::string &more = "--steps=50") {
    return "train --source=source --target=target --output=" + output +
           " --batch-size=32 --learning-rate=0.05 --schedule=constant " + more;
  }

  /// A run's log without what the clock says.
  std::vector<std::string> recordsOf(const std::string &output) {
    std::vector<std::string> records;
    std::istringstream lines(readAll(folder / output / "log.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      nlohmann::json record = nlohmann::json::parse(line);
      for (const char *name : {"seconds", "tokens_per_s"})
        record.erase(name);
      records.push_back(record.dump());
    }
    return records;
  }

  std::filesystem::path folder;
};
} // namespace xf::toy

#endif // XF_TEST_COMMANDS_H
