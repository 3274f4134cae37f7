#!/bin/sh
# Resolve every dependency for all platforms, by name, version and hash, without addresses.
set -eu
uv="$1"
compile() {
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --no-emit-index-url --no-emit-find-links "$@"
}
echo uv | compile - -o requirements/uv.txt
compile --extra openai --extra anthropic --extra postgres --extra redis pyproject.toml requirements/model.in -o requirements/runtime.txt
compile --extra openai --extra anthropic --extra postgres --extra redis --extra otel --extra langgraph --group dev --group bench pyproject.toml requirements/model.in \
  -c requirements/runtime.txt -o requirements/dev.txt
# LiteLLM, a client in the tests, caps versions that everything else has outgrown: it gets an environment of its own.
echo 'litellm>=1.106' | compile - -o requirements/litellm.txt
