#!/bin/sh
# Makes .venv and installs beatd into it. Called by the Makefile from the root of the repository:
#
#   venv.sh create             an empty .venv, of $PYTHON or of the first Python from 3.11 to 3.13 on PATH
#   venv.sh install EXTRAS     beatd itself (editable) with these extras
#   venv.sh require FILE       what a file of requirements names, and no beatd
#
# BEATD_VENV names another folder than .venv.
#
# Needs no more than Debian's python3 and python3-pip: where ensurepip was left out (no python3-venv), the venv is
# made without pip and the pip outside installs into it. Nothing outside .venv is changed.
set -eu

venv=${BEATD_VENV:-.venv}

fail() {
    printf 'beatd: %s\n' "$@" >&2
    exit 1
}

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

python_to_use() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    found=$("${PYTHON:-python3}" --version 2>&1) || found="no ${PYTHON:-python3}"
    fail "found $found; beatd needs Python 3.11, 3.12 or 3.13." \
        "Install one (Debian, Ubuntu: apt-get install python3 python3-pip), or name it: make PYTHON=/path/to/python3.12"
}

create() {
    python=$(python_to_use)
    echo "Making $venv with $python ..."
    trap 'rm -rf "$venv"; exit 1' HUP INT TERM
    if "$python" -c 'import venv, ensurepip' 2>/dev/null && "$python" -m venv --clear "$venv"; then
        return
    fi
    rm -rf "$venv"
    "$python" -m pip --version >/dev/null 2>&1 ||
        fail "$python has neither pip nor ensurepip." \
            "Install one of them (Debian, Ubuntu: apt-get install python3-pip)."
    "$python" -m venv --without-pip "$venv" || {
        rm -rf "$venv"
        fail "$python can't make a virtual environment here, see above (Debian, Ubuntu: apt-get install python3-venv)."
    }
}

pip() {
    if "$venv"/bin/python -c 'import pip' 2>/dev/null; then
        "$venv"/bin/python -m pip "$@"
    else
        # The base interpreter is the one that had pip when the venv was made.
        base=$("$venv"/bin/python -c 'import sys; print(sys._base_executable)')
        "$base" -m pip --python "$venv"/bin/python "$@"
    fi
}

install() {
    # A user's or a container's settings must not send the packages elsewhere, and a home that is missing or
    # read-only means no cache, not a complaint (or a folder named "~").
    unset PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONHOME PYTHONPATH
    export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1
    { [ -d "${HOME:-}" ] && [ -w "$HOME" ]; } || export PIP_NO_CACHE_DIR=1
    echo "Installing $3 into $venv, a minute or less where packages come quickly ..."
    pip install --quiet "$1" "$2" ||
        fail "the packages could not be installed, see pip's words above." "When mended, the same make goes on."
}

case ${1:-} in
create) create ;;
install) install --editable ".[${2:?extras}]" "beatd with ${2:?extras}" ;;
require) install --requirement "${2:?a file of requirements}" "what $2 names" ;;
*) fail "usage: sh scripts/venv.sh create | install EXTRAS | require FILE" ;;
esac
