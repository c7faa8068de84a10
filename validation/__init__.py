"""How far paraSim is from everything that it is held against: oracles, measurements and publications.

    python -m validation            # what is found now, and whether docs/explanation/validation.md still says so
    python -m validation --write    # the page anew, and a row of history.csv for every figure that changed

A reference is a file in `references`, a formula of another simulator one in `rivals`; both are found by lying there.
`reference.py` and `rival.py` say what such a file holds.
"""
