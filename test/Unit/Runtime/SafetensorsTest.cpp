//===- SafetensorsTest.cpp - The reader believes nothing, the writer is exact --------===//
#include "xf/Runtime/Safetensors.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace xf::runtime;
namespace fs = std::filesystem;

static std::string fileOf(const std::string &header, size_t dataBytes) {
  uint64_t length = header.size();
  std::string file(reinterpret_cast<const char *>(&length), 8);
  return file + header + std::string(dataBytes, '\0');
}

static std::string problemOf(const std::string &bytes) {
  Expected<Safetensors> file = Safetensors::parse(bytes, "f");
  return file ? "accepted" : file.error().message;
}

/// What this process has mapped of files, in KiB.
static int64_t mappedOfFiles() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssFile:"))
      return std::stoll(line.substr(8));
  return 0;
}

// To read a number maps what lies around it, too: 16 pages at least.
TEST(Safetensors, KeepsNothingOfWhatIsCopied) {
  std::vector<float> large(1 << 18), small(3);
  std::vector<TensorView> tensors;
  std::vector<std::string> names;
  for (int i = 0; i < 60; ++i)
    names.push_back("t" + std::to_string(100 + i));
  for (size_t i = 0; i < names.size(); ++i)
    tensors.push_back(
        {names[i], ElementType::F32, {int64_t((i % 2 ? large : small).size())}, (i % 2 ? large : small).data()});
  std::string path = fs::temp_directory_path() / ("xf-keeps-" + std::to_string(getpid()) + ".safetensors");
  ASSERT_TRUE(writeSafetensors(path, tensors));
  int64_t before = mappedOfFiles();
  Expected<Safetensors> file = Safetensors::open(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_LT(mappedOfFiles(), before + 256); // its checksum was read
  for (const TensorView &tensor : file->tensors())
    if (tensor.elements() == 3)
      file->moveReals(tensor, small.data());
  EXPECT_LT(mappedOfFiles(), before + 256);
  for (const TensorView &tensor : file->tensors())
    file->moveReals(tensor, tensor.elements() == 3 ? small.data() : large.data());
  EXPECT_LT(mappedOfFiles(), before + 256);
  fs::remove(path);
}

TEST(Safetensors, ChecksEverything) {
  auto entry = [](const char *rest) { return std::string("{\"a\":{") + rest + "}}"; };
  struct Case {
    const char *problem;
    std::string bytes;
  };
  const Case cases[] = {
      {"it has 0 bytes", ""},
      {"it has 3 bytes", "abc"},
      {"the header has 100 bytes, the file 10", std::string("d\0\0\0\0\0\0\0{}", 10)},
      {"the header is not JSON", fileOf("{", 0)},
      {"the header is not JSON", fileOf("", 0)},
      {"the header is not a JSON object", fileOf("[1]", 0)},
      {"'__metadata__' is not an object", fileOf("{\"__metadata__\":\"x\"}", 0)},
      {"the metadata 'k' is not a string", fileOf("{\"__metadata__\":{\"k\":1}}", 0)},
      {"tensor 'a' has no 'dtype'", fileOf("{\"a\":3}", 0)},
      {"has the type \"F8_E4M3\"; supported are F32, BF16, F16, I32, I64, F64, BOOL, I8 and U8",
       fileOf(entry("\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]"), 2)},
      {"has an extent that is not a number or too large",
       fileOf(entry("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"), 4)},
      {"has an extent that is not a number or too large",
       fileOf(entry("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]"), 4)},
      {"'data_offsets' that are not two numbers",
       fileOf(entry("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"), 4)},
      {"lies at bytes 0 to 8 of 4: the file is truncated",
       fileOf(entry("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 4)},
      {"has 4 bytes where its shape [2] needs 8",
       fileOf(entry("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]"), 4)},
      {"it has 4 bytes after the last tensor",
       fileOf(entry("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 8)},
      {"'b' overlaps another",
       fileOf("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":"
              "\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
              8)},
      {"'a' lies behind bytes of no tensor",
       fileOf(entry("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8)},
      {"the name 'a' comes twice", fileOf("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{"
                                          "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                                          4)},
  };
  for (const Case &c : cases)
    EXPECT_NE(problemOf(c.bytes).find(c.problem), std::string::npos)
        << "wanted: " << c.problem << "\n   got: " << problemOf(c.bytes);
  EXPECT_EQ(problemOf(fileOf("{}", 0)), "accepted");
  EXPECT_EQ(problemOf(fileOf("{}   ", 0)), "accepted");
  EXPECT_EQ(problemOf(fileOf(entry("\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]"), 8)), "accepted");
}

TEST(Safetensors, WritesTheSameBytesInAnyOrderAndReadsThemBack) {
  fs::path folder = fs::temp_directory_path() / ("xf-safetensors-" + std::to_string(getpid()));
  fs::create_directories(folder);
  std::string first = folder / "a.safetensors", second = folder / "b.safetensors";
  float values[6] = {1, 2, 3, 4, 5, 6};
  int32_t ids[3] = {7, 8, 9};
  int64_t random[2] = {-1, 1};
  std::vector<TensorView> tensors = {{"x", ElementType::F32, {2, 3}, values},
                                     {"ids", ElementType::I32, {3}, ids},
                                     {"random", ElementType::I64, {2}, random},
                                     {"empty", ElementType::F32, {0, 4}, nullptr}};
  ASSERT_TRUE(writeSafetensors(first, tensors, {{"k", "v"}}));
  std::reverse(tensors.begin(), tensors.end());
  ASSERT_TRUE(writeSafetensors(second, tensors, {{"k", "v"}}));
  Expected<MappedFile> a = MappedFile::open(first), b = MappedFile::open(second);
  ASSERT_TRUE(a && b);
  EXPECT_TRUE(std::equal(a->data().begin(), a->data().end(), b->data().begin(), b->data().end()));
  uint64_t header;
  std::memcpy(&header, a->data().data(), 8);
  EXPECT_EQ((header + 8) % 64, 0u);
  Expected<Safetensors> read = Safetensors::open(first);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->metadata().at("k"), "v");
  ASSERT_TRUE(read->find("x"));
  EXPECT_EQ(read->find("x")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(read->find("x")->data, values, sizeof values), 0);
  EXPECT_EQ(std::memcmp(read->find("random")->data, random, sizeof random), 0);
  EXPECT_EQ(read->find("empty")->elements(), 0);
  EXPECT_EQ(read->find("y"), nullptr);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 2) << "something was left beside";
  fs::remove_all(folder);
}

TEST(Files, SayTheSystemsReason) {
  EXPECT_EQ(Safetensors::open("/nonexistent/x").error().message,
            "can't open '/nonexistent/x': No such file or directory");
  EXPECT_EQ(MappedFile::open("/").error().message, "can't open '/': Is a directory");
  EXPECT_EQ(writeFile("/nonexistent/x", "text").error().message,
            "can't write '/nonexistent/x': No such file or directory");
  EXPECT_NE(makeWritableFolder("/proc/xf").error().message.find("can't make the folder '/proc/xf': "),
            std::string::npos);
  EXPECT_NE(makeWritableFolder("/tmp", INT64_MAX).error().message.find("No space left on device"), std::string::npos);
}
