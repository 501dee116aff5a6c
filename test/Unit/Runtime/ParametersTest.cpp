//===- ParametersTest.cpp - Initial values, files, checkpoints -----------------------===//
#include "Toy.h"
#include "xf/Runtime/Checkpoint.h"
#include "xf/Runtime/Philox.h"

#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace xf;
using namespace xf::runtime;
namespace fs = std::filesystem;

namespace {
/// A folder that goes when the test ends.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "xf-test-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(const std::string &name) const { return (path / name).string(); }
};

Program toyProgram() { return std::move(*parseProgram(toy::programJson(), toy::kernels().size())); }
ModelState toyState(const Program &program) {
  return std::move(*ModelState::allocate(program, {.gradients = false, .moments = true}));
}

void flipByte(const std::string &path, int64_t fromEnd) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-fromEnd, std::ios::end);
  char byte = char(file.get());
  file.seekp(-fromEnd, std::ios::end);
  file.put(char(byte ^ 1));
}
} // namespace

TEST(Philox, KnownAnswers) {
  // Random123's kat_vectors.
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Parameters, InitialValuesFollowTheirKinds) {
  Program program = toyProgram();
  program.parameters[2].init = {Initializer::Ones, 0};
  ModelState state = toyState(program), again = toyState(program), other = toyState(program);
  ASSERT_TRUE(state.initialize(program, 42) && again.initialize(program, 42) && other.initialize(program, 43));
  const float *values = state.arenas().parameters.here();
  EXPECT_EQ(std::memcmp(values, again.arenas().parameters.here(), toy::elements * 4), 0);
  EXPECT_NE(std::memcmp(values, other.arenas().parameters.here(), toy::elements * 4), 0);

  auto moments = [&](int64_t offset, int64_t count) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < count; ++i)
      mean += values[offset + i] / count, square += double(values[offset + i]) * values[offset + i] / count;
    return std::pair(mean, std::sqrt(square));
  };
  int64_t count = toy::vocabulary * toy::width;
  auto [mean, deviation] = moments(toy::sourceEmbedding, count);
  EXPECT_NEAR(mean, 0, 0.05);
  EXPECT_NEAR(deviation, 0.3, 0.03);
  double bound = std::sqrt(6.0 / (toy::vocabulary + toy::width));
  float most = 0;
  for (int64_t i = 0; i < count; ++i)
    most = std::max(most, std::abs(values[toy::projection + i]));
  EXPECT_LE(most, bound);
  EXPECT_GT(most, 0.95 * bound);
  EXPECT_EQ(values[toy::positionEmbedding], 1.0f);
  for (int64_t i = count; i < 1024; ++i)
    EXPECT_EQ(values[i], 0.0f) << "padding";
}

TEST(Parameters, MismatchesAreNamedAllAtOnce) {
  Folder folder;
  Program program = toyProgram();
  ModelState state = toyState(program);
  std::vector<TensorView> views = *state.parameterViews(program);
  views[0].name = "source_embeding.weight";
  views[1].shape = {16, 24};
  ASSERT_TRUE(writeSafetensors(folder / "w.safetensors", views));
  Expected<Safetensors> file = Safetensors::open(folder / "w.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  Expected<void> loaded = state.loadParameters(program, *file);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message,
            "'" + (folder / "w.safetensors") +
                "' does not match the model 'toy'\n"
                "  expected 'target_embedding.weight' to be f32 [24, 16], but got f32 [16, 24]\n"
                "  missing: source_embedding.weight\n"
                "  unexpected: source_embeding.weight");
  EXPECT_EQ(loaded.error().exitCode, 1);
}

TEST(Parameters, AreReadFromOtherTypes) {
  Folder folder;
  Program program = toyProgram();
  ModelState state = toyState(program), other = toyState(program);
  ASSERT_TRUE(state.initialize(program, 1) && other.initialize(program, 2));
  std::vector<TensorView> views = *state.parameterViews(program);
  OwnedTensor half("", ElementType::BF16, views[0].shape), wide("", ElementType::F64, views[1].shape);
  for (int64_t i = 0; i < views[0].elements(); ++i) // its upper two bytes
    std::memcpy(half.as<uint16_t>() + i, static_cast<const char *>(views[0].data) + 4 * i + 2, 2);
  for (int64_t i = 0; i < views[1].elements(); ++i)
    wide.as<double>()[i] = static_cast<const float *>(views[1].data)[i];
  std::vector<TensorView> kept = views;
  kept[0].type = ElementType::BF16, kept[0].data = half.view().data;
  kept[1].type = ElementType::F64, kept[1].data = wide.view().data;
  ASSERT_TRUE(writeSafetensors(folder / "w.safetensors", kept));
  Expected<Safetensors> file = Safetensors::open(folder / "w.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(other.loadParameters(program, *file));
  std::vector<TensorView> read = *other.parameterViews(program);
  for (int64_t i = 0; i < views[0].elements(); ++i) {
    float expected = static_cast<const float *>(views[0].data)[i], got = static_cast<const float *>(read[0].data)[i];
    EXPECT_LE(std::abs(got), std::abs(expected));
    EXPECT_NEAR(got, expected, std::abs(expected) / 128);
  }
  for (size_t i = 1; i < views.size(); ++i)
    EXPECT_EQ(std::memcmp(read[i].data, views[i].data, views[i].bytes()), 0) << views[i].name;
}

TEST(Parameters, LongListsAreCutWithTheCount) {
  Folder folder;
  Program program = toyProgram();
  ModelState state = toyState(program);
  std::vector<std::string> names;
  std::vector<TensorView> views = *state.parameterViews(program);
  float value = 0;
  for (int i = 0; i < 12; ++i)
    names.push_back("extra." + std::to_string(10 + i));
  for (const std::string &name : names)
    views.push_back({name, ElementType::F32, {}, &value});
  ASSERT_TRUE(writeSafetensors(folder / "w.safetensors", views));
  Expected<Safetensors> file = Safetensors::open(folder / "w.safetensors");
  std::string message = state.loadParameters(program, *file).error().message;
  EXPECT_NE(message.find("extra.19, ... (12 in all)"), std::string::npos) << message;
  EXPECT_EQ(message.find("extra.20"), std::string::npos);
}

TEST(Checkpoint, RoundTripsAndKeepsTheNewest) {
  Folder folder;
  Program program = toyProgram();
  ModelState state = toyState(program), loaded = toyState(program);
  ASSERT_TRUE(state.initialize(program, 7));
  state.arenas().firstMoments.here()[3] = 0.5f;
  state.arenas().secondMoments.here()[toy::projection] = 0.25f;
  Progress progress;
  progress.seed = 1234567890123456789u;
  progress.epoch = 2, progress.batch = 5;
  progress.best = 40, progress.ended = 60;
  progress.epochLoss = {0.1, 3};
  progress.hyper.schedule = "constant";
  progress.hyper.learningRate = 0.1;
  progress.data = {{"batch_tokens", 4096}};
  for (progress.step = 10; progress.step <= 80; progress.step += 10)
    ASSERT_TRUE(saveCheckpoint(folder.path, program, state, progress, 5));
  EXPECT_FALSE(fs::exists(folder / "checkpoint-30.safetensors"));
  EXPECT_TRUE(fs::exists(folder / "checkpoint-40.safetensors"));
  std::vector<std::string> rejected;
  Expected<std::optional<Safetensors>> newest = newestCheckpoint(folder.path, rejected);
  ASSERT_TRUE(newest && *newest);
  Expected<Progress> found = loadState(program, **newest, loaded, {});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->step, 80);
  EXPECT_EQ(found->seed, progress.seed);
  EXPECT_EQ(found->epoch, 2);
  EXPECT_EQ(found->batch, 5);
  EXPECT_EQ(found->best, 40);
  EXPECT_EQ(found->ended, 60);
  EXPECT_EQ(found->epochLoss.sum, 0.1);
  EXPECT_EQ(found->epochLoss.steps, 3);
  EXPECT_EQ(found->intervalLoss.steps, 0);
  EXPECT_EQ(found->hyper.values(), progress.hyper.values());
  EXPECT_EQ(found->data, progress.data);
  EXPECT_TRUE(std::isinf(found->bestLoss));
  for (auto array : {&ModelArenas::parameters, &ModelArenas::firstMoments, &ModelArenas::secondMoments})
    EXPECT_EQ(std::memcmp((state.arenas().*array).here(), (loaded.arenas().*array).here(), toy::elements * 4), 0);
}

TEST(Checkpoint, FallsBackToTheNewestWholeOne) {
  Folder folder;
  Program program = toyProgram();
  ModelState state = toyState(program);
  Progress progress;
  for (progress.step = 1; progress.step <= 4; ++progress.step)
    ASSERT_TRUE(saveCheckpoint(folder.path, program, state, progress, 5));
  flipByte(folder / "checkpoint-4.safetensors", 100); // a value
  fs::resize_file(folder / "checkpoint-3.safetensors", 5000);
  std::vector<std::string> rejected;
  Expected<std::optional<Safetensors>> found = newestCheckpoint(folder.path, rejected);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->path(), checkpointPath(folder.path, 2));
  ASSERT_EQ(rejected.size(), 2u);
  EXPECT_NE(rejected[0].find("expected its checksum to be"), std::string::npos) << rejected[0];
  EXPECT_NE(rejected[1].find("truncated or corrupt"), std::string::npos) << rejected[1];
  // What is broken and newer doesn't push out what is whole.
  for (progress.step = 1; progress.step <= 2; ++progress.step)
    ASSERT_TRUE(saveCheckpoint(folder.path, program, state, progress, 1));
  EXPECT_FALSE(fs::exists(folder / "checkpoint-1.safetensors"));
  EXPECT_TRUE(fs::exists(folder / "checkpoint-2.safetensors"));
  // One that can't be read is not known to be broken.
  fs::create_directory(folder / "checkpoint-5.safetensors");
  found = newestCheckpoint(folder.path, rejected);
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("checkpoint-5.safetensors': Is a directory"), std::string::npos);
}

TEST(Checkpoint, FlippedDigitInTheMetadataShows) {
  Folder folder;
  Program program = toyProgram();
  ModelState state = toyState(program);
  Progress progress;
  progress.step = 77777;
  ASSERT_TRUE(saveCheckpoint(folder.path, program, state, progress, 5));
  std::string path = folder / "checkpoint-77777.safetensors", bytes;
  std::ifstream in(path, std::ios::binary);
  bytes.assign(std::istreambuf_iterator<char>(in), {});
  size_t place = bytes.find("77777");
  ASSERT_NE(place, std::string::npos);
  bytes[place] = '8';
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_FALSE(Safetensors::open(path));
}

TEST(Checkpoint, EmptyFolderHasNone) {
  Folder folder;
  Program program = toyProgram();
  ModelState state = toyState(program);
  std::vector<std::string> rejected;
  Expected<std::optional<Safetensors>> found = newestCheckpoint(folder.path, rejected);
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
  EXPECT_FALSE(modelFile(folder.path));
}

TEST(Files, WriteWhatALinkPointsTo) {
  Folder folder;
  fs::create_directory(folder / "deep");
  ASSERT_TRUE(writeFile(folder / "deep/file", "old"));
  fs::create_symlink("deep/file", folder / "link");
  ASSERT_TRUE(writeFile(folder / "link", "new"));
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(std::string(MappedFile::open(folder / "deep/file")->data().data(), 3), "new");
  // What is no file stays what it is, and is written to.
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  int reader = open((folder / "pipe").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_TRUE(writeFile(folder / "pipe", "through"));
  char text[8] = {};
  EXPECT_EQ(read(reader, text, 7), 7);
  EXPECT_STREQ(text, "through");
  close(reader);
  EXPECT_TRUE(fs::is_fifo(folder / "pipe"));
  Expected<void> full = writeFile("/dev/full", "x");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().message, "can't write '/dev/full': No space left on device");
}

TEST(Parameters, ReadsHalvesOfIEEE) {
  const std::pair<uint16_t, float> halves[] = {{0x0000, 0.0f},        {0x8000, -0.0f},    {0x3c00, 1.0f},
                                               {0xc100, -2.5f},       {0x7bff, 65504.0f}, {0x0001, 0x1p-24f},
                                               {0x83ff, -0x3ffp-24f}, {0x0400, 0x1p-14f}, {0x3555, 0x1.554p-2f},
                                               {0x7c00, INFINITY},    {0xfc00, -INFINITY}};
  std::vector<uint16_t> bits;
  for (auto [half, value] : halves)
    bits.push_back(half);
  bits.push_back(0x7e00);
  std::vector<float> values(bits.size());
  copyReals({"w", ElementType::F16, {int64_t(bits.size())}, bits.data()}, values.data());
  for (size_t i = 0; i < std::size(halves); ++i) {
    EXPECT_EQ(values[i], halves[i].second) << i;
    EXPECT_EQ(std::signbit(values[i]), std::signbit(halves[i].second)) << i;
  }
  EXPECT_TRUE(std::isnan(values.back()));
}
