"""Write a bundle as a folder."""

import hashlib
from pathlib import Path

import safetensors.torch

from tfclass.bundle.bundle import MAX_BYTES, Bundle, check_stacked
from tfclass.bundle.description import CARD, DESCRIPTION, WEIGHTS, write_description
from tfclass.channels.registry import CHANNELS
from tfclass.errors import BundleError
from tfclass.io.folders import FolderKind, whole_folder
from tfclass.limits import MAX_PACKED_BYTES, in_words

BUNDLE_FOLDER = FolderKind(
    DESCRIPTION,
    ("schema_version", "files"),
    lambda _: (WEIGHTS, CARD, *(channel.file for channel in CHANNELS.values())),
)


def save_bundle(bundle: Bundle, folder: Path, card: str) -> str:
    """Write a bundle with its model card; return its digest. One there is replaced once the new one is complete.

    Raises
    ------
    BundleError
        Channels and regressions do not fit together, or `load_bundle` would refuse it: a name or value that is not
        allowed, a file too large.
    OutputError
        The folder cannot be written.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in bundle.model.state_dict().items()}
    files = {WEIGHTS: safetensors.torch.save(weights), CARD: card.encode()}
    files |= {channel.file: channel.to_bytes() for channel in bundle.channels.values()}
    check_stacked(bundle, bundle.channels, bundle.name)
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    description, digest = write_description(bundle, checksums, str(folder / DESCRIPTION))
    for name, content in files.items():
        most = MAX_BYTES.get(name, MAX_PACKED_BYTES)
        if len(content) > most:
            raise BundleError(f"{folder}: {name} has {in_words(len(content))}; at most {in_words(most)} are allowed")
    with whole_folder(folder, BUNDLE_FOLDER) as building:
        for name, content in files.items():
            (building / name).write_bytes(content)
        (building / DESCRIPTION).write_bytes(description)
    return digest
