"""A student in one file: pulse-pico, a quarter of pulse-nano's width, for a first try of the whole recipe.

Put it into distill/students/ as pico.py; then `pulse-distill --data PTBXL_DIR --student pico` trains it.
"""

from __future__ import annotations

from dataclasses import replace

from distill.runs import DecoderRun, TowerRun
from distill.student import GREY_PAGE, Student
from edge_runtime.inference import PromptSpec
from pulse.model.config import Decoder
from pulse.model.towers.conv import ConvVision

STUDENT = Student(
    name="pulse-pico",
    vision=ConvVision(channels=(8, 16, 32), blocks=(0, 1, 1), batch_norm=True, pool=6),
    text=Decoder(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=1024,
    ),
    # What the device does with a picture and a question, before and after the training alike.
    preprocess=replace(GREY_PAGE, mean=(0.85,), std=(0.2,)),
    prompt=PromptSpec(
        system="",
        first_turn="USER: <image>\n{question}\nASSISTANT:",
        next_turn="USER: {question}\nASSISTANT:",
        add_bos=False,
    ),
    end=1,  # </s> of the tokenizer that is learned
    tower=TowerRun(epochs=4, batch=16),
    decoder=DecoderRun(epochs=1),
    teachers=(),  # the labels alone, unless --teacher names some
    views=1,
)
