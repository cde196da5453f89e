"""python-for-android has no recipe for tokenizers yet; it is Rust behind pyo3, like its recipe for pydantic-core."""

from __future__ import annotations

from pythonforandroid.recipe import RustCompiledComponentsRecipe


class TokenizersRecipe(RustCompiledComponentsRecipe):
    """Builds the source distribution with maturin; its C parts (oniguruma) with the NDK's compiler."""

    version = "0.22.1"
    url = "https://files.pythonhosted.org/packages/source/t/tokenizers/tokenizers-{version}.tar.gz"
    site_packages_name = "tokenizers"


recipe = TokenizersRecipe()
