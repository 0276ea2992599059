"""Everything a backend or kernel pack may import, and nothing more. Each name's meaning is here, in one place.

What a plugin says of itself:

===================  ===================================================================================
``hookimpl``         decorator of ``grilly_backend()``, which returns one BackendInfo, and of
                     ``grilly_kernel(op, backend)``, which returns a Kernel or None
``BackendInfo``      name, ``api_version`` and ``open(device, automatic)``; made without opening anything
``API_VERSION``      version of all of this; a plugin writes the number that it was written for
``Backend``          base class of what ``open`` returns: ``from_numpy``, ``to_numpy``, ``spec``, ``full``; and,
                     if it can, ``is_exclusive``, ``synchronize``, ``profile``, ``peak_memory``, ``close``
``FEATURES``         what a backend may declare in ``Backend.features``
``ALONE``            what ``sys.getrefcount`` says in ``is_exclusive`` of a handle that only its tensor holds
``Array``            a backend's own handle of an array; core never looks inside
===================  ===================================================================================

Kernels:

===================  ===================================================================================
``KernelTable``      the kernels of one backend; its ``register(op, dtypes=, when=)`` is a decorator
``make_kernel``      one checked Kernel: what a kernel pack returns
``Kernel``           function, dtypes, ``when`` and where it comes from
``ops``              every declared op: ``ops.add``; called in a kernel, it takes and returns tensors
``registry``         the same by name: ``registry()["add"]``
``Op``               a declared op: ``name``, ``inputs``, ``attributes``, ``is_primitive``
``wrap``             a handle as a tensor, for kernels that call ops
``no_grad``          block in which such calls are not recorded
``philox``           the random words that ``random_bits`` must give, in NumPy
``Surrogate``        base class of the attribute ``surrogate``: only backward looks at it
``fused_surrogate``  the built-in derivative that a kernel has in its own source, as numbers; None for others
``shape_kernels``    kernels of the ops that move elements, for a module with NumPy's interface
``UFUNCS``           the elementwise ops as functions of such a module, with their dtypes
===================  ===================================================================================

Shapes, dtypes and settings:

===================  ===================================================================================
``Spec``             shape and dtype, as ``Backend.spec`` returns and ``when`` receives them
``DTYPES``           names of all dtypes; a backend holds all but perhaps float64
``FLOATS``           those of the floats
``numpy_dtype``      name to NumPy dtype
``flag``             a ``GRILLY_*`` variable that is on or off
===================  ===================================================================================

Errors to raise, all of them ``GrillyError``:

======================  ===============================================================================
``GrillyError``         base class
``BackendUnavailable``  by ``open``: driver, device or library are missing; automatic choice goes on to the next
``ConfigError``         by ``open``: no such device, an impossible setting
``OutOfMemoryError``    no room for another array
``DeviceLostError``     the device does not answer any more
``UnsupportedOpError``  the device cannot do this call, and nothing else will
``KernelError``         a kernel that does not fit its op (raised by ``register`` and ``make_kernel``)
======================  ===============================================================================

``API_VERSION`` goes up by one when a plugin that worked could stop working: a name above goes away or changes its
signature or meaning; a method of Backend, an attribute of its or an argument of a hook becomes required; a primitive comes,
goes, or gets other parameters; a composite's parameters change. It stays for what a plugin need not know of: a new name
here, a new composite op, an optional method, a new feature. A plugin for another version is refused with both numbers.
"""

from grilly_core import ops
from grilly_core.arraycode import UFUNCS, shape_kernels
from grilly_core.autograd import no_grad
from grilly_core.backend import (
    ALONE,
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
    "ALONE", "API_VERSION", "DTYPES", "FEATURES", "FLOATS", "UFUNCS", "Array", "Backend", "BackendInfo",
    "BackendUnavailable", "ConfigError", "DeviceLostError", "GrillyError", "Kernel", "KernelError",
    "KernelTable", "Op", "OutOfMemoryError", "Spec", "Surrogate", "UnsupportedOpError", "flag",
    "fused_surrogate", "hookimpl", "make_kernel", "no_grad", "numpy_dtype", "ops", "philox", "registry",
    "shape_kernels", "wrap",
]  # fmt: skip
