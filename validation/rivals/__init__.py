"""Formulas of other simulators, one file each; `validation.rival` says what such a file holds."""
