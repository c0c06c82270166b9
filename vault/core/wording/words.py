"""What a language has to say. Texts with `{who}` and `{what}` are filled in.

Acts go by the API's name of the call. What has no text of its own is said by `other_act`, which names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vault.errors import Reason
from vault.model.consent import LawfulBasis


@dataclass(frozen=True, slots=True)
class Words:
    """One language.

    Attributes:
        locale: BCP 47.
        operator: who acts where no principal does.
        read: that somebody saw values; `copied`: that somebody made a copy of all of them; `asked`: that
            somebody asked for values and got none.
        answered: that somebody was told something of values without seeing them.
        plain, masked, denied, told: what was seen in full, seen in part, refused, answered about; each takes
            `{what}`, and `denied` also `{why}`.
        purpose, basis, usual_basis: why; `usual_basis` is said where the caller stated none.
        break_glass: that it was an emergency.
        refused_act: that an act was not done, and `{why}`.
        technical: any other reason.
    """

    locale: str
    operator: str
    read: str
    copied: str
    asked: str
    answered: str
    plain: str
    masked: str
    denied: str
    told: str
    purpose: str
    basis: str
    usual_basis: str
    break_glass: str
    refused_act: str
    other_act: str
    technical: str
    classes: Mapping[str, str]
    bases: Mapping[LawfulBasis, str]
    reasons: Mapping[Reason, str]
    acts: Mapping[str, str]
