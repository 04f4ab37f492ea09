#!/usr/bin/env bash
# numcodecs 0.16.6 and zarr 3.1.6 beside zfpy 1.0.1.post0.
#
# Guess: zfpy is an optional codec, so installing it adds one codec to numcodecs and breaks nothing.
# Behaviour: numcodecs turns the version of zfpy into integers piece by piece, and "post0" is none.
# import numcodecs raises ValueError, and so does import zarr, though neither has been asked for zfpy.
# With zfpy 1.0.1, the same code without the suffix, both import.
# Output seen: "zfpy 1.0.1.post0: ValueError; zfpy 1.0.1: imported"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
pip() { "$place/venv/bin/python" -m pip install -q --disable-pip-version-check "$@"; }
try() { "$place/venv/bin/python" -c "
try:
    import zarr
    print('imported')
except ValueError as error:
    assert 'post0' in str(error)
    print('ValueError')"; }
pip zarr==3.1.6 numcodecs==0.16.6 numpy==2.4.6 zfpy==1.0.1.post0
post=$(try)
pip zfpy==1.0.1
plain=$(try)
echo "zfpy 1.0.1.post0: $post; zfpy 1.0.1: $plain"
test "$plain" = imported
test "$post" = ValueError || { echo "it imports now: this finding is out of date"; exit 1; }
