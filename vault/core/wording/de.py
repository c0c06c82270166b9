"""German."""

from vault.core.wording.words import Words
from vault.errors import Reason
from vault.model.consent import LawfulBasis

DE = Words(
    locale="de",
    operator="Der Betreiber dieses Systems",
    read="{who} hat Daten von Ihnen gesehen.",
    copied="{who} hat eine Kopie Ihrer Daten erstellt.",
    asked="{who} hat Daten von Ihnen angefragt und nichts davon gesehen.",
    answered="{who} hat eine Auskunft über Daten von Ihnen erhalten, ohne sie zu sehen.",
    plain="Vollständig: {what}.",
    masked="Teilweise verdeckt: {what}.",
    denied="Verweigert: {what} ({why}).",
    told="Ausgewertet, aber nicht gezeigt: {what}.",
    purpose="Zweck: {what}.",
    basis="Rechtsgrundlage: {what}.",
    usual_basis="Übliche Rechtsgrundlage dieses Zwecks: {what}.",
    break_glass="Dies war ein Notfallzugriff, den eine zweite Person genehmigt hatte.",
    refused_act="Es wurde verweigert: {why}.",
    other_act="{who} hat etwas mit Ihren Daten getan ({what}).",
    technical="aus technischen Gründen",
    classes={
        "name": "Name",
        "email": "E-Mail-Adresse",
        "phone": "Telefonnummer",
        "address": "Postanschrift",
        "birth_date": "Geburtsdatum",
        "national_id": "Ausweis- oder Identifikationsnummer",
        "iban": "Kontonummer",
        "card": "Kartennummer",
        "note": "Notiz",
        "external_id": "Kundennummer",
    },
    bases={
        LawfulBasis.CONSENT: "Ihre Einwilligung",
        LawfulBasis.CONTRACT: "ein Vertrag mit Ihnen",
        LawfulBasis.LEGAL_OBLIGATION: "eine rechtliche Verpflichtung",
        LawfulBasis.VITAL_INTERESTS: "der Schutz lebenswichtiger Interessen",
        LawfulBasis.PUBLIC_TASK: "eine Aufgabe im öffentlichen Interesse",
        LawfulBasis.LEGITIMATE_INTERESTS: "ein berechtigtes Interesse",
    },
    reasons={
        Reason.PURPOSE_DENIED: "für diesen Zweck nicht erlaubt",
        Reason.REVEAL_DENIED: "nicht vollständig erlaubt",
        Reason.ACTION_DENIED: "dazu nicht berechtigt",
        Reason.RESTRICTED: "die Verarbeitung Ihrer Daten ist eingeschränkt",
        Reason.CONSENT_MISSING: "Sie haben nicht eingewilligt",
        Reason.CONSENT_WITHDRAWN: "Sie haben Ihre Einwilligung widerrufen",
        Reason.OBJECTED: "Sie haben widersprochen",
        Reason.HELD: "die Daten müssen aus rechtlichen Gründen aufbewahrt werden",
        Reason.TRAINING_EXPIRED: "die nötige Schulung fehlte",
        Reason.REGION_DENIED: "von diesem Ort aus nicht erlaubt",
        Reason.APPROVAL_REQUIRED: "eine zweite Person hatte es nicht genehmigt",
        Reason.BUDGET_EXCEEDED: "zu viele Anfragen",
        Reason.VALUE_DELETED: "die Daten waren gelöscht",
        Reason.EXPIRED: "die Daten oder der Zugang waren abgelaufen",
        Reason.TOKEN_USED: "sie durften einmal gesehen werden, und das war geschehen",
        Reason.TOKEN_REVOKED: "der Zugang war beendet worden",
        Reason.TOKEN_BOUND: "der Zugang war für jemand anderen bestimmt",
    },
    acts={
        "Tokenize": "{who} hat Daten von Ihnen gespeichert oder geprüft, ob sie gespeichert sind.",
        "BatchTokenize": "{who} hat Daten von Ihnen gespeichert oder geprüft, ob sie gespeichert sind.",
        "CreateCustomer": "{who} hat einen Eintrag für Sie angelegt.",
        "UpdateValue": "{who} hat berichtigt: {what}.",
        "DeleteValue": "{who} hat gelöscht: {what}.",
        "GetCustomer": (
            "{who} hat nachgesehen, welche Arten von Daten über Sie gespeichert sind. "
            "Inhalte wurden nicht gezeigt."
        ),
        "InspectToken": (
            "{who} hat nachgesehen, von welcher Art ein Eintrag von Ihnen ist. Inhalte wurden nicht gezeigt."
        ),
        "IssueToken": (
            "{who} hat einen begrenzten Zugang zu einem Eintrag von Ihnen angelegt. "
            "Inhalte wurden nicht gezeigt."
        ),
        "RevokeToken": "{who} hat einen begrenzten Zugang zu einem Eintrag von Ihnen beendet.",
        "UseToken": "{who} hat einen einmaligen Zugang zu einem Eintrag von Ihnen benutzt.",
        "GetToken": (
            "{who} hat einen begrenzten Zugang zu einem Eintrag von Ihnen nachgesehen. "
            "Inhalte wurden nicht gezeigt."
        ),
        "ListTokens": (
            "{who} hat nachgesehen, welche begrenzten Zugänge zu Ihren Daten es gibt. "
            "Inhalte wurden nicht gezeigt."
        ),
        "FindCustomers": (
            "{who} hat Sie anhand von Daten gesucht, die schon bekannt waren. Inhalte wurden nicht gezeigt."
        ),
        "ListDuplicates": (
            "{who} hat geprüft, ob mehrere Einträge dieselben Daten enthalten. Inhalte wurden nicht gezeigt."
        ),
        "Explain": "{who} hat geprüft, wer Ihre Daten sehen darf. Inhalte wurden nicht gezeigt.",
        "ListAccess": "{who} hat die Liste der Zugriffe auf Ihre Daten angesehen.",
        "GetAccessHistory": "{who} hat diesen Verlauf angesehen.",
        "ExportCustomer": "{who} hat eine Kopie Ihrer Daten angefragt.",
        "RotateDek": "Ihre Daten wurden mit einem neuen Schlüssel verschlossen.",
        "RestrictCustomer": "{who} hat die Nutzung Ihrer Daten eingeschränkt.",
        "LiftRestriction": "{who} hat eine Einschränkung der Nutzung Ihrer Daten aufgehoben.",
        "PlaceHold": "{who} hat angeordnet, dass Ihre Daten aus rechtlichen Gründen aufbewahrt werden.",
        "ReleaseHold": "{who} hat eine Anordnung, Ihre Daten aufzubewahren, beendet.",
        "SetExpiry": "{who} hat festgelegt, ab wann Ihre Daten nicht mehr gezeigt werden.",
        "ClearExpiry": "{who} hat den Zeitpunkt entfernt, ab dem Ihre Daten nicht mehr gezeigt werden.",
        "RecordConsent": "{who} hat festgehalten, was Sie zur Einwilligung gesagt haben.",
        "BatchRecordConsents": "{who} hat festgehalten, was Sie zur Einwilligung gesagt haben.",
        "WithdrawConsent": "{who} hat festgehalten, dass Sie Ihre Einwilligung widerrufen haben.",
        "RecordObjection": "{who} hat festgehalten, dass Sie widersprochen haben.",
        "IngestSignal": "{who} hat das Datenschutzsignal Ihres Browsers festgehalten.",
        "GetConsentState": "{who} hat nachgesehen, worin Sie eingewilligt haben.",
        "ListConsentEvents": "{who} hat nachgesehen, was Sie zu Einwilligungen gesagt haben.",
        "GetReceipt": "{who} hat einen Beleg Ihrer Einwilligung ausgestellt.",
        "ExportConsents": "{who} hat eine Kopie Ihrer Einwilligungen erstellt.",
        "ShredCustomer": "{who} hat die Löschung Ihrer Daten begonnen.",
        "CompleteShred": "Ein Teil der Löschung Ihrer Daten wurde ausgeführt.",
    },
)
