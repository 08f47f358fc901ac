"""Generative Teaching Networks (Such et al., ICML 2020): learned data that teach a new network in few steps.

The names are in `__init__.pyi`, in the method's order: real data, configuration, generator, curriculum,
learners, the inner loop that teaches one, what it then knows, the outer loop that improves the teaching, and
the frozen result. Each is imported when it is first used, so that what needs no PyTorch does not wait for it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
