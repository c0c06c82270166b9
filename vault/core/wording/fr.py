"""French."""

from vault.core.wording.words import Words
from vault.errors import Reason
from vault.model.consent import LawfulBasis

FR = Words(
    locale="fr",
    operator="L'exploitant de ce système",
    read="{who} a vu des données vous concernant.",
    copied="{who} a établi une copie de vos données.",
    asked="{who} a demandé des données vous concernant et n'en a vu aucune.",
    answered="{who} a obtenu un renseignement sur vos données sans les voir.",
    plain="En entier : {what}.",
    masked="En partie masqué : {what}.",
    denied="Refusé : {what} ({why}).",
    told="Utilisé, mais pas affiché : {what}.",
    purpose="Finalité : {what}.",
    basis="Base légale : {what}.",
    usual_basis="Base légale habituelle de cette finalité : {what}.",
    break_glass="C'était un accès d'urgence qu'une seconde personne avait approuvé.",
    refused_act="Cela a été refusé : {why}.",
    other_act="{who} a effectué une opération sur vos données ({what}).",
    technical="pour une raison technique",
    classes={
        "name": "nom",
        "email": "adresse électronique",
        "phone": "numéro de téléphone",
        "address": "adresse postale",
        "birth_date": "date de naissance",
        "national_id": "numéro d'identité national",
        "iban": "numéro de compte bancaire",
        "card": "numéro de carte",
        "note": "note",
        "external_id": "numéro de client",
    },
    bases={
        LawfulBasis.CONSENT: "votre consentement",
        LawfulBasis.CONTRACT: "un contrat avec vous",
        LawfulBasis.LEGAL_OBLIGATION: "une obligation légale",
        LawfulBasis.VITAL_INTERESTS: "la sauvegarde d'intérêts vitaux",
        LawfulBasis.PUBLIC_TASK: "une mission d'intérêt public",
        LawfulBasis.LEGITIMATE_INTERESTS: "un intérêt légitime",
    },
    reasons={
        Reason.PURPOSE_DENIED: "non autorisé pour cette finalité",
        Reason.REVEAL_DENIED: "non autorisé en entier",
        Reason.ACTION_DENIED: "opération non autorisée",
        Reason.RESTRICTED: "l'utilisation de vos données est limitée",
        Reason.CONSENT_MISSING: "vous n'avez pas donné votre consentement",
        Reason.CONSENT_WITHDRAWN: "vous avez retiré votre consentement",
        Reason.OBJECTED: "vous vous êtes opposé(e)",
        Reason.HELD: "les données sont conservées pour une raison juridique",
        Reason.TRAINING_EXPIRED: "la formation requise manquait",
        Reason.REGION_DENIED: "non autorisé depuis ce lieu",
        Reason.APPROVAL_REQUIRED: "une seconde personne ne l'avait pas approuvé",
        Reason.BUDGET_EXCEEDED: "trop de demandes",
        Reason.VALUE_DELETED: "les données avaient été supprimées",
        Reason.EXPIRED: "les données ou l'accès avaient expiré",
        Reason.TOKEN_USED: "elles ne devaient être vues qu'une fois, et l'avaient été",
        Reason.TOKEN_REVOKED: "l'accès avait été supprimé",
        Reason.TOKEN_BOUND: "l'accès était destiné à quelqu'un d'autre",
    },
    acts={
        "Tokenize": "{who} a enregistré des données vous concernant, ou vérifié si elles l'étaient.",
        "BatchTokenize": "{who} a enregistré des données vous concernant, ou vérifié si elles l'étaient.",
        "CreateCustomer": "{who} a créé un dossier à votre nom.",
        "UpdateValue": "{who} a rectifié : {what}.",
        "DeleteValue": "{who} a supprimé : {what}.",
        "GetCustomer": (
            "{who} a consulté quelles sortes de données sont conservées à votre sujet. Aucun "
            "contenu n'a été montré."
        ),
        "InspectToken": (
            "{who} a consulté de quelle sorte est une donnée vous concernant. Aucun contenu n'a été montré."
        ),
        "IssueToken": "{who} a créé un accès limité à une de vos données. Aucun contenu n'a été montré.",
        "RevokeToken": "{who} a supprimé un accès limité à une de vos données.",
        "UseToken": "{who} a utilisé un accès unique à une de vos données.",
        "GetToken": "{who} a consulté un accès limité à une de vos données. Aucun contenu n'a été montré.",
        "ListTokens": (
            "{who} a consulté la liste des accès limités à vos données. Aucun contenu n'a été montré."
        ),
        "FindCustomers": (
            "{who} vous a recherché à partir de données déjà connues. Aucun contenu n'a été affiché."
        ),
        "ListDuplicates": (
            "{who} a vérifié si des fiches contiennent les mêmes données. Aucun contenu n'a été affiché."
        ),
        "Explain": "{who} a vérifié qui peut voir vos données. Aucun contenu n'a été montré.",
        "ListAccess": "{who} a consulté la liste des accès à vos données.",
        "GetAccessHistory": "{who} a consulté cet historique.",
        "ExportCustomer": "{who} a demandé une copie de vos données.",
        "RotateDek": "Vos données ont été protégées par une nouvelle clé.",
        "RestrictCustomer": "{who} a limité l'utilisation de vos données.",
        "LiftRestriction": "{who} a levé une limitation de l'utilisation de vos données.",
        "PlaceHold": "{who} a ordonné la conservation de vos données pour une raison juridique.",
        "ReleaseHold": "{who} a mis fin à un ordre de conservation de vos données.",
        "SetExpiry": "{who} a fixé une date après laquelle vos données ne sont plus montrées.",
        "ClearExpiry": "{who} a retiré la date après laquelle vos données ne sont plus montrées.",
        "RecordConsent": "{who} a enregistré ce que vous avez dit de votre consentement.",
        "BatchRecordConsents": "{who} a enregistré ce que vous avez dit de votre consentement.",
        "WithdrawConsent": "{who} a enregistré le retrait de votre consentement.",
        "RecordObjection": "{who} a enregistré votre opposition.",
        "IngestSignal": "{who} a enregistré le signal de confidentialité de votre navigateur.",
        "GetConsentState": "{who} a consulté à quoi vous avez consenti.",
        "ListConsentEvents": "{who} a consulté ce que vous avez dit de votre consentement.",
        "GetReceipt": "{who} a délivré un reçu de votre consentement.",
        "ExportConsents": "{who} a établi une copie de vos consentements.",
        "ShredCustomer": "{who} a commencé l'effacement de vos données.",
        "CompleteShred": "Une partie de l'effacement de vos données a été effectuée.",
    },
)
