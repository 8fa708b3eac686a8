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
    """The two files of a picture, by name: as it is, and small for the grid; nothing, if it is no picture.

    The UI reads names whose parts stand between plus signs, or per cent signs, which URLs mangle.

    >>> image_files(b"no picture", key="a", t=1, timestamp_ms=0)
    {}
    """
    from PIL import Image

    small = io.BytesIO()
    try:
        with Image.open(io.BytesIO(png)) as image:
            image.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
            image.save(small, format="WEBP")
    except (OSError, SyntaxError, ValueError):  # all of which Pillow raises about broken files
        return {}
    stem = f"{_NAME}+step+{t}+timestamp+{timestamp_ms}+{key}"
    return {f"{stem}.png": png, f"{stem}+compressed.webp": small.getvalue()}
