"""Zero-cost proxies: numbers of an untrained network, each in a module of its own."""

from nas.estimators.proxies.az_nas import AzNas, az_nas
from nas.estimators.proxies.gradient_norm import gradient_norm
from nas.estimators.proxies.jacobian_covariance import jacobian_covariance
from nas.estimators.proxies.naswot import naswot
from nas.estimators.proxies.synflow import synflow

__all__ = ["AzNas", "az_nas", "gradient_norm", "jacobian_covariance", "naswot", "synflow"]
