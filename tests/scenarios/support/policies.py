"""The policy of the scenario tests, and the principals in it."""

ADMIN = "admin"
CRM = "crm"  # writes, inspects, reads: plain for support, masked for marketing
AGENT = "agent"  # reads masked values for support, nothing else
NOBODY = "nobody"  # registered, in domain crm, granted nothing
PARTNER = "partner"  # of another domain
BRIDGE = "bridge"  # of both domains, may translate
ERASER = "eraser"
PRIVACY = "privacy"  # exports, audits, restricts and holds

PRINCIPALS = (CRM, AGENT, NOBODY, PARTNER, BRIDGE, ERASER, PRIVACY)

POLICY = """\
version = 1

[domains.crm]
[domains.partner]

[purposes.support]
description = "Answer a customer's question"

[purposes.marketing]
description = "Tell customers about offers"

[purposes.billing]
description = "Write invoices"

[purposes.legal_claims]
description = "Defend legal claims"
allow_restricted = true

[principals.admin]
domains = ["crm", "partner"]
may = ["admin", "rotate", "inspect", "audit"]

[principals.crm]
domains = ["crm"]
may = ["write", "inspect"]
[principals.crm.reveal.support]
"*" = "PLAIN"
[principals.crm.reveal.marketing]
name = "MASKED"
email = "MASKED"
[principals.crm.reveal.legal_claims]
"*" = "PLAIN"

[principals.agent]
domains = ["crm"]
[principals.agent.reveal.support]
"*" = "MASKED"

[principals.nobody]
domains = ["crm"]

[principals.partner]
domains = ["partner"]
may = ["write", "inspect"]
[principals.partner.reveal.support]
"*" = "PLAIN"

[principals.bridge]
domains = ["crm", "partner"]
may = ["translate"]

[principals.eraser]
domains = ["crm"]
may = ["inspect", "shred"]

[principals.privacy]
domains = ["crm"]
may = ["inspect", "export", "audit", "restrict"]
[principals.privacy.reveal.support]
"*" = "PLAIN"
[principals.privacy.reveal.marketing]
name = "MASKED"
"""
