// embedded.cpp - a library with weights inside: they are those of the file, and not drawn.
#include "with-weights.h"

int main() {
  xf_model *model;
  float *weight;
  if (with_weights_open(nullptr, &model) || model->array(model, XF_PARAMETER, "embedding.weight", &weight))
    return 1;
  float embedded = weight[5];
  if (model->load(model, "weights.safetensors") || weight[5] != embedded)
    return 2;
  if (model->initialize(model, 1) || weight[5] == embedded)
    return 3;
  if (model->description->num_functions != 2)
    return 4;
  model->close(model);
  return 0;
}
