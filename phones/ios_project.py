"""What kivy-ios leaves to do in its Xcode project: link our own recipe's library, and say what the app asks for.

python phones/ios_project.py PROJECT_FOLDER DIST_FOLDER; part of phones/ios.sh, with kivy-ios's own Python.
"""

from __future__ import annotations

import plistlib
import sys
from pathlib import Path

from pbxproj import XcodeProject
from pbxproj.pbxextensions.ProjectFiles import FileOptions

ASKS = {
    "CFBundleDisplayName": "PULSE ECG",
    "NSCameraUsageDescription": "To photograph an ECG. The picture stays on this device.",
    "NSPhotoLibraryUsageDescription": "To choose a picture of an ECG. It stays on this device.",
    # The app's folder in the Files app: the way in for bundles and keys, and out for saved answers.
    "UIFileSharingEnabled": True,
    "LSSupportsOpeningDocumentsInPlace": True,
}


def main(folder: str, dist: str) -> None:
    """Change both files in place."""
    project_file = next(Path(folder).glob("*.xcodeproj")) / "project.pbxproj"
    project = XcodeProject.load(str(project_file))
    # `toolchain create` links the libraries of kivy-ios's own recipes only.
    library = Path(dist, "xcframework", "libtokenizers.xcframework").resolve()
    if not library.is_dir():
        raise SystemExit(f"error: {library} is missing; the recipe for tokenizers was not built")
    options = FileOptions(embed_framework=False)
    project.add_file(str(library), parent=project.get_or_create_group("Frameworks"), force=False, file_options=options)
    # Core ML keeps keys and values between two steps since iOS 18.
    project.set_flags("IPHONEOS_DEPLOYMENT_TARGET", "18.0")
    project.save()
    (info,) = Path(folder).glob("*-Info.plist")
    info.write_bytes(plistlib.dumps({**plistlib.loads(info.read_bytes()), **ASKS}))


if __name__ == "__main__":
    main(*sys.argv[1:])
