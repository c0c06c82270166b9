# Generated from proto/ by `make proto`. Do not edit.
"""Stubs of the customervault.v1 API."""
