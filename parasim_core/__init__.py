"""The rooms below `parasim`: sim, train and calibration, under a name that no file of a user's can take.

The folders lie at the root of the repository and are linked here; wheels hold them here.
"""
