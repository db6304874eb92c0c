"""mecsim: a reproduction of digital twin-driven task offloading for collaborative mobile edge computing.

Zhang, Hu and Min, IEEE JSAC, 2023. The public names are listed in `__init__.pyi`. Importing the package is quick: each
name is loaded when it is first used, and PyTorch only by what learns.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
