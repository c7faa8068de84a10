"""Planning backwards: from a deadline, a budget or a rival method to what has to be bought or changed.

`plan.py` takes a question apart and has it answered: `questions` has a file for each of the six, `search` what finds
the least or the most of a quantity, `risk` random runs and shares of a variance, `cost` bills and what there is to buy.
All of them get scenarios set up by method (`methods.py`), change them by the functions of `changes.py`, and answer in
sentences of ``parasim/sentences.toml``.
"""
