#!/usr/bin/env bash
# Install Prism and GitHub's API description, which the tests of every call to GitHub use, into .tools/github-api.
# The versions and hashes are those of tests/github_api/package-lock.json; what is there already is kept.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
tools=$here/.tools/github-api
lock=$here/tests/github_api/package-lock.json
if cmp -s "$lock" "$tools/installed"; then
  exit 0
fi
command -v npm >/dev/null || "$here/scripts/debian-packages.sh" nodejs npm
rm -rf "$tools"
mkdir -p "$tools"
cp "$here/tests/github_api/package.json" "$lock" "$tools"
npm ci --prefix "$tools" --fetch-retries=5 --ignore-scripts --no-audit --no-fund --loglevel=error
# Of the API's descriptions (370 MB) one is used.
find "$tools/node_modules/@octokit/openapi/generated" -name '*.json' ! -name api.github.com.json -delete
cp "$lock" "$tools/installed"
