"""kivy-ios has no recipe for tokenizers: Rust behind pyo3, linked into the app as a static library."""

from __future__ import annotations

import shutil
from os.path import join

import sh
from kivy_ios.context_managers import cd
from kivy_ios.toolchain import Recipe, shprint

_TARGETS = {
    "iphoneos-arm64": "aarch64-apple-ios",
    "iphonesimulator-arm64": "aarch64-apple-ios-sim",
    "iphonesimulator-x86_64": "x86_64-apple-ios",
}


class TokenizersRecipe(Recipe):
    """Builds the source distribution's bindings with cargo; its C part (oniguruma) with Xcode's compiler."""

    version = "0.22.1"
    url = "https://pypi.python.org/packages/source/t/tokenizers/tokenizers-{version}.tar.gz"
    library = "libtokenizers.a"
    depends = ("python3",)

    def build_platform(self, plat):
        target = _TARGETS[plat.name]
        env = self.get_recipe_env(plat)
        # cargo chooses compiler and SDK by the target; kivy-ios's wrappers would build the build scripts for the phone.
        for name in ("CC", "CXX", "AR", "LD", "CFLAGS", "CXXFLAGS", "LDFLAGS"):
            env.pop(name, None)
        # The stable ABI needs no interpreter to ask.
        env["PYO3_NO_PYTHON"] = "1"
        with cd(join(self.build_dir, "bindings", "python")):
            shprint(
                sh.Command("cargo"), "rustc", "--release", "--lib", "--target", target, "--crate-type", "staticlib",
                _env={**self.ctx.env, **env},
            )  # fmt: skip
            shutil.copy(join("target", target, "release", self.library), self.build_dir)

    def install(self):
        source = self.get_build_dir(next(iter(self.platforms_to_build)))
        package = join(self.ctx.site_packages_dir, "tokenizers")
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(join(source, "bindings", "python", "py_src", "tokenizers"), package)
        # The app's importer asks for this file and then takes PyInit_tokenizers from the app itself.
        with open(join(package, "tokenizers.so"), "w"):
            pass


recipe = TokenizersRecipe()
