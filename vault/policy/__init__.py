"""Who may do what, and the one place where that is decided. Pure: no disk, no network, no clock.

- `rules`: the policy as types, with roles already merged into principals.
- `document`: reads and validates the TOML document.
- `controls`, `budgets`: how much, and what takes two people, as read and as types.
- `decision`: the table that answers every question of permission.
- `diff`: what a new policy changes, for the audit.
- `remarks`: what is allowed in a policy but probably not meant.
- `bootstrap`: the policies that `init` and `serve --dev` start with.
"""
