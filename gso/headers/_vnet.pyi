import numpy as np
import numpy.typing as npt

def describable(gso_type: npt.NDArray[np.uint32], *, tunnels: bool) -> npt.NDArray[np.bool_]: ...
def vnet_headers(
    layouts: npt.NDArray[np.void],
    gso_size: npt.NDArray[np.int64],
    gso_type: npt.NDArray[np.uint32],
) -> npt.NDArray[np.void]: ...
