"""The policy that `oracle.py` knows by heart, and ways to ask the engine about it."""

from functools import cache

from tests.unit.policy.oracle import Read
from vault.model.access import Reveal
from vault.model.consent import ConsentState, LawfulBasis
from vault.model.situation import Situation
from vault.policy.compiling import Compiled
from vault.policy.document import parse_policy
from vault.policy.explaining import Question
from vault.policy.judging import Judge

CLASSES = ("name", "email", "iban")
POLICY = """
version = 1
[domains.crm]
[residency]
EU = ["EU"]
[purposes.service]
description = "Serve"
bases = { "*" = ["contract", "legitimate_interests"] }
[purposes.marketing]
description = "Sell"
direct_marketing = true
bases = { EU = ["consent"], US = ["legitimate_interests", "consent"] }
[purposes.claims]
description = "Claim"
allow_restricted = true
bases = { "*" = ["legitimate_interests"] }
[purposes.emergency]
description = "Save"
break_glass = true
bases = { "*" = ["vital_interests"] }
[purposes.screening]
description = "Screen"
training = true
bases = { "*" = ["legal_obligation"] }
[roles.reader.reveal]
service = { name = "PLAIN", email = "MASKED" }
marketing = { name = "PLAIN", email = "MASKED" }
claims = { name = "PLAIN", email = "MASKED" }
emergency = { name = "PLAIN", email = "MASKED" }
screening = { name = "PLAIN", email = "MASKED" }
[roles.analyst.reveal]
service = { name = "PSEUDONYM", email = ["MASKED", "COMPARE", "COUNTRY"], iban = ["COMPARE"] }
marketing = { name = "PSEUDONYM", email = ["MASKED", "COMPARE", "COUNTRY"], iban = ["COMPARE"] }
claims = { name = "PSEUDONYM", email = ["MASKED", "COMPARE", "COUNTRY"], iban = ["COMPARE"] }
emergency = { name = "PSEUDONYM", email = ["MASKED", "COMPARE", "COUNTRY"], iban = ["COMPARE"] }
screening = { name = "PSEUDONYM", email = ["MASKED", "COMPARE", "COUNTRY"], iban = ["COMPARE"] }
[principals.admin]
may = ["admin"]
[principals.analyst]
roles = ["analyst"]
domains = ["crm"]
region = "DE"
[principals.agent]
roles = ["reader"]
domains = ["crm"]
region = "DE"
training = true
[principals.desk]
roles = ["reader"]
domains = ["crm"]
region = "US"
[principals.stranger]
domains = ["crm"]
region = "DE"
"""


@cache
def compiled() -> Compiled:
    """The policy as the engine takes it."""
    return Compiled(parse_policy(POLICY, CLASSES), CLASSES)


@cache
def judge(principal: str) -> Judge:
    """The engine's judge of a principal."""
    return Judge(compiled(), principal)


def question(read: Read) -> Question:
    """A read in the engine's words."""
    return Question(
        principal=read.principal,
        purpose=read.purpose,
        field_class=read.field_class,
        reveal=Reveal[read.wanted],
        basis=LawfulBasis(read.basis) if read.basis else None,
        situation=situation(read),
        trained=read.trained,
        break_glass=read.approved,
    )


def situation(read: Read) -> Situation:
    """A read's situation."""
    return Situation(
        ConsentState[read.consent.upper()],
        read.jurisdiction,
        restricted=read.restricted,
        expired=read.expired,
    )
