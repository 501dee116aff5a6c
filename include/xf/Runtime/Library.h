/*===- Library.h - The interface of a compiled model to C ------------------------------===
 * What a model that xf-compile made with --emit=shared or --emit=static can do. Each has a header of its own with all
 * of this, and its own NAME_open(), by which models don't meet, whatever their number in a process. What opens shared
 * libraries by their files (dlopen) finds NAME_open_on() as `xf_library_open_on` in each, whatever the file is called.
 *
 * What can fail returns NULL when it is done, and otherwise what was wrong: text that stays until the same thread's
 * next call. Text and tokens that a call gives stay until the same thread's next one that gives such of this model.
 * Any thread may call at any time; calls on one model wait for each other. A process that forks has the model in the
 * parent alone: in the child `close` does nothing and all else fails. It can open models of its own, but on a GPU only
 * where the parent has used none: start it by exec (in Python, by spawn) instead.
 *
 * Where a GPU computes, the model's arrays stay there, and move when the other side asks for them. A thread keeps the
 * context of CUDA that it has current; the model works in the GPU's primary one. When the GPU is lost each call that
 * needs it says so, and what it held is gone: the program lives on.
 *===------------------------------------------------------------------------------------===*/
#ifndef XF_LIBRARY_H
#define XF_LIBRARY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* XF_BF16: the upper two bytes of an f32; of what one call leaves for another, where the model was compiled so. */
enum xf_type { XF_F32, XF_I32, XF_I64, XF_BF16 = 5 };

/* A tensor in the caller's memory, row after row, aligned as its elements are. Nothing is copied but ids of 64 bits,
   which a function takes where it wants 32. */
typedef struct xf_tensor {
  const char *name;
  enum xf_type type;
  int32_t rank; /* 0: one number */
  const int64_t *shape;
  void *data;
} xf_tensor;

/* What a function takes or gives, or a parameter. An extent below 0, of the batch, is number -1 - extent of the
 * function's dims. */
typedef struct xf_value {
  const char *name;
  enum xf_type type;
  int32_t rank;
  const int64_t *shape;
  int32_t written; /* an input that the function writes, too */
} xf_value;

typedef struct xf_function {
  const char *name;
  int32_t num_dims, num_inputs, num_outputs;
  const char *const *dims;
  const xf_value *inputs, *outputs;
} xf_function;

typedef struct xf_description {
  const char *name, *kind;   /* "transformer-base", "sequence_to_sequence" */
  const char *configuration; /* the model's keys, as JSON */
  int32_t num_functions, num_parameters, num_settings;
  const xf_function *functions;
  const xf_value *parameters;
  const char *const *settings; /* names that `set` and `get` know */
  const char *device;          /* that computes: "cpu" or "cuda" */
} xf_description;

/* For every parameter there is a value, and where functions compute them a gradient and the optimizer's moments. */
enum xf_array { XF_PARAMETER, XF_GRADIENT, XF_FIRST_MOMENT, XF_SECOND_MOMENT };

/* What a model with vocabularies reads text as: tokens from 0 to size - 1, and those of what it has not, of a text's
 * begin and of its end. A model with one vocabulary alone has it on both sides. */
typedef struct xf_vocabulary {
  int32_t size, unknown, begin, end;
} xf_vocabulary;
enum xf_side { XF_SOURCE, XF_TARGET };

/* An open model: model->call(model, ...). */
typedef struct xf_model xf_model;
struct xf_model {
  const xf_description *description;

  /* Calls a function. All inputs must be there (but see `set`), of the function's types and shapes; outputs that are
   * not asked for are dropped. */
  const char *(*call)(xf_model *model, const char *function, const xf_tensor *inputs, int32_t num_inputs,
                      const xf_tensor *outputs, int32_t num_outputs);

  /* Checks inputs as `call` does, and gives the function's dims, from which the shapes of its outputs follow. */
  const char *(*bind)(xf_model *model, const char *function, const xf_tensor *inputs, int32_t num_inputs,
                      int64_t *dims);

  /* Where a parameter's values, gradient or moments are, as long as the model is open. Gradients are the caller's to
   * clear before a step's first `accumulate`. Where a GPU computes, each call that changes such arrays ends from now on
   * with a copy of them all to this machine's memory, and each that reads gradients or moments begins with one of those
   * to the GPU's, until `array` is called with NULL for `parameter`: nobody looks at them any more. */
  const char *(*array)(xf_model *model, enum xf_array which, const char *parameter, float **data);

  /* To be called when parameters have been written through `array`: what predictions read besides them is made anew. */
  void (*changed)(xf_model *model);

  /* Draws all parameters from their initial distributions, and forgets moments and step. */
  const char *(*initialize)(xf_model *model, uint64_t seed);

  /* Loads weights, or a checkpoint with all that training goes on with: a file (.safetensors) or a run's folder. */
  const char *(*load)(xf_model *model, const char *path);

  /* Writes a checkpoint, or the weights alone. */
  const char *(*save)(xf_model *model, const char *path, int32_t weights_only);

  /* Settings, as text: threads (0: one a core); and what the inputs `random` and `hyper` are where they are not given:
   * seed, step (done so far; each train_step or update adds one), learning_rate, warmup, schedule (constant, noam,
   * rsqrt, inverse_sqrt), clip_norm, beta1, beta2, epsilon, weight_decay. */
  const char *(*set)(xf_model *model, const char *name, const char *value);
  const char *(*get)(xf_model *model, const char *name, const char **value);

  void (*close)(xf_model *model);

  /* What there was to warn of since this was last asked (weights that were trained as another model), a line each,
   * until the next call; NULL where there was nothing. A library prints nothing. */
  const char *(*warnings)(xf_model *model, const char **text);

  /* Of a model that was compiled with its vocabularies. `options` are the executable's, of `translate`
   * ("beam=4,length_penalty=0.6,max_length=100,min_length=1,batch_size=64") and of `generate`
   * ("max_length=256,temperature=1,top_k=0,top_p=1,seed=1"), in UTF-8 as all text is; NULL: what those have. */

  /* The best translation of each of so many lines. */
  const char *(*translate)(xf_model *model, const char *const *lines, int64_t num_lines, const char *options,
                           const char *const **translations);

  /* The prompt, and what a language model goes on with. */
  const char *(*generate)(xf_model *model, const char *prompt, const char *options, const char **text);

  /* A vocabulary; and a line's tokens by it, without begin and end, and the text of tokens. */
  const char *(*vocabulary)(xf_model *model, enum xf_side side, xf_vocabulary *vocabulary);
  const char *(*encode_text)(xf_model *model, enum xf_side side, const char *line, const int32_t **tokens,
                             int64_t *num_tokens);
  const char *(*decode_text)(xf_model *model, enum xf_side side, const int32_t *tokens, int64_t num_tokens,
                             const char **text);
};

#ifdef __cplusplus
}
#endif

#endif /* XF_LIBRARY_H */
