#!/usr/bin/env bash
# Run a ci-budget command from the action's own folder: find a Python that will do, and hand over to
# environment.py beside this file, which sees to the private virtual environment.
#
#   run.sh COMMAND [ARGUMENT…]
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# A name in PATH is no promise (pyenv's shims are there for versions that are not chosen), so each is run.
# -I: neither the working directory, which is the repository's, nor PYTHON* variables may bring in modules.
probe='import sys; print("%d.%d.%d" % sys.version_info[:3]); sys.exit(sys.version_info < (3, 11))'
seen=
for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
    if version=$("$name" -I -c "$probe" 2>/dev/null); then
        exec "$name" -I "$here/environment.py" "$@"
    fi
    if [ -n "$version" ]; then
        seen="${seen:+$seen, }$name is $version"
    fi
done

message="ci-budget needs Python 3.11 or newer on this runner; ${seen:-none was found}."
message+=" Install it (Debian, Ubuntu: apt-get install python3 python3-venv), or put actions/setup-python before this step."
printf '::error title=ci-budget::%s\n' "$message"
if [ -n "${GITHUB_OUTPUT:-}" ]; then
    printf 'verdict=not-measured\nexit-code=3\n' >>"$GITHUB_OUTPUT"
fi
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    printf '### ci-budget: exit 3\n\n%s\n' "$message" >>"$GITHUB_STEP_SUMMARY"
fi
exit 3
