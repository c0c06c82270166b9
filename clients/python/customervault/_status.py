"""From gRPC failures and `google.rpc.Status` to the client's errors.

Rules:
- A message is passed on only when it comes with an ErrorInfo of domain `customervault`: the vault
  vouches that those hold no value. Other texts, from a proxy or from a crashed handler, are dropped.
- One exception: UNAVAILABLE without ErrorInfo is gRPC's own account of the connection.
"""

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from customervault.errors import ConnectionFailedError, VaultError, error_class

_DOMAIN = "customervault"


def error_of_call(failure: grpc.RpcError) -> VaultError:
    """The error of a failed call, sync or async."""
    code: str = failure.code().name
    status = _rich_status(failure)
    if status is not None and _error_info(status) is not None:
        return error_of_status(status)
    if code == "UNAVAILABLE":
        text: str = failure.details() or "no connection"
        return ConnectionFailedError(text, code=code)
    if code == "CANCELLED":  # a worker that was ending when the call arrived; nobody here cancels calls
        return ConnectionFailedError("the vault ended the connection", code=code)
    return _bare_error(code, f"the call failed with {code}")


def error_of_status(status: status_pb2.Status) -> VaultError:
    """The error of one item of a batch, or of a call with details."""
    code = _code_name(status.code)
    info = _error_info(status)
    if info is None:
        return _bare_error(code, f"the item failed with {code}")
    return error_class(info.reason, code)(
        status.message,
        reason=info.reason,
        details=info.metadata,
        code=code,
        retry_after_seconds=_retry_after_seconds(status),
    )


def _bare_error(code: str, message: str) -> VaultError:
    kind = error_class("", code)
    return kind(message, code=code, reason=code if kind is VaultError else "")


def _code_name(number: int) -> str:
    known = number in code_pb2.Code.values()
    return str(code_pb2.Code.Name(number)) if known else "UNKNOWN"


def _rich_status(failure: grpc.RpcError) -> status_pb2.Status | None:
    """The details in the trailing metadata; None when absent or contradicting the call's status."""
    try:
        return rpc_status.from_call(failure)
    except (ValueError, DecodeError):
        return None


def _error_info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo | None:
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == _DOMAIN:
            return info
    return None


def _retry_after_seconds(status: status_pb2.Status) -> float | None:
    for detail in status.details:
        retry = error_details_pb2.RetryInfo()
        if detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry):
            return float(retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
    return None
