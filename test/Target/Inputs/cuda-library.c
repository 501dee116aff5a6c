/* cuda-library.c - a library for GPUs in a program that has a GPU of its own to look after. Its first argument says
 * what is tried; what FileCheck looks at is printed, and a check of its own that fails ends it with exit code 1. */
#include "both.h"
#include "gpu.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                                               \
  do                                                                                                                   \
    if (!(condition)) {                                                                                                \
      printf("line %d: not true: %s\n", __LINE__, #condition);                                                         \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  while (0)

#define DONE(call)                                                                                                     \
  do {                                                                                                                 \
    const char *error = call;                                                                                          \
    if (error) {                                                                                                       \
      printf("line %d: failed: %s\n", __LINE__, error);                                                                \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static int refused(const char *error) {
  printf(error ? "refused: %s\n" : "done\n", error);
  return error != NULL;
}

/* The driver, as another library of the program uses it. */
static int (*cuInit)(unsigned), (*cuDevicePrimaryCtxRetain)(void **, int), (*cuDevicePrimaryCtxRelease_v2)(int),
    (*cuCtxCreate_v2)(void **, unsigned, int), (*cuCtxGetCurrent)(void **), (*cuCtxPushCurrent_v2)(void *),
    (*cuCtxPopCurrent_v2)(void **), (*cuMemGetInfo_v2)(size_t *, size_t *);

static void load_driver(void) {
  void *driver = dlopen("libcuda.so.1", RTLD_NOW);
  CHECK(driver);
#define FIND(name) CHECK((*(void **)&name = dlsym(driver, #name)) != NULL)
  FIND(cuInit);
  FIND(cuDevicePrimaryCtxRetain);
  FIND(cuDevicePrimaryCtxRelease_v2);
  FIND(cuCtxCreate_v2);
  FIND(cuCtxGetCurrent);
  FIND(cuCtxPushCurrent_v2);
  FIND(cuCtxPopCurrent_v2);
  FIND(cuMemGetInfo_v2);
  CHECK(cuInit(0) == 0);
}

static void *current(void) {
  void *context;
  CHECK(cuCtxGetCurrent(&context) == 0);
  return context;
}

static size_t free_memory(void *primary) {
  size_t free, total;
  CHECK(cuCtxPushCurrent_v2(primary) == 0 && cuMemGetInfo_v2(&free, &total) == 0 && cuCtxPopCurrent_v2(&primary) == 0);
  return free;
}

/* The batch of docs and tests: three sentences a side. */
static int32_t source_ids[] = {5, 6, 7, 2, 8, 9, 2, 3, 4, 5, 6, 7, 2}, source_offsets[] = {0, 4, 7, 13};
static int32_t target_ids[] = {1, 5, 6, 1, 7, 8, 9, 4, 1}, target_offsets[] = {0, 3, 8, 9};
static int32_t labels[] = {5, 6, 2, 7, 8, 9, 4, 2, 2};
static const int64_t of4[] = {4}, of9[] = {9}, of13[] = {13}, of16x13[] = {13, 16};
static float weight = 0.5f;
static xf_tensor batch[] = {
    {"source_ids", XF_I32, 1, of13, source_ids}, {"source_offsets", XF_I32, 1, of4, source_offsets},
    {"target_ids", XF_I32, 1, of9, target_ids},  {"target_offsets", XF_I32, 1, of4, target_offsets},
    {"labels", XF_I32, 1, of9, labels},          {"weight", XF_F32, 0, NULL, &weight}};

/* The batch has so many tokens of the target: the 9 above, or more in the last sentence. */
static void take_targets(int count) {
  static xf_tensor small[2];
  static int32_t ids[3000];
  static int64_t shape;
  if (!small[0].data)
    small[0] = batch[2], small[1] = batch[4];
  for (int i = 0; i < count; ++i)
    ids[i] = 1 + i % 29;
  shape = count;
  batch[2] = small[0], batch[4] = small[1];
  if (count != 9)
    for (int i = 2; i <= 4; i += 2)
      batch[i].shape = &shape, batch[i].data = ids;
  target_offsets[3] = count;
}

static const char *call(xf_model *model, const char *function, float *loss) {
  xf_tensor output = {"loss", XF_F32, 0, NULL, loss};
  return model->call(model, function, batch, strcmp(function, "accumulate") ? 5 : 6, &output, 1);
}

static float loss_of(xf_model *model, const char *function) {
  float loss;
  DONE(call(model, function, &loss));
  return loss;
}

static void memory_of(xf_model *model, float *memory) {
  xf_tensor output = {"memory.0", XF_F32, 2, of16x13, memory};
  DONE(model->call(model, "encode", batch, 2, &output, 1));
}

static float *array_of(xf_model *model, enum xf_array which, const char *parameter) {
  float *data;
  DONE(model->array(model, which, parameter, &data));
  return data;
}

static int near(const float *a, const float *b, int count) {
  float largest = 0, error = 0;
  for (int i = 0; i < count; ++i) {
    largest = fmaxf(largest, fabsf(b[i]));
    error = fmaxf(error, fabsf(a[i] - b[i]));
  }
  return largest > 0 && error <= 1e-4f * largest;
}

static void train(xf_model *model, float *losses) {
  DONE(model->initialize(model, 7));
  DONE(model->set(model, "learning_rate", "0.05"));
  DONE(model->set(model, "schedule", "constant"));
  DONE(model->set(model, "epsilon", "1e-3"));
  for (int step = 0; step < 3; ++step)
    losses[step] = loss_of(model, "train_step");
}

struct thread {
  xf_model *model;
  int has_context;
  float expected;
};

static void *call_often(void *argument) {
  struct thread *thread = argument;
  void *own = NULL;
  if (thread->has_context)
    CHECK(cuCtxCreate_v2(&own, 0, 0) == 0);
  for (int i = 0; i < 10; ++i)
    CHECK(loss_of(thread->model, "loss") == thread->expected && current() == own);
  return NULL;
}

static const char query[] = "encoder.0.attention.query.weight";

/* Beside a processor's, which does the same. */
static void compute(void) {
  load_driver();
  void *primary, *own;
  CHECK(cuDevicePrimaryCtxRetain(&primary, 0) == 0 && cuCtxCreate_v2(&own, 0, 0) == 0);
  size_t free_before = free_memory(primary);
  xf_model *gpu, *cpu, *second;
  DONE(gpu_open(NULL, &gpu));
  DONE(both_open_on("cpu", NULL, &cpu));
  DONE(both_open(NULL, &second));
  printf("%s %s %s\n", gpu->description->device, cpu->description->device, second->description->device);
  CHECK(current() == own);

  float losses[3], expected[3], again[3], memory[13 * 16], expected_memory[13 * 16];
  train(gpu, losses);
  train(cpu, expected);
  CHECK(near(losses, expected, 3) && losses[2] < losses[0]);
  DONE(gpu->save(gpu, "library.safetensors", 0));
  memory_of(gpu, memory);
  memory_of(cpu, expected_memory);
  CHECK(near(memory, expected_memory, 13 * 16));
  CHECK(near(array_of(gpu, XF_SECOND_MOMENT, query), array_of(cpu, XF_SECOND_MOMENT, query), 16 * 16));
  DONE(gpu->set(gpu, "threads", "2")); /* are none of the GPU's business */
  train(second, again);
  CHECK(memcmp(losses, again, sizeof losses) == 0 && current() == own);

  /* Any thread may call, at the same time, with a context of its own or none. */
  pthread_t threads[4];
  struct thread arguments[4];
  for (int i = 0; i < 4; ++i) {
    xf_model *model = i < 2 ? gpu : second;
    arguments[i] = (struct thread){model, i % 2, loss_of(model, "loss")};
  }
  for (int i = 0; i < 4; ++i)
    CHECK(pthread_create(&threads[i], NULL, call_often, &arguments[i]) == 0);
  for (int i = 0; i < 4; ++i)
    CHECK(pthread_join(threads[i], NULL) == 0);

  /* Who has asked for an array sees what calls do to it, and calls see what is done there. */
  float *seen[2], *gradient[2], after[2];
  xf_model *models[] = {gpu, cpu};
  for (int i = 0; i < 2; ++i) {
    xf_model *model = models[i];
    seen[i] = array_of(model, XF_PARAMETER, query);
    float before = seen[i][3];
    loss_of(model, "train_step");
    CHECK(seen[i][3] != before);
    seen[i][3] += 1;
    model->changed(model);
    gradient[i] = array_of(model, XF_GRADIENT, query);
    for (int j = 0; j < model->description->num_parameters; ++j) {
      const xf_value *parameter = &model->description->parameters[j];
      int64_t elements = 1;
      for (int axis = 0; axis < parameter->rank; ++axis)
        elements *= parameter->shape[axis];
      memset(array_of(model, XF_GRADIENT, parameter->name), 0, elements * sizeof(float));
    }
    for (int part = 0; part < 2; ++part)
      loss_of(model, "accumulate");
    gradient[i][5] = 2; /* nobody is told of this */
    DONE(model->call(model, "update", NULL, 0, NULL, 0));
    after[i] = loss_of(model, "loss");
  }
  CHECK(near(seen[0], seen[1], 16 * 16) && near(&after[0], &after[1], 1));
  memory_of(gpu, memory);
  seen[0][7] += 1;
  gpu->changed(gpu);
  float before = after[0];
  CHECK(before != loss_of(gpu, "loss"));
  memory_of(gpu, expected_memory);
  CHECK(memcmp(memory, expected_memory, sizeof memory) != 0);
  DONE(gpu->initialize(gpu, 7));
  CHECK(array_of(gpu, XF_FIRST_MOMENT, query)[0] == 0);
  /* Once nobody looks, they stay where they are. */
  DONE(gpu->array(gpu, XF_PARAMETER, NULL, NULL));
  before = seen[0][3];
  loss_of(gpu, "train_step");
  CHECK(seen[0][3] == before && array_of(gpu, XF_PARAMETER, query) == seen[0] && seen[0][3] != before);

  /* Memory: what is missing is named, and a call that needs less goes on. */
  DONE(gpu->load(gpu, "library.safetensors"));
  before = loss_of(gpu, "loss");
  take_targets(3000);
  setenv("XF_GPU_MEMORY", "1000000", 1);
  float unused;
  refused(call(gpu, "train_step", &unused));
  refused(call(gpu, "train_step", &unused));
  take_targets(9);
  CHECK(before == loss_of(gpu, "loss"));
  unsetenv("XF_GPU_MEMORY");

  /* Nothing is left behind, and one that is opened again begins anew. */
  gpu->close(gpu);
  DONE(gpu_open("library.safetensors", &gpu));
  CHECK(before == loss_of(gpu, "loss"));
  gpu->close(gpu);
  cpu->close(cpu);
  second->close(second);
  CHECK(free_memory(primary) == free_before && current() == own);
  CHECK(cuDevicePrimaryCtxRelease_v2(0) == 0);
  printf("computed\n");
}

/* The GPU fails while it runs; a model on the processor goes on. */
static void lose(void) {
  xf_model *gpu, *cpu;
  DONE(gpu_open(NULL, &gpu));
  DONE(both_open_on("cpu", NULL, &cpu));
  float loss, *data;
  const char *step;
  array_of(gpu, XF_PARAMETER, query);
  while (!refused(call(gpu, "train_step", &loss)))
    ;
  refused(call(gpu, "train_step", &loss));
  refused(call(gpu, "loss", &loss));
  refused(gpu->array(gpu, XF_PARAMETER, query, &data));
  refused(gpu->save(gpu, "lost.safetensors", 0));
  DONE(gpu->get(gpu, "step", &step));
  printf("after step %s\n", step);
  gpu->close(gpu);
  refused(gpu_open(NULL, &gpu));
  loss_of(cpu, "train_step");
  cpu->close(cpu);
  printf("lives on\n");
}

/* A copy home that fails brings nothing back that is older. */
static void fail(void) {
  xf_model *gpu;
  DONE(gpu_open(NULL, &gpu));
  float losses[3], again;
  train(gpu, losses);
  float before = loss_of(gpu, "loss");
  take_targets(100);
  setenv("XF_GPU_FAIL", "cuMemcpyDtoH:2:1", 1);
  refused(call(gpu, "train_step", &again));
  unsetenv("XF_GPU_FAIL");
  take_targets(9);
  CHECK(before == loss_of(gpu, "loss"));
  gpu->close(gpu);
}

/* In a process that was forked. */
static void in_child(void (*body)(xf_model *), xf_model *model) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    body(model);
    fflush(stdout);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void use_and_close(xf_model *model) {
  float loss, *data;
  refused(call(model, "loss", &loss));
  refused(model->array(model, XF_PARAMETER, query, &data));
  refused(model->save(model, "child.safetensors", 0));
  model->close(model);
  refused(gpu_open(NULL, &model));
  refused(both_open(NULL, &model));
  DONE(both_open_on("cpu", NULL, &model));
  loss_of(model, "loss");
  model->close(model);
}

static void open_first(xf_model *model) {
  DONE(gpu_open(NULL, &model));
  loss_of(model, "loss");
  model->close(model);
  printf("opened in a child\n");
}

static void fork_each(void) {
  in_child(open_first, NULL); /* nobody has used a GPU before */
  xf_model *gpu;
  DONE(gpu_open(NULL, &gpu));
  float before = loss_of(gpu, "loss");
  in_child(use_and_close, gpu);
  CHECK(before == loss_of(gpu, "loss"));
  gpu->close(gpu);
  printf("goes on in the parent\n");
}

static void open_each(void) {
  xf_model *model;
  refused(gpu_open(NULL, &model));
  refused(gpu_open_on("cpu", NULL, &model));
  refused(both_open(NULL, &model));
  refused(both_open_on("tpu", NULL, &model));
  CHECK(!model);
  DONE(both_open_on("cpu", NULL, &model));
  loss_of(model, "loss");
  model->close(model);
  printf("on the processor\n");
}

static xf_model *late;
static void close_late(void) {
  float loss;
  refused(call(late, "loss", &loss));
  late->close(late);
  printf("closed at the end\n");
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (strcmp(arguments[1], "compute") == 0)
    compute();
  else if (strcmp(arguments[1], "lose") == 0)
    lose();
  else if (strcmp(arguments[1], "fail") == 0)
    fail();
  else if (strcmp(arguments[1], "fork") == 0)
    fork_each();
  else if (strcmp(arguments[1], "open") == 0)
    open_each();
  else { /* closed when the driver is gone already, which came after this */
    atexit(close_late);
    DONE(gpu_open(NULL, &late));
    loss_of(late, "loss");
  }
  return 0;
}
