"""Repositories of the Hugging Face hub: from the cache if they are complete there, else downloaded.

Without a network, the hub's client retries for up to a minute.  Here one request with a short timeout decides.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

SECONDS = 10.0
"""Longest time to wait for the answer to one request."""
TIMM_FILES = ("model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Names under which timm looks for the weights of a repository."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?")
_SAFETENSORS, _PICKLE = r"model(-\d+-of-\d+)?\.safetensors", r"pytorch_model(-\d+-of-\d+)?\.bin"
_DESCRIPTION = r"config\.json|(video_)?(pre)?processor_config\.json|.*\.index\.json"


def is_repository_name(name: str) -> bool:
    """Whether a text has the form of a repository's name, such as ``facebook/vjepa2-vitl-fpc64-256``."""
    return _REPOSITORY.fullmatch(name) is not None


def require_reachable(repository: str, *, cached: Iterable[str] = ()) -> None:
    """ValueError, after one request at most, unless a repository can be read.

    Args:
        cached: names of files; no request is made if one of them is in the cache.
    """
    if not any(isinstance(try_to_load_from_cache(repository, name), str) for name in cached):
        _files_of(repository)


def fetch_model(repository: str, is_complete: Callable[[Path], bool]) -> Path:
    """The folder of a model of the hub, with its configuration and weights only.

    Args:
        is_complete: whether a folder holds all files of the model; a complete one in the cache is not updated.

    Raises:
        ValueError: it is not complete in the cache and cannot be downloaded.
    """
    try:
        folder = Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        folder = None
    if folder is not None and is_complete(folder):
        return folder
    names = _files_of(repository)
    weights = _SAFETENSORS if any(re.fullmatch(_SAFETENSORS, name) for name in names) else _PICKLE
    wanted = [name for name in names if re.fullmatch(f"{_DESCRIPTION}|{weights}", name)]
    try:
        return Path(snapshot_download(repository, allow_patterns=wanted))
    except Exception as error:  # of several libraries: no network, no access, no space
        raise ValueError(f"'{repository}' cannot be downloaded from the hub ({_reason(error)})") from error


def _files_of(repository: str) -> list[str]:
    """The names of the files in a repository of the hub, by one request; ValueError if it cannot be read."""
    elsewhere = "fetch it where there is a network, and name its folder or file"
    if constants.HF_HUB_OFFLINE:
        raise ValueError(f"'{repository}' is not in the hub's cache, and HF_HUB_OFFLINE is set; {elsewhere}")
    try:
        return [file.rfilename for file in HfApi().model_info(repository, timeout=SECONDS).siblings or ()]
    except RepositoryNotFoundError as error:
        raise ValueError(
            f"the hub has no model '{repository}', or it is private; a private one needs 'hf auth login'"
        ) from error
    except Exception as error:  # of the HTTP library, which differs between versions of the hub's client
        raise ValueError(
            f"'{repository}' is not in the hub's cache, and the hub cannot be reached ({_reason(error)}); {elsewhere}"
        ) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}" if text else type(error).__name__
