"""The rules for models: structure, weights, hooks, and which parts are kept in another mode."""

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from .walk import Place, Walk, rule

_HOOKS = (
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks",
    "_forward_pre_hooks",
    "_load_state_dict_post_hooks",
    "_load_state_dict_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
)
_GLOBAL_HOOKS = (  # which torch calls for every model
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
)
_FLAGS = {  # each holds the keys of some of the hooks under the other name
    "_forward_hooks_always_called": "_forward_hooks",
    "_forward_hooks_with_kwargs": "_forward_hooks",
    "_forward_pre_hooks_with_kwargs": "_forward_pre_hooks",
}
_PARTS = ("_parameters", "_buffers", "_modules")
_NOTES = {"training", "_compiled_call_impl", "_is_torch_compile"}  # the last two by torch.compile
_ELSEWHERE = {*_HOOKS, *_FLAGS, *_PARTS, *_NOTES}


@rule(nn.Module)
def _model(model: nn.Module, walk: Walk) -> None:
    if walk.place is not Place.SUBMODULE:
        _modes(model, walk)
    walk.place = Place.INSIDE
    if _is_compiled(model):
        walk.feed("compiled model")
        walk.visit(model._orig_mod, "_orig_mod")
        return
    walk.feed("model")
    walk.visit(type(model))
    state = vars(model)
    for part in _PARTS:
        _named(state[part], walk)
    for name in _HOOKS:
        _hooks(name, state, walk)
    for name, hooks in _FLAGS.items():
        keys = list(state.get(hooks, ()))
        walk.visit([keys.index(key) for key in state.get(name, ()) if key in keys])
    walk.feed("compiles itself" if state.get("_compiled_call_impl") else "is not compiled")
    rest = {name: value for name, value in state.items() if name not in _ELSEWHERE}
    if isinstance(model, torch.fx.GraphModule):
        rest.pop("_graph")  # the code of its class was made of that
    walk.feed(len(rest))
    for name in sorted(rest):
        walk.feed(name)
        walk.visit(rest[name], name)


def _modes(model: nn.Module, walk: Walk) -> None:
    """Of a model as a whole: which of its parts are in another mode than the model itself.

    Whoever trains a model or scores it sets its mode. Nobody does for one that code refers to.
    """
    if walk.place is Place.INSIDE:
        walk.feed("mode", int(model.training))
    for name, part in nn.Module.named_modules(model):
        walk.feed(int(bool(part.training) != bool(model.training)))
        if part is not model:
            walk.number(part, name.split("."), Place.SUBMODULE)
    for name in _GLOBAL_HOOKS:
        _hooks(name, vars(nn.modules.module), walk)


def _named(parts: dict, walk: Walk) -> None:
    """Parameters, buffers or submodules, whose order counts."""
    walk.feed("parts", len(parts))
    for name, part in parts.items():
        walk.feed(name)
        walk.visit(part, name)


def _hooks(name: str, state: dict, walk: Walk) -> None:
    """Hooks in the order of their calls; their keys only count registrations in this process."""
    hooks = list(state.get(name, {}).values())
    walk.feed(name, len(hooks))
    for hook in hooks:
        walk.visit(hook, name)


def _is_compiled(model: nn.Module) -> bool:
    """Whether this is what ``torch.compile`` returned for a model."""
    return type(model).__module__ == "torch._dynamo.eval_frame" and hasattr(model, "_orig_mod")


@rule(RemovableHandle)
def _handle(handle: RemovableHandle, walk: Walk) -> None:
    """It only takes a hook away again; the hook itself counts where it is."""
    walk.feed("handle of a hook")


@rule(torch.jit.ScriptModule, torch.jit.ScriptFunction)
def _script(script, walk: Walk) -> None:
    raise walk.refusal(script, "which is compiled; give the model that it was made of")
