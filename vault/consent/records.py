"""The export: a customer's consent records, one for each purpose, in the structure of ISO/IEC TS 27560:2023.

JSON-LD in terms of the W3C Data Privacy Vocabulary (DPV 2). What stands where:

    TS 27560              here
    record identifier     dct:identifier, "<vault id>/<customer token>/<purpose>"
    schema version        dct:conformsTo, the DPV's profile of TS 27560
    PII principal         dpv:hasDataSubject, a token: the vault holds who it is
    jurisdiction          dpv:hasJurisdiction, the customer's
    purpose               dpv:hasProcess / dpv:hasPurpose: the policy's IRI, name, texts by language
    lawful basis          dpv:hasLegalBasis: each the policy allows there, the default one first
    event state           dpv:hasConsentStatus: every event, oldest first, the present state last
    event time            dct:date when it was recorded, dpv:isIndicatedAtTime when the customer acted
    validity              dct:valid, end of a consent
    party that acted      dpv:isIndicatedBy
    method                dpv:hasIndicationMethod
    privacy notice        dpv:hasNotice: version, language and SHA-256 of the text shown

Terms of prefix `cv` are the vault's own: number, kind, hash and predecessor of an event, which verify against
receipts. Controller, recipients, storage and data categories are the caller's to add: the vault does not
know them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from vault.consent.events import Actor, ConsentEvent, Kind
from vault.consent.receipts import rfc3339
from vault.consent.standing import Standing
from vault.erasure.canonical import Json, canonical
from vault.model.consent import ConsentState, LawfulBasis
from vault.policy.rules import Purpose

PROFILE: Final = "https://w3id.org/dpv/schema/dpv-27560#record"

_CONTEXT: Final[Mapping[str, str]] = {
    "cv": "urn:customervault:consent:",
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "loc": "https://w3id.org/dpv/loc#",
}
_STATUS: Final[Mapping[Kind, str]] = {
    Kind.GIVEN: "dpv:ConsentGiven",
    Kind.RENEWED: "dpv:RenewedConsentGiven",
    Kind.WITHDRAWN: "dpv:ConsentWithdrawn",
    Kind.EXPIRED: "dpv:ConsentExpired",
    Kind.REFUSED: "dpv:ConsentRefused",
    Kind.OBJECTED: "dpv:ConsentWithdrawn",
}
_ACTORS: Final[Mapping[Actor, str]] = {
    Actor.CUSTOMER: "dpv:DataSubject",
    Actor.AGENT: "dpv:Representative",
    Actor.GUARDIAN: "dpv:GuardianOfDataSubject",
    Actor.VAULT: "cv:vault",
}
_BASES: Final[Mapping[LawfulBasis, str]] = {
    LawfulBasis.CONSENT: "eu-gdpr:A6-1-a",
    LawfulBasis.CONTRACT: "eu-gdpr:A6-1-b",
    LawfulBasis.LEGAL_OBLIGATION: "eu-gdpr:A6-1-c",
    LawfulBasis.VITAL_INTERESTS: "eu-gdpr:A6-1-d",
    LawfulBasis.PUBLIC_TASK: "eu-gdpr:A6-1-e",
    LawfulBasis.LEGITIMATE_INTERESTS: "eu-gdpr:A6-1-f",
}
_RIGHT_TO_OBJECT: Final = "eu-gdpr:A21"


def export_records(
    vault_id: bytes,
    customer: str,
    jurisdiction: str,
    events: Sequence[ConsentEvent],
    standings: Mapping[int, Standing],
    purposes: Mapping[str, Purpose],
    now_ms: int,
) -> bytes:
    """The records of one customer, as canonical JSON.

    Args:
        vault_id: 16 bytes.
        customer: a token of the customer.
        jurisdiction: of the customer; may be empty.
        events: all of them, oldest first.
        standings: where each purpose stands by them.
        purposes: those that the policy declares, by name.
        now_ms: the time of the export.
    """
    records: list[Json] = []
    for number, standing in sorted(standings.items()):
        said = [event for event in events if event.purpose == number]
        name = standing.last.purpose_name
        identifier = f"{vault_id.hex()}/{customer}/{name}"
        record: dict[str, Json] = {
            "@id": f"urn:customervault:record:{identifier}",
            "@type": "dpv:ConsentRecord",
            "dct:identifier": identifier,
            "dct:conformsTo": PROFILE,
            "dpv:hasDataSubject": {
                "@id": f"urn:customervault:customer:{customer}",
                "@type": "dpv:DataSubject",
            },
            "dpv:hasProcess": {"@type": "dpv:Process", "dpv:hasPurpose": _purpose(name, purposes.get(name))},
            "dpv:hasLegalBasis": _bases(purposes.get(name), jurisdiction),
            "dpv:hasConsentStatus": [*[_status(each) for each in said], _present(standing, now_ms)],
        }
        if jurisdiction:
            record["dpv:hasJurisdiction"] = {"@id": f"loc:{jurisdiction}"}
        records.append(record)
    return canonical({"@context": dict(_CONTEXT), "dct:created": rfc3339(now_ms), "@graph": records})


def _purpose(name: str, declared: Purpose | None) -> Json:
    if declared is None:
        return {"@type": "dpv:Purpose", "dct:title": name}
    texts: list[Json] = [{"@language": "en", "@value": declared.description}]
    texts += [_text(locale, text) for locale, text in sorted(declared.descriptions.items())]
    purpose: dict[str, Json] = {"@type": "dpv:Purpose", "dct:title": name, "dct:description": texts}
    if declared.iri:
        purpose["@id"] = declared.iri
    if declared.benefits:
        purpose["cv:benefit"] = [_text(*each) for each in sorted(declared.benefits.items())]
    return purpose


def _text(locale: str, text: str) -> Json:
    return {"@language": locale, "@value": text}


def _bases(declared: Purpose | None, jurisdiction: str) -> Json:
    bases = declared.bases_in(jurisdiction) if declared is not None else ()
    return [{"@id": _BASES[each]} for each in bases]


def _status(event: ConsentEvent) -> Json:
    status: dict[str, Json] = {
        "@type": _STATUS[event.kind],
        "dct:date": rfc3339(event.time_ms),
        "dpv:isIndicatedBy": {"@type": _ACTORS[event.acted]},
        "cv:seq": event.seq,
        "cv:kind": event.kind.value,
        "cv:sha256": event.digest().hex(),
        "cv:previous": event.previous.hex(),
    }
    if event.principal:
        status["cv:recordedBy"] = event.principal
    if event.acted_ms:
        status["dpv:isIndicatedAtTime"] = rfc3339(event.acted_ms)
    if event.method:
        status["dpv:hasIndicationMethod"] = event.method
    if event.expires_ms:
        status["dct:valid"] = rfc3339(event.expires_ms)
    if event.kind is Kind.OBJECTED:
        status["dpv:hasRight"] = {"@id": _RIGHT_TO_OBJECT}
    if event.notice_version or event.text_sha256 or event.locale:
        status["dpv:hasNotice"] = _notice(event)
    return status


def _notice(event: ConsentEvent) -> Json:
    notice: dict[str, Json] = {"@type": "dpv:ConsentNotice"}
    if event.notice_version:
        notice["dct:hasVersion"] = event.notice_version
    if event.locale:
        notice["dct:language"] = event.locale
    if event.text_sha256:
        notice["cv:textSha256"] = event.text_sha256.hex()
    return notice


def _present(standing: Standing, now_ms: int) -> Json:
    """The state now, which time alone may have ended."""
    state, since_ms = standing.at(now_ms)
    ended_by_time = state is not standing.state
    present: dict[str, Json] = {
        "@type": "dpv:ConsentExpired" if ended_by_time else _STATUS[standing.last.kind],
        "cv:present": True,
        "cv:since": rfc3339(since_ms),
    }
    if state is ConsentState.OBJECTED:
        present["dpv:hasRight"] = {"@id": _RIGHT_TO_OBJECT}
    return present
