"""Field classes: what a kind of value must be, how it is compared, and what its mask shows.

- `field_class`: `FieldClass`, `FieldCatalog` and the classes that are always there.
- `config`: reads the `[fields.<name>]` tables of the configuration.
- `preparing`: validates and normalizes a value on its way in; `columns`: many of one class at once.
- `masking`: the masked form of a stored value; `derived`: answers that follow from one.
- `surrogate`: what surrogates look like; `surrogate_config` reads it; `space`, `template` and `fiction`
  (phone numbers of films and books) are its parts.
- `searching`: which classes customers are found by, and the form of a value that counts for it.
- `tags`: what may be said of a token, and what looks too much like a value.
- `text`: what holds for every value; `free_text`, `email`, `phone`, `iban`, `card`, `birth_date`
  and `national_id`: one module a kind. `country_code` and `numbering`: codes and plans of phone
  numbers.

Nothing here touches disk, network or keys. Reasons for a refusal never hold the value.

phonenumbers, email-validator and regex take a tenth of a second to import, and many a process never meets a
value that needs them. So functions import them, and the modules that build on phonenumbers (`phone`,
`numbering`, `fiction`), with the first value that does.
"""

from vault.fields.config import load_field_classes
from vault.fields.field_class import (
    DEFAULT_FIELDS,
    EXTERNAL_ID,
    FieldCatalog,
    FieldClass,
    Kind,
    MaskStyle,
    Sensitivity,
)
from vault.fields.masking import mask
from vault.fields.preparing import prepare
from vault.fields.text import Prepared

__all__ = [
    "DEFAULT_FIELDS",
    "EXTERNAL_ID",
    "FieldCatalog",
    "FieldClass",
    "Kind",
    "MaskStyle",
    "Prepared",
    "Sensitivity",
    "load_field_classes",
    "mask",
    "prepare",
]
