"""The formats in which a trained candidate can be taken away."""

from typing import Literal

ExportFormat = Literal["python", "safetensors", "torch_export", "onnx"]
