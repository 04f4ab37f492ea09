"""Every name of flwr that its documentation does not list, in one place.

``tests/flower/test_flwr_private.py`` checks each of them on every supported version of flwr. No
other file of the package imports a private name of flwr.
"""

from flwr.clientapp.typing import ClientAppCallable
from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE, ErrorCode
from flwr.compat.common.recorddict_compat import (
    fitins_to_recorddict,
    fitres_to_recorddict,
    getparametersins_to_recorddict,
    getparametersres_to_recorddict,
    recorddict_to_fitres,
)
from flwr.server.compat.grid_client_proxy import GridClientProxy
from flwr.supercore.constant import HEAD_BODY_DIVIDER, HEAD_VALUE_DIVIDER
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

__all__ = [
    "FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE",
    "HEAD_BODY_DIVIDER",
    "HEAD_VALUE_DIVIDER",
    "ClientAppCallable",
    "ErrorCode",
    "GridClientProxy",
    "Run",
    "TaskIdentity",
    "fitins_to_recorddict",
    "fitres_to_recorddict",
    "getparametersins_to_recorddict",
    "getparametersres_to_recorddict",
    "recorddict_to_fitres",
]
