"""The sync client."""

from customervault._sync.accesses import AccessVerbs
from customervault._sync.administration import AdministrationVerbs
from customervault._sync.answers import AnswerVerbs
from customervault._sync.consents import ConsentVerbs
from customervault._sync.controls import ControlVerbs
from customervault._sync.customers import CustomerVerbs
from customervault._sync.issued import IssuedVerbs
from customervault._sync.reach import ReachVerbs
from customervault._sync.search import SearchVerbs
from customervault._sync.terms import TermsVerbs
from customervault._sync.tokens import TokenVerbs


class Vault(
    TokenVerbs,
    IssuedVerbs,
    CustomerVerbs,
    TermsVerbs,
    ConsentVerbs,
    AccessVerbs,
    AdministrationVerbs,
    ControlVerbs,
    ReachVerbs,
    AnswerVerbs,
    SearchVerbs,
):
    """A client of one vault.

    Arguments left out come from the environment: `CVAULT_ADDRESS`, `CVAULT_CA`, `CVAULT_CERTIFICATE`,
    `CVAULT_KEY` (paths of PEM files), `CVAULT_DOMAIN`, `CVAULT_PURPOSE`, `CVAULT_TIMEOUT` (seconds,
    10 when unset). Safe to use from several threads. Close it, or use it as a context manager.

    Args:
        address: `host:port`.
        ca: Path of the CA certificates that the vault must chain to.
        certificate: Path of this client's certificate chain.
        key: Path of its private key.
        domain: Domain of tokens in all calls; empty for the principal's first domain.
        purpose: Purpose of all reads that name none.
        timeout: Seconds for one call with all its attempts.
        channels: Connections; more of them reach more of the vault's workers.
        max_batch: Items per request; longer calls are split.
        max_attempts: How often a request is sent at most.
        server_name: Name in the vault's certificate, when it differs from the address.
        coalesce: Let `detokenize` calls for single tokens that are made at the same time share requests.

    Raises:
        ConfigurationError: Something is missing or unusable; names argument and variable.
    """
