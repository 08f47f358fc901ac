import pytest

from gtn_core import DatasetSplits, MetaStepReport, MetaTrainingConfig, meta_train
from gtn_core.errors import DeviceError


def test_arithmetic_of_a_gpu_is_refused_without_one(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    config = tiny_config.model_copy(update={"precision": "tf32"})
    reports: list[MetaStepReport] = []
    with pytest.raises(DeviceError, match=r'"tf32" needs a CUDA device, not cpu; set it to "float32"'):
        meta_train(digits, config, on_step=reports.append)
    assert not reports
