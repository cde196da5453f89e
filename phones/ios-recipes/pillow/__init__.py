"""kivy-ios builds Pillow 8.2; the runtime wants 11 or newer, whose resizing the models were trained with."""

from __future__ import annotations

from pathlib import Path

from kivy_ios.recipes.pillow import PillowRecipe

_SEARCH = "    ret = self.compiler.find_library_file(self.compiler.library_dirs, library)\n"


class NewerPillowRecipe(PillowRecipe):
    """kivy-ios's own recipe with another version."""

    version = "11.3.0"
    url = "https://pypi.python.org/packages/source/p/pillow/pillow-{version}.tar.gz"

    def prebuild_platform(self, plat):
        """As kivy-ios's patch does for 8.2: what is there is said by --disable flags, not searched for on the Mac."""
        setup = Path(self.build_dir, "setup.py")
        text = setup.read_text()
        if text.count(_SEARCH) != 1:
            raise RuntimeError(f"Pillow {self.version}: setup.py searches for libraries in another way")
        setup.write_text(text.replace(_SEARCH, "    return library\n"))


recipe = NewerPillowRecipe()
