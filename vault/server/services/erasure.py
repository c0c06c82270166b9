"""`ErasureService`: the record of shreds."""

from customervault.v1 import erasure_service_pb2 as pb

from vault.core.vault import Vault
from vault.model.requests import Caller
from vault.server import convert, convert_erasure


class ErasureService:
    """Reads the record of shreds."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def get_erasure(self, caller: Caller, request: pb.GetErasureRequest) -> pb.GetErasureResponse:
        """One erasure."""
        return pb.GetErasureResponse(
            erasure=convert_erasure.erasure(self._vault.get_erasure(caller, request.shred_id))
        )

    def list_erasures(self, caller: Caller, request: pb.ListErasuresRequest) -> pb.ListErasuresResponse:
        """All erasures, or those at one stage."""
        page = self._vault.list_erasures(
            caller,
            convert.to_page_size(request.page_size),
            request.page_token,
            convert_erasure.to_stage(request.stage),
        )
        return pb.ListErasuresResponse(
            erasures=[convert_erasure.erasure(each) for each in page.items],
            next_page_token=page.next_page_token,
        )

    def get_certificate(self, caller: Caller, request: pb.GetCertificateRequest) -> pb.GetCertificateResponse:
        """The newest certificate of one erasure."""
        return pb.GetCertificateResponse(
            certificate=convert_erasure.certificate(self._vault.get_certificate(caller, request.shred_id))
        )
