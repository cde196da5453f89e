"""pulse-nano, the student that ships: it begins with nothing, and its tokenizer is learned from its own answers."""

from __future__ import annotations

from dataclasses import replace

from distill.student import GREY_PAGE, Student
from edge_runtime.inference import PromptSpec
from pulse.model.config import Decoder
from pulse.model.towers.conv import ConvVision

STUDENT = Student(
    name="pulse-nano",
    vision=ConvVision(channels=(16, 64, 128, 256), blocks=(0, 1, 2, 2), batch_norm=True, pool=3),
    text=Decoder(
        vocab_size=1024,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=1024,
    ),
    preprocess=replace(GREY_PAGE, mean=(0.85,), std=(0.2,)),
    prompt=PromptSpec(
        system="",
        first_turn="USER: <image>\n{question}\nASSISTANT:",
        next_turn="USER: {question}\nASSISTANT:",
        add_bos=False,
    ),
    end=1,  # </s>, the second of distill.tokens.SPECIALS
)
