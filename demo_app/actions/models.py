"""Bundles: load one behind the window, import, switch, remove, and ask for a signature."""

from __future__ import annotations

from pathlib import Path

from demo_app.actions.core import Core
from demo_app.bundles import Installed
from demo_app.reader import Loaded
from demo_app.state import Import, Model
from demo_app.worker import Job
from edge_runtime.errors import UserError


class Models(Core):
    """What is done with bundles."""

    def load_model(self) -> None:
        """Load the chosen bundle, or the first that runs here, behind the window; this ends the conversation."""
        self.cancel()
        self.state.case = None
        runs = [bundle for bundle in self.state.bundles if bundle.runs]
        chosen = [bundle for bundle in runs if bundle.digest == self.settings.bundle] or runs
        if not chosen:
            self.state.model = Model("none")
            return
        self.state.model = Model("loading")
        folder, key = chosen[0].folder, self._key()

        def ready(loaded: Loaded) -> None:
            self.state.model = Model("ready", loaded)
            self.model_changed()

        def failed(message: str) -> None:
            self.state.model = Model("failed", error=self.explain("model", message))
            self.model_changed()

        def work(job: Job) -> None:
            loaded = self.reader.load(folder, key, job)
            job.post(lambda: ready(loaded))

        self._model_worker.submit(work, failed)

    def model_changed(self) -> None:
        """A bundle was loaded, or could not be."""
        if self.state.screen == "result":
            self.follow()
        elif self.state.screen in ("home", "models"):
            self.show()

    def use_bundle(self, bundle: Installed) -> None:
        """Switch to another bundle."""
        self.settings = self.settings.changed(bundle=bundle.digest)
        self.load_model()
        self.change()

    def add_bundle(self, source: Path) -> None:
        """Import a folder or zip, with progress; cancel_import() stops it."""
        self.state.importing, self.state.error = Import(source.name), ""
        self.show()

        def progress(job: Job, last: list[float], share_done: float) -> None:
            job.check()
            if share_done - last[0] >= 0.02 or share_done >= 1:
                last[0] = share_done
                job.post(lambda: self._import_at(share_done))

        def work(job: Job) -> None:
            last = [0.0]
            added = self.bundles.add(source, self._key(), lambda part: progress(job, last, part))
            job.post(lambda: done(added))

        def done(added: Installed) -> None:
            self.state.importing = None
            self.state.bundles = self.bundles.installed()
            if added.runs and self.state.model.stage in ("none", "failed"):
                self.settings = self.settings.changed(bundle=added.digest)
                self.load_model()
            self.change()

        self._importing = self._file_worker.submit(work, self.failing("import"))

    def _import_at(self, share_done: float) -> None:
        if self.state.importing is not None:
            self.state.importing.share = share_done
            if self.state.screen == "models":
                self.show()

    def cancel_import(self) -> None:
        if self._importing is not None:
            self._importing.cancel()
        self.state.importing = None
        self.show()

    def remove_bundle(self, bundle: Installed) -> None:
        """Delete an imported bundle; if it was in use, the first of the others takes over."""
        loaded = self.state.model.loaded
        in_use = loaded is not None and loaded.folder == bundle.folder
        try:
            self.bundles.remove(bundle)
        except UserError as error:
            self.fail(str(error))
            return
        self.state.bundles = self.bundles.installed()
        if in_use:
            self.load_model()
        self.show()

    def set_key(self, path: str) -> None:
        """Whose signature is required; the bundle in use is checked again."""
        self.settings = self.settings.changed(key=path)
        self.load_model()
        self.change()

    def _key(self) -> Path | None:
        return Path(self.settings.key) if self.settings.key else None
