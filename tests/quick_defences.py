"""Every defence at settings that take seconds, for the tests of what holds for all of them."""

from dataclasses import replace

from dlp_lib import DLP, FixMatch, Unlearn
from dlp_lib.defences import ABL, ANP, DBD, FP, MCR, NAD, SCE, MixMatch, SimCLR, Training

SHORT = Training(batch=16, epochs=2)
QUICK = {
    "FP": FP(training=SHORT),
    "MCR": MCR(end=SHORT, curve=SHORT, points=3),
    "NAD": NAD(teacher=SHORT, student=SHORT),
    "ABL": ABL(
        isolation=SHORT,
        training=SHORT,
        isolated=0.05,
        unlearning=Unlearn(reestimate=50),
        unlearn_epochs=2,
    ),
    "ANP": ANP(training=replace(SHORT, lr=0.2)),
    "DBD": DBD(simclr=SimCLR(batch=64, epochs=1), sce=SCE(epochs=1), mixmatch=MixMatch(epochs=1)),
    "DLP": DLP(gamma=0.05, e1=2, e2=2, fixmatch=FixMatch(steps=2, batch=16, mu=1)),
}
