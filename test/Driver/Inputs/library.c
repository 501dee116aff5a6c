/* library.c - two models in one process, one in a shared library and one in a static one: called, trained, refused.
 * Prints what FileCheck looks at; a check of its own that fails ends it with exit code 1. */
#include "first.h"
#include "second.h"

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

static void done(const char *error) {
  if (error) {
    printf("failed: %s\n", error);
    exit(1);
  }
}

static void refused(const char *error) {
  CHECK(error);
  printf("refused: %s\n", error);
}

/* The batch of docs and tests: three sentences a side. */
static int32_t source_ids[] = {5, 6, 7, 2, 8, 9, 2, 3, 4, 5, 6, 7, 2}, source_offsets[] = {0, 4, 7, 13};
static int32_t target_ids[] = {1, 5, 6, 1, 7, 8, 9, 4, 1}, target_offsets[] = {0, 3, 8, 9};
static int32_t labels[] = {5, 6, 2, 7, 8, 9, 4, 2, 2};
static const int64_t of4[] = {4}, of9[] = {9}, of13[] = {13}, of16x13[] = {13, 16};
static xf_tensor batch[] = {{"source_ids", XF_I32, 1, of13, source_ids},
                            {"source_offsets", XF_I32, 1, of4, source_offsets},
                            {"target_ids", XF_I32, 1, of9, target_ids},
                            {"target_offsets", XF_I32, 1, of4, target_offsets},
                            {"labels", XF_I32, 1, of9, labels}};
static const xf_tensor language[] = {{"ids", XF_I32, 1, of9, target_ids},
                                     {"offsets", XF_I32, 1, of4, target_offsets},
                                     {"labels", XF_I32, 1, of9, labels}};

static float first_loss(xf_model *model) {
  float loss, token_nll[9];
  xf_tensor outputs[] = {{"loss", XF_F32, 0, NULL, &loss}, {"token_nll", XF_F32, 1, of9, token_nll}};
  done(model->call(model, "loss", batch, 5, outputs, 2));
  float sum = 0;
  for (int i = 0; i < 9; ++i)
    sum += token_nll[i];
  CHECK(fabsf(sum / 9 - loss) < 1e-3f * loss); /* smoothing aside, there is none */
  return loss;
}

static float second_loss(xf_model *model) {
  float loss;
  xf_tensor output = {"loss", XF_F32, 0, NULL, &loss};
  done(model->call(model, "loss", language, 3, &output, 1));
  return loss;
}

static void *call_often(void *model) {
  float *losses = malloc(20 * sizeof(float));
  for (int i = 0; i < 20; ++i)
    losses[i] = first_loss(model);
  return losses;
}

static void memory_of(xf_model *model, float *memory) {
  xf_tensor output = {"memory.0", XF_F32, 2, of16x13, memory};
  done(model->call(model, "encode", batch, 2, &output, 1));
}

int main(void) {
  xf_model *first, *second;
  done(first_open(NULL, &first));
  done(second_open(NULL, &second));
  printf("%s, %s\n", first->description->name, second->description->name);
  for (int i = 0; i < second->description->num_functions; ++i) {
    const xf_function *function = &second->description->functions[i];
    printf("%s of %d dims:", function->name, function->num_dims);
    for (int j = 0; j < function->num_inputs; ++j)
      printf(" %s%s", function->inputs[j].name, function->inputs[j].written ? " (written)" : "");
    printf(" ->");
    for (int j = 0; j < function->num_outputs; ++j)
      printf(" %s", function->outputs[j].name);
    printf("\n");
  }

  /* Both work, whichever comes first, and neither touches the other. */
  float before[] = {first_loss(first), second_loss(second)};
  CHECK(before[0] != before[1] && before[0] == first_loss(first) && before[1] == second_loss(second));

  /* Any thread may call. */
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i)
    CHECK(pthread_create(&threads[i], NULL, call_often, first) == 0);
  for (int i = 0; i < 4; ++i) {
    void *losses;
    CHECK(pthread_join(threads[i], &losses) == 0);
    for (int j = 0; j < 20; ++j)
      CHECK(((float *)losses)[j] == before[0]);
    free(losses);
  }

  /* Three steps, on one thread and on two: the same bits; the checkpoint is compared with the executable's. */
  float steps[2][3], norm;
  for (int run = 0; run < 2; ++run) {
    done(first->initialize(first, 7));
    done(first->set(first, "threads", run ? "2" : "1"));
    done(first->set(first, "learning_rate", "0.5"));
    done(first->set(first, "schedule", "constant"));
    for (int step = 0; step < 3; ++step) {
      xf_tensor outputs[] = {{"loss", XF_F32, 0, NULL, &steps[run][step]}, {"gradient_norm", XF_F32, 0, NULL, &norm}};
      done(first->call(first, "train_step", batch, 5, outputs, 2));
      CHECK(norm > 0 && isfinite(norm));
      if (step == 0)
        done(first->save(first, "step1.safetensors", 0));
    }
  }
  CHECK(memcmp(steps[0], steps[1], sizeof steps[0]) == 0);
  const char *value;
  done(first->get(first, "step", &value));
  printf("trained to step %s\n", value);
  CHECK(second_loss(second) == before[1]);

  /* What predictions read follows the parameters: after steps, after loading, after writing them by hand. */
  float trained[13 * 16], loaded[13 * 16], *norm_bias, *moment;
  memory_of(first, trained);
  done(first->save(first, "weights.safetensors", 1));
  xf_model *other;
  done(first_open("weights.safetensors", &other));
  memory_of(other, loaded);
  CHECK(memcmp(trained, loaded, sizeof trained) == 0);
  done(other->array(other, XF_PARAMETER, "encoder.0.feed_forward_norm.bias", &norm_bias));
  norm_bias[3] += 1;
  other->changed(other);
  memory_of(other, loaded);
  CHECK(memcmp(trained, loaded, sizeof trained) != 0);
  done(other->load(other, "step1.safetensors"));
  done(other->get(other, "step", &value));
  CHECK(strcmp(value, "1") == 0);
  done(other->get(other, "learning_rate", &value));
  CHECK(strcmp(value, "0.5") == 0);
  done(other->array(other, XF_SECOND_MOMENT, "encoder.0.feed_forward_norm.bias", &moment));
  CHECK(moment[0] > 0);
  for (int step = 1; step < 3; ++step)
    done(other->call(other, "train_step", batch, 5, NULL, 0));
  CHECK(first_loss(other) == first_loss(first)); /* it went on as the first did */
  done(other->load(other, "weights.safetensors"));
  CHECK(moment[0] == 0 && first_loss(other) == first_loss(first));

  /* Gradients: of the bias of the last norm before the loss, against a difference. */
  float *gradient, *bias;
  done(other->call(other, "gradients", batch, 5, NULL, 0));
  done(other->array(other, XF_GRADIENT, "decoder.0.feed_forward_norm.bias", &gradient));
  done(other->array(other, XF_PARAMETER, "decoder.0.feed_forward_norm.bias", &bias));
  float slope = gradient[0], at = bias[0];
  bias[0] = at + 0.01f;
  other->changed(other);
  float above = first_loss(other);
  bias[0] = at - 0.01f;
  other->changed(other);
  CHECK(fabsf((above - first_loss(other)) / 0.02f - slope) < 0.02f * fabsf(slope) + 1e-3f);

  /* What is wrong is said in the model's words, and the model goes on. */
  int64_t dims[8];
  done(first->bind(first, "loss", batch, 5, dims));
  refused(first->call(first, "loss", batch, 4, NULL, 0));
  refused(first->call(first, "predict", batch, 5, NULL, 0));
  refused(first->call(first, "prepare", NULL, 0, NULL, 0));
  refused(first->call(first, "loss", language, 3, NULL, 0));
  batch[4].shape = of4;
  refused(first->bind(first, "loss", batch, 5, dims));
  batch[4].shape = of9;
  batch[4].type = XF_F32;
  refused(first->call(first, "loss", batch, 5, NULL, 0));
  batch[4].type = XF_I32;
  batch[4].data = (char *)labels + 1;
  refused(first->call(first, "loss", batch, 5, NULL, 0));
  batch[4].data = labels;
  batch[4].name = "target_ids";
  refused(first->call(first, "loss", batch, 5, NULL, 0));
  batch[4].name = "labels";
  labels[2] = 30;
  refused(first->call(first, "loss", batch, 5, NULL, 0));
  labels[2] = 2;
  xf_tensor wrong = {"token_nll", XF_F32, 1, of4, trained};
  refused(first->call(first, "loss", batch, 5, &wrong, 1));
  wrong.name = "logits";
  refused(first->call(first, "loss", batch, 5, &wrong, 1));
  refused(first->array(first, XF_PARAMETER, "encoder.1.attention.query.weight", &bias));
  refused(first->set(first, "learningrate", "1"));
  refused(first->set(first, "learning_rate", "-1"));
  refused(first->set(first, "schedule", "linear"));
  refused(first->load(first, "nowhere.safetensors"));
  refused(second->load(second, "weights.safetensors"));
  refused(second_open("weights.safetensors", &other));
  CHECK(!other);
  CHECK(second_loss(second) == before[1]);

  /* So is NULL where something has to be, and a name that is empty, of which nothing is drawn or embedded instead. */
  refused(first->load(first, NULL));
  refused(first->load(first, ""));
  refused(first_open("", &other));
  refused(first_open_on("", NULL, &other));
  refused(first->save(first, NULL, 0));
  refused(first->call(first, NULL, batch, 5, NULL, 0));
  refused(first->call(first, "loss", NULL, 3, NULL, 0));
  refused(first->call(first, "loss", batch, 5, NULL, 2));
  refused(first->bind(first, "loss", batch, 5, NULL));
  refused(first->array(first, XF_PARAMETER, "embedding.weight", NULL));
  refused(first->get(first, "step", NULL));
  refused(first->warnings(first, NULL));
  refused(first_open(NULL, NULL));
  refused(first->get(NULL, "step", &value));
  first->changed(NULL);
  first->close(NULL);

  /* What is fishy is kept until it is asked for. */
  done(first->warnings(first, &value));
  CHECK(!value);
  CHECK(system("LC_ALL=C sed 's/xf.checksum/xf.unchecke/; s/\\(heads[^0-9]*\\)2/\\14/' weights.safetensors > "
               "other.safetensors") == 0);
  done(first->load(first, "other.safetensors"));
  done(first->warnings(first, &value));
  printf("warned: %s\n", value);
  done(first->warnings(first, &value));
  CHECK(!value);

  /* In a child that was forked the threads are not there, and not to be waited for. */
  float before_fork = first_loss(first);
  done(first->set(first, "threads", "4"));
  CHECK(first_loss(first) == before_fork);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    refused(first->call(first, "loss", batch, 5, NULL, 0));
    refused(first->set(first, "threads", "1"));
    first->close(first);
    done(first_open(NULL, &other));
    first_loss(other);
    other->close(other);
    fflush(stdout);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);

  first->close(first);
  second->close(second);
  printf("closed\n");
  return 0;
}
