"""README.md of a Core AI bundle: what the assets are, and the Swift that loads and runs them."""

from __future__ import annotations

from pathlib import Path

from export.targets.coreai.lint import NOTES
from pulse.model.config import Config

_TEXT = """# {name} for Core AI

Assets for iOS 27 and macOS 27 or newer (phones of today: target coreml). `manifest.json` says how a page becomes
pixels, how the prompt is put together and which file is which; `certificate.json` says how far the assets are from the
float32 model, on Apple's Core AI runtime on the CPU of the machine that made it. Neural Engine and GPU: not_run.

| asset | takes | gives |
|---|---|---|
| vision | `pixels` [1, {channels}, {height}, {width}], one tile | `features` [1, T, {width_d}] |
| embed | `input_ids` int32 [1, S] | `embeds` [1, S, {width_d}] |
| decoder | `embeds` [1, S, {width_d}]; `past_key_I`, `past_value_I` [1, {kv}, P, {size}], {layers} layers | \
`logits` [1, {vocab}] of the last position; `present_key_I`, `present_value_I` [1, {kv}, P + S, {size}] |

All float32. S is 1 or more, P 0 or more, P + S at most {context}. What a step gives as `present_` goes into the next as
`past_`; to ask anew about the same image, go on from the arrays that followed the image.

## Known limits

- {note}

## Swift

```swift
import CoreAI

let bundle = URL(filePath: "{folder}")
let options = SpecializationOptions.cpuOnly  // what was certified; .default once its answers agree on your device
func load(_ name: String) async throws -> InferenceFunction {{
    let model = try await AIModel(contentsOf: bundle.appending(path: name), options: options)
    return try model.loadFunction(named: "main")!
}}

let embed = try await load("embed.aimodel"), decoder = try await load("decoder.aimodel")
let names = (0..<{layers}).flatMap {{ ["key_\\($0)", "value_\\($0)"] }}
typealias Cache = [String: NDArray]
let empty = Cache(uniqueKeysWithValues: names.map {{
    ($0, NDArray(shape: [1, {kv}, 0, {size}], scalarType: .float32)) }})

/// Logits after `ids`, which follow `past`, and the cache that holds both.
func decode(_ ids: [Int32], after past: Cache) async throws -> (NDArray, Cache) {{
    var found = try await embed.run(inputs: ["input_ids": NDArray(scalars: ids, shape: [1, ids.count])])
    var inputs = ["embeds": found.remove("embeds")!.ndArray!]
    for name in names {{ inputs["past_" + name] = past[name] }}
    var outputs = try await decoder.run(inputs: inputs)
    let present = names.map {{ ($0, outputs.remove("present_" + $0)!.ndArray!) }}
    return (outputs.remove("logits")!.ndArray!, Cache(uniqueKeysWithValues: present))
}}
```

The image's `features` go through the decoder as `embeds`, between the tokens before and after `<image>` in the prompt.
The lines follow Apple's pages on AIModel and InferenceFunction; no Xcode has compiled them yet (not_run).
"""


def write_readme(folder: Path, config: Config) -> None:
    """Write README.md."""
    vision, text = config.vision, config.text
    content = _TEXT.format(
        name=config.name or "A pulse-edge bundle",
        channels=vision.in_channels,
        height=vision.height,
        width=vision.width,
        width_d=text.hidden_size,
        vocab=text.vocab_size,
        kv=text.num_key_value_heads,
        size=text.head_dim,
        layers=text.num_hidden_layers,
        context=text.max_position_embeddings,
        note="\n- ".join(NOTES),
        folder=config.name or "bundle",
    )
    (folder / "README.md").write_text(content, encoding="utf-8")
