#!/bin/sh
# Resolve every dependency for all platforms, by name, version and hash, without addresses.
# The model's wheel is built from this repository: it lies in dist/ and has no line in a lock.
set -eu
uv="$1"
compile() {
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --find-links "$PWD/dist" --no-emit-package ragstone-minilm --no-emit-index-url --no-emit-find-links "$@"
}
extras="--extra openai --extra anthropic --extra postgres --extra redis"
echo uv | compile - -o requirements/uv.txt
compile $extras --group build pyproject.toml -o requirements/runtime.txt
compile $extras --extra otel --extra langgraph --group build --group dev --group bench pyproject.toml \
  -c requirements/runtime.txt -o requirements/dev.txt
# What builds the model's wheel.
compile --directory packages/ragstone-minilm --group build -o ../../requirements/model.txt
# LiteLLM, a client in the tests, caps versions that everything else has outgrown: it gets an environment of its own.
echo 'litellm>=1.106' | compile - -o requirements/litellm.txt
