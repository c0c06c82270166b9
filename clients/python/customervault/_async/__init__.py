"""The asyncio client."""

from customervault._async.accesses import AsyncAccessVerbs
from customervault._async.administration import AsyncAdministrationVerbs
from customervault._async.answers import AsyncAnswerVerbs
from customervault._async.consents import AsyncConsentVerbs
from customervault._async.controls import AsyncControlVerbs
from customervault._async.customers import AsyncCustomerVerbs
from customervault._async.issued import AsyncIssuedVerbs
from customervault._async.reach import AsyncReachVerbs
from customervault._async.search import AsyncSearchVerbs
from customervault._async.terms import AsyncTermsVerbs
from customervault._async.tokens import AsyncTokenVerbs


class AsyncVault(
    AsyncTokenVerbs,
    AsyncIssuedVerbs,
    AsyncAnswerVerbs,
    AsyncCustomerVerbs,
    AsyncSearchVerbs,
    AsyncTermsVerbs,
    AsyncConsentVerbs,
    AsyncAccessVerbs,
    AsyncAdministrationVerbs,
    AsyncControlVerbs,
    AsyncReachVerbs,
):
    """A client of one vault for asyncio, with the arguments and the verbs of `Vault`.

    Listings are asynchronous iterators; every other verb is awaited. Belongs to the event loop of its
    first call.

    Raises:
        ConfigurationError: Something is missing or unusable; names argument and variable.
    """
