"""Lawful bases, questions to Explain and its answers, between protobuf and model."""

import pytest
from customervault.v1 import common_pb2
from customervault.v1 import policy_service_pb2 as pb

from vault.errors import InvalidRequestError, Reason
from vault.model.access import Reveal
from vault.model.consent import ConsentState, LawfulBasis
from vault.model.requests import ExplainQuery
from vault.model.situation import Situation
from vault.policy.explaining import Explanation
from vault.server import convert, convert_policy


def test_every_basis_comes_back_and_none_is_none() -> None:
    for basis in (None, *LawfulBasis):
        assert convert.to_basis(convert.from_basis(basis)) == basis
    assert len(common_pb2.LawfulBasis.values()) == len(LawfulBasis) + 1
    with pytest.raises(InvalidRequestError):
        convert.to_basis(77)


def test_a_question_of_a_situation_and_one_of_a_customer() -> None:
    asked = pb.ExplainRequest(principal="crm", purpose="news", field_class="email", lawful_basis=1)
    asked.situation.jurisdiction = "DE"
    asked.situation.consent = pb.ExplainedSituation.CONSENT_OBJECTED
    asked.situation.restricted = True
    situation = Situation(ConsentState.OBJECTED, "DE", restricted=True)
    assert convert_policy.to_explain_query(asked) == ExplainQuery(
        "crm", "news", "email", basis=LawfulBasis.CONSENT, situation=situation
    )
    asked.customer.token = "cv1_0"
    query = convert_policy.to_explain_query(asked)
    assert (query.customer is not None, query.situation) == (True, Situation())


def test_an_explanation() -> None:
    sent = convert_policy.explanation(
        Explanation(
            Reveal.NONE, Reason.OBJECTED, LawfulBasis.CONSENT, ("guard.objection",), ("a",), "No.", ("b",)
        )
    )
    assert (sent.reveal, sent.reason, sent.lawful_basis) == (0, "OBJECTED", common_pb2.LAWFUL_BASIS_CONSENT)
    assert ([*sent.deciders], [*sent.granted_by], sent.explanation, [*sent.changes]) == (
        ["guard.objection"],
        ["a"],
        "No.",
        ["b"],
    )
