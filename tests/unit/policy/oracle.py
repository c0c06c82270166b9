"""A second opinion on reads, in plain Python, from the rules as the documentation words them.

It knows the policy of `world.py` as data of its own and imports nothing of the vault.
"""

from typing import NamedTuple

ANSWERS = {"PSEUDONYM", "COMPARE", "COUNTRY"}  # those that this policy grants to somebody
EU = {"DE", "FR"}
GRANTS = {  # principal -> purpose -> field class -> level
    "agent": {
        purpose: {"name": "PLAIN", "email": "MASKED"}
        for purpose in ("service", "marketing", "claims", "emergency", "screening")
    },
    "desk": {
        "service": {"name": "PLAIN", "email": "MASKED"},
        "marketing": {"name": "PLAIN", "email": "MASKED"},
        "claims": {"name": "PLAIN", "email": "MASKED"},
        "emergency": {"name": "PLAIN", "email": "MASKED"},
        "screening": {"name": "PLAIN", "email": "MASKED"},
    },
    "stranger": {},
    "analyst": {
        purpose: {"name": {"PSEUDONYM"}, "email": {"MASKED", "COMPARE", "COUNTRY"}, "iban": {"COMPARE"}}
        for purpose in ("service", "marketing", "claims", "emergency", "screening")
    },
}
REGION = {"agent": "DE", "desk": "US", "stranger": "DE", "analyst": "DE"}
NEEDS_TRAINING = {"agent"}
READABLE_FROM = {"DE": {"DE", "FR"}, "FR": {"DE", "FR"}}  # customers of the EU: from the EU
BASES = {
    "service": {"*": ["contract", "legitimate_interests"]},
    "marketing": {"EU": ["consent"], "US": ["legitimate_interests", "consent"]},
    "claims": {"*": ["legitimate_interests"]},
    "emergency": {"*": ["vital_interests"]},
    "screening": {"*": ["legal_obligation"]},
}


class Read(NamedTuple):
    """One read of one field class."""

    principal: str
    purpose: str
    field_class: str
    wanted: str  # BEST, PLAIN, MASKED, PSEUDONYM, COMPARE, COUNTRY
    basis: str  # stated, or empty
    consent: str  # none, given, withdrawn, objected
    jurisdiction: str
    restricted: bool
    expired: bool
    trained: bool
    approved: bool


def bases(purpose: str, jurisdiction: str) -> list[str]:
    """The lawful bases of a purpose in a country."""
    table = BASES[purpose]
    if jurisdiction in table:
        return table[jurisdiction]
    if jurisdiction in EU and "EU" in table:
        return table["EU"]
    return table.get("*", [])


def answer(read: Read) -> str:
    """PLAIN, MASKED, an answer or the reason."""
    granted = GRANTS[read.principal].get(read.purpose, {}).get(read.field_class, set())
    levels = {granted} if isinstance(granted, str) else granted
    told = read.wanted in levels or (
        read.wanted in ANSWERS - {"PSEUDONYM"}
        and "PLAIN" in levels  # a pseudonym does not follow from a value
    )
    asks_value = read.wanted not in ANSWERS
    if not levels & {"PLAIN", "MASKED"} and (asks_value or not told):
        return "PURPOSE_DENIED"
    reason = closed(read)
    if reason:
        return reason
    if not asks_value:
        return read.wanted if told else "REVEAL_DENIED"
    if "PLAIN" not in levels:
        return "REVEAL_DENIED" if read.wanted == "PLAIN" else "MASKED"
    return "MASKED" if read.wanted == "MASKED" else "PLAIN"


def closed(read: Read) -> str:
    """Why a read that is granted is refused all the same; empty where it is not."""
    allowed = bases(read.purpose, read.jurisdiction)
    basis = read.basis or (allowed[0] if allowed else "")
    if basis not in allowed:
        return "PURPOSE_DENIED"
    if not read.trained and (read.principal in NEEDS_TRAINING or read.purpose == "screening"):
        return "TRAINING_EXPIRED"
    from_where = READABLE_FROM.get(read.jurisdiction)
    if from_where is not None and REGION[read.principal] not in from_where:
        return "REGION_DENIED"
    if read.purpose == "emergency" and not read.approved:
        return "APPROVAL_REQUIRED"
    if read.restricted and read.purpose != "claims":
        return "RESTRICTED"
    if read.expired:
        return "EXPIRED"
    if read.consent == "objected" and (
        read.purpose == "marketing" or basis in ("consent", "legitimate_interests", "public_task")
    ):
        return "OBJECTED"
    if basis == "consent" and read.consent == "withdrawn":
        return "CONSENT_WITHDRAWN"
    if basis == "consent" and read.consent == "none":
        return "CONSENT_MISSING"
    return ""
