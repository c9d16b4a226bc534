#!/bin/bash -eu
# Compile the modules with the flags of OSS-Fuzz, and lay out the targets in $OUT: see README.md in
# the folder above. "run.py --out" there calls this with the same variables.
#
# $LIB_FUZZING_ENGINE is linked into nothing: the programs are Python's, and atheris brings libFuzzer
# along in $OUT/sanitizer_with_fuzzer.so, which is preloaded.

cd "$SRC/gso"
export LDSHARED="$CC -shared"
python3 setup.py -q build --build-base "$WORK/build" --build-lib "$WORK/lib" --parallel "$(nproc)"

# The modules can only be imported where the sanitizer is in the process before Python.
LD_PRELOAD="$OUT/sanitizer_with_fuzzer.so" \
  ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1" \
  PYTHONPATH="$WORK/lib:tests/fuzz" \
  python3 tests/fuzz/layout.py "$WORK" "$OUT"
