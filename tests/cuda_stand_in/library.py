"""The stand-in's library: built where it is not yet, and loaded before PyTorch is imported."""

import ctypes
import getpass
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

SOURCE = Path(__file__).with_name("device.cpp")
NAME = "cuda_stand_in"

BUILD = """
import sys
from torch.utils.cpp_extension import load
name, source, folder = sys.argv[1:]
flags = {"extra_cflags": ["-O1"], "extra_ldflags": ["-Wl,--as-needed"]}  # it needs nothing of Python
load(name, [source], build_directory=folder, is_python_module=False, **flags)
"""


class StandInError(Exception):
    """What is missing, or in the way."""


def load() -> None:
    """Load the library, of this source and this PyTorch."""
    if "torch" in sys.modules:
        raise StandInError("PyTorch is imported already, and then knows its devices")
    libraries = _torch_libraries()
    library = _cache_folder() / f"{NAME}.so"
    if not library.exists():
        _build(library)
    for each in (libraries / "libtorch_cpu.so", library):
        ctypes.CDLL(str(each))


def _torch_libraries() -> Path:
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        raise StandInError("PyTorch is not installed")
    folder = Path(spec.origin).with_name("lib")
    if (folder / "libtorch_cuda.so").exists():
        raise StandInError(f"PyTorch {version('torch')} is a build for CUDA; install one for CPUs")
    return folder


def _cache_folder() -> Path:
    """One for each PyTorch, Python and source; nobody else may write there."""
    own = Path(tempfile.gettempdir()) / f"cuda-stand-in-of-{getpass.getuser()}"
    own.mkdir(mode=0o700, exist_ok=True)
    if own.stat().st_uid != os.getuid():
        raise StandInError(f"{own} belongs to somebody else")
    source = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = own / f"torch{version('torch')}-python{python}-{source}"
    folder.mkdir(exist_ok=True)
    return folder


def _build(library: Path) -> None:
    """In a process of its own, since PyTorch's builder imports PyTorch; others see only the whole file."""
    for program in (os.environ.get("CXX", "c++"), "ninja"):
        if shutil.which(program) is None:
            raise StandInError(f"{program} is not on the PATH; building it takes a C++ compiler and ninja")
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        command = [sys.executable, "-c", BUILD, NAME, str(SOURCE), folder]
        build = subprocess.run(command, capture_output=True, text=True)
        built = Path(folder) / library.name
        if build.returncode or not built.exists():
            raise StandInError(f"building it failed:\n{build.stdout}{build.stderr}")
        built.replace(library)
