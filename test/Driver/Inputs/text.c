/* text.c - two models with vocabularies as filters: `text translate [OPTIONS]`, `text generate PROMPT [OPTIONS]`.
 * Prints what their executables print. */
#include "translator.h"
#include "writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *error) {
  if (error)
    printf("refused: %s\n", error);
  return error != NULL;
}

int main(int argc, char **argv) {
  xf_model *translator, *writer;
  const char *error = argc < 2 ? "expected a command" : translator_open("run", &translator);
  if (failed(error) || failed(writer_open("lm", &writer)))
    return 1;
  if (strcmp(argv[1], "translate") == 0) {
    const char *const *translations;
    char *lines[100];
    size_t room = 0;
    int64_t count = 0;
    for (; count < 100; ++count) {
      lines[count] = NULL;
      ssize_t length = getline(&lines[count], &room, stdin);
      room = 0;
      if (length < 0)
        break;
      lines[count][strcspn(lines[count], "\n")] = 0;
    }
    error = translator->translate(translator, (const char *const *)lines, count, argv[2], &translations);
    for (int64_t i = 0; !error && i < count; ++i)
      puts(translations[i]);
    for (int64_t i = 0; i <= count && i < 100; ++i)
      free(lines[i]);
  } else {
    const char *text;
    error = writer->generate(writer, argv[2], argc > 3 ? argv[3] : NULL, &text);
    if (!error)
      puts(text);
  }
  failed(error);

  /* What is given stays when another model is asked, and when calls of this one give nothing. */
  const char *word, *other;
  const int32_t *tokens;
  int64_t count;
  xf_vocabulary described;
  if (failed(writer->vocabulary(writer, XF_TARGET, &described)) ||
      failed(writer->encode_text(writer, XF_SOURCE, "ein Vogel", &tokens, &count)) ||
      failed(writer->decode_text(writer, XF_TARGET, tokens, count, &word)) ||
      failed(translator->decode_text(translator, XF_TARGET, &described.unknown, 1, &other)) ||
      failed(writer->set(writer, "threads", "1")) || strcmp(word, "ein vogel") != 0)
    return 1;

  /* NULL is nothing where that can be, and an error elsewhere. */
  const char *const *translations;
  if (failed(translator->translate(translator, NULL, 0, NULL, &translations)) ||
      failed(translator->decode_text(translator, XF_SOURCE, NULL, 0, &word)) || strcmp(word, "") != 0)
    return 1;
  const char *null = NULL;
  if (!translator->translate(translator, NULL, 2, NULL, &translations) ||
      !translator->translate(translator, &null, 1, NULL, &translations) ||
      !translator->translate(translator, &word, 1, NULL, NULL) || !writer->generate(writer, NULL, NULL, NULL) ||
      !writer->decode_text(writer, XF_SOURCE, NULL, 3, &word) ||
      !writer->encode_text(writer, (enum xf_side)7, "", &tokens, &count) ||
      !writer->encode_text(writer, XF_SOURCE, "", NULL, &count) || !writer->vocabulary(writer, XF_SOURCE, NULL))
    return 1;
  failed(translator->translate(translator, &word, 1, "beam=4,speed=2", &translations));
  translator->close(translator);
  writer->close(writer);
  return 0;
}
