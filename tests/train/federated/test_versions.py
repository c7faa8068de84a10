"""Versions are kept once, for as long as a client may train on them, and the model points at them."""

from __future__ import annotations

import torch
from torch import nn

from parasim_core.train.federated.versions import BASE, Versions


def two_items() -> tuple[list[nn.Parameter], Versions]:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))]
    return parameters, Versions(lambda item: {"w": parameters[item]}, lag=0)


def change(amount: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((2,), amount)}


def test_a_new_version_is_the_newest_plus_the_change():
    parameters, versions = two_items()
    versions.renew(0, 0, change(1))
    versions.renew(0, 3, change(2))
    assert versions.newest(0) == 3
    assert versions.get(0, 3)["w"].tolist() == [3, 3]
    versions.show_newest()
    assert parameters[0].tolist() == [3, 3]
    assert parameters[1].tolist() == [0, 0]


def test_a_float32_model_points_at_versions_instead_of_copying_them():
    parameters, versions = two_items()
    assert versions.get(0, BASE)["w"].data_ptr() == parameters[0].data_ptr()
    versions.renew(0, 0, change(1))
    versions.show(0, 0)
    assert versions.get(0, 0)["w"].data_ptr() == parameters[0].data_ptr()


def test_going_back_and_forth_between_versions():
    parameters, versions = two_items()
    versions = Versions(lambda item: {"w": parameters[item]}, lag=5)
    versions.renew(0, 0, change(1))
    for version, value in ((0, 1), (BASE, 0), (0, 1)):
        versions.show(0, version)
        assert parameters[0].tolist() == [value, value]
    versions.show_private(0, {"w": torch.full((2,), 9.0)})
    versions.show(0, 0)
    assert parameters[0].tolist() == [1, 1]


def test_without_a_lag_one_version_an_item_is_left():
    _, versions = two_items()
    for round in range(4):
        versions.renew(round % 2, round, change(1))
    assert {item: sorted(kept) for item, kept in versions.values.items()} == {0: [2], 1: [3]}


def test_a_lag_of_two_keeps_what_the_round_before_the_last_began_from():
    # After round 5, clients may train on the versions up to round 3: 3 itself, 4 and 5.
    parameters, _ = two_items()
    versions = Versions(lambda item: {"w": parameters[item]}, lag=2)
    for round in range(6):
        versions.renew(0, round, change(1))
    assert sorted(versions.values[0]) == [3, 4, 5]


def test_what_a_client_still_holds_is_kept_however_old():
    parameters, _ = two_items()
    versions = Versions(lambda item: {"w": parameters[item]}, lag=0, held=lambda item: {1})
    for round in range(6):
        versions.renew(0, round, change(1))
    assert sorted(versions.values[0]) == [1, 5]


def test_a_bfloat16_model_is_shown_the_rounded_version_and_sums_do_not_round():
    # 1 + 2^-10 is no bfloat16; its float32 version is exact all the same.
    parameter = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    versions = Versions(lambda item: {"w": parameter}, lag=0)
    versions.renew(0, 0, {"w": torch.tensor([2.0**-10])})
    versions.show(0, 0)
    assert versions.get(0, 0)["w"].item() == 1 + 2**-10
    assert parameter.item() == 1
