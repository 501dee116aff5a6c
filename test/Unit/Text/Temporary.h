//===- Temporary.h - Files for a test --------------------------------------------------===//
// A folder that lives as long as the test does.
//===----------------------------------------------------------------------------------===//
#ifndef XF_TEST_UNIT_TEXT_TEMPORARY_H
#define XF_TEST_UNIT_TEXT_TEMPORARY_H

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "xf-text-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(folder); }
  std::string path(const std::string &name) const { return folder + "/" + name; }
  std::string write(const std::string &name, std::string_view text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }

private:
  std::string folder;
};

#endif // XF_TEST_UNIT_TEXT_TEMPORARY_H
