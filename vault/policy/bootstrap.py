"""The policies that a vault starts with, written to be read and edited."""

from vault.errors import InvalidRequestError
from vault.model.access import Action
from vault.policy.rules import is_principal_name, quote

DEVELOPER = "dev"
OTHER_DEVELOPER = "dev-other"

_ALL_ACTIONS = ", ".join(f'"{action.value}"' for action in Action)

_INITIAL = """\
# Who may do what in this vault. Whatever no line here allows is denied.
#
#   cvault policy check FILE     says what is wrong with a file and changes nothing
#   cvault policy apply FILE     puts it in force, from the next call on

version = 1

# A domain is a group of principals that share tokens: usually one CRM. The same value has
# other tokens in another domain.
[domains.crm]
description = "The customer relationship system"

# A purpose is why values are read. Every read names one, and the access log keeps it.
[purposes.support]
description = "Answer a customer's question"

[purposes.billing]
description = "Write and collect invoices"

[purposes.marketing]
description = "Tell customers about offers"

# A principal is the name in a certificate: its SPIFFE URI, else its DNS name, else its common
# name. This one runs the vault. It reads no values, because no `reveal` table grants it any:
# keep it so, and give those who read a principal of their own, for example
#
#   [principals."crm-support"]
#   domains = ["crm"]                # the first is used where a call names none
#   may = ["write", "inspect"]
#   [principals."crm-support".reveal.support]
#   name = "PLAIN"                   # the value itself
#   "*" = "MASKED"                   # every other field class: enough to recognise, no more
[principals.{admin}]
domains = ["crm"]
may = [{actions}]
"""

_DEVELOPMENT = """
# What follows is for development only: one principal that may do everything, and one of another
# domain, to which the first one's tokens mean nothing. Nobody may read for billing.
[domains.partner]
description = "Another system, with tokens of its own"

[principals.{developer}]
domains = ["crm"]
may = [{actions}]

[principals.{developer}.reveal.support]
"*" = "PLAIN"

[principals.{developer}.reveal.marketing]
name = "MASKED"
email = "MASKED"

[principals.{other}]
domains = ["partner"]
may = ["write", "inspect"]

[principals.{other}.reveal.support]
"*" = "MASKED"
"""


def initial_policy(admin: str) -> str:
    """The policy of a new vault: `admin` may perform every act, and nobody may read a value.

    Raises:
        InvalidRequestError: `admin` cannot be the name of a principal.
    """
    if not is_principal_name(admin):
        raise InvalidRequestError("a principal's name is 1 to 255 printable characters, no outer spaces")
    return _INITIAL.format(admin=quote(admin), actions=_ALL_ACTIONS)


def development_policy(admin: str) -> str:
    """`initial_policy`, and the principals `dev` (domain crm) and `dev-other` (domain partner).

    It names the field classes `name` and `email`, which therefore have to be declared.

    Raises:
        InvalidRequestError: `admin` cannot be the name of a principal, or is one of those two.
    """
    if admin in (DEVELOPER, OTHER_DEVELOPER):
        raise InvalidRequestError("the administrator needs a name of its own, not a developer's")
    return initial_policy(admin) + _DEVELOPMENT.format(
        developer=DEVELOPER, other=OTHER_DEVELOPER, actions=_ALL_ACTIONS
    )
