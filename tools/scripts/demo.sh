#!/usr/bin/env bash
# The demo, from words to a translator: demo.sh FOLDER. Needs the tools on PATH.
set -euo pipefail
folder=$1
scripts=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
say() {
  if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then printf '\n\033[1m%s\033[0m\n' "$*" >&2; else printf '\n%s\n' "$*" >&2; fi
}
run() { printf '$ %s\n' "$*" >&2; "$@"; }

mkdir -p "$folder"
cd "$folder"
say 'A corpus: numbers below a million, in English and in German words'
run "$scripts/number-words.py" .
paste -d '|' test.en test.de | sed -n '1,2s/|/  ->  /p' >&2

say 'Vocabularies, and the model compiled into one executable'
run xf-vocab train.en --type=word -o english.model
run xf-vocab train.de --type=word -o german.model
run xf-compile preset:transformer-tiny --source-vocab=english.model --target-vocab=german.model -o translator
run ./translator info

say 'Training on 20,000 of them'
rm -rf run
run ./translator train --source=train.en --target=train.de --valid-source=valid.en --valid-target=valid.de --output=run \
  --epochs=4 --batch-size=64 --learning-rate=1e-3 --schedule=inverse_sqrt --warmup=200

say 'Translating 1,000 numbers it has never seen'
run ./translator translate --model=run --beam=1 <test.en >test.out
paste -d '|' test.en test.out | sed -n '1,3s/|/  ->  /p' >&2

say 'What it looks at: attention heat maps'
run ./translator attention --model=run --input='two hundred thirty four thousand five hundred six' --output=attention >&2
printf 'heat maps: %s\n' "$PWD/attention" >&2
printf 'the demo took %s s\n' "$SECONDS" >&2

paste -d '|' test.de test.out | awk -F '|' '$1 == $2 { right++ } END { printf "exactly right: %.1f%% of %d\n", 100 * right / NR, NR }'
