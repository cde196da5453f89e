"""Page image to the vision tower's input. The only copy: training, export, verification and the device all call it.

How an image is laid out on the tower's canvas is a *mode*; `_MODES` maps its name to a function, and a new one is one
more entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime import anyres
from edge_runtime.errors import UserError, shorten
from edge_runtime.fields import Fields

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
}
_CHANNELS = {"grey": ("L", 1), "rgb": ("RGB", 3)}
# Average whole blocks first, down to this many times the target: half the time on a page, and still antialiased.
_REDUCING_GAP = 2.0
_MAX_SIDE = 8192


@dataclass(frozen=True)
class PreprocessSpec:
    """The manifest's `preprocess`: how a page becomes pixels. Sizes in pixels, mean and std for values in 0..1.

    pinpoints and merge belong to mode "anyres": the canvases (width, height) to choose from (none: the squashed page
    alone), and whether the tiles' tokens follow each other ("flat") or form one grid without the fill
    ("spatial_unpad"). pool: every block of pool x pool of a tile's tokens becomes their mean.
    """

    mode: str
    width: int
    height: int
    channels: str
    resample: str
    fill: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pinpoints: tuple[tuple[int, int], ...] = ()
    merge: str = "flat"
    pool: int = 1

    @classmethod
    def from_dict(
        cls, data: Mapping[str, object], where: str = "preprocess", fix: str = "export the bundle again"
    ) -> PreprocessSpec:
        """Read and check the manifest's fields. Raises UserError naming the first wrong one."""
        fields = Fields(dict(data), where, fix)
        mode = fields.text("mode")
        if mode not in _MODES:
            raise UserError(
                f"{where}: mode {shorten(mode)} is not one this version knows ({', '.join(_MODES)}); "
                f"upgrade pulse-edge or {fix}"
            )
        channels = fields.text("channels", choices=_CHANNELS)
        count = _CHANNELS[channels][1]
        std = fields.numbers("std", count)
        if min(std) <= 0:
            raise UserError(f"{where}: std must be above 0 but is {list(std)}; {fix}")
        width, height = fields.integer("width", 1, _MAX_SIDE), fields.integer("height", 1, _MAX_SIDE)
        return cls(
            mode=mode,
            width=width,
            height=height,
            channels=channels,
            resample=fields.text("resample", choices=_RESAMPLE),
            fill=fields.integer("fill", 0, 255),
            mean=fields.numbers("mean", count),
            std=std,
            pinpoints=_pinpoints(fields, width, height) if mode == "anyres" else (),
            merge=fields.text("merge", choices=MERGES) if mode == "anyres" else MERGES[0],
            pool=1 if fields.is_null("pool") else fields.integer("pool", 1, width),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON, which from_dict reads: without what belongs to another mode, and a pool of one."""
        data = asdict(self)
        pinpoints, merge, pool = (data.pop(key) for key in ("pinpoints", "merge", "pool"))
        data |= {"mean": list(self.mean), "std": list(self.std)}
        if self.mode == "anyres":
            data |= {"pinpoints": [list(pair) for pair in pinpoints], "merge": merge}
        return data if pool == 1 else {**data, "pool": pool}


def fewer_tiles(spec: PreprocessSpec, most: int) -> PreprocessSpec:
    """The spec with those pinpoints alone whose tiles and the squashed page are at most so many; the best of what is
    left is then chosen as before. Raises UserError for a number that no page has."""
    if spec.mode != "anyres":
        raise UserError(f"--tiles {most}: this model looks at one tile only; leave --tiles out")
    count = {(w, h): 1 + (w // spec.width) * (h // spec.height) for w, h in spec.pinpoints}
    possible = sorted({1, *count.values()})
    if most not in possible:
        listed = ", ".join(map(str, possible))
        raise UserError(f"--tiles {most}: this model's pages have {listed} tiles; give one of these numbers")
    return replace(spec, pinpoints=tuple(pair for pair in count if count[pair] <= most))


def _pinpoints(fields: Fields, width: int, height: int) -> tuple[tuple[int, int], ...]:
    """Canvases of whole tiles."""
    listed, found = fields.data.get("pinpoints"), []
    for value in listed if isinstance(listed, list | tuple) else [None]:
        pair = Fields({"pinpoints": value}, fields.where, fields.fix).integers("pinpoints", 1, _MAX_SIDE)
        if len(pair) != 2 or pair[0] % width or pair[1] % height:
            raise UserError(
                f"{fields.where}: pinpoints must be pairs of width and height in tiles of {width}x{height}, "
                f"not {list(pair)}; {fields.fix}"
            )
        found.append((pair[0], pair[1]))
    return tuple(found)


def pixels(image: Image.Image | np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    """The vision tower's input, float32 [N, C, H, W] (N tiles), for a PIL image or a uint8 array [H, W] or [H, W, 3].

    Deterministic: the same image gives the same bits. Raises UserError for another kind of array.
    """
    return normalize(canvas(image, spec), spec)


def canvas(image: Image.Image | np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    """The page laid out but not yet normalized, uint8 [N, H, W, C]: what a training cache should keep."""
    return _MODES[spec.mode](_to_pil(image, spec), spec)


def normalize(tiles: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    """uint8 [N, H, W, C] to float32 [N, C, H, W]: (value / 255 - mean) / std per channel, rounded to float32 after each
    step as transformers' CLIPImageProcessor does."""
    levels = (np.arange(256) * (1 / 255)).astype(np.float32)
    result = np.empty((tiles.shape[0], tiles.shape[3], *tiles.shape[1:3]), np.float32)
    for channel, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True)):
        # 256 possible values: a table look-up is faster than the arithmetic and rounds once.
        table = (levels - np.float32(mean)) / np.float32(std)
        np.take(table, tiles[..., channel], out=result[:, channel])
    return result


def draft_size(spec: PreprocessSpec) -> tuple[int, int]:
    """Width and height, in pixels, below which a decoder must not shrink the picture for us (see image.load)."""
    if spec.mode == "anyres":
        return _MAX_SIDE, _MAX_SIDE  # its tokens depend on the picture's own size
    # Twice the canvas, either way up: what is thrown away could not have been seen.
    side = 2 * max(spec.width, spec.height)
    return side, side


def as_picture(image: Image.Image | np.ndarray) -> Image.Image:
    """A picture, or an array uint8 [H, W] or [H, W, 3] as one. Raises UserError for any other array, and for none."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise UserError(f"an image array must be uint8 [H, W] or [H, W, 3], not {image.dtype} {image.shape}")
        image = Image.fromarray(np.ascontiguousarray(image))
    if min(image.size) < 1:
        raise UserError(f"the image is empty ({image.width}x{image.height})")
    return image


def _to_pil(image: Image.Image | np.ndarray, spec: PreprocessSpec) -> Image.Image:
    image = as_picture(image)
    mode = _CHANNELS[spec.channels][0]
    return image if image.mode == mode else image.convert(mode)


def _fit(image: Image.Image, spec: PreprocessSpec) -> np.ndarray:
    """Keep the aspect ratio, enlarge or shrink until one side touches, centre, pad with `fill`. One tile."""
    scale = min(spec.width / image.width, spec.height / image.height)
    width = min(spec.width, max(1, round(image.width * scale)))
    height = min(spec.height, max(1, round(image.height * scale)))
    resized = image.resize((width, height), _RESAMPLE[spec.resample], reducing_gap=_REDUCING_GAP)
    page = np.full((1, spec.height, spec.width, _CHANNELS[spec.channels][1]), spec.fill, np.uint8)
    top, left = (spec.height - height) // 2, (spec.width - width) // 2
    page[0, top : top + height, left : left + width] = np.asarray(resized).reshape(height, width, -1)
    return page


def _crop(image: Image.Image, spec: PreprocessSpec) -> np.ndarray:
    """CLIP's own way, LLaVA-1.5's: the shorter side touches, the middle is kept. One tile, which is square."""
    side, short = spec.width, min(image.size)
    width, height = (side if n == short else int(side * n / short) for n in image.size)
    resized = np.asarray(image.resize((width, height), _RESAMPLE[spec.resample])).reshape(height, width, -1)
    top, left = (height - side) // 2, (width - side) // 2
    return resized[None, top : top + side, left : left + side]


def _anyres(image: Image.Image, spec: PreprocessSpec) -> np.ndarray:
    tile = spec.width, spec.height
    return anyres.tiles(image, tile, spec.pinpoints, _RESAMPLE[spec.resample], spec.fill)


def pack_image_tokens(
    features: np.ndarray, count: int, size: tuple[int, int], spec: PreprocessSpec, newline: Callable[[], np.ndarray]
) -> np.ndarray:
    """Image tokens [T, D] in the decoder's order, of the features [N * t, D] of a picture of this width and height.

    count: N, its tiles. newline: gives the embedding [D] that ends a row of patches, where the layout has such. Raises
    UserError when a tile's tokens do not divide into the manifest's blocks.
    """
    if spec.pool > 1:
        side = math.isqrt(len(features) // count)
        if side**2 * count != len(features) or side % spec.pool:
            raise UserError(
                f"a tile has {len(features) // count} tokens, which do not divide into blocks of "
                f"{spec.pool}x{spec.pool}; export the bundle again with another --merge-tokens"
            )
        features = anyres.pooled(features, count, spec.pool)
    if spec.merge == "flat":
        return features
    return anyres.unpadded(features, newline(), size, (spec.width, spec.height), spec.pinpoints)


MERGES = ("flat", "spatial_unpad")
_MODES: dict[str, Callable[[Image.Image, PreprocessSpec], np.ndarray]] = {"fit": _fit, "crop": _crop, "anyres": _anyres}
