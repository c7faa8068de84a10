"""What paraSim is held against, one file each; `validation.reference` says what such a file holds."""
