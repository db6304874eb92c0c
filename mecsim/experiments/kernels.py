"""The kernel of whatever runs a notebook for us: that of the running Python."""

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager


class OwnKernel(AsyncKernelManager):
    """Starts kernels of this Python, whatever Jupyter knows as `python3`: nbclient's `kernel_manager_class`.

    They do not warn that they talk to us over the loopback unencrypted.
    """

    @property
    def kernel_spec(self) -> KernelSpec:
        """What is started, whichever kernel a notebook names."""
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict(["--log-level=ERROR"]))
