"""hugging_face_tokens.py FILE KIND [KEY=JSON...]: a small tokenizer.json. `characters`: as Llama 2's, of the letters of "he lo", with a
post-processor that puts <s> before a text; `bytes`: as GPT-2's, with none. Keys of the file overridden."""
import json
import pathlib
import sys


def special(token, i):
    return {"id": i, "content": token, "special": True, "normalized": False, "single_word": False, "lstrip": False, "rstrip": False}


def characters():
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *"helo"]
    merges = ["h e", "l l", "\u2581 he", "ll o", "\u2581he llo"]
    tokens += [merge.replace(" ", "") for merge in merges]
    return {
        "added_tokens": [special(token, i) for i, token in enumerate(tokens[:3])] + [special("<|im_end|>", len(tokens))],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
        "model": {"type": "BPE", "byte_fallback": True, "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges},
    }


def of_bytes():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    tokens = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    return {
        "added_tokens": [special("<|endoftext|>", len(tokens))],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "post_processor": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)}, "merges": []},
    }


file = {"characters": characters, "bytes": of_bytes}[sys.argv[2]]()
file |= {key: json.loads(value) for key, value in (pair.split("=", 1) for pair in sys.argv[3:])}
pathlib.Path(sys.argv[1]).write_text(json.dumps(file))
