"""Models: WRN-16-1 and the paper's five larger architectures, all with penultimate features."""

from .architectures import ARCHITECTURES, build, expect_architecture
from .interface import expect_features, to_float
from .saved import load_model, save_model
from .wrn import WideResNet, wrn_16_1
