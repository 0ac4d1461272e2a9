"""tools/wheel refuses a wheel that would need this machine's libraries."""

import zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import plimsoll
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tool():
    loader = SourceFileLoader("wheel_tool", str(ROOT / "tools" / "wheel"))
    spec = spec_from_loader("wheel_tool", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def packed(tmp_path):
    """The package as it is here, linked to the system's libraries, as a wheel."""
    package = Path(plimsoll.__file__).parent
    wheel = tmp_path / "plimsoll_array-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in package.rglob("*"):
            if file.suffix in (".py", ".so"):
                archive.write(file, f"plimsoll/{file.relative_to(package)}")
    return wheel


def test_a_wheel_that_loads_system_libraries_is_refused(tool, packed, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    libraries = list((Path(plimsoll.__file__).parents[1]).glob("plimsoll_array.libs"))
    if libraries:
        pytest.skip("the package that is tested has its libraries with it")
    with pytest.raises(SystemExit, match=r"does not work alone.*libtbb"):
        tool.check(packed)


def test_a_wheel_that_cannot_be_imported_is_refused(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    wheel = tmp_path / "empty.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("plimsoll/__init__.py", "raise ImportError('broken')")
    with pytest.raises(SystemExit, match=r"empty.whl does not work alone.*broken"):
        tool.check(wheel)
