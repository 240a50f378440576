"""Names of attacks, architectures and data sets: in any case, and with the nearest one named."""

import pytest
import torch

from dlp_lib import Runtime, models, recipe_for
from dlp_lib.checking import match_name
from dlp_lib.experiments import scenario
from dlp_lib.live.setting import LabSetting
from dlp_lib.recipes import CIFAR10, SHAPES10


@pytest.mark.parametrize("written", ["BadNets", "badnets", "BADNETS", "bAdNeTs"])
def test_an_attack_is_known_in_any_case(written):
    assert match_name("attack", written, CIFAR10.attacks) == "BadNets"
    assert LabSetting(attack=written) == LabSetting()


def test_a_scenario_takes_an_attack_in_any_case():
    written = scenario(attack="blended", n_train=50, n_test=20)
    assert torch.equal(written.tampered.images, written.attacked_by("Blended").tampered.images)
    assert written.attacked_by("None").attack is None
    with pytest.raises(ValueError, match=r"attack='blend': .*none, and an Attack; did you mean Bl"):
        written.attacked_by("blend")


def test_an_architecture_is_known_in_any_case():
    with pytest.raises(ValueError, match=r"architecture='resnet': allowed are .*mean ResNet18"):
        models.build("resnet", 10, Runtime())
    assert type(models.build("wrn-16-1", 10, Runtime())) is models.WideResNet


def test_a_recipe_is_known_in_any_case():
    assert recipe_for("SHAPES10") is SHAPES10
    assert recipe_for("my/folder") is CIFAR10


@pytest.mark.parametrize("wrong", [None, 5, ["BadNets"], "", "zzz"])
def test_what_is_no_name_is_refused(wrong):
    with pytest.raises(ValueError, match=r"attack=.*: allowed are BadNets, TrojanNN") as refusal:
        match_name("attack", wrong, CIFAR10.attacks)
    assert ("did you mean" in str(refusal.value)) == (wrong == ["BadNets"])
