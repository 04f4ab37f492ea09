#!/usr/bin/env bash
# mlflow-skinny 3.17.2 with a folder as its store.
#
# Guess: MlflowClient(tracking_uri="file:///FOLDER") keeps runs in that folder, as mlflow has done by
# default for years; if that is on its way out, there is a warning.
# Behaviour: the client raises MlflowException, "The filesystem tracking backend ... is in maintenance
# mode". With MLFLOW_ALLOW_FILE_STORE=true in the environment the same lines log. A script that logs
# without a server stops with an upgrade of mlflow within version 3.
# Output seen: "as it is: MlflowException; with MLFLOW_ALLOW_FILE_STORE=true: logged 0.5"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check mlflow-skinny==3.17.2
export MLFLOW_DISABLE_TELEMETRY=true
try() { "$place/venv/bin/python" -c "
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
try:
    client = MlflowClient(tracking_uri='file://$place/$1')
    run = client.create_run('0').info.run_id
    client.log_metric(run, 'loss', 0.5, step=1)
    print('logged', client.get_metric_history(run, 'loss')[0].value)
except MlflowException as error:
    assert 'maintenance mode' in str(error)
    print('MlflowException')"; }
plain=$(try plain)
asked=$(MLFLOW_ALLOW_FILE_STORE=true try asked)
echo "as it is: $plain; with MLFLOW_ALLOW_FILE_STORE=true: $asked"
test "$asked" = "logged 0.5"
test "$plain" = MlflowException || { echo "it logs now: this finding is out of date"; exit 1; }
