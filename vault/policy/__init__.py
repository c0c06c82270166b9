"""Who may do what, and the one place where that is decided. Pure: no disk, no network; time is given.

- `rules`: the policy as types, with roles already merged into principals.
- `document`: reads and validates the TOML document; `reading`, `purposes` and `examples` read parts of it.
- `cedar`: the Cedar engine, which nothing else imports. `schema.cedarschema` is what policies can speak of,
  `guards.cedar` is what closes a customer's values whatever is granted.
- `compiling`: turns a policy into Cedar; `judging` decides with it; `verdicts`: what a decision can be.
- `reads`: decisions by situation, as tables for the hot path.
- `controls`, `budgets`: how much, and what takes two people, as read and as types.
- `decision`: joins policy, registry and numbers, and answers every question of permission.
- `explaining`: why, and what would have to change.
- `jurisdictions`: countries, the EU and the EEA.
- `diff`: what a new policy changes, for the audit.
- `remarks`: what is allowed in a policy but probably not meant.
- `bootstrap`: the policies that `init` and `serve --dev` start with.
"""
