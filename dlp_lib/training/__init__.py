"""Training: the one loop, its checkpoints, supervised learning, and what a model answers."""

from .checkpoints import Checkpoints
from .inference import Outputs, accuracy, collapsed, logits_and_features, predict
from .loop import History, train
from .optimiser import SGD
from .stage import Diverged, Stage, run_task
from .steps import Task
from .supervised import Supervised, supervised
