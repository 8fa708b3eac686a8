"""Pictures as MLflow's image grid reads them: by the names of files in a run's `images` folder.

`MlflowClient.log_image` would name each by a random id, so that doing it again adds a picture; here the key
of the picture stands in its place, and doing it again writes the same file.
"""

from __future__ import annotations

import io

FOLDER = "images"
"""Where a run keeps them."""

TAG = "mlflow.loggedImages"
"""The tag without which the UI does not look there."""

_NAME = "samples"
_THUMBNAIL_PIXELS = 256


def image_files(png: bytes, *, key: str, t: int, timestamp_ms: int) -> dict[str, bytes]:
    """The two files of a picture, by name: as it is, and small for the grid.

    MLflow reads the name between plus signs since 3.1 (and per cent signs, which URLs mangle).

    Raises: OSError, if it is no picture.
    """
    stem = f"{_NAME}+step+{t}+timestamp+{timestamp_ms}+{key}"
    return {f"{stem}.png": png, f"{stem}+compressed.webp": _thumbnail(png)}


def _thumbnail(png: bytes) -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
        image.save(sink, format="WEBP")
    return sink.getvalue()
