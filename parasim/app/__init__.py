"""A page in the browser on the exact engine: `paraSim app`.

`server.py` serves the page of ``static/`` and answers its questions, each a function from plain data to plain data in
a module of its own: `forms.py` (what there is to choose), `running.py` (one run), `methods.py` (the same under every
method), `lines.py` (runtime against bandwidth), `reasons.py` (critical path), `needs.py` (memory), `deadlines.py` (what
would meet a deadline), `files.py` (what is opened and downloaded). `questions.py` names them, and `workers.py` has them
computed in processes that can be stopped.

Nothing is kept between two questions: the scenario, what is pinned and what was asked live in the page's address, so
that two browsers have nothing to do with one another and a link is all there is to share.
"""
