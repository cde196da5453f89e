"""What the lint refuses before a Core ML package is written, and what it warns of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edge_runtime.errors import UserError
from export.targets.coreml import lint as coreml_lint
from export.targets.coreml.decoder import StatefulDecoder, heads
from export.targets.coreml.packages import write_graphs
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.config import Config, Decoder
from pulse.model.towers.clip import ClipVision
from quantize.load import load_model
from tests.inference import inference_of


class Recorder(nn.Module):
    """Writes heads of x into a state, by a view and a transpose or by split and stack."""

    def __init__(self, by_view: bool, in_between: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.by_view, self.in_between = by_view, in_between
        self.project = nn.Linear(8, 8)
        self.register_buffer("rows", torch.zeros(1, 2, 6, 4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(x)
        y = y.view(1, 6, 2, 4).transpose(1, 2) if self.by_view else heads(y, 2)
        self.rows.copy_(self.in_between(y))
        return self.rows.sum()


@pytest.mark.parametrize("in_between", [lambda x: x, lambda x: (2 * x).relu()])
def test_lint_refuses_a_state_written_from_a_transposed_view(in_between: Callable[[Tensor], Tensor]) -> None:
    def program(by_view: bool) -> torch.export.ExportedProgram:
        module = Recorder(by_view, in_between).eval()
        return torch.export.export(module, (torch.zeros(1, 6, 8),)).run_decompositions({})

    coreml_lint.check_program(program(by_view=False))
    with pytest.raises(UserError, match=r"the state rows is written from a view .*coremltools#2278"):
        coreml_lint.check_program(program(by_view=True))


def test_heads_and_attention_of_the_decoder_pass_the_lint(checkpoint: Checkpoint) -> None:
    model, config = load_model(checkpoint, "float32"), checkpoint.config
    module = StatefulDecoder(model, range(config.text.num_hidden_layers)).eval()
    example = (torch.zeros(1, 5, config.text.hidden_size), torch.zeros(1, 1, 5, 9))
    program = torch.export.export(module, example, strict=False).run_decompositions({})
    assert program.graph_signature.buffers_to_mutate
    coreml_lint.check_program(program)


@pytest.mark.parametrize(
    ("head_dim", "context", "found"),
    [
        (128, 1024, []),
        (128, 2047, []),
        (80, 1024, ["multiple of 32"]),
        (128, 2048, ["coreai-models#124"]),
        (16, 4096, ["multiple of 32", "coreai-models#124"]),
    ],
)
def test_lint_warns_of_states_that_some_processors_cannot_hold(head_dim: int, context: int, found: list[str]) -> None:
    text = Decoder(head_dim=head_dim, max_position_embeddings=context)
    warnings = coreml_lint.warnings(Config(ClipVision(), text, inference_of(text)))
    assert len(warnings) == len(found)
    assert all(part in warning for part, warning in zip(found, warnings, strict=True))


def test_lint_refuses_4_bit_look_up_tables(checkpoint: Checkpoint, tmp_path: Path) -> None:
    model, config = load_model(checkpoint, "float32"), checkpoint.config
    with pytest.raises(UserError, match=r"nf4 .*coremltools#2716.* use --weights int4"):
        write_graphs(model, config, "nf4", tmp_path)
    assert not any(tmp_path.iterdir())
