"""What an error of a device means: the candidate is too large, or the process is of no more use.

A CUDA context that has met an illegal access or a failed kernel answers every later call with an error. A
candidate is then blamed for its predecessor, so the process has to go, and the candidate is tried elsewhere.
"""

_OUT_OF_MEMORY = (
    "DefaultCPUAllocator",  # the CPU's allocator has no exception type of its own
    "CUDA error: out of memory",
    "CUDA out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",  # cuDNN 9
    "unable to find an engine to execute this computation",  # a convolution's workspace found no room
)
_BROKEN = ("CUDA error", "CUBLAS_STATUS_", "CUDNN_STATUS_", "device-side assert", "NCCL Error")
_CANDIDATES_OWN = (
    "CUDNN_STATUS_NOT_SUPPORTED",
    "CUDNN_STATUS_BAD_PARAM",
    "stream is capturing",  # an operation that CUDA graphs cannot record
)


class WorkerUnusable(Exception):  # noqa: N818 - says what is to be done
    """Raised out of a worker, which ends it: its device answers no more. No fault of the candidate."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the candidate wanted more memory than its slot has; the process goes on."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)


def breaks_the_process(error: BaseException) -> bool:
    """Whether no further candidate can be evaluated in this process."""
    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    text = str(error)
    if any(sign in text for sign in _CANDIDATES_OWN):
        return False
    # AcceleratorError is PyTorch's name for an asynchronous error of a device.
    return type(error).__name__ == "AcceleratorError" or any(sign in text for sign in _BROKEN)
