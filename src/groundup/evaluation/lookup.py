"""Looking numbers up among others, all at once."""

import numpy as np

UNSEEN = -1  # the place of a number that is not among them


def places_of(wanted: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The place of each wanted number among ascending keys; UNSEEN where it is none of them.

    Shapes:  (N,), (n_keys,) -> (N,)
    """
    if not len(keys):
        return np.full(len(wanted), UNSEEN)
    places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[places] == wanted, places, UNSEEN)
