"""Clients as they are: when they are there, when links and devices fail, who vanishes. Pure models, without a clock.

All of it is a function of seed, client and time: whatever is asked gets the same answer in any order, and nothing is
kept of a client, however many there are. What it means for a run stands in `docs/explanation/failures.md`.
"""
