#!/usr/bin/env bash
# flwr 1.42.0: how `flwr build` packs the app bundle that goes to every node in every run.
#
# Guess: the bundle is a zip file that is opened with ZIP_DEFLATED, so a megabyte of Python takes some 300 kB.
# Behaviour: each file is written with a ZipInfo of its own, whose compression is the library's default, stored,
# and wins over that of the archive. The bundle is larger than its files, and so is what each node downloads.
# Output seen: "files: 989,614 bytes, bundle: 990,140, stored: True; deflated it would be 61,599"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check flwr==1.42.0
export FLWR_TELEMETRY_ENABLED=0 FLWR_HOME="$place/home"
mkdir -p "$place/app/app"
cd "$place/app"
cat >pyproject.toml <<'TOML'
[project]
name = "app"
version = "1.0.0"
description = "a model's shapes, written out"
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "somebody"
[tool.flwr.app.components]
serverapp = "app.server:app"
clientapp = "app.server:client"
[tool.flwr.app.config]
TOML
: >LICENSE
: >app/__init__.py
"$place/venv/bin/python" - <<'PY'
lines = "".join(f"SHAPE_{n} = (768, 3072)  # of a layer\n" for n in range(25_000))
head = "from flwr.clientapp import ClientApp\nfrom flwr.serverapp import ServerApp\n\napp = ServerApp()\nclient = ClientApp()\n"
open("app/server.py", "w").write(head + lines)
PY
"$place/venv/bin/flwr" build >/dev/null
"$place/venv/bin/python" - <<'PY'
import glob
import os
import zipfile
import zlib

(name,) = glob.glob("*.fab")
with zipfile.ZipFile(name) as bundle:
    files = [info for info in bundle.infolist()]
    size = sum(info.file_size for info in files)
    deflated = sum(len(zlib.compress(bundle.read(info))) for info in files)
    stored = all(info.compress_type == zipfile.ZIP_STORED for info in files)
print(f"files: {size:,} bytes, bundle: {os.path.getsize(name):,}, stored: {stored}; deflated it would be {deflated:,}")
assert stored and os.path.getsize(name) > size, "bundles are compressed now: this finding is out of date"
PY
