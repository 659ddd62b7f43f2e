#!/bin/bash -eu
# Builds every fuzz target into $OUT, each with its corpus and its dictionary beside it. The
# services set $SRC, $OUT and $SANITIZER.
cd "${SRC:?}/raft"
options=(--release --debug-assertions)
if [ "${SANITIZER:-address}" = none ]; then
    options+=(--sanitizer none)
fi
cargo fuzz build "${options[@]}"

triple=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-fuzz/target}/$triple/release
for source in fuzz/targets/*.rs; do
    target=$(basename "$source" .rs)
    cp "$built/$target" "${OUT:?}/"
    zip -jqr "$OUT/${target}_seed_corpus.zip" "fuzz/corpus/$target"
    if dictionary=$(fuzz/dictionary "$target"); then
        cp "$dictionary" "$OUT/$target.dict"
    fi
    printf '[libfuzzer]\nmax_len = %s\nlen_control = 0\n' "$(fuzz/length "$target")" >"$OUT/$target.options"
done
