"""A bundle as a model directory of MLflow's flavour `pyfunc`, which runs without Shroff.

    MLmodel               what MLflow reads first: signature, loader, environment
    code/shroff_portable  the loader (`shroff.portable`, copied)
    data                  the bundle's ONNX graph, and its preparation and calibration as JSON
    python_env.yaml, requirements.txt

Nothing in it is pickled. The same bundle gives the same bytes in the same environment.
"""

from __future__ import annotations

import json
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import shroff.portable
from shroff.package.bundle import Bundle
from shroff.package.draft import drafted, require_features
from shroff.package.trial import try_model

_NEEDED: Final = ("mlflow-skinny", "numpy", "onnxruntime", "pandas")


def write_pyfunc(bundle: Bundle, folder: Path) -> Path:
    """Write a bundle's model as an MLflow model: features in, the probability of fraud out;
    returns its folder.

    Raises:
        BundleError: the folder is there already, or the model reads SQL conditions.
    """
    require_features(bundle)
    with drafted(folder) as draft:
        code = draft / "code" / "shroff_portable"
        code.mkdir(parents=True)
        for file in sorted(Path(shroff.portable.__file__).parent.glob("*.py")):
            shutil.copyfile(file, code / file.name)
        (draft / "data").mkdir()
        (draft / "data" / "model.onnx").write_bytes(bundle.model)
        (draft / "data" / "inputs.json").write_text(json.dumps(_about(bundle), indent=1))
        (draft / "MLmodel").write_text(_mlmodel(bundle))
        (draft / "python_env.yaml").write_text(
            f"python: {platform.python_version()}\nbuild_dependencies:\n- pip\ndependencies:\n"
            "- -r requirements.txt\n"
        )
        (draft / "requirements.txt").write_text("".join(f"{_pinned(one)}\n" for one in _NEEDED))
    return folder


def _about(bundle: Bundle) -> dict[str, Any]:
    """What the loader reads besides the graph; see `PortableModel`."""
    preparation = bundle.preparation
    return {
        "numeric": [
            {"name": one.name, "mean": one.mean, "std": one.std} for one in preparation.numeric
        ],
        "nominal": [{"name": one.name, "values": one.values} for one in preparation.nominal],
        **bundle.calibration.to_json(),
        "together": try_model(bundle.model, preparation).together,
    }


def _mlmodel(bundle: Bundle) -> str:
    """YAML, whose scalars are written as JSON's, which is YAML too."""
    inputs = [
        *(
            {"type": "double", "name": one.name, "required": True}
            for one in bundle.preparation.numeric
        ),
        *(
            {"type": "string", "name": one.name, "required": True}
            for one in bundle.preparation.nominal
        ),
    ]
    outputs = [{"type": "double", "required": True}]
    made = bundle.created
    about = {"bundle": bundle.version, "detector": bundle.name, "shroff": version("shroff")}
    return f"""artifact_path: model
flavors:
  python_function:
    code: code
    data: data
    env:
      virtualenv: python_env.yaml
    loader_module: shroff_portable.pyfunc
    python_version: {platform.python_version()}
metadata: {json.dumps(about)}
mlflow_version: {_version("mlflow-skinny") or "3.0.0"}
model_uuid: {bundle.digest[:32]}
signature:
  inputs: {json.dumps(json.dumps(inputs))}
  outputs: {json.dumps(json.dumps(outputs))}
utc_time_created: "{made[:4]}-{made[4:6]}-{made[6:8]} {made[9:11]}:{made[11:13]}:{made[13:15]}"
"""


def _pinned(name: str) -> str:
    found = _version(name)
    return name if found is None else f"{name}=={found}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None  # an extra
