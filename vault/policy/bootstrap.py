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
#   cvault policy diff FILE      says what it would change
#   cvault policy apply FILE     puts it in force, from the next call on

version = 1

# A domain is a group of principals that share tokens: usually one CRM. The same value has
# other tokens in another domain.
[domains.crm]
description = "The customer relationship system"

# A purpose is why values are read. Every read names one, and the access log keeps it. `bases` are the
# lawful bases (GDPR art. 6(1)) by country, "EU", "EEA" or "*" for all others and where the country is not
# known; the first is meant where a caller states none. What stands on consent needs the customer's.
[purposes.support]
description = "Answer a customer's question"
iri = "https://w3id.org/dpv#CustomerCare"
descriptions = {{ de = "Eine Frage des Kunden beantworten", fr = "Répondre à une question du client" }}
benefits.en = "Your question is answered"
benefits.de = "Ihre Frage wird beantwortet"
benefits.fr = "Une réponse à votre question"
bases = {{ "*" = ["contract", "legitimate_interests"] }}

[purposes.order_fulfilment]
description = "Deliver what a customer ordered"
iri = "https://w3id.org/dpv#CustomerOrderManagement"
descriptions = {{ de = "Eine Bestellung ausführen", fr = "Livrer une commande" }}
benefits.en = "Your order reaches you"
benefits.de = "Ihre Bestellung kommt an"
benefits.fr = "Votre commande vous parvient"
bases = {{ "*" = ["contract"] }}

[purposes.billing]
description = "Write and collect invoices"
iri = "https://w3id.org/dpv#PaymentManagement"
descriptions = {{ de = "Rechnungen stellen und einziehen", fr = "Établir et recouvrer des factures" }}
benefits.en = "Your invoices are right"
benefits.de = "Ihre Rechnungen stimmen"
benefits.fr = "Vos factures sont exactes"
bases = {{ "*" = ["contract", "legal_obligation"] }}

[purposes.fraud_prevention]
description = "Detect and prevent fraud"
iri = "https://w3id.org/dpv#FraudPreventionAndDetection"
descriptions = {{ de = "Betrug erkennen und verhindern", fr = "Détecter et prévenir la fraude" }}
benefits.en = "Nobody orders in your name"
benefits.de = "Niemand bestellt in Ihrem Namen"
benefits.fr = "Personne ne commande en votre nom"
bases = {{ "*" = ["legitimate_interests", "legal_obligation"] }}

[purposes.direct_marketing]
description = "Tell customers about offers, by mail, telephone or message"
iri = "https://w3id.org/dpv#DirectMarketing"
direct_marketing = true            # an objection ends it, whatever the basis
descriptions = {{ de = "Kunden über Angebote informieren", fr = "Informer les clients des offres" }}
benefits.en = "Offers that suit you"
benefits.de = "Passende Angebote"
benefits.fr = "Des offres qui vous conviennent"
bases = {{ "*" = ["consent"] }}

[purposes.analytics]
description = "Learn how the service is used, to improve it"
iri = "https://w3id.org/dpv#ServiceUsageAnalytics"
descriptions.de = "Die Nutzung auswerten, um den Dienst zu verbessern"
descriptions.fr = "Analyser l'usage pour améliorer le service"
benefits = {{ en = "A better service", de = "Ein besserer Dienst", fr = "Un meilleur service" }}
bases = {{ EEA = ["consent"], US = ["legitimate_interests"], "*" = ["consent"] }}

[purposes.legal_claim]
description = "Establish, exercise or defend legal claims"
iri = "https://w3id.org/dpv#DisputeManagement"
allow_restricted = true            # the law lets this go on where a customer is restricted
descriptions.de = "Rechtsansprüche geltend machen oder abwehren"
descriptions.fr = "Constater, exercer ou défendre un droit en justice"
benefits.en = "Claims are settled on facts"
benefits.de = "Ansprüche werden sachlich geklärt"
benefits.fr = "Les litiges reposent sur des faits"
bases = {{ "*" = ["legal_obligation", "legitimate_interests"] }}

[purposes.access_request]
description = "Give a person a copy of their data"
iri = "https://w3id.org/dpv#RightsFulfilment"
allow_restricted = true
descriptions.de = "Einer Person eine Kopie ihrer Daten geben"
descriptions.fr = "Remettre à une personne une copie de ses données"
benefits.en = "You know what is held"
benefits.de = "Sie wissen, was gespeichert ist"
benefits.fr = "Vous savez ce qui est conservé"
bases = {{ "*" = ["legal_obligation"] }}

# Roles: what several principals have in common. An agent reads masks, and only while its training is
# valid: give each principal with this role `training_valid_until = 2027-01-31`.
[roles.agent]
domains = ["crm"]
may = ["write", "inspect"]
training = true
[roles.agent.reveal.support]
"*" = "MASKED"

# Sees records and never values.
[roles.auditor]
may = ["audit"]

# A principal is the name in a certificate: its SPIFFE URI, else its DNS name, else its common
# name. This one runs the vault. It reads no values, because no `reveal` table grants it any:
# keep it so, and give those who read a principal of their own, for example
#
#   [principals."crm-support"]
#   roles = ["agent"]                # "*" is every field class; a mask is enough to recognise, no more
#   training_valid_until = 2027-01-31
#   [principals."crm-support".reveal.support]
#   name = "PLAIN"                   # the value itself
[principals.{admin}]
domains = ["crm"]
may = [{actions}]

# Examples are run before a policy is put in force; one that fails stops it.
[[examples]]
principal = {admin}
action = "admin"
expect = "ALLOWED"
"""

_DEVELOPMENT = """
# What follows is for development only: one principal that may do everything, and one of another
# domain, to which the first one's tokens mean nothing. Nobody may read for billing.
[domains.partner]
description = "Another system, with tokens of its own"

[purposes.marketing]
description = "Try out offers, where no consent is asked for"
direct_marketing = true
bases = {{ "*" = ["legitimate_interests", "consent"] }}

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
