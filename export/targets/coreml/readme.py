"""README.md of a Core ML bundle: what the packages are, and the Swift that runs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_runtime.engines.coreml import MASKED, STEP
from pulse.model.config import Config

_TEXT = """# {name} for Core ML

Packages for iOS 18 and macOS 15 or newer. `manifest.json` says how a page becomes pixels, how the prompt is put
together and which file is which; `certificate.json` says how far the packages are from the float32 model.

| package | takes | gives |
|---|---|---|
| vision | `pixels` [1, {channels}, {height}, {width}], one tile | `features` [1, T, {width_d}] |
| embed | `input_ids` int32 [1, S] | `embeds` [1, S, {width_d}] |
| decoder | `embeds` [1, S, {width_d}], `mask` [1, 1, S, E] | `logits` [1, {vocab}] of the last position |

S is 1 to {step}; E, at most {context}, counts all positions so far with the new ones, so the first new one is E - S.
`mask` is 0 where a position may look and {masked:g} where it may not. Keys and values live in the decoder's state: to
ask anew about the same image, go on with the E that followed the image; what was written behind it is never seen.
{chunks}{warnings}
## Swift

```swift
import CoreML

let bundle = URL(fileURLWithPath: "{folder}")
func load(_ name: String) async throws -> MLModel {{
    let compiled = try await MLModel.compileModel(at: bundle.appending(path: name))
    return try await MLModel.load(contentsOf: compiled, configuration: MLModelConfiguration())
}}

let embed = try await load("embed.mlpackage")
let decoders = [{swift_decoders}]
let states = decoders.map {{ $0.makeState() }}

/// Logits after `ids`, which follow `position` tokens that the states hold already.
func decode(_ ids: [Int32], at position: Int) async throws -> MLMultiArray {{
    let count = ids.count, end = position + count
    let input = MLShapedArray(scalars: ids, shape: [1, count])
    let embedded = try await embed.prediction(
        from: MLDictionaryFeatureProvider(dictionary: ["input_ids": MLMultiArray(input)]))
    var mask = MLShapedArray<{scalar}>(repeating: 0, shape: [1, 1, count, end])
    for row in 0..<count {{
        for column in (position + row + 1)..<max(end, position + row + 1) {{
            mask[scalarAt: 0, 0, row, column] = {masked:g}
        }}
    }}
    var hidden = embedded.featureValue(for: "embeds")!.multiArrayValue!
    for (decoder, state) in zip(decoders, states) {{
        let given = try MLDictionaryFeatureProvider(dictionary: ["embeds": hidden, "mask": MLMultiArray(mask)])
        let output = try await decoder.prediction(from: given, using: state)
        hidden = output.featureValue(for: decoder === decoders.last ? "logits" : "hidden")!.multiArrayValue!
    }}
    return hidden
}}
```

The image's `features` go through the decoder as `embeds`, between the tokens before and after `<image>` in the prompt.
"""


def write_readme(folder: Path, config: Config, decoders: Sequence[str], half: bool, warnings: Sequence[str]) -> None:
    """Write README.md. decoders: the decoder's packages in order; warnings: one line each."""
    vision, text = config.vision, config.text
    chunks = (
        ""
        if len(decoders) == 1
        else (
            f"\nThe decoder lies in {len(decoders)} packages, each with its own state; all but the last give `hidden` "
            f"[1, S, {text.hidden_size}], the `embeds` of the next.\n"
        )
    )
    listed = "".join(f"- {warning}\n" for warning in warnings)
    content = _TEXT.format(
        name=config.name or "A pulse-edge bundle",
        channels=vision.in_channels,
        height=vision.height,
        width=vision.width,
        width_d=text.hidden_size,
        vocab=text.vocab_size,
        step=min(STEP, text.max_position_embeddings),
        context=text.max_position_embeddings,
        masked=MASKED,
        chunks=chunks,
        warnings=f"\n## Known limits\n\n{listed}" if listed else "",
        folder=config.name or "bundle",
        swift_decoders=", ".join(f'try await load("{name}")' for name in decoders),
        scalar="Float16" if half else "Float",
    )
    (folder / "README.md").write_text(content, encoding="utf-8")
