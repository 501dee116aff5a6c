//===- ImportVocabulary.h - Vocabularies of others -----------------------------------===//
// What other projects keep vocabularies in becomes a file in one of the forms that Vocabulary.h knows. Of the compiler
// and xf-vocab: executables embed what comes out.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_IMPORTVOCABULARY_H
#define XF_RUNTIME_TEXT_IMPORTVOCABULARY_H

#include "xf/Runtime/Error.h"

#include <string_view>

namespace xf::runtime {

/// Of a file that its first bytes tell: Hugging Face's tokenizer.json (BPE of bytes or characters, WordPiece), or rows
/// of id, token as a JSON string and score with tabs between them (llama2.c's tokeniser). Others stay as they are.
/// `name` is what messages call it.
Expected<std::string> importVocabulary(std::string_view bytes, const std::string &name);

/// GPT-2's vocab.json and merges.txt.
Expected<std::string> importBytePairs(std::string_view vocabulary, std::string_view merges, const std::string &name);

/// Marian's: a vocab.json of tokens and ids, and the SentencePiece model of a language, whose pieces have these ids.
Expected<std::string> importListedPieces(std::string_view list, std::string_view pieces, const std::string &name);

/// XLM-RoBERTa's: a SentencePiece model, whose pieces have ids one higher, behind marks that fairseq put there.
Expected<std::string> importFairseqPieces(std::string_view pieces, const std::string &name);

/// BERT's vocab.txt.
struct WordPieceOptions {
  bool lowercase = true, stripAccents = true, splitsChinese = true;
};
Expected<std::string> importWordPiece(std::string_view tokens, const WordPieceOptions &options,
                                      const std::string &name);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_IMPORTVOCABULARY_H
