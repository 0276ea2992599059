"""Everything a backend or kernel pack may import, and nothing more. Stable within one ``API_VERSION``."""

from grilly_core import ops
from grilly_core.arraycode import UFUNCS, shape_kernels
from grilly_core.autograd import no_grad
from grilly_core.backend import (
    API_VERSION,
    FEATURES,
    Array,
    Backend,
    BackendInfo,
    Kernel,
    KernelTable,
    make_kernel,
)
from grilly_core.config import flag
from grilly_core.errors import (
    BackendUnavailable,
    ConfigError,
    DeviceLostError,
    GrillyError,
    KernelError,
    OutOfMemoryError,
    UnsupportedOpError,
)
from grilly_core.op import Op, registry
from grilly_core.ops.random import philox
from grilly_core.plugins import hookimpl
from grilly_core.spec import DTYPES, FLOATS, Spec, numpy_dtype
from grilly_core.surrogate import Surrogate, fused_surrogate
from grilly_core.tensor import wrap

__all__ = [
    "API_VERSION", "DTYPES", "FEATURES", "FLOATS", "UFUNCS", "Array", "Backend", "BackendInfo",
    "BackendUnavailable", "ConfigError", "DeviceLostError", "GrillyError", "Kernel", "KernelError",
    "KernelTable", "Op", "OutOfMemoryError", "Spec", "Surrogate", "UnsupportedOpError", "flag",
    "fused_surrogate", "hookimpl", "make_kernel", "no_grad", "numpy_dtype", "ops", "philox", "registry",
    "shape_kernels", "wrap",
]  # fmt: skip
