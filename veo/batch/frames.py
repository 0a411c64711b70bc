"""The pictures of a batch: found beside its file, looked at once however many items share them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from veo.errors import ImageError
from veo.paths import absolute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from veo.image import Image


def check_images(
    images: Iterable[Image], folders: Sequence[Path], keep: Callable[[Image], Image]
) -> dict[Image, Image | ImageError]:
    """Each picture, found and kept, or why it cannot be used.

    Args:
        images: As the items name them.
        folders: Where relative paths are looked up, in this order.
        keep: Looks at a picture to its end, as ``Pictures.keep`` does.
    """

    def one(image: Image) -> Image | ImageError:
        try:
            return keep(find_image(image, folders))
        except ImageError as error:
            return error

    distinct = list(dict.fromkeys(images))
    with ThreadPoolExecutor(os.cpu_count(), "veo-look") as threads:
        return dict(zip(distinct, threads.map(one, distinct), strict=True))


def find_image(image: Image, folders: Sequence[Path]) -> Image:
    """The picture with the path that it was found under; anything but a path as it is.

    Raises:
        ImageError: It is in none of the folders.
    """
    if image.data is not None or image.is_url:
        return image
    for folder in folders:
        path = absolute(folder / os.path.expanduser(image.source))  # noqa: PTH111 - see `absolute`
        if _is_file(path):
            return replace(image, source=str(path))
    places = " nor in ".join(dict.fromkeys(map(str, folders)))
    raise ImageError(f"{image.source}: no such file in {places}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or no name at all
        return False
