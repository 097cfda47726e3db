#!/bin/sh
# Make docs/man/*.1 and completions/* from the option tables of the program named as $1
# (default: build/release/chunkmill). A test compares them.
set -eu
cd "$(dirname "$0")/.."
program=${1:-build/release/chunkmill}
mkdir -p docs/man completions
"$program" help --man >docs/man/chunkmill.1
for command in $("$program" --help | awk '/^  [a-z]/ && $1 != "help" {print $1}'); do
    "$program" help --man "$command" >"docs/man/chunkmill-$command.1"
done
"$program" help --completion bash >completions/chunkmill.bash
"$program" help --completion zsh >completions/_chunkmill
