"""What `cvault import` and the table commands add to `customervault.tables`, which does the work.

plan      reads columns and field classes from a command line
presets   plans of well-known CRM exports
mapping   joins preset, mapping file and options
dry_run   a target that checks values as the vault would, and sends nothing
foreign   rows of tokens of another vault, for `cvault import-tokens`
run       runs a job and prints its summary
progress  rate and time left on a terminal
"""
