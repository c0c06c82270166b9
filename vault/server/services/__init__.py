"""One module per service of the API: each method turns a request into one use case and back.

Methods carry the RPC's name in snake case and take `(Caller, request)`; `bind` finds them by it, so an
RPC without a method stops the server at its start.
"""

import re
from typing import Any

import grpc
from customervault.v1 import (
    approval_service_pb2,
    audit_service_pb2,
    consent_service_pb2,
    customer_service_pb2,
    erasure_service_pb2,
    key_service_pb2,
    policy_service_pb2,
    search_service_pb2,
    token_service_pb2,
)
from google.longrunning import operations_proto_pb2
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from vault.core.vault import Vault
from vault.server.calls import Calls
from vault.server.services.approval import ApprovalService
from vault.server.services.audit import AuditService
from vault.server.services.consent import ConsentService
from vault.server.services.customer import CustomerService
from vault.server.services.erasure import ErasureService
from vault.server.services.key import KeyService
from vault.server.services.operations import OperationsService
from vault.server.services.policy import PolicyService
from vault.server.services.search import SearchService
from vault.server.services.token import TokenService

_FILES: tuple[tuple[FileDescriptor, Any], ...] = (
    (approval_service_pb2.DESCRIPTOR, ApprovalService),
    (audit_service_pb2.DESCRIPTOR, AuditService),
    (consent_service_pb2.DESCRIPTOR, ConsentService),
    (customer_service_pb2.DESCRIPTOR, CustomerService),
    (erasure_service_pb2.DESCRIPTOR, ErasureService),
    (key_service_pb2.DESCRIPTOR, KeyService),
    (policy_service_pb2.DESCRIPTOR, PolicyService),
    (search_service_pb2.DESCRIPTOR, SearchService),
    (token_service_pb2.DESCRIPTOR, TokenService),
    (operations_proto_pb2.DESCRIPTOR, OperationsService),
)
_GOOGLES = "google."  # of a service that is not ours, the methods that there are


def bind(server: grpc.Server, vault: Vault, calls: Calls) -> tuple[str, ...]:
    """Adds every service of the API to `server`; returns their full names."""
    names = []
    for file, kind in _FILES:
        servicer = kind(vault)
        for service in file.services_by_name.values():
            handlers = _handlers(service, servicer, calls)
            server.add_registered_method_handlers(service.full_name, handlers)
            for name in handlers:
                calls.lanes.watch(f"/{service.full_name}/{name}")
            names.append(service.full_name)
    return tuple(names)


def _handlers(
    service: ServiceDescriptor, servicer: object, calls: Calls
) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
    return {
        method.name: calls.handler(
            method.name, GetMessageClass(method.input_type), getattr(servicer, _snake(method.name))
        )
        for method in service.methods
        if hasattr(servicer, _snake(method.name)) or not service.full_name.startswith(_GOOGLES)
    }


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
