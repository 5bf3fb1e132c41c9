# Creates .tools, with tox in it. ./test and .ci/run source this in the folder of the checkout.
# It needs a python3 >= 3.11 with venv.

unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
export UV_PYTHON_DOWNLOADS=never
# The caches need a home directory; a build user may have none.
[ -n "${HOME:-}" ] && [ -w "$HOME" ] || export HOME="$PWD/.tools/home"

# A name on PATH is not enough: it may be too old, or a shim without an interpreter.
python=
for name in python3 python3.{14,13,12,11}; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$name && break
    fi
done
if [ -z "$python" ]; then
    echo "$0: needs Python 3.11 or newer, and there is none on PATH" >&2 && exit 2
fi
version=$("$python" -c 'import platform; print(platform.python_version())')
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$0: $python has no venv. On Debian: apt-get install python3-venv" \
        "(or python${version%.*}-venv)" >&2 && exit 2
fi

# Created again if a pin, the interpreter or the path of the checkout has changed.
stamp="$PWD, Python $version, $(cksum <constraints.txt)"
if [ "$stamp" != "$(cat .tools/stamp 2>/dev/null)" ]; then
    echo "creating .tools with Python $version"
    rm -rf .tools .tox
    "$python" -m venv .tools || exit 2
    .tools/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt tox tox-uv || exit 2
    echo "$stamp" >.tools/stamp
fi
