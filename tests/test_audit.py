"""What recorded weights are worth: every block of a stage, and every stage of a run."""

from dataclasses import replace

from dlp_lib import DLP, BadNets, FixMatch, Supervised, Unlearn, after_each, audit, evaluate

QUICK = DLP(
    gamma=0.05,
    e1=2,
    e2=3,
    supervised=Supervised(lr=0.05),
    unlearn=Unlearn(reestimate=100),
    fixmatch=FixMatch(batch=8, mu=2, steps=3),
)


def test_audit_sees_every_recorded_block_and_both_sides_of_unlearning(model, tampered, shapes):
    result = QUICK.run(model, tampered[0])
    unlearning = result.stages["AU"]
    rows = audit(unlearning, model, shapes[1], BadNets(), [1, 3])
    found = [(row["block"], row["reestimated"]) for row in rows]
    assert found == [(1, False), (1, True), (3, False), (3, True)]
    for row in rows:
        assert 0 <= row["ca"] <= 1
        assert row["n_triggered"] == 180
    reestimated = audit(unlearning, model, shapes[1], BadNets(), [1, 3], batchnorm=(True,))
    assert reestimated == [rows[1], rows[3]]
    last = audit(result.stages["ASSFT"], model, shapes[1], BadNets(), [1])[0]
    assert last["ca"] == evaluate(result.model, shapes[1]).ca


def test_after_each_measures_what_every_stage_left(model, tampered, shapes):
    result = QUICK.run(model, tampered[0])
    measured = after_each(result, shapes[1], BadNets())
    assert list(measured) == ["SL", "AU", "ASSFT"]
    assert measured["ASSFT"] == evaluate(result.model, shapes[1], BadNets())
    for order in (("SL",), ("SL", "AU")):
        part = replace(QUICK, order=order).run(model, tampered[0])
        assert measured[order[-1]] == evaluate(part.model, shapes[1], BadNets())


def test_after_each_gives_a_stage_that_did_nothing_the_weights_before_it(model, tampered, shapes):
    result = replace(QUICK, e2=0, order=("SL", "AU")).run(model, tampered[0])
    measured = after_each(result, shapes[1])
    assert measured["AU"] == measured["SL"]
