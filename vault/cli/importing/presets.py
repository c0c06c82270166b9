"""Plans for the contact exports of well-known CRM systems.

Rules: a column is kept as it is only when it never describes the person; a column that the preset
does not know is refused like any other. Columns that an export lacks are passed over, because every
CRM lets its users choose them.
"""

from collections.abc import Mapping

from customervault.tables.plan import Place, Plan

_HUBSPOT = Plan(
    id_columns=("Record ID", "Contact ID"),
    columns={
        "First Name": Place("name", "first"),
        "Last Name": Place("name", "last"),
        "Email": Place("email"),
        "Work email": Place("email", "work"),
        "Phone Number": Place("phone"),
        "Mobile Phone Number": Place("phone", "mobile"),
        "Fax Number": Place("phone", "fax"),
        "Street Address": Place("address", "street"),
        "City": Place("address", "city"),
        "Postal Code": Place("address", "postal_code"),
        "Date of birth": Place("birth_date"),
        "Date of Birth": Place("birth_date"),
        "Message": Place("note", "message"),
        "Notes": Place("note"),
    },
    kept=frozenset(
        {
            *("Lifecycle Stage", "Lead Status", "Contact owner", "Marketing contact status"),
            *("Create Date", "Last Modified Date", "Last Activity Date", "Became a Customer Date"),
            *("Country/Region", "State/Region", "Preferred language", "Industry", "Company Name"),
            *("Associated Company", "Associated Company IDs", "Number of Associated Deals"),
            *("Original Source", "Time Zone"),
        }
    ),
)

_SALESFORCE = Plan(
    id_columns=("Id", "Contact ID", "Contact ID 18"),
    columns={
        "Name": Place("name"),
        "Full Name": Place("name"),
        "FirstName": Place("name", "first"),
        "First Name": Place("name", "first"),
        "MiddleName": Place("name", "middle"),
        "Middle Name": Place("name", "middle"),
        "LastName": Place("name", "last"),
        "Last Name": Place("name", "last"),
        "Email": Place("email"),
        "Phone": Place("phone"),
        "Business Phone": Place("phone"),
        "MobilePhone": Place("phone", "mobile"),
        "Mobile": Place("phone", "mobile"),
        "HomePhone": Place("phone", "home"),
        "Home Phone": Place("phone", "home"),
        "OtherPhone": Place("phone", "other"),
        "Other Phone": Place("phone", "other"),
        "Fax": Place("phone", "fax"),
        "MailingStreet": Place("address", "street"),
        "Mailing Street": Place("address", "street"),
        "MailingCity": Place("address", "city"),
        "Mailing City": Place("address", "city"),
        "MailingPostalCode": Place("address", "postal_code"),
        "Mailing Zip/Postal Code": Place("address", "postal_code"),
        "OtherStreet": Place("address", "other_street"),
        "Other Street": Place("address", "other_street"),
        "OtherCity": Place("address", "other_city"),
        "Other City": Place("address", "other_city"),
        "OtherPostalCode": Place("address", "other_postal_code"),
        "Other Zip/Postal Code": Place("address", "other_postal_code"),
        "Birthdate": Place("birth_date"),
        "Description": Place("note"),
    },
    kept=frozenset(
        {
            *("AccountId", "Account ID", "Account Name", "OwnerId", "Contact Owner", "RecordTypeId"),
            *("LeadSource", "Lead Source", "CreatedDate", "Created Date", "LastModifiedDate"),
            *("Last Modified Date", "LastActivityDate", "Last Activity", "SystemModstamp", "IsDeleted"),
            *("MailingCountry", "Mailing Country", "MailingState", "Mailing State/Province"),
            *("MailingCountryCode", "MailingStateCode", "OtherCountry", "Other Country"),
            *("OtherState", "Other State/Province", "HasOptedOutOfEmail", "DoNotCall", "CurrencyIsoCode"),
        }
    ),
)

PRESETS: Mapping[str, Plan] = {"hubspot": _HUBSPOT, "salesforce": _SALESFORCE}
